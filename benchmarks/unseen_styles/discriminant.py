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
    features: Reals,
    styles: Integers,
    groups: Sequence[str],
    *,
    within_groups: bool,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Told:
    """Tell each case's style by a discriminant analysis of the cases of all other images.

    Styles count alike, however frequent. Permutations exchange styles among all cases, or where every image has all of
    them, within the images; p is (b + 1) / (m + 1) (Phipson and Smyth 2010).

    Args:
        features: Shape (n, d).
        styles: Shape (n,), from 0 on.
        groups: The n images, or what else is to be left out together.
        within_groups: Whether to permute within them.
        permutations: How many; without any p is 1.
        seed: Of the permutations.
    """
    points = standardised(features)
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    squares = _squares(points, place)
    predicted = leave_one_group_out(points, styles, place, squares)
    reached = balanced_accuracy(predicted, styles)
    rng = np.random.default_rng(seed)
    as_good = 0
    for _ in range(permutations):
        mixed = _permuted(styles, place, rng) if within_groups else rng.permutation(styles)
        as_good += balanced_accuracy(leave_one_group_out(points, mixed, place, squares), mixed) >= reached - 1e-12
    return Told(predicted, reached, 1 / (int(styles.max()) + 1), (as_good + 1) / (permutations + 1))


def standardised(features: Reals) -> Reals:
    """Features of mean 0 and variance 1, without those that do not vary, shape (n, at most d)."""
    centred = features - features.mean(0)
    scale = centred.std(0)
    varies = scale > 1e-12 * max(1.0, float(np.abs(features).max(initial=0)))
    return np.asarray(centred[:, varies] / scale[varies])


def balanced_accuracy(predicted: Integers, styles: Integers) -> float:
    """Mean over the styles of the share of their cases that are told right."""
    return float(np.mean([(predicted[styles == one] == one).mean() for one in np.unique(styles)]))


def leave_one_group_out(points: Reals, styles: Integers, groups: Integers, squares: Reals | None = None) -> Integers:
    """The style of each case by linear discriminant analysis of all cases of other groups, with equal priors.

    The pooled covariance within the styles is shrunk towards its diagonal by the amount of Ledoit and Wolf (2004) for
    the correlations, as scikit-learn does it; the amount is computed once from all cases. Up to three features are few
    enough to go without.

    Args:
        points: Shape (n, d), standardised.
        styles: Shape (n,), from 0 on; every style in at least two groups.
        groups: Shape (n,), from 0 on.
        squares: The sums of squares without each group, if they are known from an earlier call.

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
    squares = _squares(points, groups) if squares is None else squares
    within = squares - np.einsum("gk,gkd,gke->gde", numbers, means, means)
    covariance = within / np.maximum(numbers.sum(1) - kinds, 1)[:, None, None]
    amount = 0.0
    if dimensions > _UNSHRUNK:
        own = points - is_style @ np.linalg.lstsq(is_style, points, rcond=None)[0]
        amount = float(ledoit_wolf_shrinkage(own / np.maximum(own.std(0), _RIDGE), assume_centered=True))
    # What varies little within the styles is what tells them: each feature keeps its own variance.
    variances = np.diagonal(covariance, axis1=1, axis2=2)
    kept = (amount * variances + _RIDGE)[:, :, None] * np.eye(dimensions)
    covariance = (1 - amount) * covariance + kept
    directions = np.linalg.solve(covariance, means.transpose(0, 2, 1))  # (parts, d, kinds)
    offsets = 0.5 * np.einsum("gkd,gdk->gk", means, directions)
    scores = np.einsum("nd,ndk->nk", points, directions[groups]) - offsets[groups]
    # A style that only the group left out has cannot be told.
    scores[numbers[groups] == 0] = -np.inf
    return np.asarray(scores.argmax(1))


def _squares(points: Reals, groups: Integers) -> Reals:
    every = points.T @ points
    return np.stack([every - points[groups == one].T @ points[groups == one] for one in range(groups.max() + 1)])


def _permuted(styles: Integers, groups: Integers, rng: np.random.Generator) -> Integers:
    order = np.lexsort((rng.random(len(styles)), groups))
    mixed = np.empty_like(styles)
    mixed[np.argsort(groups, kind="stable")] = styles[order]
    return mixed
