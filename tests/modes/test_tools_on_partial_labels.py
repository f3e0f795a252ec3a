"""What is done with a trained model counts only what the cases are annotated for."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tiny_datasets import BALL, CASES, CORE
from tiny_nnunet import WIDE, TinyNNUNet

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.fitting.fit import fit_latents
from nnunetv2_hypersort.handover.export import export_style
from nnunetv2_hypersort.handover.harmonise import harmonise_labels
from nnunetv2_hypersort.images.label_comparison import dice_per_label
from nnunetv2_hypersort.latents import Style, StyleBook, StyleInFold
from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder
from nnunetv2_hypersort.model.case_images import CaseImages
from nnunetv2_hypersort.model.preprocessed import load_preprocessed
from nnunetv2_hypersort.nnunet.raw_dataset import open_dataset
from nnunetv2_hypersort.perturbation.perturb import perturb_dataset
from nnunetv2_hypersort.ranking.rank import rank_cases
from nnunetv2_hypersort.ranking.style_fit import fit_styles
from nnunetv2_hypersort.report.pictures import draw_cases
from nnunetv2_hypersort.styles.label_volumes import describe_label_volumes, label_volumes

LABELS = {"ball": 1, "core": 2}
LONGER = WIDE.replace("num_iterations_per_epoch: 3", "num_iterations_per_epoch: 6")


@pytest.fixture(scope="module")
def trained(tiny_dataset, tmp_path_factory):
    """nnU-Net's folders with three folds, which hold out two cases each."""
    base, dataset = tiny_dataset("partial")
    folder = tmp_path_factory.mktemp("partial_tools")
    shutil.copytree(base / "nnUNet_preprocessed", folder / "nnUNet_preprocessed")
    shutil.copytree(base / "nnUNet_raw", folder / "nnUNet_raw")
    splits = [
        {"train": [case for case in CASES if case not in held_out], "val": list(held_out)}
        for held_out in zip(CASES[::2], CASES[1::2], strict=True)
    ]
    write_json(folder / "nnUNet_preprocessed" / dataset / "splits_final.json", splits)
    with pytest.MonkeyPatch.context() as patch:
        nnunet = TinyNNUNet("partial", folder, dataset, folder / "nnUNet_results", patch)
        for fold in range(3):
            nnunet.trainer(LONGER, fold=fold).run_training()
        model = ModelFolder.open(nnunet.model())
        places = {
            fold.name: StyleInFold(
                tuple(fold.record.latents[0]), fold.record.case_ids[0], fold.record.fingerprint, cluster=0
            )
            for fold in model.folds
        }
        model.write_book(StyleBook((Style("A", places, tuple(CASES)),)))
    return folder, dataset


@pytest.fixture
def model(trained, tmp_path, monkeypatch):
    folder, dataset = trained
    shutil.copytree(folder / "nnUNet_results", tmp_path / "nnUNet_results")
    nnunet = TinyNNUNet("partial", folder, dataset, tmp_path / "nnUNet_results", monkeypatch)
    return ModelFolder.open(nnunet.model())


def test_agreement_is_of_the_annotated_labels(model):
    fold = model.fold(0)
    latent = fold.record.latents[0]
    fits = fit_styles(model, fold, [latent], CASES, device="cpu", done=lambda: None)
    segmenter = FoldSegmenter(model, replace(fold, mirror_axes=None), "cpu")
    for case, label in ((BALL[1], "ball"), (CORE[1], "core")):
        image = load_preprocessed(model, case)
        segmentation = segmenter.segment_preprocessed(image, latent)
        expected = dice_per_label(segmentation, image.segmentation, {label: LABELS[label]})
        assert fits[case].worst_label[0] == label
        assert fits[case].agreement == pytest.approx(expected[label])
        differing = (segmentation == LABELS[label]) != (image.segmentation == LABELS[label])
        assert fits[case].doubtful_mm3 == pytest.approx(differing.sum())


def test_rank_and_its_ignore_mask(model, trained, tmp_path):
    raw = tmp_path / "Dataset950_Ignored"
    ranking = rank_cases(model.path, threshold=0.999, ignore_mask=raw, progress=False)
    assert {case.case for case in ranking.cases} == set(CASES)
    assert all(math.isfinite(case.quality) for case in ranking.cases)
    written = open_dataset(raw)
    original = open_dataset(trained[0] / "nnUNet_raw" / trained[1])
    assert written.annotated.listed == original.annotated.listed
    for case in CASES:
        # Reading checks that no class is there that the case is not annotated for.
        kept = written.labels_of(case).labels
        ignored = kept == written.table.ignore_label
        np.testing.assert_array_equal(kept[~ignored], original.labels_of(case).labels[~ignored])


