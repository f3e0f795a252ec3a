"""What nnU-Net offers for trained models: choosing, ensembling, postprocessing and handing over."""

import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from nnunetv2.ensembling.ensemble import ensemble_folders
from nnunetv2.evaluation.find_best_configuration import (
    dumb_trainer_config_plans_to_trained_models_dict,
    find_best_configuration,
)
from nnunetv2.model_sharing.model_export import export_pretrained_model
from nnunetv2.model_sharing.model_import import install_model_from_zip_file
from nnunetv2.postprocessing.remove_connected_components import entry_point_apply_postprocessing
from tiny_datasets import CASES, SPLITS
from tiny_nnunet import WIDE, read_segmentations

from nnunetv2_hypersort.latents import FoldRecord, Style, StyleBook, StyleInFold
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.hypersort.variants import HyperSORTTrainerNoMirroring

TRAINERS = ("HyperSORTTrainer", "HyperSORTTrainerNoMirroring")
VALIDATED = [*SPLITS[0]["val"], *SPLITS[1]["val"]]


@pytest.fixture(scope="module")
def two_models(tiny_dataset, tmp_path_factory):
    """Results of two trainers, two folds each, validated with probabilities."""
    from tiny_nnunet import TinyNNUNet

    results = tmp_path_factory.mktemp("two_models") / "nnUNet_results"
    with pytest.MonkeyPatch.context() as patch:
        nnunet = TinyNNUNet("3d_fullres", *tiny_dataset("3d_fullres"), results, patch)
        for kind in (HyperSORTTrainer, HyperSORTTrainerNoMirroring):
            for fold in (0, 1):
                trainer = nnunet.trainer(WIDE, fold=fold, kind=kind)
                trainer.run_training()
                trainer.perform_actual_validation(save_probabilities=True)
    return results


def test_find_best_configuration_ensemble_and_postprocessing(tiny_nnunet, two_models, tmp_path, monkeypatch):
    results = tmp_path / "nnUNet_results"
    shutil.copytree(two_models, results)
    nnunet = tiny_nnunet("3d_fullres", results)
    models = dumb_trainer_config_plans_to_trained_models_dict(list(TRAINERS), ["3d_fullres"], ["nnUNetPlans"])
    found = find_best_configuration(nnunet.dataset, models, num_processes=1, folds=(0, 1))
    assert len(found["all_results"]) == 3
    for trainer in TRAINERS:
        # What is compared is each fold at its mode.
        model = nnunet.model(trainer=trainer)
        expected = np.concatenate(
            [read_segmentations(model / f"fold_{fold}" / "validation", SPLITS[fold]["val"]) for fold in (0, 1)]
        )
        np.testing.assert_array_equal(read_segmentations(model / "crossval_results_folds_0_1", VALIDATED), expected)
    advice = (results / nnunet.dataset / "inference_instructions.txt").read_text()
    assert "-tr HyperSORTTrainer" in advice

    # As the instructions say: predict with both at their modes, ensemble, postprocess.
    outputs = [tmp_path / trainer for trainer in TRAINERS]
    for trainer, output in zip(TRAINERS, outputs, strict=True):
        with pytest.warns(UserWarning, match="mode of each fold"):
            nnunet.predict(
                CASES[:2], output, model=nnunet.model(trainer=trainer), folds=(0, 1), save_probabilities=True
            )
    ensemble_folders([str(output) for output in outputs], str(tmp_path / "both"), num_processes=1)
    for case, segmentation in zip(CASES[:2], read_segmentations(tmp_path / "both", CASES[:2]), strict=True):
        probabilities = [np.load(output / f"{case}.npz")["probabilities"].astype(float) for output in outputs]
        ordered = np.sort(np.mean(probabilities, axis=0), axis=0)
        clear = ordered[-1] - ordered[-2] > 1e-3  # nnU-Net averages in half precision
        np.testing.assert_array_equal(np.mean(probabilities, axis=0).argmax(0)[clear], segmentation[clear])
    best = found["best_model_or_ensemble"]
    flags = ["-i", str(tmp_path / "both"), "-o", str(tmp_path / "processed"), "-np", "1"]
    rule, plans = best["postprocessing_file"], best["some_plans_file"]
    monkeypatch.setattr(sys, "argv", ["apply", *flags, "-pp_pkl_file", rule, "-plans_json", plans])
    entry_point_apply_postprocessing()
    expected = read_segmentations(tmp_path / "both", CASES[:2])
    for function, arguments in zip(*pickle.loads(Path(rule).read_bytes()), strict=True):
        expected = np.stack([function(segmentation[None], **arguments)[0] for segmentation in expected])
    np.testing.assert_array_equal(read_segmentations(tmp_path / "processed", CASES[:2]), expected)


def test_an_exported_model_predicts_alike_where_it_is_installed(tiny_nnunet, two_models, tmp_path, monkeypatch):
    here = tmp_path / "here"
    shutil.copytree(two_models, here)
    nnunet = tiny_nnunet("3d_fullres", here)
    # A style, as `hypersort styles` writes it.
    plans_file = nnunet.model() / "plans.json"
    folds = {}
    for fold in ("0", "1"):
        weights = read_checkpoint(nnunet.model() / f"fold_{fold}" / "checkpoint_final.pth")["network_weights"]
        record = FoldRecord.from_network_weights(weights)
        folds[fold] = StyleInFold(tuple(record.latent_of(CASES[2]).tolist()), CASES[2], record.fingerprint, 0)
    plans = json.loads(plans_file.read_text())
    plans["hypersort"]["styles"] = StyleBook((Style("wide", folds, (CASES[2],)),)).to_plans_section()
    plans_file.write_text(json.dumps(plans))
    latents = ("mode", f"case:{CASES[3]}", "style:wide")
    expected = {}
    for number, latent in enumerate(latents):
        output = tmp_path / f"here_{number}"
        nnunet.predict(CASES[:1], output, folds=(0, 1), latent=latent, save_probabilities=True)
        expected[latent] = np.load(output / f"{CASES[0]}.npz")["probabilities"]
    assert not np.array_equal(expected["mode"], expected[f"case:{CASES[3]}"])

    archive = tmp_path / "model.zip"
    export_pretrained_model(
        nnunet.dataset, str(archive), configurations=("3d_fullres",), trainer="HyperSORTTrainer", folds=(0, 1)
    )
    elsewhere = tiny_nnunet("3d_fullres", tmp_path / "elsewhere")
    elsewhere.results.mkdir()
    install_model_from_zip_file(str(archive))
    shutil.rmtree(here)
    monkeypatch.delenv("nnUNet_preprocessed")
    for number, latent in enumerate(latents):
        output = tmp_path / f"elsewhere_{number}"
        elsewhere.predict(CASES[:1], output, folds=(0, 1), latent=latent, save_probabilities=True)
        np.testing.assert_array_equal(np.load(output / f"{CASES[0]}.npz")["probabilities"], expected[latent])
