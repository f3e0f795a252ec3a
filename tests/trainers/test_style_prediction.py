"""nnU-Net's predictor with a model that has styles."""

import json
import shutil
import warnings

import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import FoldRecord, LatentChoice, StyleBook
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.prediction import latent_for_prediction, predict_from_model_folder
from nnunetv2_hypersort.prediction.predicting_model import PredictingModel

ONE_PROCESS = {"num_processes_preprocessing": 1, "num_processes_segmentation_export": 1, "device": "cpu"}


def account_of(model, latent: str, folds=(0, 1)) -> dict:
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    with latent_for_prediction(latent):
        predictor.initialize_from_trained_model_folder(str(model), folds)
    return predictor.plans_manager.plans["hypersort"]["prediction"]


@pytest.mark.parametrize(("latent", "case"), [("style:A", "phantom_004"), ("style:B", "phantom_006")])
def test_a_style_is_the_right_network_of_each_fold(styled_model, latent, case):
    styled, by_case = account_of(styled_model, latent), account_of(styled_model, f"case:{case}")
    assert styled["latent"] == latent
    for fold in ("0", "1"):
        assert styled["folds"][fold]["coordinates"] == by_case["folds"][fold]["coordinates"]
        assert styled["folds"][fold]["origin"] == f"style {latent[-1]} (case {case})"


@pytest.mark.parametrize("folds", [(0, 1), (1,)])
def test_the_mode_is_the_largest_style_without_a_warning(styled_model, folds, capsys):
    densest = ModelFolder.open(styled_model).fold(folds[-1]).record.mode()[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The mode of each fold")
        account = account_of(styled_model, "mode", folds)
    assert account["latent"] == "mode"
    assert {entry["origin"] for entry in account["folds"].values()} == {"mode: style A (case phantom_004)"}
    assert f"case {densest}\n" in capsys.readouterr().out


def test_without_styles_the_modes_of_several_folds_come_with_a_warning(styled_model, preprocessed, tmp_path):
    ModelFolder.open(styled_model).write_book(StyleBook())
    with pytest.warns(UserWarning, match="The mode of each fold is used"):
        account_of(styled_model, "mode")
    with pytest.warns(UserWarning, match="The mode of each fold is used"):
        PredictingModel.open(styled_model, [0, 1], LatentChoice(), checkpoint_name="checkpoint_final.pth")


def test_a_fold_without_the_style_that_is_the_mode_is_refused(styled_model, tmp_path):
    shutil.copytree(styled_model / "fold_1", styled_model / "fold_2")
    checkpoint = styled_model / "fold_2" / "checkpoint_final.pth"
    content = torch.load(checkpoint, weights_only=False)
    weights = content["network_weights"]
    weights["record"] = FoldRecord.encode("2", {})
    del weights["checksum"]
    torch.save(content, checkpoint)
    for predict in (
        lambda: account_of(styled_model, "mode", (2,)),
        lambda: predict_from_model_folder(styled_model, "in", tmp_path / "out", folds=(0, 2), device="cpu"),
    ):
        with pytest.raises(HyperSORTError, match="largest style, A, which is known in fold 0, 1 and not in fold 2"):
            predict()


def test_a_cluster_is_counted_within_its_fold(styled_model):
    assert (
        account_of(styled_model, "cluster:1", (0,))["folds"]["0"]["origin"] == "cluster 1, style A (case phantom_004)"
    )
    assert (
        account_of(styled_model, "cluster:1", (1,))["folds"]["1"]["origin"] == "cluster 1, style B (case phantom_006)"
    )
    with pytest.raises(HyperSORTError, match="cluster:1 cannot serve folds 0, 1"):
        account_of(styled_model, "cluster:1")


def test_a_style_that_is_gone_or_outdated_says_what_to_run(styled_model, tmp_path):
    checkpoint = styled_model / "fold_1" / "checkpoint_final.pth"
    content = torch.load(checkpoint, weights_only=False)
    content["network_weights"]["latents.values"] += 0.01
    torch.save(content, checkpoint)
    for predict in (
        lambda latent: account_of(styled_model, latent),
        lambda latent: predict_from_model_folder(
            styled_model, "in", tmp_path, latent=latent, folds=(0, 1), device="cpu"
        ),
    ):
        with pytest.raises(HyperSORTError, match=r"style A was found in another checkpoint of fold 1 .* run `hyper"):
            predict("style:A")
        with pytest.raises(HyperSORTError, match="no style Z; the styles of this model are A, B, C"):
            predict("style:Z")
        with pytest.raises(HyperSORTError, match="style C is not known in fold 1, only in 0"):
            predict("style:C")


def test_a_prediction_goes_on_with_the_same_style_only(styled_model, preprocessed, tmp_path):
    images = preprocessed / "nnUNet_raw" / "Dataset901_Tiny" / "imagesTs"
    predict_from_model_folder(styled_model, images, tmp_path / "out", latent="style:A", folds=(0, 1), **ONE_PROCESS)
    account = json.loads((tmp_path / "out" / "plans.json").read_text())["hypersort"]["prediction"]
    assert account["latent"] == "style:A"

    def go_on(latent: str) -> None:
        predict_from_model_folder(
            styled_model, images, tmp_path / "out", latent=latent, folds=(0, 1), continue_prediction=True, **ONE_PROCESS
        )

    with pytest.raises(HyperSORTError, match=r"begun with another latent .*style A .*now .*style B .*--latent=style:A"):
        go_on("style:B")
    go_on("style:A")


def test_val_takes_a_style_from_the_model_folder(make_trainer, monkeypatch, capsys):
    monkeypatch.setattr(nnUNetTrainer, "perform_actual_validation", lambda self, save_probabilities=False: None)
    trainer = make_trainer(
        "training: {num_epochs: 1, num_iterations_per_epoch: 2, num_val_iterations_per_epoch: 1, seed: 3}\n"
    )
    trainer.run_training()
    model = ModelFolder.open(trainer.output_folder_base)
    record = model.fold(0).record
    section = {"coordinates": [0.5, 0.25], "case": None, "fingerprint": record.fingerprint, "cluster": 3}
    entry = {"name": "mine", "origin": "clusters", "cases": ["phantom_004"], "folds": {"0": section}}
    model.write_book(StyleBook.from_plans({"hypersort": {"styles": [entry]}}))
    for latent, origin in (("style:mine", "style mine"), ("cluster:3", "cluster 3, style mine")):
        monkeypatch.setenv("HYPERSORT_LATENT", latent)
        validating = make_trainer(None)
        validating.load_checkpoint(str(model.fold(0).checkpoint))
        validating.perform_actual_validation()
        assert f"Validating with fold 0: latent (0.5000, 0.2500), {origin}" in capsys.readouterr().out
