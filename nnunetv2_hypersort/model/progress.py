"""How far the training of a fold has come, and what its latents mean by then."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.settings import LrSchedule, Settings
from nnunetv2_hypersort.trainers.base.newest_checkpoint import newest_checkpoint
from nnunetv2_hypersort.trainers.hypersort.latent_schedule import SHORTEST_SETTLING

FINAL_CHECKPOINT = "checkpoint_final.pth"
"""What nnU-Net writes when a training has ended."""


class Stage(IntEnum):
    """What is known of the latents of a fold."""

    NOTHING = 0
    """No case was visited yet."""
    WARM_UP = 1
    """One network serves all cases; the latents have no places yet."""
    PLACED = 2
    """The latents have places, and still move."""
    SETTLED = 3
    """The latents do not move any more; the weights do."""
    FINISHED = 4
    """The training has ended."""


_WORDS = {
    Stage.NOTHING: "nothing trained yet",
    Stage.WARM_UP: "in the warm-up, the latents have no places yet",
    Stage.PLACED: "the latents have places but still move",
    Stage.SETTLED: "the latents have settled, the weights still change",
    Stage.FINISHED: "finished",
}


@dataclass(frozen=True)
class Progress:
    """How far a fold has come, by one of its checkpoints.

    Attributes:
        stage: What is known of its latents.
        epoch: Number of epochs finished.
        checkpoint: File name of the checkpoint; empty without one.
    """

    stage: Stage
    epoch: int = 0
    checkpoint: str = ""

    @property
    def has_places(self) -> bool:
        """Whether the latents say anything about their cases."""
        return self.stage >= Stage.PLACED

    @property
    def is_provisional(self) -> bool:
        """Whether more training may change what the latents say."""
        return self.stage < Stage.FINISHED

    def __str__(self) -> str:
        where = f"epoch {self.epoch} ({self.checkpoint}), " if self.checkpoint else ""
        return where + _WORDS[self.stage]


def progress_of_fold(folder: Path) -> Progress:
    """How far a fold has come: by its final checkpoint, or else by its newest complete one.

    Args:
        folder: Such as `MODEL/fold_0`; it may hold no checkpoint, or not be there.

    Raises:
        HyperSORTError: All checkpoints of the fold are damaged.
    """
    path = folder / FINAL_CHECKPOINT
    if not path.is_file():
        if not any(folder.glob("checkpoint_*.pth")):
            return Progress(Stage.NOTHING)
        path, _ = newest_checkpoint(folder)
    return progress_of_checkpoint(path, read_checkpoint(path))


def progress_of_checkpoint(path: Path, content: Mapping[str, Any]) -> Progress:
    """How far a fold had come when a checkpoint was written.

    Latents have settled when each case was visited as often as the schedule of their learning rate wants. Where a
    training is too short for that, or the rate is constant, they settle at its end.

    Args:
        path: The checkpoint.
        content: What `read_checkpoint` read there.

    Raises:
        HyperSORTError: It is of another trainer, or damaged.
    """
    try:
        return Progress(_stage(path, content), int(content["current_epoch"]), path.name)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise HyperSORTError(
            f"{path} is of another trainer than HyperSORT's, or damaged ({type(error).__name__}: {error}); choose "
            f"another checkpoint."
        ) from error


def _stage(path: Path, content: Mapping[str, Any]) -> Stage:
    weights, arguments = content["network_weights"], content["init_args"]
    visited = weights["latents.visits"] > 0
    if not bool(visited.any()):
        return Stage.NOTHING
    # Gathered gradients are there until the latents are placed from them.
    if len(weights.get("case_gradients.counts", ())):
        return Stage.WARM_UP
    if path.name == FINAL_CHECKPOINT:
        return Stage.FINISHED
    settings = Settings.from_plans(arguments["plans"], source=str(path))
    if settings is None:
        raise ValueError("its plans hold no settings of HyperSORT")
    chosen = settings.latent
    if chosen.lr_schedule is LrSchedule.CONSTANT:
        return Stage.PLACED
    batch_size = _batch_size(arguments["plans"], arguments["configuration"])
    visits_per_step = batch_size / len(visited)
    wanted = max(chosen.settling_visits, SHORTEST_SETTLING * visits_per_step)
    steps: torch.Tensor = weights["latents.steps"][visited]
    return Stage.SETTLED if int(steps.min()) >= wanted else Stage.PLACED


def _batch_size(plans: Mapping[str, Any], configuration: str) -> int:
    planned = plans["configurations"][configuration]
    while "batch_size" not in planned:
        planned = plans["configurations"][planned["inherits_from"]]
    return int(planned["batch_size"])