def test_harmonise_leaves_unknown_what_is_unknown(model, tmp_path):
    found = harmonise_labels(model.path, "A", tmp_path / "Dataset951_Harmonised", num_processes=1, progress=False)
    written = open_dataset(found.folder)
    assert written.annotated.listed == model.annotated.listed
    changed = {(change.case, change.label) for change in found.changes}
    assert changed == {(case, label) for case in CASES for label in written.annotated.names_of(case)}
    for case in CASES:
        written.labels_of(case)
    content = json.loads((found.folder / "dataset.json").read_text())
    assert content["annotated_labels"] == {case: ["ball"] if case in BALL else ["core"] for case in (*BALL, *CORE)}


def test_an_exported_style_is_validated_on_what_is_known(model, tmp_path):
    export_style(model.path, "A", tmp_path / "results", num_processes=1, progress=False)
    (summary,) = (tmp_path / "results").rglob("fold_0/validation/summary.json")
    entries = json.loads(summary.read_text())["metric_per_case"]
    metrics = {entry["reference_file"][:6]: entry["metrics"] for entry in entries}
    assert math.isnan(metrics["case_0"]["2"]["Dice"])
    assert metrics["case_0"]["1"]["n_ref"] > 0


def test_volumes_of_labels(model):
    styles = [Style("balls", {}, BALL), Style("cores", {}, CORE), Style("both", {}, ("case_1", "case_4"))]
    volumes = label_volumes(CaseImages.find(model), styles)
    assert len(volumes["balls"]["ball"]) == 2
    assert len(volumes["balls"]["core"]) == 0
    assert (volumes["cores"]["core"] > 0).all()
    nothing = describe_label_volumes(volumes["both"], volumes["both"])
    # No style leaves out what its cases are not annotated for.
    for name in ("balls", "cores"):
        assert describe_label_volumes(volumes[name], volumes["both"]) == nothing


def test_pictures_compare_what_is_annotated(model):
    segmenter = FoldSegmenter(model, replace(model.fold(0), mirror_axes=None), "cpu")
    pictures, notes = draw_cases(model, ["case_2"], [], segmenter, seconds=60)
    assert notes == []
    assert 0 <= pictures["case_2"].dice <= 1


def test_fit_counts_what_new_cases_are_annotated_for(model, trained):
    raw = trained[0] / "nnUNet_raw" / trained[1]
    images, labels = raw / "imagesTr", raw / "labelsTr"
    arguments = {"case_ids": ["case_2"], "folds": [0], "device": "cpu"}
    # As dataset.json beside the labels says.
    with pytest.warns(UserWarning, match="trained on cases called case_2"):
        by_file = fit_latents(model.path, images, labels, **arguments)
    with pytest.warns(UserWarning, match="trained on cases called case_2"):
        named = fit_latents(model.path, images, labels, annotated=["ball"], **arguments)
    assert str(by_file) == str(named)
    dice = named.latents[0].dice["case_2"]["fitted"]
    assert math.isnan(dice["core"])
    assert 0 <= dice["ball"] <= 1
    with pytest.raises(HyperSORTError, match=r"case_2.*holds the value 1 \(ball\)"):
        fit_latents(model.path, images, labels, annotated=["core"], **arguments)
    with pytest.raises(HyperSORTError, match=r'--annotated: annotated_labels\["case_2"\] lists "bal"'):
        fit_latents(model.path, images, labels, annotated=["bal"], **arguments)


def test_perturb_draws_nothing_that_is_unknown(trained, tmp_path):
    source = trained[0] / "nnUNet_raw" / trained[1]
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "styles: {as_drawn: {proportion: 1}}\n"
        "errors: {rate: 0.9, kinds: [other_case, swap_labels: {labels: [ball, core]}]}\n"
    )
    perturb_dataset(source, tmp_path / "Dataset952_Perturbed", spec, processes=1, progress=False)
    written = open_dataset(tmp_path / "Dataset952_Perturbed")
    assert written.annotated.listed == open_dataset(source).annotated.listed
    for case in CASES:
        written.labels_of(case)
