"""The switches of nnUNetv2_train, folds and stages."""

import json

import numpy as np
import pytest
import torch
from nnunetv2.run.run_training import run_training
from tiny_datasets import CASES, SPLITS
from tiny_nnunet import SHORT, WIDE, read_segmentations

from nnunetv2_hypersort.errors import HyperSORTError

CPU = torch.device("cpu")
HELD_OUT = SPLITS[0]["val"]


def train(nnunet, fold=0, *, config=WIDE, configuration=None, **switches):
    """What nnUNetv2_train does after reading its command line."""
    nnunet.configure(config)
    configuration = configuration or nnunet.mode.configuration
    run_training(nnunet.dataset, configuration, fold, "HyperSORTTrainer", device=CPU, **switches)
    return nnunet.model(configuration) / f"fold_{fold}"


def weights_in(file):
    return torch.load(file, weights_only=False)["network_weights"]


def test_npz(tiny_nnunet):
    fold = train(tiny_nnunet(), export_validation_probabilities=True)
    segmentations = read_segmentations(fold / "validation", HELD_OUT)
    for case, segmentation in zip(HELD_OUT, segmentations, strict=True):
        probabilities = np.load(fold / "validation" / f"{case}.npz")["probabilities"]
        np.testing.assert_array_equal(probabilities.argmax(0), segmentation)


def test_val_shows_the_mode_or_the_latent_that_is_asked_for(tiny_nnunet, tmp_path, monkeypatch):
    nnunet = tiny_nnunet()
    fold = train(nnunet)
    at_mode = read_segmentations(fold / "validation", HELD_OUT)
    before = (fold / "checkpoint_final.pth").read_bytes()
    train(nnunet, config=None, only_run_validation=True)
    np.testing.assert_array_equal(read_segmentations(fold / "validation", HELD_OUT), at_mode)
    case = nnunet.visited_cases()[0]
    monkeypatch.setenv("HYPERSORT_LATENT", f"case:{case}")
    train(nnunet, config=None, only_run_validation=True)
    expected = nnunet.predict(HELD_OUT, tmp_path / "out", latent=f"case:{case}")
    np.testing.assert_array_equal(read_segmentations(fold / "validation", HELD_OUT), expected)
    assert (fold / "checkpoint_final.pth").read_bytes() == before


def test_val_best(tiny_nnunet, tmp_path):
    nnunet = tiny_nnunet()
    fold = train(nnunet, config=WIDE.replace("num_epochs: 1", "num_epochs: 2"))
    # Whichever epoch was best, make sure that best and final differ.
    best = torch.load(fold / "checkpoint_best.pth", weights_only=False)
    for name, value in best["network_weights"].items():
        if name.endswith("seg_layers.1.bias"):
            value[:] = torch.tensor([5.0, 0.0, 0.0])
    del best["network_weights"]["checksum"]
    torch.save(best, fold / "checkpoint_best.pth")
    train(nnunet, config=None, only_run_validation=True, val_with_best=True)
    validated = read_segmentations(fold / "validation", HELD_OUT)
    at_best = nnunet.predict(HELD_OUT, tmp_path / "best", checkpoint="checkpoint_best.pth")
    np.testing.assert_array_equal(validated, at_best)
    assert not np.array_equal(at_best, nnunet.predict(HELD_OUT, tmp_path / "final"))


def test_c_of_a_finished_training_only_validates(tiny_nnunet):
    nnunet = tiny_nnunet()
    fold = train(nnunet)
    weights, table = weights_in(fold / "checkpoint_final.pth"), (fold / "latents.csv").read_bytes()
    segmentations = read_segmentations(fold / "validation", HELD_OUT)
    train(nnunet, config=None, continue_training=True)
    for name, value in weights_in(fold / "checkpoint_final.pth").items():
        assert torch.equal(value, weights[name]), name
    assert (fold / "latents.csv").read_bytes() == table
    np.testing.assert_array_equal(read_segmentations(fold / "validation", HELD_OUT), segmentations)


