"""The best split of points in two, and by how much it tells them better than one style of any shape."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit
from scipy.stats import chi2

from nnunetv2_hypersort.styles.one_style import one_style_likelihood, ring_likelihood

_STEPS = 25
_STEPS_OF_ALL = 10
_MOST_KEPT = 12
_CUTS = (0.2, 0.5, 0.8)
_DIRECTIONS_IN_A_PLANE = 8
_DIRECTIONS_IN_SPACE = 16
_STEPS_OF_STARTS = 8
_MOST_RETURNED = 3
# Two directions with a larger cosine are one.
_SAME = 0.9
_LEAST_SPREAD = 0.05
_LEAST_BETWEEN = 0.01
_DIRECTIONS_BY_CHANCE = 1e-3
# Chance parts few cases from many more easily than it halves them.
_PRICE_OF_UNEVEN = 4.0


@dataclass(frozen=True)
class Split:
    """Points split in two.

    Attributes:
        evidence: By how much the log-likelihood of two groups exceeds that of the best shape of one style.
        is_second: Shape (n,), bool: the points of the second group.
        across: Shape (n, dim - 1): the points across the line through the two means, of mean 0 and covariance 1.
        along: Shape (n,): the points along it, 0 where both groups are as probable, negative in the first.
        touching: Whether there are points between the groups, of which it is uncertain to which they belong.
    """

    evidence: float
    is_second: np.ndarray
    across: np.ndarray
    along: np.ndarray
    touching: bool


def best_splits(points: np.ndarray, *, least: int) -> list[Split]:
    """Split points in two groups, the most likely way first.

    The groups are two Gaussians of one covariance, fitted by expectation maximisation from many directions, so that
    only the line through their means counts, whatever extent and correlation they have across it. Along that line
    their likelihood is set against that of one style of any shape (see `one_style_likelihood`): a likelihood ratio for
    the number of components (McLachlan 1987) that does not take skew, heavy tails or a flat top for groups. Groups of
    shares p and 1 - p cost 4 log(4 p (1 - p)).

    Args:
        points: Shape (n, dim), finite.
        least: Number of points that each group has at least.

    Returns:
        Up to three splits along lines that are not nearly the same; none where no line parts so many points.
    """
    points = whitened(points)
    count, dim = points.shape
    if not dim or count < 2 * least:
        return []
    directions, posterior, likelihood = _fitted(points, _starts(points))
    seconds = (posterior > 0.5).sum(axis=1)
    chosen: list[int] = []
    for one in np.argsort(-likelihood, kind="stable"):
        is_new = all(abs(float(directions[one] @ directions[other])) < _SAME for other in chosen)
        if is_new and least <= seconds[one] <= count - least:
            chosen.append(int(one))
        if len(chosen) == _MOST_RETURNED:
            break
    if not chosen:
        return []
    along = directions[chosen] @ points.T
    one_style = one_style_likelihood(along)
    found = []
    for row, one in enumerate(chosen):
        is_second, share = posterior[one] > 0.5, posterior[one].mean()
        split = Split(
            float(likelihood[one] - one_style[row] + _PRICE_OF_UNEVEN * np.log(4 * share * (1 - share))),
            is_second,
            points @ _complement(directions[one]),
            along[row] - _border(along[row], is_second),
            bool((4 * posterior[one] * (1 - posterior[one])).mean() >= _LEAST_BETWEEN),
        )
        found.append(replace(split, evidence=min(split.evidence, likelihood[one] - _ring(split, along[row], points))))
    return found


def whitened(points: np.ndarray) -> np.ndarray:
    """The points turned to their principal axes, each of mean 0 and variance 1; axes without extent are dropped.

    Args:
        points: Shape (n, dim), finite.

    Returns:
        Shape (n, at most dim); without a column where all points are equal.
    """
    centred = points - points.mean(axis=0)
    extent, axes = np.linalg.eigh(centred.T @ centred / len(points))
    kept = extent > max(1e-10 * extent[-1], 0)
    return np.asarray((centred @ axes[:, kept] / np.sqrt(extent[kept]))[:, ::-1])


def _starts(points: np.ndarray) -> np.ndarray:
    dim = points.shape[1]
    if dim == 1:
        return np.ones((1, 1))
    if dim == 2:
        angles = np.arange(_DIRECTIONS_IN_A_PLANE) * np.pi / _DIRECTIONS_IN_A_PLANE
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    random = np.random.default_rng(0).normal(size=(_DIRECTIONS_IN_SPACE, dim))
    starts = np.concatenate([np.eye(dim), random / np.linalg.norm(random, axis=1, keepdims=True)])
    # Two groups of one size make the projection flat, a small one beside a large one makes it peaked (Pena and Prieto
    # 2001): the fixed points of this iteration (Hyvarinen 1999) are the directions of both.
    turned = starts
    for _ in range(_STEPS_OF_STARTS):
        turned = (turned @ points.T) ** 3 @ points / len(points) - 3 * turned
        turned = turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
    return np.concatenate([starts, turned])


def _fitted(points: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions, posteriors of the second group, and log-likelihoods along the directions, of several fits."""
    count = len(points)
    along = starts @ points.T
    cuts = np.quantile(along, _CUTS, axis=1)
    second = np.where(along > cuts[:, :, None], 0.98, 0.02).reshape(-1, count)
    _, second, likelihood = _maximised(points, second, _STEPS_OF_ALL)
    # Most fits lead nowhere; only the best are worth the rest of the steps.
    best = np.argsort(-likelihood, kind="stable")[:_MOST_KEPT]
    return _maximised(points, second[best], _STEPS - _STEPS_OF_ALL)


