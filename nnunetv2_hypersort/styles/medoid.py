"""The point of a set in its middle, also of very many points."""

import numpy as np

_ALL_PAIRS = 2_000
# Sums of distances that differ by less are equal but for rounding.
_ROUNDING = 1e-12


def medoid(points: np.ndarray) -> int:
    """The row of the point with the least summed Euclidean distance to all others.

    All pairs are compared for up to 2,000 points, and for more only few points with all others.

    Args:
        points: Shape (n, dim), n >= 1, finite.
    """
    if len(points) <= _ALL_PAIRS:
        return int(np.argmin(np.linalg.norm(points[:, None] - points[None], axis=2).sum(axis=1)))
    return pruned_medoid(points)


def pruned_medoid(points: np.ndarray) -> int:
    """The same, without comparing all pairs.

    The summed distance S is convex, so at any place x it is at least S(y) + g(y) (x - y), with g the gradient at
    another place y (a cutting plane: Kelley 1960). The point with the lowest such bound is looked at next, until no
    bound is below the best sum: the answer is exact. Each look takes time and memory in proportion to the number of
    points, and tens of them are enough in a few dimensions.

    Args:
        points: Shape (n, dim), n >= 1, finite.
    """
    sums = np.full(len(points), np.inf)
    bounds = _cutting_plane(points, np.median(points, axis=0))[1]
    for _ in points:
        row = int(np.argmin(np.where(np.isfinite(sums), np.inf, bounds)))
        if bounds[row] >= sums.min() * (1 - _ROUNDING):
            break
        sums[row], plane = _cutting_plane(points, points[row])
        np.maximum(bounds, plane, out=bounds)
    # Several cases may have the very same latent.
    return int(np.flatnonzero((points == points[np.argmin(sums)]).all(axis=1))[0])


def _cutting_plane(points: np.ndarray, place: np.ndarray) -> tuple[float, np.ndarray]:
    """The summed distance of all points to a place, and its bound at each of them, shape (n,)."""
    offsets = place - points
    distances = np.linalg.norm(offsets, axis=1)
    # A point at this very place pulls nowhere: 0 is one of its subgradients.
    pulls = np.divide(offsets, distances[:, None], out=np.zeros_like(offsets), where=distances[:, None] > 0)
    total = float(distances.sum())
    return total, total - offsets @ pulls.sum(axis=0)
