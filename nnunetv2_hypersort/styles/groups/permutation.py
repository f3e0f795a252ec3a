"""Whether points differ between groups beyond what is known to explain both: a permutation test."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

Reals = NDArray[np.float64]

PERMUTATIONS = 9_999
# Entries of permuted tables held at once.
_BATCH = 4_000_000
# Cases further out, as wrong labels are, count as if they lay at so many times the median distance.
_FURTHEST = 2.5


@dataclass(frozen=True)
class FoldPoints:
    """Points of one fold.

    Attributes:
        rows: Shape (n,): which rows of the design the fold has, each once.
        points: Shape (n, dim), finite: what is left of the points of these rows once what explains them is taken out.
    """

    rows: NDArray[np.int64]
    points: Reals


@dataclass(frozen=True)
class TestResult:
    """The outcome.

    Attributes:
        p: Share of permutations, itself among them, whose statistic is at least as large; in (0, 1].
        share: Of the variance of the points the share that lies between the groups, in [0, 1]; mean over the folds.
    """

    p: float
    share: float


def permutation_test(
    design: np.ndarray,
    folds: Sequence[FoldPoints],
    blocks: np.ndarray,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> TestResult:
    """Test whether points go along with groups.

    The statistic is the share of the variance of whitened points that lies between the groups (that of a permutational
    analysis of variance: Anderson 2001), mean over the folds, whose coordinates are unrelated. With points and groups
    of which cross-fitted predictions by covariates were subtracted, it is a test of conditional independence: what one
    prediction leaves is harmless unless the other leaves the same (generalised covariance measure: Shah and Peters
    2020). Rows are permuted in all folds at once.

    Args:
        design: Shape (rows, groups): 1 for the group of the row and else 0, less what explains it.
        folds: The points of each fold.
        blocks: Shape (rows,): rows are permuted within blocks only; points are compared within blocks only.
        permutations: How many.
        seed: Of the permutations.
    """
    _, block = np.unique(np.asarray(blocks), return_inverse=True)
    basis = _orthonormal(_centred(design, block))
    white = [(fold.rows, _unit(whitened(_centred(fold.points, block[fold.rows])), block[fold.rows])) for fold in folds]
    white = [(rows, points) for rows, points in white if len(rows)]
    rng = np.random.default_rng(seed)
    observed = float(_statistic(basis[None], white)[0])
    order = np.argsort(block, kind="stable")
    size = max(1, _BATCH // max(basis.size, 1))
    at_least, left = 0, permutations
    while left:
        count = min(size, left)
        drawn = np.empty((count, len(block)), np.int64)
        # Sorting by block and a random number shuffles each block in its own places.
        drawn[:, order] = np.argsort(block + rng.random((count, len(block))), axis=1)
        at_least += int((_statistic(basis[drawn], white) >= observed * (1 - 1e-9)).sum())
        left -= count
    return TestResult((1 + at_least) / (1 + permutations), min(observed / max(len(white), 1), 1.0))


def group_shifts(design: np.ndarray, fold: FoldPoints, blocks: np.ndarray) -> Reals:
    """How far the points of each group lie from those of all, in the coordinates of the points.

    Least squares of points on groups, both without what explains them (Robinson 1988).

    Args:
        design: See `permutation_test`.
        fold: The points of a fold.
        blocks: See `permutation_test`.

    Returns:
        Shape (groups, dim).
    """
    _, block = np.unique(np.asarray(blocks), return_inverse=True)
    mine = block[fold.rows]
    points = _centred(fold.points, mine)
    shifts, *_ = np.linalg.lstsq(_centred(design[fold.rows], mine), drawn_in(points), rcond=1e-6)
    return np.asarray(shifts)


def whitened(points: np.ndarray) -> Reals:
    """Points with unit covariance, those far out drawn in (see `drawn_in`)."""
    points = drawn_in(np.asarray(points, float))
    if len(points) < 2 or not points.any():
        return np.zeros_like(points)
    # What lay far out had moved the mean.
    points = points - points.mean(axis=0)
    # The covariance is shrunk, as there may be as many coordinates as points.
    points = points / np.where(points.std(0) > 0, points.std(0), 1)
    values, vectors = np.linalg.eigh(ledoit_wolf(points, assume_centered=True)[0])
    kept = values > 1e-9 * values.max()
    return np.asarray(points @ vectors[:, kept] / np.sqrt(values[kept]))


def drawn_in(points: np.ndarray) -> Reals:
    """Points further than 2.5 times the median distance from the middle, brought to that distance.

    Args:
        points: Shape (n, dim).
    """
    points = np.asarray(points, float)
    if not len(points):
        return points
    middle = np.median(points, axis=0)
    scale = np.median(np.abs(points - middle), axis=0)
    scale = np.where(scale > 0, scale, np.where(points.std(0) > 0, points.std(0), 1))
    distance = np.linalg.norm((points - middle) / scale, axis=1)
    furthest = _FURTHEST * np.median(distance)
    factor = np.minimum(1, furthest / np.maximum(distance, 1e-12)) if furthest > 0 else np.ones(len(points))
    return np.asarray(middle + (points - middle) * factor[:, None])


def _statistic(bases: np.ndarray, folds: Sequence[tuple[np.ndarray, Reals]]) -> Reals:
    total = np.zeros(len(bases))
    for rows, points in folds:
        total += (np.einsum("bnk,nd->bkd", bases[:, rows], points, optimize=True) ** 2).sum((1, 2))
    return np.asarray(total)


def _unit(points: np.ndarray, block: np.ndarray) -> Reals:
    # Drawn in, they are off the middle of their block again.
    points = _centred(points, block)
    return np.asarray(points / max(float(np.linalg.norm(points)), 1e-12))


def _orthonormal(design: np.ndarray) -> Reals:
    vectors, values, _ = np.linalg.svd(design, full_matrices=False)
    return np.asarray(vectors[:, values > 1e-6 * max(values.max(initial=0), 1e-12)])


def _centred(values: np.ndarray, block: np.ndarray) -> Reals:
    values = np.asarray(values, float)
    _, number = np.unique(block, return_inverse=True)
    sums = np.zeros((number.max(initial=-1) + 1, values.shape[1]))
    np.add.at(sums, number, values)
    return np.asarray(values - (sums / np.bincount(number)[:, None])[number])
