"""Which checkpoint a training continues from."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.nnunet.checksum import refuse_changed_weights

# In an epoch that ends with several of them, nnU-Net writes them in this order; the later one knows more.
NAMES = ("checkpoint_latest.pth", "checkpoint_best.pth", "checkpoint_final.pth")
_NEEDED = {"optimizer_state": dict, "logging": dict}


def newest_checkpoint(folder: str | os.PathLike[str]) -> tuple[Path, list[str]]:
    """Find the newest complete checkpoint of a fold.

    Of one run it is the one with the most epochs, and of those the one that nnU-Net writes last: clocks are set back,
    and the times of files are lost when a folder is copied. Checkpoints of an older run in the same folder, which may
    have had more epochs, are told apart by the start of its first epoch, which every checkpoint of a run holds.

    Args:
        folder: The folder of the fold.

    Returns:
        The checkpoint, and for each damaged one what is wrong with it.

    Raises:
        HyperSORTError: None is complete.
    """
    found = []
    damaged = []
    for order, name in enumerate(NAMES):
        path = Path(folder) / name
        if not path.exists():
            continue
        try:
            checkpoint = read_training_checkpoint(path)
        except HyperSORTError as error:
            damaged.append(str(error))
        else:
            found.append((_start_of_run(checkpoint), checkpoint["current_epoch"], order, path))
    if not found:
        raise HyperSORTError(
            f"No checkpoint in {folder} is complete, so the training cannot continue: {' '.join(damaged) or 'none'} "
            f"Move the damaged files away to train this fold anew."
        )
    return max(found)[-1], damaged


def read_training_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that a training can continue from.

    Raises:
        HyperSORTError: It is missing or damaged, or lacks what a training needs.
    """
    checkpoint = read_checkpoint(path)
    for key, kind in _NEEDED.items():
        if not isinstance(checkpoint.get(key), kind):
            raise HyperSORTError(f"{path} lacks {key}, so no training can continue from it; choose another checkpoint.")
    refuse_changed_weights(checkpoint["network_weights"], source=str(path))
    return checkpoint


def _start_of_run(checkpoint: Mapping[str, Any]) -> float:
    times = checkpoint["logging"].get("epoch_start_timestamps")
    return float(times[0]) if isinstance(times, list) and times else 0.0
