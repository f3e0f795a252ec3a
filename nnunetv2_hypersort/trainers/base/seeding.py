"""Trainings that can be repeated to the last bit."""

import random
from typing import Any

import numpy as np
import torch


def seed_process(seed: int | None, epoch: int, rank: int) -> None:
    """Seed all random numbers of this process, so that a continued training samples what an uninterrupted one would.

    Args:
        seed: The seed of the training; None leaves everything as it is.
        epoch: 0 before the training, one more than the epoch at the start of each.
        rank: The process, in a distributed training.
    """
    if seed is None:
        return
    stream = np.random.SeedSequence([seed, epoch, rank]).generate_state(3)
    random.seed(int(stream[0]))
    np.random.seed(int(stream[1]))  # noqa: NPY002  # nnU-Net's data loaders take from NumPy's global generator
    torch.manual_seed(int(stream[2]))


def pin_timed_choices(transforms: Any) -> None:
    """Switch off augmentation code that picks an algorithm by timing it: it makes runs differ in the last digits."""
    for transform in getattr(transforms, "transforms", []):
        inner = getattr(transform, "transform", transform)
        if hasattr(inner, "benchmark"):
            inner.benchmark = False
