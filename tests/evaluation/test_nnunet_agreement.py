"""The same numbers as nnU-Net's own evaluation, and real data from end to end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from csv_rows import csv_rows
from evaluation_helpers import make_box, write_dataset_json, write_nifti

from nnunetv2_hypersort.cli.main import main

pytestmark = pytest.mark.integration

NNUNET_EVALUATE = "from nnunetv2.evaluation.evaluate_predictions import evaluate_folder_entry_point as run; run()"


def evaluate_with_nnunet(reference: Path, prediction: Path, dataset_json: Path, folder: Path) -> Path:
    """Run the command `nnUNetv2_evaluate_folder`."""
    folder.mkdir()
    (folder / "plans.json").write_text(json.dumps({"label_manager": "LabelManager"}))
    arguments = [reference, prediction, "-djfile", dataset_json, "-pfile", folder / "plans.json"]
    command = [sys.executable, "-c", NNUNET_EVALUATE, *arguments, "-o", folder / "summary.json", "-np", "1"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=300)
    return folder / "summary.json"


def assert_superset(ours: Any, theirs: Any, where: str = "summary.json") -> None:
    """Every entry of nnU-Net's is in ours with the same value."""
    if isinstance(theirs, dict):
        for key, value in theirs.items():
            assert key in ours, f"{where} lacks {key}"
            assert_superset(ours[key], value, f"{where}/{key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_superset(one, other, f"{where}/{index}")
    elif isinstance(theirs, float | int):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, equal_nan=True, err_msg=where)
    else:
        assert ours == theirs, where


def perturb(label_map: np.ndarray, index: int) -> np.ndarray:
    """Move a label map, swap its labels, or drop one of them."""
    if index % 4 == 1:
        return np.where(label_map > 0, 3 - label_map, 0)
    if index % 4 == 2:
        return np.where(label_map == 2, 0, label_map)
    return np.roll(label_map, index % 3 - 1, axis=index % 3)


@pytest.fixture
def hippocampus(shared_data: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    """Hippocampus labels, two of them stored as float, and two folders of perturbed copies."""
    source = shared_data / "Task04_Hippocampus" / "labelsTr"
    files = [*sorted(source.glob("*.nii.gz"))[:10], source / "hippocampus_243.nii.gz"]
    for folder in ("labels", "predA", "predB"):
        (tmp_path / folder).mkdir()
    for index, file in enumerate(files):
        (tmp_path / "labels" / file.name).write_bytes(file.read_bytes())
        image = nibabel.load(file)
        label_map = np.asarray(image.dataobj).astype(np.uint8)
        for folder, shift in (("predA", 0), ("predB", 2)):
            changed = perturb(label_map, index + shift).astype(np.uint8)
            nibabel.save(nibabel.Nifti1Image(changed, image.affine), tmp_path / folder / file.name)
    return tmp_path / "labels", tmp_path / "predA", tmp_path / "predB"


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "Anterior": 1, "Posterior": 2},
        {"background": 0, "whole": [1, 2], "Posterior": 2},
        {"background": 0, "Anterior": 1, "ignore": 2},
    ],
    ids=["labels", "regions", "ignore"],
)
def test_summary_holds_everything_that_nnunet_writes(
    hippocampus: tuple[Path, Path, Path], tmp_path: Path, labels: dict[str, Any]
) -> None:
    from nnunetv2.evaluation.evaluate_predictions import load_summary_json

    reference, prediction, _ = hippocampus
    dataset_json = write_dataset_json(tmp_path / "dataset.json", labels, regions_class_order=[1, 2])
    theirs = evaluate_with_nnunet(reference, prediction, dataset_json, tmp_path / "nnunet")
    arguments = ["-ref", reference, "-pred", prediction, "-djfile", dataset_json, "-o", tmp_path / "ours"]
    assert main(["evaluate", *map(str, arguments), "--no-figures", "-np", "1"]) == 0
    ours = tmp_path / "ours" / "summary.json"
    assert_superset(json.loads(ours.read_text()), json.loads(theirs.read_text()))
    assert_superset(load_summary_json(str(ours)), load_summary_json(str(theirs)))


