"""A latent that was chosen for one fold."""

from collections.abc import Sequence
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
        note: What else there is to say about it, printed and not kept; or nothing.
    """

    fold: str
    coordinates: np.ndarray
    origin: str
    style: str | None = None
    note: str = ""

    def __str__(self) -> str:
        shown = show_coordinates(self.coordinates)
        return f"fold {self.fold}: latent {shown}, {self.origin}{f'; {self.note}' if self.note else ''}"


def show_coordinates(coordinates: Sequence[float] | np.ndarray) -> str:
    """Coordinates for people to read."""
    return f"({', '.join(f'{coordinate:.4f}' for coordinate in coordinates)})"
