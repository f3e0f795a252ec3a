"""The training cases of a model, ranked: the whole way."""

import json
import math
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
import torch
from csv_rows import csv_rows
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import Style, StyleBook, StyleInFold
from nnunetv2_hypersort.model import ModelFolder, load_preprocessed
from nnunetv2_hypersort.ranking import quality
from nnunetv2_hypersort.ranking.ignore_mask import IgnoreMaskDataset
from nnunetv2_hypersort.ranking.rank import rank_cases
from nnunetv2_hypersort.ranking.style_fit import segmenter_without_mirroring
from nnunetv2_hypersort.styles import find_styles
from nnunetv2_hypersort.styles.clustering import find_clusters

EVERY_CASE = 0.999999
"""A threshold that flags every case."""


def set_losses(model_folder, losses) -> None:
    """Give cases other losses in the checkpoints of all folds."""
    for path in model_folder.glob("fold_*/checkpoint_final.pth"):
        content = torch.load(path, weights_only=False)
        ids = ModelFolder.open(model_folder, folds=[path.parent.name[5:]]).folds[0].record.case_ids
        for row, case in enumerate(ids):
            content["network_weights"]["latents.loss"][row] = losses(case)
        torch.save(content, path)


def rows_of(model_folder) -> list[dict[str, str]]:
    return csv_rows(model_folder / "case_ranking.csv")


def drawn_by_the_style(model, fold, case) -> np.ndarray:
    """What a fold segments with its only style, on the grid of the raw image."""
    latents = fold.record.latents
    (medoid,) = find_clusters(latents).medoids
    return segmenter_without_mirroring(model, fold, "cpu").segment_image(
        load_preprocessed(model, case), latents[medoid]
    )


def test_loss_and_isolation_rank_without_predictions(trained_model):
    # Usual losses of 1.0, 1.1, ...; the case 005 lies far above them.
    set_losses(trained_model, lambda case: 9.0 if case == "phantom_005" else 1 + int(case[-3:]) / 10)
    ranking = rank_cases(trained_model, predict=False, progress=False)
    rows = rows_of(trained_model)
    assert list(rows[0])[:5] == ["case", "quality", "style", "folds", "reason"]
    assert [row["case"] for row in rows] == [case.case for case in ranking.cases]
    assert [case.quality for case in ranking.cases] == sorted(case.quality for case in ranking.cases)
    assert rows[0]["case"] == "phantom_005"
    assert "high loss (9.00)" in rows[0]["reason"]
    assert (rows[0]["folds"], rows[0]["held_out"], rows[0]["loss"]) == ("0 1", "", "9")
    by_case = {case.case: case for case in ranking.cases}
    assert by_case["phantom_000"].folds == ("1",)
    assert by_case["phantom_009"].folds == ("0",)
    # Fold 0: 1.2 1.3 1.4 9 1.6 1.7 1.8 1.9, median 1.65, deviations .45 .35 .25 7.35 .05 .05 .15 .25: median .25
    # Fold 1: 1.0 1.1 1.2 1.3 1.4 9 1.6 1.7, median 1.35, deviations .35 .25 .15 .05 .05 7.65 .25 .35: median .25
    expected = (7.35 + 7.65) / 2 / (1.4826 * 0.25)
    assert by_case["phantom_005"].loss_z == pytest.approx(expected, rel=1e-5)
    assert math.isnan(by_case["phantom_005"].agreement)
    assert rows[0]["agreement"] == ""
    assert any("Predictions were left out" in note for note in ranking.notes)
    for case in ranking.cases:
        z = (case.loss_z + case.isolation_z) / 2
        assert case.outlyingness == pytest.approx(z)
        assert case.quality == pytest.approx(1 / (1 + math.exp(z - quality.OUTLYING)), rel=1e-6)


