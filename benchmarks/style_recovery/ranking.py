"""How well scores rank wrong labels first, with paired intervals over cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.evaluation.bootstrap import Interval, draw_subjects, summarise

Reals = NDArray[np.floating[Any]]
RESAMPLES = 2000


def auroc(scores: Reals, wrong: NDArray[np.bool_], weights: Reals) -> Reals:
    """Area under the ROC curve for several weightings of the cases at once.

    Args:
        scores: Shape (n,), higher = more likely wrong; ties count half.
        wrong: Shape (n,).
        weights: Shape (r, n), not negative: how often each of r resamples holds each case.

    Returns:
        Shape (r,); NaN where a resample has no wrong or no right case.
    """
    positive, negative = _sums_by_score(scores, wrong, weights)
    total = positive.sum(1) * negative.sum(1)
    below = np.cumsum(negative[:, ::-1], axis=1)[:, ::-1] - negative
    return _divide((positive * (below + negative / 2)).sum(1), total)


def average_precision(scores: Reals, wrong: NDArray[np.bool_], weights: Reals) -> Reals:
    """Average precision, the sum of precisions weighted by the rise of recall; arguments and result as for `auroc`."""
    positive, negative = _sums_by_score(scores, wrong, weights)
    found = np.cumsum(positive, axis=1)
    precision = _divide(found, found + np.cumsum(negative, axis=1), empty=0.0)
    return _divide((precision * positive).sum(1), positive.sum(1))


def precision_at_k(scores: Reals, wrong: NDArray[np.bool_]) -> float:
    """The share of wrong labels among the k highest scores, k the number of wrong labels; ties share their places."""
    k = int(wrong.sum())
    if not k:
        return float("nan")
    limit = np.sort(scores)[::-1][k - 1]
    above, equal = scores > limit, scores == limit
    share = (k - above.sum()) / equal.sum()
    return float((wrong[above].sum() + share * wrong[equal].sum()) / k)


METRICS = {"auroc": auroc, "average_precision": average_precision}


@dataclass(frozen=True)
class Group:
    """The cases of one seed that are ranked together.

    Attributes:
        wrong: Which of the n cases have a wrong label, shape (n,).
        scores: Name -> shape (n,), higher = more likely wrong. A score that was not computed for the seed is missing.
    """

    wrong: NDArray[np.bool_]
    scores: Mapping[str, Reals]


def mean_metric(groups: Sequence[Group], metric: str, name: str) -> float:
    """The mean of a metric over the seeds that have a score; NaN if none has."""
    values = [
        METRICS[metric](group.scores[name], group.wrong, np.ones((1, len(group.wrong))))[0]
        for group in groups
        if name in group.scores
    ]
    return float(np.mean(values)) if values else float("nan")


def paired_difference(groups: Sequence[Group], metric: str, first: str, second: str, *, seed: int = 0) -> Interval:
    """The difference of a metric of two scores, `second` - `first`, over the seeds that have both.

    Cases are sampled with replacement within each seed, the same for both scores (percentile bootstrap); the number of
    subjects that the interval states is the number of cases of all these seeds.
    """
    shared = [group for group in groups if first in group.scores and second in group.scores]
    if not shared:
        return Interval(np.nan, np.nan, np.nan, 0)
    compute = METRICS[metric]
    estimates, resampled = [], []
    for index, group in enumerate(shared):
        count = len(group.wrong)
        draws = draw_subjects(count, num_resamples=RESAMPLES, seed=seed + index).astype(float)
        weights = np.concatenate([np.ones((1, count)), draws])
        difference = compute(group.scores[second], group.wrong, weights) - compute(
            group.scores[first], group.wrong, weights
        )
        estimates.append(difference[0])
        resampled.append(difference[1:])
    cases = sum(len(group.wrong) for group in shared)
    return summarise(float(np.mean(estimates)), np.mean(resampled, axis=0), cases)


def _sums_by_score(scores: Reals, wrong: NDArray[np.bool_], weights: Reals) -> tuple[Reals, Reals]:
    """Weight of wrong and of right cases at each distinct score, highest score first: shape (r, distinct) each."""
    _, place = np.unique(-scores, return_inverse=True)
    at_score = np.equal.outer(place, np.arange(place.max() + 1)).astype(float)
    return (weights * wrong) @ at_score, (weights * ~wrong) @ at_score


def _divide(above: Reals, below: Reals, *, empty: float = np.nan) -> Reals:
    return np.divide(above, below, out=np.full(above.shape, empty), where=below > 0)
