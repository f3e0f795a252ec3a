"""Intervals over subjects: a cluster bootstrap that resamples subjects once for all labels, methods and metrics.

Hierarchy: case -> subject -> label -> mean. A subject's value is the mean over its cases, a label's value the mean over
subjects, the overall value the mean over labels. What varies from sample to sample is which subjects were seen, so
subjects are resampled, with all of their labels together: resampling each label by itself would treat correlated
labels as independent evidence and give intervals that are too narrow.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % percentile interval.

    Attributes:
        mean: The estimate from all subjects; NaN if no value is defined.
        low: Lower end; NaN with fewer than two subjects, about whose spread nothing can be said.
        high: Upper end, likewise.
        num_subjects: Number of subjects with a defined value.
    """

    mean: float
    low: float
    high: float
    num_subjects: int


def draw_subjects(num_subjects: int, *, num_resamples: int = 1000, seed: int = 0) -> NDArray[np.int64]:
    """Sample subjects with replacement, as many as there are, `num_resamples` times.

    Args:
        num_subjects: Number of subjects S.
        num_resamples: Number of resamples R.
        seed: Seed of the random generator.

    Returns:
        How often each resample holds each subject, shape (R, S); every row sums to S.

    Raises:
        ValueError: A number is smaller than 1.
    """
    if num_subjects < 1 or num_resamples < 1:
        raise ValueError(f"need at least one subject and one resample, not {num_subjects} and {num_resamples}")
    generator = np.random.default_rng(seed)
    return generator.multinomial(num_subjects, np.full(num_subjects, 1 / num_subjects), size=num_resamples)


def average_labels(label_means: NDArray[np.float64], members: list[int]) -> NDArray[np.float64]:
    """Average the labels `members` of an array of shape (..., L, K), leaving undefined ones out: shape (..., K)."""
    chosen = label_means[..., members, :]
    defined = np.isfinite(chosen)
    count = defined.sum(axis=-2)
    total = np.where(defined, chosen, 0.0).sum(axis=-2)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def summarise(estimate: float, resampled: NDArray[np.float64], num_subjects: int) -> Interval:
    """Put an estimate and its resampled values (shape (R,), NaN where undefined) together as an interval.

    The interval is that of the percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    section 13.3). Resamples in which the value is undefined, because they hold no subject that has it, are left out.
    """
    resampled = resampled[np.isfinite(resampled)]
    if num_subjects < 2 or resampled.size == 0:
        return Interval(float(estimate), np.nan, np.nan, num_subjects)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(float(estimate), float(low), float(high), num_subjects)


def count_defined(subject_values: NDArray[np.float64], members: list[int]) -> NDArray[Any]:
    """Count the subjects with a value for any of the labels `members`: (..., S, L, K) -> (..., K)."""
    return np.asarray(np.isfinite(subject_values[..., members, :]).any(axis=-2).sum(axis=-2))
