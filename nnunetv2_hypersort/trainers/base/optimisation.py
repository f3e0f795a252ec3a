"""Optimiser and learning rate of a network, as the settings choose them."""

from typing import Any

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler

from nnunetv2_hypersort.settings import LrSchedule, OptimizerKind, TrainingSettings

POLY_EXPONENT = 0.9
"""Power of nnU-Net's learning rate schedule."""
ADAM_LR = 3e-3
"""Learning rate of `adam` at the first epoch, where the settings give none."""


def optimizer_and_schedule(
    groups: list[dict[str, Any]], chosen: TrainingSettings, *, lr: float, weight_decay: float, epoch_count: int
) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
    """The optimiser that the settings choose, nnU-Net's if they choose none, and its schedule.

    Args:
        groups: Parameter groups, each with its `lr_factor`: its learning rate as a multiple of `lr`.
        chosen: The settings.
        lr: Learning rate at the first epoch.
        weight_decay: Weight decay of all groups.
        epoch_count: Length of the training.
    """
    if chosen.optimizer is OptimizerKind.ADAM:
        optimizer: torch.optim.Optimizer = torch.optim.Adam(
            groups, lr, betas=chosen.betas or (0.9, 0.999), weight_decay=weight_decay
        )
    else:
        optimizer = torch.optim.SGD(groups, lr, weight_decay=weight_decay, momentum=0.99, nesterov=True)
    exponent = 0 if chosen.lr_schedule is LrSchedule.CONSTANT else POLY_EXPONENT
    return optimizer, _FactoredPolyLR(optimizer, lr, epoch_count, exponent)


class _FactoredPolyLR(PolyLRScheduler):  # type: ignore[misc]  # nnU-Net is not typed
    """nnU-Net's schedule, which gives all parameter groups one learning rate, with each group's `lr_factor` on top."""

    def step(self, current_step: int | None = None) -> None:
        super().step(current_step)
        for group in self.optimizer.param_groups:
            group["lr"] *= group["lr_factor"]
