"""A latent that was chosen for one fold."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ChosenLatent:
    """A latent of one fold, and in words where it comes from.

    Attributes:
        fold: The fold.
        coordinates: Shape (dim,).
        origin: What it is, such as `mode (case liver_12)`.
        style: The name of the style it shows, if it was chosen as one.
    """

    fold: str
    coordinates: np.ndarray
    origin: str
    style: str | None = None

    def __str__(self) -> str:
        shown = ", ".join(f"{coordinate:.4f}" for coordinate in self.coordinates)
        return f"fold {self.fold}: latent ({shown}), {self.origin}"