def test_labels_are_compared_with_the_styles_of_all_folds(trained_model, tmp_path):
    destination = tmp_path / "Dataset902_Masked"
    ranking = rank_cases(trained_model, threshold=EVERY_CASE, ignore_mask=destination, progress=False)
    assert len(ranking.flagged) == len(ranking.cases) == 10
    model = ModelFolder.open(trained_model)
    raw = model.raw_folder()
    by_case = {case.case: case for case in ranking.cases}
    assert (by_case["phantom_000"].folds, by_case["phantom_000"].held_out) == (("1",), ("0",))
    ignored = {row["case"]: int(row["ignored_voxels"]) for row in csv_rows(destination / "ignored_voxels.csv")}

    for case in ("phantom_000", "phantom_004"):
        label = SimpleITK.ReadImage(str(raw / "labelsTr" / f"{case}.nii.gz"))
        drawn = SimpleITK.GetArrayFromImage(label)
        segmentations = [drawn_by_the_style(model, fold, case) for fold in model.folds]
        written = SimpleITK.ReadImage(str(destination / "labelsTr" / f"{case}.nii.gz"))
        voxels = SimpleITK.GetArrayFromImage(written)
        # Of two folds both must differ.
        doubtful = (segmentations[0] != drawn) & (segmentations[1] != drawn)
        np.testing.assert_array_equal(voxels, np.where(doubtful, 2, drawn))
        assert doubtful.any(), "no voxel is in doubt: the test shows nothing"
        assert ignored[case] == doubtful.sum()
        assert written.GetSpacing() == label.GetSpacing()
        dice = []
        for fold in model.folds:
            image = load_preprocessed(model, case)
            (medoid,) = find_clusters(fold.record.latents).medoids
            segmenter = segmenter_without_mirroring(model, fold, "cpu")
            mine = segmenter.segment_preprocessed(image, fold.record.latents[medoid]) == 1
            reference = image.segmentation == 1
            dice.append(2 * (mine & reference).sum() / (mine.sum() + reference.sum()))
        assert by_case[case].agreement == pytest.approx(np.mean(dice))

    content = json.loads((destination / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "liver": 1, "ignore": 2}
    image = "phantom_003_0000.nii.gz"
    assert (destination / "imagesTr" / image).samefile(raw / "imagesTr" / image)
    assert not list(tmp_path.glob(".unfinished*"))
    # The next training holds out the same cases.
    before = (model.preprocessed_folder() / "splits_final.json").read_text()
    assert json.loads((destination / "splits_final.json").read_text()) == json.loads(before)


BOOK_OF_STYLED_MODEL = {
    **dict.fromkeys(("phantom_002", "phantom_003", "phantom_004"), "A"),
    **dict.fromkeys(("phantom_006", "phantom_007"), "B"),
    "phantom_008": "C",
}


def test_the_style_of_a_case_is_that_of_the_style_book(styled_model):
    ranking = rank_cases(styled_model, predict=False, progress=False)
    assert {case.case: case.style for case in ranking.cases if case.style} == BOOK_OF_STYLED_MODEL
    # A fold alone says the same: cases are matched, not the numbers of clusters.
    alone = rank_cases(styled_model, folds=[1], predict=False, progress=False)
    expected = {case: style for case, style in BOOK_OF_STYLED_MODEL.items() if int(case[-1]) < 8}
    assert {case.case: case.style for case in alone.cases if case.style} == expected


def test_labels_are_compared_with_the_latents_of_the_style_book(styled_model, monkeypatch):
    compared = {}

    def record(_model, fold, latents, _cases, **_options):
        compared[fold.name] = np.array(latents)
        return {}

    monkeypatch.setattr("nnunetv2_hypersort.ranking.fold_evidence.fit_styles", record)
    model = ModelFolder.open(styled_model)
    # A latent beyond its medoid, as of a style that leaves a label out.
    book = model.book
    moved = replace(book.find("B").folds["0"], coordinates=(7.0, -7.0))
    style = replace(book.find("B"), folds={**book.find("B").folds, "0": moved})
    model.write_book(StyleBook((book.find("A"), style, book.find("C"))))
    rank_cases(styled_model, progress=False)
    record_0, record_1 = (model.fold(fold).record for fold in (0, 1))
    np.testing.assert_allclose(
        compared["0"], [record_0.latent_of("phantom_004"), (7.0, -7.0), record_0.latent_of("phantom_008")]
    )
    np.testing.assert_allclose(compared["1"], [record_1.latent_of("phantom_004"), record_1.latent_of("phantom_006")])


def test_without_a_book_cases_have_the_styles_that_the_command_would_find(trained_model):
    ranking = rank_cases(trained_model, predict=False, progress=False)
    assert any("not known yet" in note and "hypersort styles" in note for note in ranking.notes)
    find_styles(trained_model, cases=0)
    book = ModelFolder.open(trained_model).book
    assert {case.case: case.style for case in ranking.cases if case.style} == book.style_of_cases()
    again = rank_cases(trained_model, predict=False, progress=False)
    assert repr(again.cases) == repr(ranking.cases)
    assert not any("not known" in note for note in again.notes)


def test_a_fold_that_the_book_lacks_is_named_and_gives_no_styles(trained_model):
    model = ModelFolder.open(trained_model)
    record = model.fold(0).record
    place = StyleInFold.of(record, record.latents[0], record.case_ids[0], 0)
    model.write_book(StyleBook((Style("only", {"0": place}, record.case_ids),)))
    ranking = rank_cases(trained_model, predict=False, progress=False)
    assert {case.style for case in ranking.cases if "0" in case.folds} == {"only"}
    assert {case.style for case in ranking.cases if "0" not in case.folds} == {""}
    assert any("not known in fold 1" in note for note in ranking.notes)


def test_a_damaged_case_costs_only_its_own_prediction(trained_model, tmp_path, monkeypatch):
    # The preprocessed data serve other tests, too.
    shutil.copytree(os.environ["nnUNet_preprocessed"], tmp_path / "preprocessed")
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    folder = ModelFolder.open(trained_model).preprocessed_cases_folder()
    next(folder.glob("phantom_004*.b2nd")).write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="phantom_004 cannot be read .* ranked without a prediction"):
        ranking = rank_cases(trained_model, progress=False)
    unknown = [case.case for case in ranking.cases if math.isnan(case.agreement)]
    assert unknown == ["phantom_004"]