def _maximised(points: np.ndarray, second: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = len(points)
    for _ in range(steps):
        share = np.clip(second.mean(axis=1), 1 / count, 1 - 1 / count)
        # The covariance of all points is 1, so the line between the means is the discriminant, too.
        way = second @ points / count
        length = np.linalg.norm(way, axis=1)
        directions = way / np.maximum(length, 1e-12)[:, None]
        along = directions @ points.T
        distance = length / (share * (1 - share))
        variance = np.maximum(1 - share * (1 - share) * distance**2, _LEAST_SPREAD**2)
        slope, middle = distance / variance, (0.5 - share) * distance
        odds = slope[:, None] * (along - middle[:, None]) + np.log(share / (1 - share))[:, None]
        second = expit(odds)
    first = -((along + (share * distance)[:, None]) ** 2) / (2 * variance)[:, None]
    scale = np.log((1 - share) / np.sqrt(2 * math.pi * variance))
    return directions, second, (first + scale[:, None] + np.logaddexp(0, odds)).sum(axis=1)


def _ring(split: Split, along: np.ndarray, points: np.ndarray) -> float:
    """Log-likelihood along the line that is left to groups by a ring through both of them, or a hollow sphere."""
    across = split.across.shape[1]
    if not across:
        return -math.inf
    # The ring lies in the plane in which those that are nearest to the other group are furthest out.
    nearness = np.zeros(len(points))
    for group in (split.is_second, ~split.is_second):
        near = -np.abs(split.along[group])
        nearness[group] = (near - near.mean()) / max(near.std(), 1e-12)
    _, axes = np.linalg.eigh((split.across * nearness[:, None]).T @ split.across)
    plane = np.stack([along, split.across @ axes[:, -1]], axis=1)
    gaussian = -len(points) / 2 * (math.log(2 * math.pi) + 1)
    if not _all_directions(plane):
        return -math.inf
    return float(max(ring_likelihood(plane) - gaussian, ring_likelihood(points) - across * gaussian))


def _all_directions(plane: np.ndarray) -> bool:
    """Whether points of a plane lie in all directions from the origin, and not in two, three or four."""
    angles = np.arctan2(plane[:, 1], plane[:, 0])
    waves = np.exp(1j * np.outer(np.arange(2, 5), angles)).mean(axis=1)
    # Of uniform directions each of the three has a chi-square distribution of two degrees of freedom.
    return bool(chi2.sf(2 * len(plane) * (np.abs(waves) ** 2).sum(), 6) > _DIRECTIONS_BY_CHANCE)


def _border(along: np.ndarray, is_second: np.ndarray) -> float:
    return float(along[~is_second].max() + along[is_second].min()) / 2


def _complement(direction: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what is orthogonal to a unit vector, shape (dim, dim - 1)."""
    basis, _ = np.linalg.qr(np.column_stack([direction, np.eye(len(direction))]))
    return np.asarray(basis[:, 1 : len(direction)])
