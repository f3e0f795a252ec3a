"""What is in a table of features: linear discriminant analysis that never saw the image it judges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage

Reals = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
PERMUTATIONS = 199
_UNSHRUNK = 3
_RIDGE = 1e-9


@dataclass(frozen=True)
class Told:
    """How well the style of a case can be told from features, by somebody who knows the styles of other images.

    Attributes:
        predicted: Shape (n,): the style told of each case.
        accuracy: Mean over the styles of the share of their cases that are told right.
        chance: What guessing gives: one over the number of styles.
        p: Share of permutations of the styles that reach the accuracy.
    """

    predicted: Integers
    accuracy: float
    chance: float
    p: float


def tell_styles(
    features: Reals, styles: Integers, groups: Sequence[str], *, within_groups: bool, seed: int = 0
) -> Told:
    """Tell each case's style by a discriminant analysis of the cases of all other images.

    Styles count alike, however frequent. Permutations exchange styles among all cases, or where every image has all of
    them, within the images; p is (b + 1) / (m + 1) (Phipson and Smyth 2010).

    Args:
        features: Shape (n, d).
        styles: Shape (n,), from 0 on.
        groups: The n images, or what else is to be left out together.
        within_groups: Whether to permute within them.
        seed: Of the permutations.
    """
    points = standardised(features)
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    predicted = leave_one_group_out(points, styles, place)
    reached = balanced_accuracy(predicted, styles)
    rng = np.random.default_rng(seed)
    as_good = 0
    for _ in range(PERMUTATIONS):
        mixed = _permuted(styles, place, rng) if within_groups else rng.permutation(styles)
        as_good += balanced_accuracy(leave_one_group_out(points, mixed, place), mixed) >= reached - 1e-12
    return Told(predicted, reached, 1 / (int(styles.max()) + 1), (as_good + 1) / (PERMUTATIONS + 1))


def standardised(features: Reals) -> Reals:
    """Features of mean 0 and variance 1, without those that do not vary, shape (n, at most d)."""
    centred = features - features.mean(0)
    scale = centred.std(0)
    varies = scale > 1e-12 * max(1.0, float(np.abs(features).max(initial=0)))
    return np.asarray(centred[:, varies] / scale[varies])


def balanced_accuracy(predicted: Integers, styles: Integers) -> float:
    """Mean over the styles of the share of their cases that are told right."""
    return float(np.mean([(predicted[styles == one] == one).mean() for one in np.unique(styles)]))


def leave_one_group_out(points: Reals, styles: Integers, groups: Integers) -> Integers:
    """The style of each case by linear discriminant analysis of all cases of other groups, with equal priors.

    The pooled covariance is shrunk towards a multiple of the identity by the amount of Ledoit and Wolf (2004), which
    is computed once from all cases; up to three features are few enough to go without.

    Args:
        points: Shape (n, d), standardised.
        styles: Shape (n,), from 0 on; every style in at least two groups.
        groups: Shape (n,), from 0 on.

    Returns:
        Shape (n,).
    """
    count, dimensions = points.shape
    if not dimensions:
        return np.zeros(count, int)
    kinds, parts = int(styles.max()) + 1, int(groups.max()) + 1
    is_style = np.equal.outer(styles, np.arange(kinds)).astype(float)
    is_group = np.equal.outer(groups, np.arange(parts)).astype(float)
    # Sums over all cases minus those of the group left out: (parts, kinds, d) and (parts, d, d).
    numbers = is_style.sum(0) - is_group.T @ is_style
    sums = is_style.T @ points - np.einsum("ng,nk,nd->gkd", is_group, is_style, points)
    means = sums / np.maximum(numbers, 1)[..., None]
    squares = points.T @ points - np.einsum("ng,nd,ne->gde", is_group, points, points)
    within = squares - np.einsum("gk,gkd,gke->gde", numbers, means, means)
    covariance = within / np.maximum(numbers.sum(1) - kinds, 1)[:, None, None]
    amount = 0.0
    if dimensions > _UNSHRUNK:
        own = np.linalg.lstsq(is_style, points, rcond=None)[0]
        amount = float(ledoit_wolf_shrinkage(points - is_style @ own, assume_centered=True))
    scale = np.trace(covariance, axis1=1, axis2=2) / dimensions
    identity = np.eye(dimensions)
    covariance = (1 - amount) * covariance + ((amount + _RIDGE) * scale)[:, None, None] * identity + _RIDGE * identity
    directions = np.linalg.solve(covariance, means.transpose(0, 2, 1))  # (parts, d, kinds)
    offsets = 0.5 * np.einsum("gkd,gdk->gk", means, directions)
    scores = np.einsum("nd,ndk->nk", points, directions[groups]) - offsets[groups]
    # A style that only the group left out has cannot be told.
    scores[numbers[groups] == 0] = -np.inf
    return np.asarray(scores.argmax(1))


def _permuted(styles: Integers, groups: Integers, rng: np.random.Generator) -> Integers:
    order = np.lexsort((rng.random(len(styles)), groups))
    mixed = np.empty_like(styles)
    mixed[np.argsort(groups, kind="stable")] = styles[order]
    return mixed
