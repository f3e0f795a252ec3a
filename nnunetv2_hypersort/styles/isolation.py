"""Points far from all others: the latents of wrong labels and unusual cases."""

import numpy as np
from scipy.spatial import cKDTree

_NEIGHBOUR = 4
_USUAL = 0.8
_ROUNDS = 3


def isolated(points: np.ndarray, thin: float = 1 / 8) -> np.ndarray:
    """Points around which the others lie far more thinly than around most.

    The density is judged by the distance to the fourth nearest neighbour (Loftsgaarden and Quesenberry 1965), so five
    points that lie together are not isolated. Each axis counts in units of the spread of the points that are not
    isolated, found in three rounds.

    Args:
        points: Shape (n, dim), finite.
        thin: A point is isolated where the density is below this share of what four in five points have at least.

    Returns:
        Shape (n,), bool. Of points of one Gaussian about one in a hundred is at the default.
    """
    count, dim = points.shape
    far = np.zeros(count, dtype=bool)
    if count <= _NEIGHBOUR:
        return far
    for _ in range(_ROUNDS):
        spread = points[~far].std(axis=0)
        scaled = points / np.where(spread > 0, spread, 1)
        distances = cKDTree(scaled).query(scaled, k=[_NEIGHBOUR + 1])[0][:, 0]
        far = distances > np.quantile(distances, _USUAL) * thin ** (-1 / dim)
    return far
