"""How often the 95 % intervals of `hypersort evaluate` hold the truth, with labels that are correlated within subjects.

    python benchmarks/benchmark_interval_coverage.py --subjects 10 20 30 50 --repetitions 2000

Each repetition samples a test set of S subjects with one to three cases each and ten labels, each of them absent from a
fifth of the subjects. Half of the variance of a label lies between subjects and is common to all labels; a quarter is
the subject's own for that label; a quarter is that of the case. Values are normal, or skewed as DSC is near 1 (one
minus a log-normal loss). The truth is the mean that the values were sampled around.

Beside the interval of the mean over labels and of the single labels stand two that are too narrow: one that resamples
the subjects anew for each label, and one that resamples cases as if each were a subject.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from nnunetv2_hypersort.evaluation.bootstrap import average_labels, draw_subjects, summarise
from nnunetv2_hypersort.evaluation.score_table import average_within_subjects, weighted_mean

LABEL_MEANS = np.linspace(0.65, 0.95, 10)
ABSENT = 0.2
SPREAD = 0.06  # standard deviation of normal values
LOG_SPREAD = 0.6  # standard deviation of the logarithm of the loss 1 - DSC


@dataclass(frozen=True)
class Coverage:
    """Share of the repetitions in which an interval held the truth.

    Attributes:
        mean: The mean over labels.
        label: The single labels, averaged.
        difference: The paired difference of two methods, in the mean over labels.
        mean_independent_labels: The mean over labels, each label resampled by itself (wrong).
        mean_cases: The mean over labels, with cases resampled instead of subjects (wrong).
    """

    mean: float
    label: float
    difference: float
    mean_independent_labels: float
    mean_cases: float


def draw_test_set(
    generator: np.random.Generator, num_subjects: int, *, skewed: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sample a test set of two methods.

    Returns:
        Values of shape (2, C, 10, 1), NaN where a label is absent, and the subject of each of the C cases. The second
        method is worse by 0.02 (normal) or by a fifth of the loss (skewed) in expectation.
    """
    subjects = np.repeat(np.arange(num_subjects), generator.integers(1, 4, num_subjects))
    num_labels = len(LABEL_MEANS)
    common = generator.normal(size=(num_subjects, 1))
    own = generator.normal(size=(num_subjects, num_labels))
    absent = generator.random((num_subjects, num_labels)) < ABSENT
    noise = generator.normal(size=(2, len(subjects), num_labels))
    standard = np.sqrt(0.5) * common[subjects] + np.sqrt(0.25) * own[subjects] + np.sqrt(0.25) * noise
    if skewed:
        loss = np.exp(LOG_SPREAD * standard - LOG_SPREAD**2 / 2) * np.array([1.0, 1.2])[:, None, None]
        values = 1 - (1 - LABEL_MEANS) * loss
    else:
        values = LABEL_MEANS + SPREAD * standard - np.array([0.0, 0.02])[:, None, None]
    values[:, absent[subjects]] = np.nan
    return values[..., None], subjects


def compute_truth(*, skewed: bool) -> tuple[NDArray[np.float64], float]:
    """Return the expected value of each label of the first method, and of the difference of the means."""
    return LABEL_MEANS, float((-0.2 * (1 - LABEL_MEANS)).mean()) if skewed else -0.02


def simulate_coverage(
    num_subjects: int, *, num_repetitions: int, num_resamples: int = 1000, skewed: bool = False, seed: int = 0
) -> Coverage:
    """Count how often the intervals hold the truth."""
    generator = np.random.default_rng(seed)
    labels, difference = compute_truth(skewed=skewed)
    everything = list(range(len(labels)))
    hits: list[tuple[float, ...]] = []
    for repetition in tqdm(range(num_repetitions), desc=f"{num_subjects} subjects", disable=None):
        values, subjects = draw_test_set(generator, num_subjects, skewed=skewed)
        by_subject = average_within_subjects(values, subjects)
        draws = draw_subjects(num_subjects, num_resamples=num_resamples, seed=repetition)
        per_label = weighted_mean(draws, by_subject)[0]
        hits.append(
            (
                _holds(average_labels(per_label, everything)[:, 0], labels.mean()),
                float(np.mean([_holds(per_label[:, label, 0], labels[label]) for label in everything])),
                _holds(_resample_difference(values, subjects, draws), difference),
                _holds(_resample_labels_independently(by_subject[0], num_resamples, generator), labels.mean()),
                _holds(_resample_cases(values[0], num_resamples, generator), labels.mean()),
            )
        )
    return Coverage(*(float(share) for share in np.mean(hits, axis=0)))


def _holds(resampled: NDArray[np.float64], truth: float) -> bool:
    interval = summarise(np.nan, resampled, num_subjects=2)
    return bool(interval.low <= truth <= interval.high)


def _resample_difference(
    values: NDArray[np.float64], subjects: NDArray[np.int64], draws: NDArray[np.int64]
) -> NDArray[np.float64]:
    by_subject = average_within_subjects(values[1] - values[0], subjects)
    return average_labels(weighted_mean(draws, by_subject), list(range(values.shape[2])))[:, 0]


def _resample_labels_independently(
    by_subject: NDArray[np.float64], num_resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    columns = []
    for label in range(by_subject.shape[1]):
        draws = draw_subjects(len(by_subject), num_resamples=num_resamples, seed=int(generator.integers(2**32)))
        columns.append(weighted_mean(draws, by_subject[:, [label]])[:, 0, 0])
    return np.asarray(np.nanmean(columns, axis=0))


def _resample_cases(
    values: NDArray[np.float64], num_resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    draws = draw_subjects(len(values), num_resamples=num_resamples, seed=int(generator.integers(2**32)))
    return average_labels(weighted_mean(draws, values), list(range(values.shape[1])))[:, 0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the coverage as a Markdown table."""
    parser = argparse.ArgumentParser(description="Coverage of the 95 % intervals of hypersort evaluate.")
    parser.add_argument("--subjects", type=int, nargs="+", default=[10, 20, 30, 50])
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    print("| subjects | values | mean over labels | single labels | paired difference ", end="")
    print("| (wrong: labels resampled apart) | (wrong: cases resampled) |")
    print("|---|---|---|---|---|---|---|")
    for num_subjects in args.subjects:
        for skewed in (False, True):
            coverage = simulate_coverage(
                num_subjects,
                num_repetitions=args.repetitions,
                num_resamples=args.resamples,
                skewed=skewed,
                seed=args.seed,
            )
            shares = [
                coverage.mean,
                coverage.label,
                coverage.difference,
                coverage.mean_independent_labels,
                coverage.mean_cases,
            ]
            name = "skewed" if skewed else "normal"
            print(f"| {num_subjects} | {name} | " + " | ".join(f"{share:.1%}" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
