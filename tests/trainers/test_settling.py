"""When the latents have settled a checkpoint is saved, and the training goes on as it would have without."""

from pathlib import Path

import pytest
import torch

from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.hypersort import latent_schedule

# Eight cases and batches of two: three visits of a case per epoch, 15 in all.
CONFIG = (
    "training: {num_epochs: 5, num_iterations_per_epoch: 12, num_val_iterations_per_epoch: 1, seed: 3}\n"
    "latent: {lr: 0.05, start: random, settling_visits: 4}\n"
)
EPOCHS = 5


class Watched(HyperSORTTrainer):
    """Notes after each epoch the fewest visits of a latent, and what is saved as the latest checkpoint."""

    def on_train_start(self) -> None:
        super().on_train_start()
        self.fewest: list[int] = []

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        self.fewest.append(int(self.table.steps.min()))
        latest = Path(self.output_folder) / "checkpoint_latest.pth"
        if latest.exists() and not hasattr(self, "settled"):
            self.settled = read_checkpoint(latest)
            self.copy = latest.read_bytes()


Watched.__name__ = "HyperSORTTrainer"


@pytest.fixture
def watched(make_trainer, monkeypatch):
    monkeypatch.setattr(latent_schedule, "SHORTEST_SETTLING", 0)
    trainer = make_trainer(CONFIG, kind=Watched)
    trainer.run_training()
    return trainer


def test_a_checkpoint_is_saved_at_the_end_of_the_epoch_in_which_the_last_latent_settled(watched):
    # 60 steps, of which four visits of each are 16.
    epoch = next(number for number, fewest in enumerate(watched.fewest, start=1) if fewest >= 4)
    assert epoch < EPOCHS
    assert watched.settled["current_epoch"] == epoch
    assert torch.equal(watched.settled["network_weights"]["latents.values"], watched.table.values)
    assert len(watched.settled["logging"]["epoch_end_timestamps"]) == epoch
    log = Path(watched.log_file).read_text()
    assert log.count(f"The latents have settled after {epoch} epochs") == 1


def test_a_training_that_goes_on_from_it_ends_as_the_one_that_never_stopped(watched, make_trainer):
    folder = Path(watched.output_folder)
    expected = read_checkpoint(folder / "checkpoint_final.pth")
    weights = {name: value.clone() for name, value in expected["network_weights"].items()}
    for file in folder.glob("checkpoint_*.pth"):
        file.unlink()
    (folder / "checkpoint_latest.pth").write_bytes(watched.copy)
    continued = make_trainer(None, continue_training=True)
    continued.load_checkpoint(str(folder / "checkpoint_latest.pth"))
    continued.run_training()
    for name, value in read_checkpoint(folder / "checkpoint_final.pth")["network_weights"].items():
        assert torch.equal(value.nan_to_num(), weights[name].nan_to_num()), name
    assert "have settled" not in Path(continued.log_file).read_text().split(f"Epoch {continued.num_epochs - 1}")[-1]


def test_a_training_too_short_to_settle_saves_none(make_trainer):
    trainer = make_trainer(CONFIG.replace("num_epochs: 5", "num_epochs: 2"), kind=Watched)
    trainer.run_training()
    assert not hasattr(trainer, "settled")