def test_c_goes_on_from_the_latest_checkpoint(tiny_nnunet):
    nnunet = tiny_nnunet()
    two = SHORT.replace("num_epochs: 1", "num_epochs: 2, save_every: 1")
    whole = train(nnunet, config=two)
    expected = weights_in(whole / "checkpoint_final.pth")
    for file in whole.iterdir():
        if file.is_file():
            file.unlink()
    trainer = nnunet.trainer(two)
    ends = trainer.on_epoch_end

    def stop_after_the_first() -> None:
        ends()
        raise KeyboardInterrupt

    trainer.on_epoch_end = stop_after_the_first
    with pytest.raises(KeyboardInterrupt):
        trainer.run_training()
    assert not (whole / "checkpoint_final.pth").exists()
    train(nnunet, config=None, continue_training=True)
    for name, value in weights_in(whole / "checkpoint_final.pth").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5, equal_nan=True)


def test_disable_checkpointing_writes_no_tables_either(tiny_nnunet):
    fold = train(tiny_nnunet(), disable_checkpointing=True)
    assert (fold / "validation" / "summary.json").is_file()
    assert not [file.name for file in fold.iterdir() if file.suffix in (".pth", ".csv", ".safetensors")]


def test_fold_all(tiny_nnunet, tmp_path):
    nnunet = tiny_nnunet()
    fold = train(nnunet, "all")
    found = nnunet.predict(CASES, tmp_path / "out", folds=("all",))
    np.testing.assert_array_equal(found, read_segmentations(fold / "validation", CASES))
    drawn = nnunet.visited_cases("all")[0]
    nnunet.predict(CASES[:1], tmp_path / "case", folds=("all",), latent=f"case:{drawn}")
    account = json.loads((tmp_path / "case" / "plans.json").read_text())["hypersort"]["prediction"]
    assert list(account["folds"]) == ["all"]


def test_each_stage_of_a_cascade_has_its_own_latent(tiny_nnunet, tmp_path):
    nnunet = tiny_nnunet("3d_cascade_fullres")
    nnunet.train(WIDE)
    previous = None
    for stage, fold, choice in (("3d_lowres", "all", 0), ("3d_cascade_fullres", 0, 1)):
        latent = f"case:{nnunet.visited_cases(fold, stage)[choice]}"
        output = tmp_path / stage
        nnunet.predict(HELD_OUT, output, model=nnunet.model(stage), folds=(fold,), latent=latent, previous=previous)
        assert json.loads((output / "plans.json").read_text())["hypersort"]["prediction"]["latent"] == latent
        previous = output


def test_the_next_stage_learns_from_the_mode_only(tiny_nnunet, monkeypatch):
    nnunet = tiny_nnunet("3d_cascade_fullres")
    fold = train(nnunet, "all", configuration="3d_lowres")
    handed_on = nnunet.model("3d_lowres") / "predicted_next_stage" / "3d_cascade_fullres"
    before = {file.name: file.read_bytes() for file in handed_on.iterdir()}
    assert len(before) >= len(CASES)
    monkeypatch.setenv("HYPERSORT_LATENT", f"case:{CASES[0]}")
    with pytest.raises(HyperSORTError, match="what 3d_cascade_fullres learns from, and that is segmented at the mode"):
        train(nnunet, "all", config=None, configuration="3d_lowres", only_run_validation=True)
    assert {file.name: file.read_bytes() for file in handed_on.iterdir()} == before
    assert (fold / "validation" / "summary.json").is_file()
    monkeypatch.setenv("HYPERSORT_LATENT", "mode")
    train(nnunet, "all", config=None, configuration="3d_lowres", only_run_validation=True)


def test_a_cascade_before_its_first_stage_says_what_is_missing(tiny_nnunet):
    with pytest.raises(HyperSORTError, match=r"3d_lowres.predicted_next_stage"):
        tiny_nnunet("3d_cascade_fullres").trainer().run_training()
