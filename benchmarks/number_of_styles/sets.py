"""Sets of points of one style and of several, drawn at random."""

from collections.abc import Callable

import numpy as np

Points = np.ndarray
_Draw = Callable[[np.random.Generator, int, int], Points]


def _gaussian(rng: np.random.Generator, count: int, dim: int) -> Points:
    return rng.normal(size=(count, dim))


def _gamma(rng: np.random.Generator, count: int, dim: int) -> Points:
    return rng.gamma(2.0, size=(count, dim))


def _exponential(rng: np.random.Generator, count: int, dim: int) -> Points:
    return rng.exponential(size=(count, dim))


def _lognormal(rng: np.random.Generator, count: int, dim: int) -> Points:
    return np.exp(0.5 * rng.normal(size=(count, dim)))


def _ring(noise: float) -> _Draw:
    def draw(rng: np.random.Generator, count: int, dim: int) -> Points:
        angle = rng.uniform(0, 2 * np.pi, count)
        points = rng.normal(0, noise, (count, dim))
        points[:, :2] += np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return points

    return draw


def _sphere(rng: np.random.Generator, count: int, dim: int) -> Points:
    points = rng.normal(size=(count, dim))
    return points / np.linalg.norm(points, axis=1, keepdims=True) + rng.normal(0, 0.1, points.shape)


def _bow(rng: np.random.Generator, count: int, dim: int) -> Points:
    angle = rng.uniform(-1, 1, count)
    points = rng.normal(0, 0.15, (count, dim))
    points[:, :2] += np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points


def _heavy(rng: np.random.Generator, count: int, dim: int) -> Points:
    return rng.normal(size=(count, dim)) / np.sqrt(rng.chisquare(3, size=(count, 1)) / 3)


def _with_far(rng: np.random.Generator, count: int, dim: int) -> Points:
    points = rng.normal(size=(count, dim))
    far = round(0.08 * count)
    points[:far] = rng.uniform(-8, 8, (far, dim))
    return points


def _flat(rng: np.random.Generator, count: int, dim: int) -> Points:
    return rng.uniform(size=(count, dim))


ONE_STYLE: dict[str, _Draw] = {
    "Gaussian": _gaussian,
    "skewed: gamma, shape 2, in each axis": _gamma,
    "skewed: exponential in each axis": _exponential,
    "skewed: lognormal, sigma 0.5, in each axis": _lognormal,
    "ring, noise 0.1 of its radius": _ring(0.1),
    "ring, noise 0.2": _ring(0.2),
    "ring, noise 0.3": _ring(0.3),
    "bow of 115 degrees, noise 0.15": _bow,
    "heavy tails: t with 3 degrees of freedom": _heavy,
    "Gaussian, 8 % far off": _with_far,
    "flat: uniform in a box": _flat,
}
"""One style of some shape; a hollow sphere in more than two dimensions comes beside the ring in a plane."""
SPHERE = _sphere


def groups(
    rng: np.random.Generator,
    sizes: tuple[int, ...],
    distance: float,
    dim: int = 2,
    *,
    elongated: float = 1.0,
    far: float = 0.0,
) -> tuple[Points, np.ndarray]:
    """Gaussian groups whose means are as far apart as said, in standard deviations within the groups.

    Args:
        rng: Random numbers.
        sizes: Of the groups; up to three lie at equal distances, four at the corners of a square.
        distance: Between neighbouring means.
        dim: Dimension.
        elongated: All groups extend this times as far along the last axis, and are turned by 30 degrees towards it.
        far: Share of points that lie anywhere in a box four times as wide as the groups.

    Returns:
        The points, and the group of each; -1 for those that lie anywhere.
    """
    corners = {
        1: [[0.0, 0.0]],
        2: [[0.0, 0.0], [1.0, 0.0]],
        3: [[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]],
        4: [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
    }[len(sizes)]
    truth = np.repeat(np.arange(len(sizes)), sizes)
    points = rng.normal(size=(len(truth), dim))
    points[:, -1] *= elongated
    points[:, :2] += distance * np.array(corners)[truth]
    if far:
        rows = rng.random(len(truth)) < far
        centre, reach = distance / 2, 4.0 + 2 * distance
        points[rows] = rng.uniform(centre - reach, centre + reach, (int(rows.sum()), dim))
        truth = np.where(rows, -1, truth)
    if elongated != 1:
        turn = np.deg2rad(30)
        points[:, [0, -1]] = points[:, [0, -1]] @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    return points, truth
