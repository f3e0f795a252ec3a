"""The plane in which latents are shown."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LatentPlane:
    """A plane through latent space, fixed by one set of latents, in which others can be shown too.

    Attributes:
        origin: Shape (dim,): what is shown at (0, 0).
        directions: Shape (2, dim): the two axes.
        names: What the axes are called.
    """

    origin: np.ndarray
    directions: np.ndarray
    names: tuple[str, str]

    @classmethod
    def through(cls, latents: np.ndarray) -> "LatentPlane":
        """The plane to show these latents in: their own for two coordinates, that of largest variance for more.

        Args:
            latents: Shape (cases, dim). One coordinate is shown along the first axis.
        """
        dim = latents.shape[1]
        if dim <= 2:
            return cls(np.zeros(dim), np.eye(2, dim), ("z_0", "z_1" if dim == 2 else ""))
        origin = latents.mean(0)
        directions = np.linalg.svd(latents - origin, full_matrices=True)[2][:2]
        return cls(origin, directions, ("first principal component", "second principal component"))

    def project(self, latents: np.ndarray) -> np.ndarray:
        """Where latents are shown: shape (..., dim) becomes (..., 2)."""
        points: np.ndarray = (np.asarray(latents) - self.origin) @ self.directions.T
        return points
