"""Latents fitted to new cases whose labels the network itself drew, with a latent that is known."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
import torch
from csv_rows import csv_rows

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.fitting.fit import fit_latents
from nnunetv2_hypersort.fitting.fitted_latent import Fit, FittedLatent
from nnunetv2_hypersort.latents import LatentChoice, Style, StyleBook, StyleInFold, choose_latents
from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder

CASES = ("phantom_000", "phantom_001")
IGNORE = 2


@pytest.fixture
def one_style(trained_model):
    """The model with one style, `drawn`, in fold 0: the training latent farthest from the mode."""
    model = ModelFolder.open(trained_model)
    record = model.fold(0).record
    case, mode = record.mode()
    farthest = record.latents[np.linalg.norm(record.latents - mode, axis=1).argmax()]
    place = StyleInFold(tuple(farthest), None, record.fingerprint, 0)
    model.write_book(StyleBook((Style("drawn", {"0": place}, (case,)),)))
    return model


@pytest.fixture
def folders(one_style, preprocessed, tmp_path):
    """Two images that fold 0 did not train on, and labels drawn by fold 0 with the style."""
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    segmenter = FoldSegmenter(one_style, 0)
    for case in CASES:
        image = images / f"{case}_0000.nii.gz"
        shutil.copy(preprocessed / "nnUNet_raw" / "Dataset901_Tiny" / "imagesTr" / image.name, image)
        label = segmenter.segment_images(
            [image], one_style.book.find("drawn").folds["0"].coordinates, labels / f"{case}.nii.gz"
        )
        assert label.any(), "this test needs a network that draws something"
    return images, labels


def test_each_case_gets_a_latent_that_explains_its_label(one_style, folders, tmp_path):
    checkpoint = one_style.fold(0).checkpoint.read_bytes()
    fit = fit_latents(one_style.path, *folders, folds=[0], output=tmp_path / "out")
    record = one_style.fold(0).record
    assert [latent.cases for latent in fit.latents] == [(case,) for case in CASES]
    for latent in fit.latents:
        (case,) = latent.cases
        # The network drew the label with this very latent.
        assert latent.dice[case]["best_style"] == {"liver": 1.0}
        assert latent.loss["fitted"] <= min(latent.loss["mode"], latent.loss["best_style"])
        assert latent.loss["best_style"] < latent.loss["mode"]
        assert (latent.nearest_style, latent.best_style) == ("drawn", "drawn")
        style = np.array(one_style.book.find("drawn").folds["0"].coordinates)
        assert latent.distance == pytest.approx(np.linalg.norm(style - latent.coordinates))
        assert (record.latents.min(0) - 1e-6 <= latent.coordinates).all()
        assert (latent.coordinates <= record.latents.max(0) + 1e-6).all()
    assert one_style.fold(0).checkpoint.read_bytes() == checkpoint
    rows = csv_rows(tmp_path / "out" / "fit.csv")
    content = json.loads((tmp_path / "out" / "fit.json").read_text())
    assert [row["case"] for row in rows] == list(CASES)
    for row, entry, latent in zip(rows, content["fits"], fit.latents, strict=True):
        assert [float(row["z_0"]), float(row["z_1"])] == pytest.approx(latent.coordinates)
        assert entry["coordinates"] == list(latent.coordinates)
        assert float(row["dice_best_style"]) == entry["dice"][row["case"]]["best_style"]["mean"] == 1
        assert float(row["loss_fitted"]) == pytest.approx(entry["loss"]["fitted"])


def test_dice_is_that_of_the_prediction_with_the_fitted_latent(one_style, folders):
    (latent,) = fit_latents(one_style.path, *folders, folds=[0], case_ids=CASES[:1]).latents
    segmenter = FoldSegmenter(one_style, 0)
    label = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folders[1] / f"{CASES[0]}.nii.gz"))) > 0
    for kind, coordinates in (("fitted", latent.coordinates), ("mode", one_style.fold(0).record.mode()[1])):
        drawn = segmenter.segment_images([folders[0] / f"{CASES[0]}_0000.nii.gz"], coordinates) > 0
        assert latent.dice[CASES[0]][kind]["liver"] == pytest.approx(
            2 * (drawn & label).sum() / (drawn.sum() + label.sum())
        )


def test_a_shared_latent_becomes_a_style_for_prediction(one_style, folders, capsys):
    arguments = ["fit", str(one_style.path), "--images", str(folders[0]), "--labels", str(folders[1]), "-device", "cpu"]
    with pytest.warns(UserWarning, match=r"Fold 1 trained on cases called phantom_000"):
        assert main([*arguments, "--shared", "--save-as", "ours"]) == 0
    shown = capsys.readouterr().out
    assert "| phantom_001 | 1 " in shown
    assert "style:ours" in shown
    model = ModelFolder.open(one_style.path)
    style = model.book.find("ours")
    assert style.origin == "fitted"
    assert list(style.folds) == ["0", "1"]
    chosen = choose_latents(LatentChoice.parse("style:ours"), [fold.record for fold in model.folds], model.book)
    for latent in chosen:
        np.testing.assert_array_equal(latent.coordinates, style.folds[latent.fold].coordinates)
        shown_there = f"({', '.join(f'{value:.3f}' for value in latent.coordinates)})"
        assert shown.count(shown_there) == len(CASES), "both cases share it"
    # The mode stays what the training made it.
    assert [book_style.name for book_style in model.book.styles] == ["drawn", "ours"]


@pytest.mark.parametrize("name", ["drawn", "fitted_before"])
def test_a_name_that_exists_is_refused_before_the_work(one_style, folders, name, monkeypatch):
    place = StyleInFold((0.0, 0.0), None, one_style.fold(0).record.fingerprint)
    one_style.write_book(one_style.book.with_style(Style("fitted_before", {"0": place}, origin="fitted")))
    plans = (one_style.path / "plans.json").read_bytes()
    monkeypatch.setattr("nnunetv2_hypersort.fitting.fit.load_new_cases", lambda *_: pytest.fail("worked"))
    with pytest.raises(HyperSORTError, match=rf"has a style {name} already .*drawn, fitted_before"):
        fit_latents(one_style.path, *folders, folds=[0], shared=True, save_as=name)
    assert (one_style.path / "plans.json").read_bytes() == plans


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"save_as": "ours"}, "with `--shared`"),
        ({"save_as": "a b", "shared": True}, "cannot be the name"),
        ({"beyond": -0.1}, "not a share"),
        ({"beyond": math.nan}, "not a share"),
        ({"folds": [3]}, "fold 3"),
    ],
)
def test_options_that_make_no_sense(one_style, folders, options, words):
    with pytest.raises(HyperSORTError, match=words):
        fit_latents(one_style.path, *folders, **{"folds": [0], **options})


def test_the_output_folder_is_new_and_goes_again_if_nothing_came_of_it(one_style, folders, tmp_path, monkeypatch):
    with pytest.raises(HyperSORTError, match="exists and is not written over"):
        fit_latents(one_style.path, *folders, folds=[0], output=folders[1])
    monkeypatch.setattr(
        "nnunetv2_hypersort.fitting.fit.find_latent", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        fit_latents(one_style.path, *folders, folds=[0], output=tmp_path / "out", save_as="ours", shared=True)
    assert not (tmp_path / "out").exists()
    assert ModelFolder.open(one_style.path).book.names == ("drawn",)


def test_a_few_annotated_slices_are_enough_and_only_they_count(one_style, folders):
    file = folders[1] / f"{CASES[0]}.nii.gz"
    image = SimpleITK.ReadImage(str(file))
    label = SimpleITK.GetArrayFromImage(image)
    kept = np.flatnonzero((label > 0).any((1, 2)))[::3]
    partial = np.full_like(label, IGNORE)
    partial[kept] = label[kept]
    result = SimpleITK.GetImageFromArray(partial)
    result.CopyInformation(image)
    SimpleITK.WriteImage(result, str(file))
    options = {"folds": [0], "case_ids": CASES[:1]}
    with pytest.raises(HyperSORTError, match=r"has the value 2, which the model lacks.*say so with --partly-annotated"):
        fit_latents(one_style.path, *folders, **options)
    (latent,) = fit_latents(one_style.path, *folders, **options, partly_annotated=True).latents
    assert latent.dice[CASES[0]]["best_style"] == {"liver": 1.0}
    assert latent.loss["fitted"] <= latent.loss["best_style"] < latent.loss["mode"]


def test_the_loss_is_that_of_the_trainer(make_trainer):
    trainer = make_trainer("latent: {start: random}")
    trainer.initialize()
    trainer.enable_deep_supervision = False
    torch.manual_seed(0)
    output, target = torch.randn(1, 2, 8, 8, 8), torch.randint(0, 2, (1, 1, 8, 8, 8))
    from nnunetv2_hypersort.model.planned_model import PlannedModel

    planned = PlannedModel(
        trainer.plans_manager.plans, trainer.dataset_json, trainer.configuration_name, type(trainer).__name__
    )
    assert float(planned.build_loss()(output, target)) == float(trainer._build_loss()(output, target))


def test_what_the_table_says():
    dice = {
        "case": {"mode": {"a": 0.5, "b": 0.7}, "best_style": {"a": 0.8, "b": math.nan}, "fitted": {"a": 0.9, "b": 0.9}}
    }
    losses = {"mode": -0.4, "best_style": -0.7, "fitted": -0.8}
    latents = [
        FittedLatent(fold, ("case",), (0.5, -1.0), 0.25, "narrow", 0.1, "narrow", losses, dice) for fold in ("0", "1")
    ]
    text = Fit((latents[0],), shared=False).markdown()
    assert (
        "| case | 0    | (0.500, -1.000) | 0.25    | narrow        | 0.600        | 0.800 (narrow)    | 0.900  |"
        in text
    )
    assert "(1 - Dice = 0.400) 0.300 is style" in text
    assert "0.100 remains" in text
    assert "mean" not in text
    worse = replace(latents[0], dice={"case": {kind: {"a": 0.5 - 0.1 * (kind == "fitted")} for kind in dice["case"]}})
    assert "no higher Dice (0.400) than the mode (0.500)" in Fit((worse,), shared=False).markdown()
    assert Fit(tuple(latents), shared=False).markdown().count("| mean |") == 1
    json.dumps(Fit(tuple(latents), shared=False).to_json(), allow_nan=False)
