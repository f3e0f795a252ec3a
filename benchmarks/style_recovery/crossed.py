"""Intervals over cases and seeds at once."""

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.evaluation.bootstrap import Interval, draw_subjects, summarise

RESAMPLES = 2000


def crossed_interval(values: NDArray[np.floating], *, seed: int = 0) -> Interval:
    """The mean over seeds and cases with its interval.

    Cases and seeds are sampled with replacement independently of each other, each case with its values of these seeds
    (the pigeonhole bootstrap, Owen 2007): the same cases are predicted with every seed, so neither is an independent
    repetition of the other. With few seeds the part of the interval that they contribute is rough.

    Args:
        values: Shape (seeds, cases), such as paired differences.
        seed: Seed of the samples.
    """
    seeds, cases = values.shape
    of_cases = draw_subjects(cases, num_resamples=RESAMPLES, seed=seed)
    of_seeds = draw_subjects(seeds, num_resamples=RESAMPLES, seed=seed + 1)
    resampled = ((of_seeds @ values) * of_cases).sum(1) / (seeds * cases)
    return summarise(float(values.mean()), resampled, cases)
