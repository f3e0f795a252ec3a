"""Every kind of plan and label that nnU-Net has, on the whole way from training to prediction."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from tiny_datasets import MODES, SPLITS
from tiny_nnunet import SHORT, read_segmentations

AT_THE_ORIGIN = {
    # The warm-up is longer than the three steps here: each sample has affine parameters of its own.
    "spectral": "latent: {start: spectral}\n",
    "random": "latent: {start: random, init_std: 0, lr: 0}\n",
}


@pytest.mark.parametrize("start", AT_THE_ORIGIN)
@pytest.mark.parametrize("mode", MODES)
def test_at_the_origin_training_is_plain_nnunet(tiny_nnunet, mode, start):
    nnunet = tiny_nnunet(mode)
    if mode == "3d_cascade_fullres":
        nnunet.train(configuration="3d_lowres", fold="all")
    as_nnunet = "training: {seed: 3, optimizer: sgd, num_iterations_per_epoch: 20}\n"
    ours = nnunet.trainer(as_nnunet + AT_THE_ORIGIN[start])
    ours.on_train_start()
    plain = nnunet.trainer(kind=nnUNetTrainer)
    plain.initialize()
    plain.network.load_state_dict(ours.hypernetwork.primary.state_dict())
    for _ in range(3):
        batch = next(ours.dataloader_train)
        expected = plain.train_step(copy.deepcopy(batch))["loss"]
        assert float(ours.train_step(batch)["loss"]) == pytest.approx(float(expected), rel=1e-4, abs=1e-5)
    trained = dict(plain.network.named_parameters())
    for name, value in ours.hypernetwork.primary.named_parameters():
        torch.testing.assert_close(value, trained[name], rtol=1e-3, atol=1e-5)
    batch = next(ours.dataloader_val)
    plain.on_validation_epoch_start()
    ours.on_validation_epoch_start()
    with torch.no_grad():
        expected, found = plain.validation_step(copy.deepcopy(batch)), ours.validation_step(batch)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-3, atol=1)


@pytest.mark.parametrize("mode", MODES)
def test_train_validate_predict(tiny_nnunet, mode, tmp_path):
    nnunet = tiny_nnunet(mode)
    trainer = nnunet.train(SHORT)
    held_out, trained = SPLITS[0]["val"], SPLITS[0]["train"]
    previous = None
    if mode == "3d_cascade_fullres":
        previous = tmp_path / "previous"
        nnunet.predict(held_out, previous, model=nnunet.model("3d_lowres"), folds=("all",))
    at_mode = nnunet.predict(held_out, tmp_path / "mode", previous=previous)
    # nnU-Net's final validation goes another way: preprocessed images and the trainer's own network.
    validated = read_segmentations(Path(trainer.output_folder) / "validation", held_out)
    np.testing.assert_array_equal(at_mode, validated)
    labels = {0, *trainer.label_manager.all_labels}
    assert set(np.unique(at_mode)) <= labels
    losses = trainer.table.loss[trainer.table.visits > 0]
    assert torch.isfinite(losses).all()
    assert (losses != 0).all()
    # Two latents are two networks.
    assert set(trainer.table.case_ids) == set(trained)
    drawn = trainer.table.visits.nonzero().flatten()
    latents = trainer.table.values[drawn]
    apart = int(torch.cdist(latents, latents).argmax())
    probabilities = []
    for place in divmod(apart, len(drawn)):
        case = trainer.table.case_ids[drawn[place]]
        output = tmp_path / case
        nnunet.predict(held_out[:1], output, latent=f"case:{case}", previous=previous, save_probabilities=True)
        probabilities.append(np.load(output / f"{held_out[0]}.npz")["probabilities"])
    assert np.abs(probabilities[0].astype(float) - probabilities[1]).max() > 1e-3
