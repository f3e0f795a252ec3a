"""Partitions of cases: how users would make them from a table of features, and how well they agree with the styles."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from benchmarks.style_recovery.clusters import NOISE, k_means
from benchmarks.unseen_styles.discriminant import standardised
from nnunetv2_hypersort.evaluation.bootstrap import Interval, draw_subjects, summarise

Reals = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
LARGEST_MIXTURE = 6
RESAMPLES = 1000
BIC_ALL, BIC_TWO, TOLD = "BIC, all features", "BIC, two components", "k-means told the number"


def cluster_ways(features: Reals, count: int, seed: int = 0) -> dict[str, Integers]:
    """The partitions that a user would try in an afternoon.

    Args:
        features: Shape (n, d).
        count: The true number of styles, which only k-means is told.
        seed: Of the starts.

    Returns:
        By name shape (n,): Gaussian mixtures whose number of components the Bayesian information criterion chooses, on
        all features and on their first two principal components, and k-means.
    """
    points = standardised(features)
    if not points.shape[1]:
        return dict.fromkeys((BIC_ALL, BIC_TWO, TOLD), np.zeros(len(features), int))
    _, _, directions = np.linalg.svd(points, full_matrices=False)
    return {
        BIC_ALL: _mixture(points, seed),
        BIC_TWO: _mixture(points @ directions[:2].T, seed),
        TOLD: k_means(points, count, seed),
    }


def _mixture(points: Reals, seed: int) -> Integers:
    largest = min(LARGEST_MIXTURE, len(points) // 5)
    with warnings.catch_warnings():
        # The best of three starts is kept, converged or not, as in any use of it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = [
            GaussianMixture(components, n_init=3, random_state=seed, reg_covar=1e-3).fit(points)
            for components in range(1, max(1, largest) + 1)
        ]
    return np.asarray(min(fits, key=lambda fit: fit.bic(points)).predict(points))


def each_alone(clusters: Integers) -> Integers:
    """Clusters in which every case of no cluster is one of its own."""
    alone = clusters == NOISE
    return np.where(alone, clusters.max(initial=-1) + np.cumsum(alone), clusters)


def rand_index(clusters: Integers, styles: Integers, weights: Reals) -> Reals:
    """Adjusted Rand index (Hubert and Arabie 1985) for several weightings of the cases at once.

    Pairs of copies of one case do not count: in a resample they would agree with everything.

    Args:
        clusters: Shape (n,), each its own.
        styles: Shape (n,).
        weights: Shape (r, n): how often each of r resamples holds each case.

    Returns:
        Shape (r,), 1 for equal partitions and about 0 for chance; 1 where both have one part.
    """
    _, cluster = np.unique(clusters, return_inverse=True)
    _, style = np.unique(styles, return_inverse=True)
    pair = cluster * (style.max() + 1) + style
    both, rows, columns = (_pairs(weights, part) for part in (pair, cluster, style))
    every = _pairs(weights, np.zeros(len(pair), int))
    expected = np.divide(rows * columns, every, out=np.zeros_like(every), where=every > 0)
    best = (rows + columns) / 2
    same = np.isclose(best, expected)
    return np.where(same, 1.0, (both - expected) / np.where(same, 1.0, best - expected))


def _pairs(weights: Reals, parts: Integers) -> Reals:
    sums = weights @ np.equal.outer(parts, np.arange(parts.max() + 1)).astype(float)
    return np.asarray(((sums**2).sum(1) - (weights**2).sum(1)) / 2)


def accuracy(predicted: Integers, styles: Integers, weights: Reals) -> Reals:
    """Balanced accuracy for several weightings; arguments as for `rand_index`, shape (r,)."""
    shares = []
    for style in np.unique(styles):
        own = weights[:, styles == style]
        total = own.sum(1)
        right = own @ (predicted[styles == style] == style)
        shares.append(np.divide(right, total, out=np.full(len(total), np.nan), where=total > 0))
    return np.asarray(np.nanmean(shares, axis=0))


METRICS: Mapping[str, Callable[[Integers, Integers, Reals], Reals]] = {"ari": rand_index, "accuracy": accuracy}


def paired_difference(
    metric: str, pairs: Sequence[tuple[Integers, Integers, Integers, Sequence[str]]], *, seed: int = 0
) -> Interval:
    """The mean over several draws or seeds of a metric of one partition minus that of another, with its interval.

    Images are drawn with replacement, with all of their cases, and the same for both partitions and all entries.

    Args:
        metric: `ari` or `accuracy`.
        pairs: Entries of first partition, second partition, styles (shape (n,) each) and the images of the n cases.
        seed: Of the draws.
    """
    names = sorted({image for *_, images in pairs for image in images})
    index = {image: number for number, image in enumerate(names)}
    draws = draw_subjects(len(names), num_resamples=RESAMPLES, seed=seed).astype(float)
    weights = np.concatenate([np.ones((1, len(names))), draws])
    compute = METRICS[metric]
    differences = []
    for first, second, styles, images in pairs:
        of_cases = weights[:, [index[image] for image in images]]
        differences.append(compute(first, styles, of_cases) - compute(second, styles, of_cases))
    mean = np.mean(differences, axis=0)
    return summarise(float(mean[0]), mean[1:], len(names))


def best_threshold(values: Reals, styles: Integers) -> float:
    """The best adjusted Rand index that cutting one number at thresholds gives, as many as there are styles less one.

    Args:
        values: Shape (n,).
        styles: Shape (n,); of three styles and more the thresholds are sought one after the other.
    """
    cuts = np.unique(values)[1:]
    ones = np.ones((1, len(values)))
    chosen: list[float] = []
    best = float(rand_index(np.zeros(len(values), int), styles, ones)[0])
    for _ in range(len(np.unique(styles)) - 1):
        found = [
            (float(rand_index(np.searchsorted(np.sort([*chosen, cut]), values, side="right"), styles, ones)[0]), cut)
            for cut in cuts
        ]
        if not found or max(found)[0] <= best:
            break
        best, cut = max(found)
        chosen.append(cut)
    return best
