"""The mode of a set of latents: its densest point."""

import numpy as np
from scipy.spatial import cKDTree


def densest_latent(latents: np.ndarray) -> int:
    """Find the latent around which the others lie most densely.

    The density at a latent is judged by the distance to its k-th nearest neighbour (Loftsgaarden and Quesenberry
    1965), k = sqrt(n) rounded up, which needs no bandwidth and ignores how far away the other clusters are.

    Args:
        latents: Shape (n, dim), n >= 1, finite.

    Returns:
        The row of the densest latent; the first of them if several are equally dense.
    """
    count = len(latents)
    neighbours = min(count - 1, int(np.ceil(np.sqrt(count))))
    if neighbours < 1:
        return 0
    distances, _ = cKDTree(latents).query(latents, k=[neighbours + 1])
    return int(np.argmin(distances[:, 0]))