def test_one_fold_alone_judges_the_cases_it_held_out_by_its_prediction(trained_model):
    ranking = rank_cases(trained_model, folds=[0], progress=False)
    by_case = {case.case: case for case in ranking.cases}
    assert len(by_case) == 10
    held_out = by_case["phantom_001"]
    assert (held_out.folds, held_out.held_out, held_out.style) == ((), ("0",), "style_a")
    assert math.isnan(held_out.loss)
    assert held_out.quality == pytest.approx(1 / (1 + math.exp(held_out.disagreement_z - quality.OUTLYING)))
    assert any("Only fold 0 was looked at" in note for note in ranking.notes)


def test_without_preprocessed_data_the_rest_is_ranked(trained_model, monkeypatch, tmp_path):
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "gone"))
    ranking = rank_cases(trained_model, progress=False)
    assert any("The preprocessed data are gone" in note for note in ranking.notes)
    alone = rank_cases(trained_model, folds=[0], progress=False)
    assert any("the 2 cases that it held out are not ranked" in note for note in alone.notes)
    assert all(math.isnan(case.agreement) and not math.isnan(case.quality) for case in ranking.cases)
    with pytest.raises(HyperSORTError, match=r"no doubtful voxels to ignore\. The preprocessed data are gone"):
        rank_cases(trained_model, ignore_mask=tmp_path / "Dataset902_Masked", progress=False)


def test_the_command_writes_splits_and_tells_what_it_flagged(trained_model, tmp_path, capsys):
    set_losses(trained_model, lambda case: 9.0 if case == "phantom_005" else 1 + int(case[-3:]) / 10)
    splits = tmp_path / "splits.json"
    arguments = ["rank", str(trained_model), "--no-predictions", "--exclude", str(splits), "-device", "cpu"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "1 of 10 cases have a quality below 0.5" in shown
    assert "phantom_005" in shown
    before = json.loads((ModelFolder.open(trained_model).preprocessed_folder() / "splits_final.json").read_text())
    after = json.loads(splits.read_text())
    assert [split["val"] for split in after] == [split["val"] for split in before]
    for old, new in zip(before, after, strict=True):
        assert new["train"] == [case for case in old["train"] if case != "phantom_005"]
    assert main(arguments) == 1
    assert "is not overwritten" in capsys.readouterr().err


def test_outputs_that_exist_are_refused_before_anything_is_computed(trained_model, tmp_path):
    destination = tmp_path / "Dataset902_Masked"
    destination.mkdir()
    with pytest.raises(HyperSORTError, match="Dataset902_Masked exists already"):
        rank_cases(trained_model, ignore_mask=destination, progress=False)
    with pytest.raises(HyperSORTError, match="not named like a raw nnU-Net dataset"):
        rank_cases(trained_model, ignore_mask=tmp_path / "masked", progress=False)
    with pytest.raises(HyperSORTError, match=r"The threshold is 1\.5"):
        rank_cases(trained_model, threshold=1.5, progress=False)
    assert not (trained_model / "case_ranking.csv").exists()


def test_a_fold_that_is_not_there_is_named(trained_model):
    for checkpoint in (trained_model / "fold_1").glob("checkpoint_*.pth"):
        checkpoint.unlink()
    with pytest.raises(HyperSORTError, match=r"no checkpoint_final\.pth in fold 1"):
        rank_cases(trained_model, folds=[0, 1], predict=False, progress=False)
    with pytest.warns(UserWarning, match="Fold 1 .* is left out"):
        rank_cases(trained_model, predict=False, progress=False)


@pytest.mark.parametrize(
    ("labels", "order", "ignore"),
    [
        ({"background": 0, "whole": [1, 2, 5], "core": [2, 5]}, [1, 2], 6),
        ({"background": 0, "liver": 1, "vessel": 2, "ignore": 3}, None, 3),
    ],
)
def test_the_ignore_label_is_the_highest_and_nnunet_takes_it(
    trained_model, tmp_path, monkeypatch, labels, order, ignore
):
    model = ModelFolder.open(trained_model)
    shutil.copytree(model.raw_folder(), tmp_path / "raw" / model.dataset_name)
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    path = model.raw_folder() / "dataset.json"
    content = {**json.loads(path.read_text()), "labels": labels, "regions_class_order": order}
    path.write_text(json.dumps(content))
    prepared = IgnoreMaskDataset.prepare(model, tmp_path / "Dataset902_Masked")
    manager = LabelManager(prepared.content["labels"], prepared.content["regions_class_order"])
    assert manager.ignore_label == prepared.ignore == ignore
    assert manager.foreground_labels == sorted({1, 2, 5} if order else {1, 2})
