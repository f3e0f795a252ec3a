"""Prediction through nnU-Net's predictor with models of two tiny folds."""

import json

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.prediction import latent_for_prediction, predict_from_model_folder


def test_all_folds_are_checked_before_any_work(trained_model, tmp_path, capsys):
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    for latent, said in (
        ("0.1,0.2", "cannot serve folds 0, 1"),
        ("case:phantom_009", r"phantom_009 is not training data of fold 1.*can serve: 0\."),
    ):
        # The message comes from the first load: nothing was predicted with fold 0 before fold 1 was looked at.
        with latent_for_prediction(latent), pytest.raises(HyperSORTError, match=said):
            predictor.initialize_from_trained_model_folder(str(trained_model), (0, 1))
        with pytest.raises(HyperSORTError, match=said):
            predict_from_model_folder(
                trained_model, "unused", tmp_path / "out", latent=latent, folds=(0, 1), device="cpu"
            )
    assert not (tmp_path / "out").exists()


def test_every_fold_is_stated_before_the_first_case(trained_model):
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    with latent_for_prediction("case:phantom_004"):
        predictor.initialize_from_trained_model_folder(str(trained_model), (0, 1))
    account = predictor.plans_manager.plans["hypersort"]["prediction"]
    assert account["latent"] == "case:phantom_004"
    assert set(account["folds"]) == {"0", "1"}


def test_predicting_from_python(trained_model, preprocessed, tmp_path):
    images = preprocessed / "nnUNet_raw" / "Dataset901_Tiny" / "imagesTs"
    options = {"num_processes_preprocessing": 1, "num_processes_segmentation_export": 1}
    out = tmp_path / "out"
    chosen = predict_from_model_folder(
        trained_model, images, out, latent="case:phantom_004", folds=(0,), device="cpu", **options
    )
    assert [latent.fold for latent in chosen] == ["0"]
    assert [path.name for path in out.glob("*.nii.gz")] == ["phantom_test_00.nii.gz"]
    account = json.loads((out / "plans.json").read_text())["hypersort"]["prediction"]
    np.testing.assert_allclose(account["folds"]["0"]["coordinates"], chosen[0].coordinates)
    options |= {"continue_prediction": True, "device": "cpu"}
    for other in ("mode", "0.1,0.2"):
        with pytest.raises(HyperSORTError, match="begun with another latent"):
            predict_from_model_folder(trained_model, images, out, latent=other, **options)
    coordinates = ",".join(repr(float(value)) for value in chosen[0].coordinates)
    predict_from_model_folder(trained_model, images, out, latent=coordinates, **options)
    plans = json.loads((out / "plans.json").read_text())
    del plans["hypersort"]
    (out / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(HyperSORTError, match="was not made with a HyperSORT model"):
        predict_from_model_folder(trained_model, images, out, **options)


def test_missing_and_damaged_checkpoints_are_named(trained_model, tmp_path):
    with pytest.raises(HyperSORTError, match=r"no .*fold_3.checkpoint_final\.pth\. Folds .*: 0, 1;"):
        predict_from_model_folder(trained_model, "in", tmp_path, folds=(3,), device="cpu")
    (trained_model / "fold_0" / "checkpoint_final.pth").write_bytes(b"PK\x03\x04 no checkpoint")
    with pytest.raises(HyperSORTError, match="is not a readable nnU-Net checkpoint"):
        predict_from_model_folder(trained_model, "in", tmp_path, device="cpu")
