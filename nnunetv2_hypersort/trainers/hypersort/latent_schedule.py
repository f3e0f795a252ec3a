"""When latents get their places, how fast they move, and when they stand still."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch

from nnunetv2_hypersort.settings import LatentSettings, LatentStart, LrSchedule
from nnunetv2_hypersort.trainers.base.optimisation import POLY_EXPONENT

# Of the warm-up: in steps, as a share of all steps, and the share at its beginning whose gradients tell nothing yet.
SHORTEST_WARM_UP = 500
LONGEST_WARM_UP = 0.4
IGNORED_WARM_UP = 0.4
# The network has learnt its task when from the second quarter to the second half of its course the loss fell by less
# than this share of what it fell in all. Halves, so that it does not depend on how long an epoch is; and a ratio, so
# that it does not depend on the loss.
LEARNT = 0.1
# Steps after it that latents have at least: with few cases a network has learnt little after 30 visits of each.
SHORTEST_SETTLING = 1500


@dataclass(frozen=True)
class LatentSchedule:
    """The course of the latents over a training.

    Attributes:
        chosen: The settings of the latents.
        case_count: Training cases.
        batch_size: Samples per step, of all processes.
        steps_per_epoch: Training steps per epoch.
        epoch_count: Epochs of the training.
    """

    chosen: LatentSettings
    case_count: int
    batch_size: int
    steps_per_epoch: int
    epoch_count: int

    @property
    def visits_per_step(self) -> float:
        """How often a step visits a case, on average."""
        return float(self.batch_size / self.case_count)

    @property
    def longest_warm_up(self) -> float:
        """The most steps that the warm-up of a spectral start takes, learnt or not."""
        return float(LONGEST_WARM_UP * self.epoch_count * self.steps_per_epoch)

    @property
    def warm_up_steps(self) -> float:
        """The least steps that the warm-up of a spectral start takes."""
        wanted = max(self.chosen.warmup_visits / self.visits_per_step, SHORTEST_WARM_UP)
        return float(min(wanted, self.longest_warm_up))

    @property
    def settling_steps(self) -> float:
        """Steps, the least warm-up included, after which latents of average visits stand still."""
        warm_up = self.warm_up_steps if self.chosen.start is LatentStart.SPECTRAL else 0.0
        return warm_up + max(self.chosen.settling_visits / self.visits_per_step, SHORTEST_SETTLING)

    @property
    def settles_early(self) -> bool:
        """Whether the latents stand still before the training ends, however long the warm-up."""
        if self.chosen.lr_schedule is LrSchedule.CONSTANT:
            return False
        delay = self.longest_warm_up - self.warm_up_steps if self.chosen.start is LatentStart.SPECTRAL else 0.0
        return self.epoch_count * self.steps_per_epoch > self.settling_steps + delay

    def gathers(self, step: int) -> bool:
        """Whether the gradients of a step of the warm-up, the first being 1, count."""
        return step > IGNORED_WARM_UP * self.warm_up_steps

    def last_warm_up_step(self, epoch: int, losses: Sequence[float]) -> int | None:
        """The step after which latents get their places, the first being 1, if it is one of the present epoch.

        Args:
            epoch: The present epoch, the first being 0.
            losses: The mean training losses of all epochs before.
        """
        begun, ends = epoch * self.steps_per_epoch, (epoch + 1) * self.steps_per_epoch
        # The least is not waited for in vain where one epoch is longer than it.
        last = max(begun + 1, ceil(self.longest_warm_up))
        if ends >= self.warm_up_steps and has_learnt(losses):
            return min(ends, last)
        return last if last <= ends else None

    def decay(self, visits: torch.Tensor, epoch: int) -> torch.Tensor:
        """The share of the latents' first learning rate that is left, as nnU-Net's schedule has it.

        Args:
            visits: Shape (n,): how often each latent was stepped, without the warm-up.
            epoch: The present epoch, the first being 0.

        Returns:
            Shape (n,), from 1 to 0, float32.
        """
        visits = visits.float()
        if self.chosen.lr_schedule is LrSchedule.CONSTANT:
            return torch.ones_like(visits)
        if not self.settles_early:
            left = torch.full_like(visits, 1 - epoch / self.epoch_count)
        else:
            warm_up = self.warm_up_steps if self.chosen.start is LatentStart.SPECTRAL else 0.0
            # Each case by its own visits, so that one that joins a continued training has its time, too.
            left = (1 - (warm_up + visits / self.visits_per_step) / self.settling_steps).clamp(min=0)
        return left**POLY_EXPONENT

    def all_settled(self, visits: torch.Tensor) -> bool:
        """Whether all latents stand still for the rest of the training.

        Args:
            visits: Shape (cases,): how often each latent was stepped, without the warm-up.
        """
        return self.settles_early and bool((self.decay(visits, 0) == 0).all())


def has_learnt(losses: Sequence[float]) -> bool:
    """Whether a network learns little more than it has learnt already.

    Args:
        losses: The mean training losses of its epochs.
    """
    count = len(losses)
    if count < 4:
        return False
    quarter, half = ceil(count / 4), ceil(count / 2)
    late = float(np.mean(losses[half:]))
    return float(np.mean(losses[quarter:half])) - late < LEARNT * (losses[0] - late)
