"""The baseline of the benchmarks is stock nnU-Net, and its losses of cases are nnU-Net's."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from benchmarks.nnunet_runs.plain_trainer import PlainTrainer
from nnunetv2_hypersort.trainers.base.case_losses import CASE_LOSSES_FILE
from nnunetv2_hypersort.trainers.base.seeding import pin_timed_choices, seed_process

CONFIG = """
training: {num_epochs: 3, num_iterations_per_epoch: 3, num_val_iterations_per_epoch: 1, save_every: 1, seed: 4,
  mirror_axes: [1]}
"""


def weights_of(trainer: nnUNetTrainer) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.network.named_parameters()}


def stock_trainer(like: PlainTrainer, monkeypatch: pytest.MonkeyPatch) -> nnUNetTrainer:
    """nnU-Net's own trainer, its length, mirroring and seeds set from outside."""
    plans = {**like.plans_manager.plans, "continue_training": False}
    stock = nnUNetTrainer(plans, "3d_fullres", 0, like.dataset_json, torch.device("cpu"))
    stock.logger.plot_progress_png = lambda _folder: None
    stock.num_epochs, stock.num_iterations_per_epoch, stock.num_val_iterations_per_epoch = 3, 3, 1
    start, configure = stock.on_epoch_start, stock.configure_rotation_dummyDA_mirroring_and_inital_patch_size
    transforms = stock.get_training_transforms

    def seeded_start() -> None:
        start()
        seed_process(4, stock.current_epoch + 1, 0)

    def pinned_transforms(*args, **kwargs):
        found = transforms(*args, **kwargs)
        pin_timed_choices(found)
        return found

    def mirrored():
        return (*configure()[:3], (1,))

    monkeypatch.setattr(stock, "on_epoch_start", seeded_start)
    monkeypatch.setattr(stock, "configure_rotation_dummyDA_mirroring_and_inital_patch_size", mirrored)
    monkeypatch.setattr(stock, "get_training_transforms", pinned_transforms)
    return stock


def test_it_trains_the_weights_that_stock_nnunet_trains(make_trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    baseline = make_trainer(CONFIG, kind=PlainTrainer)
    baseline.run_training()
    stock = stock_trainer(baseline, monkeypatch)
    seed_process(4, 0, 0)
    stock.run_training()
    assert baseline.inference_allowed_mirroring_axes == (1,)
    for name, value in weights_of(stock).items():
        assert torch.equal(value, weights_of(baseline)[name]), name


def test_the_loss_of_a_case_is_nnunets(make_trainer) -> None:
    trainer = make_trainer(CONFIG, kind=PlainTrainer)
    # Without deep supervision, and with a Dice per sample, nnU-Net's loss is the mean over the samples.
    trainer.enable_deep_supervision = False
    trainer.configuration_manager.configuration["batch_dice"] = False
    trainer.on_train_start()
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    batch = next(trainer.dataloader_train)
    while batch["keys"][0] == batch["keys"][1]:
        batch = next(trainer.dataloader_train)
    result = trainer.train_step(batch)
    rows = trainer.table.rows(batch["keys"])
    assert float(trainer.table.loss[rows].mean()) == pytest.approx(float(result["loss"]), abs=1e-5)
    assert trainer.table.loss[rows[0]] != trainer.table.loss[rows[1]]
    assert trainer.table.visits.sum() == 2


def test_a_stopped_training_goes_on_as_if_it_had_not_been(make_trainer) -> None:
    whole = make_trainer(CONFIG, kind=PlainTrainer)
    whole.run_training()
    expected = json.loads((Path(whole.output_folder) / CASE_LOSSES_FILE).read_text())
    assert sum(expected["visits"]) > 0

    shutil.rmtree(whole.output_folder)
    stopped = make_trainer(CONFIG, kind=PlainTrainer)
    begin = stopped.on_train_epoch_start

    def stop_at_the_third_epoch() -> None:
        if stopped.current_epoch == 2:
            raise KeyboardInterrupt
        begin()

    stopped.on_train_epoch_start = stop_at_the_third_epoch
    with pytest.raises(KeyboardInterrupt):
        stopped.run_training()
    continued = make_trainer(CONFIG, kind=PlainTrainer, continue_training=True)
    continued.load_checkpoint(str(Path(continued.output_folder) / "checkpoint_latest.pth"))
    assert continued.current_epoch == 2
    continued.run_training()
    assert json.loads((Path(continued.output_folder) / CASE_LOSSES_FILE).read_text()) == expected
    for name, value in weights_of(whole).items():
        assert torch.equal(value, weights_of(continued)[name]), name