def test_undefined_values_are_those_of_nnunet(tmp_path: Path) -> None:
    # A label that is nowhere, one that is predicted only, and one that is missed.
    labels = {"background": 0, "nowhere": 1, "made_up": 2, "missed": 3, "fine": 4}
    shape = (8, 9, 10)
    fine = make_box(shape, (1, 4), (1, 4), (1, 4), value=4)
    for case, spot in (("a", 2), ("b", 5)):
        write_nifti(tmp_path / "ref" / f"{case}.nii.gz", fine + make_box(shape, (6, 7), (6, 7), (2, spot), value=3))
        write_nifti(tmp_path / "pred" / f"{case}.nii.gz", fine + make_box(shape, (6, 7), (2, 3), (2, spot), value=2))
    dataset_json = write_dataset_json(tmp_path / "dataset.json", labels)
    theirs = evaluate_with_nnunet(tmp_path / "ref", tmp_path / "pred", dataset_json, tmp_path / "nnunet")
    arguments = ["-ref", tmp_path / "ref", "-pred", tmp_path / "pred", "-djfile", dataset_json, "-o", tmp_path / "ours"]
    assert main(["evaluate", *map(str, arguments), "--no-figures", "-np", "1"]) == 0
    assert_superset(json.loads((tmp_path / "ours" / "summary.json").read_text()), json.loads(theirs.read_text()))


def test_two_hippocampus_folders_are_compared(
    hippocampus: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, first, second = hippocampus
    dataset_json = write_dataset_json(tmp_path / "dataset.json", {"background": 0, "Anterior": 1, "Posterior": 2})
    arguments = ["-ref", reference, "-pred", first, "-pred", second, "-djfile", dataset_json, "-o", tmp_path / "out"]
    assert main(["evaluate", *map(str, arguments), "--nsd-tolerance", "1", "-np", "1"]) == 0
    printed = capsys.readouterr().out
    assert "11 cases of 11 subjects" in printed
    (named,) = [line for line in printed.splitlines() if "stores its labels as floating point" in line]
    assert "hippocampus_243.nii.gz" in named
    rows = csv_rows(tmp_path / "out" / "metrics.csv")
    assert len(rows) == 2 * 11 * 2
    # The fourth prediction of the first method is the label map itself, moved by one voxel of 1 mm.
    fourth = sorted({row["case"] for row in rows})[3]
    moved = [row for row in rows if (row["method"], row["case"]) == ("predA", fourth)]
    assert [float(row["VS"]) for row in moved] == [1, 1]
    assert [float(row["HD95"]) for row in moved] == pytest.approx([1, 1])
    assert [float(row["NSD"]) for row in moved] == pytest.approx([1, 1])
    assert all(0 < float(row["ASD"]) < 1 for row in moved)
    assert (tmp_path / "out" / "figures" / "difference_predB_minus_predA.png").is_file()


def test_totalsegmentator_example_pair(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "totalsegmentator_example"
    reference, prediction = (nibabel.load(source / f"{name}.nii.gz") for name in ("example_seg", "example_seg_fast"))
    fast = np.asarray(prediction.dataobj)
    # The masks by structure give the labels their names.
    labels = {"background": 0, **{f"unnamed_{value}": value for value in range(1, 118)}}
    for file in sorted((source / "example_seg_fast").glob("*.nii.gz")):
        mask = np.asarray(nibabel.load(file).dataobj) > 0
        if mask.any() and mask.shape == fast.shape:
            (value,) = np.unique(fast[mask])
            labels.pop(f"unnamed_{value}")
            labels[file.name.removesuffix(".nii.gz")] = int(value)
    for folder, image in (("ref", reference), ("pred", prediction)):
        (tmp_path / folder).mkdir()
        nibabel.save(image, tmp_path / folder / "example.nii.gz")
    dataset_json = write_dataset_json(tmp_path / "dataset.json", labels)
    arguments = ["-ref", tmp_path / "ref", "-pred", tmp_path / "pred", "-djfile", dataset_json, "-o", tmp_path / "out"]
    assert main(["evaluate", *map(str, arguments), "-np", "1"]) == 0

    rows = {row["label"]: row for row in csv_rows(tmp_path / "out" / "metrics.csv")}
    assert len(rows) == 117
    truth = np.asarray(reference.dataobj)
    for name, value in labels.items():
        if value == 0:
            continue
        first, second = truth == value, fast == value
        size = first.sum() + second.sum()
        expected = "" if size == 0 else 2 * (first & second).sum() / size
        assert rows[name]["DSC"] == "" if expected == "" else float(rows[name]["DSC"]) == pytest.approx(expected)
        assert float(rows[name]["reference_volume_mm3"]) == pytest.approx(27 * first.sum())
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["hypersort"]
    assert "liver" in summary["groups"]["large"]
    counts = summary["results"]["pred"]["mean"]["cases"]
    both = len(set(np.unique(truth)) & set(np.unique(fast))) - 1
    either = len(set(np.unique(truth)) | set(np.unique(fast))) - 1
    assert counts["both"] == both
    assert counts["missed"] + counts["false_positive"] == either - both
    assert counts["absent"] == 117 - either
    # One subject: nothing can be said about the spread over subjects.
    assert summary["results"]["pred"]["mean"]["DSC"]["ci95"] == [None, None]
