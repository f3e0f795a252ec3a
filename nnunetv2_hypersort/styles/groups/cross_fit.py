"""What images explain of something else, predicted for each row by models that have not seen it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from sklearn.ensemble import ExtraTreesRegressor

Reals = NDArray[np.float64]

_PARTS = 5
# Relative to the mean of the kernel's diagonal; the largest leaves next to nothing but the mean.
_SHRINKAGES = np.logspace(-3, 3, 13)
# Fits take time with the cube of the number of rows; so many tell enough.
_MOST_ROWS = 1_000
_TREES = 50
_SMALLEST_LEAF = 3
_MOST_SELECTED = 6


@dataclass(frozen=True)
class Predictability:
    """How well features tell the groups of rows.

    Attributes:
        probabilities: Shape (rows, groups): cross-fitted, in [0, 1], each row with the sum 1.
        balanced_accuracy: Mean over the groups of the share of their rows that are told rightly, in [0, 1].
        chance: What guessing gives: 1 / groups.
    """

    probabilities: Reals
    balanced_accuracy: float
    chance: float

    @property
    def rescaled(self) -> float:
        """The balanced accuracy as it would be with two groups: 0.5 is chance, 1 is perfect."""
        return 0.5 + 0.5 * (self.balanced_accuracy - self.chance) / (1 - self.chance)


def normal_scores(features: np.ndarray) -> Reals:
    """Each column by its ranks as quantiles of the normal distribution; constant columns are left out.

    Median splits, heavy tails and units are no matter then. Unknown values (not-a-number) stand in the middle.

    Args:
        features: Shape (rows, features).

    Returns:
        Shape (rows, features that vary).
    """
    features = np.asarray(features, float)
    if not features.size:
        return np.zeros((len(features), 0))
    known = np.where(np.isfinite(features), features, np.nan)
    known = np.where(np.isnan(known), _medians(known), known)
    known = known[:, (known != known[:1]).any(axis=0)]
    scores = norm.ppf((rankdata(known, axis=0) - 0.5) / len(known))
    return np.asarray((scores - scores.mean(0)) / np.maximum(scores.std(0), 1e-9))


def cross_fitted(scores: np.ndarray, targets: np.ndarray, units: np.ndarray, *, seed: int = 0) -> tuple[Reals, Reals]:
    """Predict targets from features, each row by models fitted to the rows of other units.

    Three kinds of model: kernel ridge regression (linear, and linear with Gaussian), its shrinkage by the leave-one-out
    error within the rows it is fitted to; a few features and squares of features, selected one after the other; and
    extremely randomised trees (Geurts et al. 2006), which see thresholds. For each target that of them, their mean or
    the bare mean of the targets is taken whose cross-fitted error is the least.

    Args:
        scores: Shape (rows, features), from `normal_scores`.
        targets: Shape (rows, targets), finite.
        units: Shape (rows,): rows of one unit, such as a subject, are held out together.
        seed: Of the parts.

    Returns:
        Shape (rows, targets); and of the same shape the mean of the targets in the rows that each model was fitted to.
    """
    targets = np.asarray(targets, float)
    rng = np.random.default_rng(seed)
    names, unit = np.unique(np.asarray(units), return_inverse=True)
    part = rng.permutation(len(names))[unit] % min(_PARTS, len(names))
    kinds = (_ridge, _selection, _trees) if scores.shape[1] else ()
    means = np.tile(targets.mean(0), (len(targets), 1))
    found = np.stack([means] * len(kinds)) if kinds else means[None].copy()
    for number in np.unique(part):
        held_out = part == number
        rows = np.flatnonzero(~held_out)
        if len(rows) < 2 * _SMALLEST_LEAF:
            continue
        rows = rng.choice(rows, _MOST_ROWS, replace=False) if len(rows) > _MOST_ROWS else rows
        means[held_out] = found[:, held_out] = targets[rows].mean(0)
        for place, fit in enumerate(kinds):
            found[place, held_out] = fit(scores[rows], targets[rows], scores[held_out])
    stacked = np.stack([means, *found, found.mean(0)])
    best = ((stacked - targets) ** 2).mean(1).argmin(0)
    return np.asarray(stacked[best, :, np.arange(targets.shape[1])].T), means


def unexplained(targets: np.ndarray, *explanations: np.ndarray) -> Reals:
    """What cross-fitted predictions leave of targets, by least squares over all rows.

    Predictions by few rows are shrunk, and subtracting them would leave a part of what they know.

    Args:
        targets: Shape (rows, targets).
        explanations: Shape (rows, any): predictions.
    """
    known = np.column_stack([np.ones(len(targets)), *explanations])
    known = known / np.maximum(np.linalg.norm(known, axis=0), 1e-12)
    weights, *_ = np.linalg.lstsq(known, targets, rcond=1e-8)
    return np.asarray(targets - known @ weights)


def main_directions(values: Sequence[np.ndarray], count: int) -> Reals:
    """The first principal components of several tables with the same rows.

    Args:
        values: Shape (rows, any) each.
        count: How many at most.

    Returns:
        Shape (rows, components), without those that hold next to nothing.
    """
    joined = np.column_stack([(table - table.mean(0)) / max(float(table.std()), 1e-12) for table in values])
    vectors, sizes, _ = np.linalg.svd(joined, full_matrices=False)
    return np.asarray(vectors[:, :count][:, sizes[:count] > 1e-6 * max(len(joined), 1) ** 0.5])


def predict_groups(scores: np.ndarray, groups: np.ndarray, units: np.ndarray, *, seed: int = 0) -> Predictability:
    """How well features tell groups, each row told by models fitted to other units.

    Args:
        scores: Shape (rows, features), from `normal_scores`.
        groups: Shape (rows,): numbers from 0, each with a row at least.
        units: See `cross_fitted`.
        seed: See `cross_fitted`.
    """
    indicators = np.eye(groups.max() + 1)[groups]
    told, shares = cross_fitted(scores, indicators, units, seed=seed)
    told = np.clip(told, 1e-3, 1)
    told /= told.sum(1, keepdims=True)
    # A row is told to be of the group that is likelier for it than among the rows of the model, the rule for balanced
    # accuracy. Where nothing is known all are alike, and a part of each group is right.
    likelier = told / np.maximum(shares, 1e-3)
    best = likelier >= likelier.max(1, keepdims=True) * (1 - 1e-9)
    right = (best / best.sum(1, keepdims=True))[np.arange(len(groups)), groups]
    accuracy = float(np.mean([right[groups == group].mean() for group in range(indicators.shape[1])]))
    return Predictability(told, accuracy, 1 / indicators.shape[1])


def _medians(known: np.ndarray) -> Reals:
    filled = np.where(np.isnan(known).all(axis=0), 0.0, known)
    return np.asarray(np.nanmedian(filled, axis=0))


def _ridge(scores: np.ndarray, targets: np.ndarray, new: np.ndarray) -> Reals:
    errors, predictions = [], []
    for gaussian in (False, True):
        kernel, across = _kernel(scores, scores, gaussian), _kernel(new, scores, gaussian)
        mean = kernel.mean(0)
        across = across - across.mean(1, keepdims=True) - mean + mean.mean()
        kernel = kernel - mean - mean[:, None] + mean.mean()
        values, vectors = np.linalg.eigh(kernel)
        values = np.maximum(values, 0)
        centred = targets - targets.mean(0)
        turned = vectors.T @ centred
        for shrinkage in _SHRINKAGES * max(np.trace(kernel) / len(kernel), 1e-12):
            kept = values / (values + shrinkage)
            leverage = (vectors**2) @ kept + 1 / len(kernel)
            # Closed form of leaving each row out (Allen 1974).
            left_out = (centred - vectors @ (kept[:, None] * turned)) / np.maximum(1 - leverage, 1e-6)[:, None]
            errors.append((left_out**2).mean(0))
            weights = vectors @ (turned / (values + shrinkage)[:, None])
            predictions.append(across @ weights + targets.mean(0))
    best = np.stack(errors).argmin(0)
    return np.asarray(np.stack(predictions)[best, :, np.arange(targets.shape[1])].T)


def _kernel(one: np.ndarray, two: np.ndarray, gaussian: bool) -> Reals:
    linear = one @ two.T / one.shape[1]
    if not gaussian:
        return np.asarray(linear)
    squares = (one**2).sum(1)[:, None] + (two**2).sum(1) - 2 * one @ two.T
    return np.asarray(linear + np.exp(-np.maximum(squares, 0) / (2 * one.shape[1])))


def _selection(scores: np.ndarray, targets: np.ndarray, new: np.ndarray) -> Reals:
    """Orthogonal matching pursuit over features and their squares, its length by the leave-one-out error."""
    middle, deviation = (scores**2).mean(0), np.maximum((scores**2).std(0), 1e-9)
    known = np.column_stack([scores, (scores**2 - middle) / deviation])
    asked = np.column_stack([new, (new**2 - middle) / deviation])
    predictions = np.empty((len(new), targets.shape[1]))
    for column, target in enumerate(targets.T):
        chosen: list[int] = []
        best, predicted = float("inf"), np.full(len(new), target.mean())
        residual = target - target.mean()
        for _ in range(min(_MOST_SELECTED, len(target) // 8)):
            gains = np.abs(residual @ known)
            gains[chosen] = -1
            chosen.append(int(gains.argmax()))
            table = np.column_stack([np.ones(len(target)), known[:, chosen]])
            inverse = np.linalg.pinv(table)
            residual = target - table @ (inverse @ target)
            leverage = np.einsum("ij,ji->i", table, inverse)
            error = float(((residual / np.maximum(1 - leverage, 1e-3)) ** 2).mean())
            if error < best:
                best = error
                predicted = np.column_stack([np.ones(len(new)), asked[:, chosen]]) @ (inverse @ target)
        predictions[:, column] = predicted
    return predictions


def _trees(scores: np.ndarray, targets: np.ndarray, new: np.ndarray) -> Reals:
    forest = ExtraTreesRegressor(
        _TREES, min_samples_leaf=_SMALLEST_LEAF, max_features=0.5, random_state=0, n_jobs=1
    ).fit(scores, targets[:, 0] if targets.shape[1] == 1 else targets)
    return np.asarray(forest.predict(new), float).reshape(len(new), -1)
