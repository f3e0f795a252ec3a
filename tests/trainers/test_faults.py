"""A training that cannot write, or whose data are gone, loses nothing; a seeded one can be repeated."""

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.nnunet.checksum import weights_checksum
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.base.newest_checkpoint import newest_checkpoint

SHORT = (
    "training: {num_epochs: 3, num_iterations_per_epoch: 2, num_val_iterations_per_epoch: 1, seed: 3, save_every: 1}\n"
    "latent: {start: random}\n"
)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the operating system refuse to write beyond a size, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    folder.chmod(0o555)
    # The superuser may write anywhere.
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


def test_a_full_disk_or_a_read_only_folder_keeps_what_is_there(make_trainer):
    trainer = make_trainer(SHORT)
    trainer.initialize()
    trainer.on_train_start()
    # Not below pytest's folder, into which other users cannot look.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "checkpoint_latest.pth"
        trainer.save_checkpoint(str(path))
        content = path.read_bytes()
        for fault in (files_of_at_most(100_000), read_only(folder)):
            with fault, pytest.raises(HyperSORTError, match=r"Could not save .*The previous checkpoint is unchanged"):
                trainer.save_checkpoint(str(path))
            assert path.read_bytes() == content
            assert [file.name for file in folder.iterdir()] == [path.name]
        trainer.save_checkpoint(str(path))
        read_checkpoint(path)


def test_data_that_vanish_stop_the_training_and_it_goes_on_when_they_are_back(make_trainer):
    class LosesItsData(HyperSORTTrainer):
        def on_epoch_start(self) -> None:
            super().on_epoch_start()
            if self.current_epoch == 2:
                shutil.move(self.preprocessed_dataset_folder, f"{self.preprocessed_dataset_folder}_away")

    LosesItsData.__name__ = "HyperSORTTrainer"
    trainer = make_trainer(SHORT, kind=LosesItsData)
    with pytest.raises(HyperSORTError, match=r"fold 0 stopped in epoch 2: .*checkpoint_latest\.pth.* `--c`"):
        trainer.run_training()
    shutil.move(f"{trainer.preprocessed_dataset_folder}_away", trainer.preprocessed_dataset_folder)
    folder = Path(trainer.output_folder)
    assert read_checkpoint(newest_checkpoint(folder)[0])["current_epoch"] == 2
    continued = make_trainer(None, continue_training=True)
    continued.load_checkpoint(str(folder / "checkpoint_latest.pth"))
    continued.run_training()
    assert (folder / "checkpoint_final.pth").is_file()


def test_a_seed_makes_a_training_repeatable_to_the_last_bit(make_trainer):
    checksums = []
    for _ in range(2):
        trainer = make_trainer(SHORT.replace("num_epochs: 3", "num_epochs: 1"))
        trainer.run_training()
        checksums.append(weights_checksum(trainer.hypernetwork.state_dict()))
    assert torch.equal(*checksums)


def test_two_folds_that_start_at_once_with_other_settings_do_not_mix(make_trainer):
    # Neither has a checkpoint yet, so each starts; the plans.json that both share states the settings of the second.
    first = make_trainer(SHORT)
    first.on_train_start()
    second = make_trainer(SHORT.replace("start: random", "start: random, lr: 0.07"), fold=1)
    second.on_train_start()
    second.on_epoch_start()
    with pytest.raises(HyperSORTError, match=r"that has begun in .* since: latent\.lr is 0\.4 here and 0\.07"):
        first.on_epoch_start()
    # A file that is being written says nothing.
    plans = Path(second.output_folder_base) / "plans.json"
    plans.write_bytes(plans.read_bytes()[:100])
    second.current_epoch = 1
    second.on_epoch_start()
