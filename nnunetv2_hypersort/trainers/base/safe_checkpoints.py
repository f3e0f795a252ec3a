"""Checkpoints that are whole or not there, and that run nothing when they are loaded."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn
from torch._dynamo import OptimizedModule

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import atomic_path
from nnunetv2_hypersort.nnunet.checkpoints import only_weights_are_loaded
from nnunetv2_hypersort.nnunet.checksum import checksum_in_metadata
from nnunetv2_hypersort.settings import SystemSettings
from nnunetv2_hypersort.trainers.base import stored_settings
from nnunetv2_hypersort.trainers.base.compact_moments import compact_moments
from nnunetv2_hypersort.trainers.base.newest_checkpoint import newest_checkpoint, read_training_checkpoint


class SafeCheckpoints(nnUNetTrainer):  # type: ignore[misc]  # nnU-Net is not typed
    """nnU-Net's trainer with checkpoints that no full disk, kill or stranger's file turns against a training.

    Attributes:
        settings: The settings of the training; those in a checkpoint must be the same.
    """

    settings: SystemSettings
    _continues = False
    _trained_here = False
    _rounds_moments = True

    @property
    def bare_network(self) -> nn.Module:
        """The network without the wrappers of torch.compile and DistributedDataParallel."""
        # nnU-Net wraps it step by step, and asks for an optimiser in between.
        network = self.network
        if isinstance(network, nn.parallel.DistributedDataParallel):
            network = network.module
        if isinstance(network, OptimizedModule):
            network = network._orig_mod
        assert isinstance(network, nn.Module)
        return network

    def save_checkpoint(self, filename: str) -> None:
        """Save as nnU-Net does, but whole or not at all.

        Raises:
            HyperSORTError: The folder is read-only or the disk is full; the previous checkpoint is as it was.
        """
        moments = compact_moments(self.optimizer) if self._rounds_moments else nullcontext()
        if self.local_rank != 0 or self.disable_checkpointing:
            # Nothing is written, but the optimiser goes on with the rounded moments in every process.
            with moments:
                super().save_checkpoint(filename)
            return
        try:
            with atomic_path(filename) as temporary, moments, self._with_checksum():
                super().save_checkpoint(str(temporary))
        except (OSError, RuntimeError) as error:
            # torch reports a full disk as a RuntimeError of its zip writer.
            raise HyperSORTError(
                f"Could not save {filename}: {error}. The previous checkpoint is unchanged; free space or make the "
                f"folder writable, then continue with --c."
            ) from error

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Load a checkpoint of this trainer, running nothing in it.

        `--c` loads the newest complete one of the fold: nnU-Net would take final, latest, best, whichever comes first.

        Raises:
            HyperSORTError: The file cannot be read, is of another trainer, or was trained with other settings; or, with
                `--c`, no checkpoint of the fold is complete.
        """
        path = Path(filename_or_checkpoint)
        if self._continues and not self._trained_here and path.parent == Path(self.output_folder):
            path, damaged = newest_checkpoint(path.parent)
            for problem in damaged:
                self.print_to_log_file(f"WARNING: {problem}")
            self.print_to_log_file(f"Continuing from {path}")
        self._check_checkpoint(read_training_checkpoint(path), path)
        try:
            with only_weights_are_loaded():
                super().load_checkpoint(str(path))
        except HyperSORTError:
            raise
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise HyperSORTError(
                f"{path} does not fit the training of fold {self.fold} that is to go on ({type(error).__name__}: "
                f"{str(error)[:300]}); train with the plans that it was trained with, or start anew without `--c`."
            ) from error

    @contextmanager
    def exact_moments(self) -> Iterator[None]:
        """Save Adam's moments unrounded in a `with` block: a checkpoint in it changes nothing in the training."""
        self._rounds_moments = False
        try:
            yield
        finally:
            self._rounds_moments = True

    def _check_checkpoint(self, checkpoint: dict[str, Any], path: Path) -> None:
        """Refuse a checkpoint that this training cannot go on from; for subclasses to add to."""
        stored = type(self.settings).from_plans(checkpoint["init_args"].get("plans"), source=str(path))
        if stored is not None:
            stored_settings.refuse_differences(self.settings, stored, there=str(path))

    def _with_checksum(self) -> AbstractContextManager[None]:
        """While it is entered, the weights that nnU-Net saves state their checksum."""
        return checksum_in_metadata(self.bare_network)

    def _clear_unfinished_files(self) -> None:
        """Remove what a killed process was about to write."""
        if self.local_rank == 0:
            for rest in Path(self.output_folder).glob(".tmp-*"):
                rest.unlink(missing_ok=True)

    def _kept(self) -> str:
        kept = sorted(path.name for path in Path(self.output_folder).glob("checkpoint_*.pth"))
        return f"The checkpoints in {self.output_folder} are intact ({', '.join(kept) or 'none yet'})."
