"""Labels of one style for all training cases, each from a fold that did not train on it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from csv_rows import csv_rows
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.handover.harmonise import harmonise_labels
from nnunetv2_hypersort.latents import FoldRecord
from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder
from nnunetv2_hypersort.prediction import latent_for_prediction

CASES = [f"phantom_{number:03d}" for number in range(10)]
HALVES = {"0": CASES[:5], "1": CASES[5:]}
ALONE = {"num_processes": 1, "progress": False}


@pytest.fixture
def halves(styled_model) -> Path:
    """The model with a split that leaves every case out of one fold."""
    for fold in HALVES:
        _rewrite_split(styled_model / f"fold_{fold}" / "checkpoint_final.pth", fold, HALVES)
    return styled_model


def _rewrite_split(checkpoint: Path, fold: str, held_out) -> None:
    content = torch.load(checkpoint, weights_only=False)
    weights = content["network_weights"]
    weights["record"] = FoldRecord.encode(fold, held_out)
    weights.pop("checksum", None)  # of the weights as they were saved
    torch.save(content, checkpoint)


def voxels(path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def test_each_case_is_segmented_by_the_fold_that_left_it_out(halves, tmp_path, monkeypatch, capsys):
    target, raw = tmp_path / "Dataset905_OneStyle", ModelFolder.open(halves).raw_folder()
    segmented = []
    segment = FoldSegmenter.segment_image

    def interrupted(self, image, latent):
        if len(segmented) == 7:
            raise KeyboardInterrupt
        segmented.append(self.fold.name)
        return segment(self, image, latent)

    monkeypatch.setattr(FoldSegmenter, "segment_image", interrupted)
    arguments = ["harmonise", str(halves), "--style", "A", "-o", str(target), "-device", "cpu", "-np", "1"]
    assert main(arguments) == 130
    assert not (target / "dataset.json").exists()
    again = []
    monkeypatch.setattr(FoldSegmenter, "segment_image", lambda self, *rest: again.append(0) or segment(self, *rest))
    assert main(arguments) == 0
    assert (segmented, len(again)) == (["0"] * 5 + ["1"] * 2, 3)

    for fold, case in (("0", "phantom_003"), ("1", "phantom_008")):
        with latent_for_prediction("style:A"):
            predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
            predictor.initialize_from_trained_model_folder(str(halves), (int(fold),))
            predictor.predict_from_files_sequential(
                [[str(raw / "imagesTr" / f"{case}_0000.nii.gz")]], [str(tmp_path / case)]
            )
        label, expected = (
            SimpleITK.ReadImage(str(path))
            for path in (target / "labelsTr" / f"{case}.nii.gz", f"{tmp_path / case}.nii.gz")
        )
        np.testing.assert_array_equal(*map(SimpleITK.GetArrayFromImage, (label, expected)))
        drawn = SimpleITK.ReadImage(str(raw / "labelsTr" / f"{case}.nii.gz"))
        for what in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(label, what)() == getattr(drawn, what)()

    rows = {row["case"]: row for row in csv_rows(target / "changes.csv")}
    assert {case: row["fold"] for case, row in rows.items()} == {c: f for f, cases in HALVES.items() for c in cases}
    assert [float(row["dice"]) for row in rows.values()] == sorted(float(row["dice"]) for row in rows.values())
    voxel = np.prod(SimpleITK.ReadImage(str(raw / "labelsTr" / "phantom_000.nii.gz")).GetSpacing())
    for case, row in rows.items():
        before, after = (voxels(folder / "labelsTr" / f"{case}.nii.gz") > 0 for folder in (raw, target))
        assert row["label"] == "liver"
        assert float(row["volume_before"]) == pytest.approx(before.sum() * voxel, abs=1e-2)
        assert float(row["volume_after"]) == pytest.approx(after.sum() * voxel, abs=1e-2)
        assert float(row["dice"]) == pytest.approx(2 * (before & after).sum() / (before.sum() + after.sum()), abs=1e-4)
        assert float(row["hd95"]) > 0
    shown = capsys.readouterr().out
    assert "| liver | 10 |" in shown
    assert f"Changed most: {next(iter(rows))} liver" in shown

    content = json.loads((target / "dataset.json").read_text())
    assert (content["name"], content["numTraining"]) == ("OneStyle", 10)
    for path in (raw / "imagesTr").iterdir():
        assert (target / "imagesTr" / path.name).read_bytes() == path.read_bytes()
    assert {path.name for path in (target / "labelsTr").iterdir()} == {f"{case}.nii.gz" for case in CASES}
    assert main(arguments) == 1
    assert f"{target} is a dataset already" in capsys.readouterr().err


def test_nnunet_takes_the_dataset(halves, tmp_path, monkeypatch):
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    monkeypatch.setattr(FoldSegmenter, "segment_image", lambda self, image, latent: np.ones(_shape(image), np.uint8))
    harmonised = harmonise_labels(halves, "A", tmp_path / "Dataset905_OneStyle", **ALONE)
    verify_dataset_integrity(str(harmonised.folder), 1)
    assert harmonised.left_out == ()


def _shape(image) -> tuple[int, ...]:
    return tuple(image.properties["shape_before_cropping"])


def test_cases_that_came_later_are_left_out_and_named(halves, tmp_path, monkeypatch):
    raw = ModelFolder.open(halves).raw_folder()
    shutil.copytree(raw, tmp_path / "raw" / raw.name)
    for folder, name in (("imagesTr", "phantom_000_0000.nii.gz"), ("labelsTr", "phantom_000.nii.gz")):
        path = tmp_path / "raw" / raw.name / folder / name
        shutil.copy(path, path.with_name(name.replace("000", "newcomer", 1)))
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    monkeypatch.setattr(FoldSegmenter, "segment_image", lambda self, image, latent: np.ones(_shape(image), np.uint8))
    harmonised = harmonise_labels(halves, "A", tmp_path / "Dataset905_OneStyle", **ALONE)
    assert harmonised.left_out == ("phantom_newcomer",)
    assert len(list((harmonised.folder / "imagesTr").iterdir())) == len(harmonised.changes) == len(CASES)


def test_a_case_without_a_fold_that_left_it_out_is_refused(halves, tmp_path):
    (halves / "fold_1").rename(tmp_path / "fold_1")
    with pytest.raises(
        HyperSORTError,
        match=r"phantom_005, phantom_006, phantom_007, \.\.\. \(5 of 10 cases\) are training data of fold 0, .*; "
        r"finish the training of fold 1\.",
    ):
        harmonise_labels(halves, "A", tmp_path / "Dataset905_OneStyle", folds=[0], **ALONE)
    _rewrite_split(halves / "fold_0" / "checkpoint_final.pth", "0", {"0": CASES[:5]})
    with pytest.raises(HyperSORTError, match="no fold of the split leaves them out, so train with a split that does"):
        harmonise_labels(halves, "A", tmp_path / "Dataset905_OneStyle", folds=[0], **ALONE)
    assert not (tmp_path / "Dataset905_OneStyle").exists()


def test_bad_input_is_refused_before_anything_is_written(halves, tmp_path, monkeypatch):
    target = tmp_path / "Dataset905_OneStyle"
    with pytest.raises(HyperSORTError, match="is not named like a raw nnU-Net dataset"):
        harmonise_labels(halves, "A", tmp_path / "harmonised", **ALONE)
    with pytest.raises(HyperSORTError, match="no style Z; the styles of this model are A, B, C"):
        harmonise_labels(halves, "Z", target, **ALONE)
    with pytest.raises(HyperSORTError, match="style C is not known in fold 1"):
        harmonise_labels(halves, "C", target, **ALONE)
    for fold in HALVES:
        more = {"0": [*CASES[:5], "phantom_777"], "1": CASES[5:]}
        _rewrite_split(halves / f"fold_{fold}" / "checkpoint_final.pth", fold, more)
    with pytest.raises(HyperSORTError, match=r"Dataset901_Tiny lacks phantom_777 \(1 of the 11 cases"):
        harmonise_labels(halves, "A", target, **ALONE)
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    with pytest.raises(HyperSORTError, match="The raw data of Dataset901_Tiny are gone; set nnUNet_raw"):
        harmonise_labels(halves, "A", target, **ALONE)
    assert not target.exists()


def test_a_folder_with_something_else_is_never_touched(halves, tmp_path):
    target = tmp_path / "Dataset905_OneStyle"
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    with pytest.raises(HyperSORTError, match="is not empty and was not written by this command"):
        harmonise_labels(halves, "A", target, **ALONE)
    assert [path.name for path in target.iterdir()] == ["notes.txt"]
