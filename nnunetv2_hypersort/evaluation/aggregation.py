"""From the scores of cases to means with intervals, paired differences and ranks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.evaluation.bootstrap import Interval, average_labels, count_defined, draw_subjects, summarise
from nnunetv2_hypersort.evaluation.case_scores import HIGHER_IS_BETTER, METRICS
from nnunetv2_hypersort.evaluation.score_table import ScoreTable, average_within_subjects, weighted_mean

MEAN = "mean"
Row = tuple[str, str]


@dataclass(frozen=True)
class Difference:
    """Paired differences `second` - `first` of two methods in one row and metric.

    Attributes:
        first: Name of one method.
        second: Name of the other.
        interval: Mean difference with its interval over subjects.
        num_pairs: (case, label) pairs in which both methods have a value: those that are compared.
        num_unpaired: Pairs in which only one has a value (a structure that is absent from the reference and that one
            method predicts); they count in the means and cannot be compared pair by pair.
    """

    first: str
    second: str
    interval: Interval
    num_pairs: int
    num_unpaired: int


@dataclass(frozen=True)
class Rank:
    """Rank of one method among all, by the mean of one row and metric.

    Attributes:
        rank: Rank of the mean over all subjects, 1 = best; ties share the better rank.
        mean_rank: Mean rank over the resamples, ties sharing the average rank.
        counts: Number of resamples in which the method had rank 1, 2, ...; ties share the better rank.
    """

    rank: int
    mean_rank: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Aggregate:
    """Everything that is said about a set of methods.

    Attributes:
        rows: The rows of the result tables, in order: (kind, name), where kind is "label", "group" or "mean", and the
            indices of the structures that the row averages.
        means: `means[method][row][metric]`.
        differences: `differences[row][metric]`, one entry per pair of methods.
        ranks: `ranks[row][metric][method]`; empty if some method has no value.
    """

    rows: dict[Row, list[int]]
    means: dict[str, dict[Row, dict[str, Interval]]]
    differences: dict[Row, dict[str, list[Difference]]]
    ranks: dict[Row, dict[str, dict[str, Rank]]]


def aggregate(
    table: ScoreTable, groups: Mapping[str, Sequence[int]], *, num_resamples: int = 1000, seed: int = 0
) -> Aggregate:
    """Aggregate the scores of a table over cases, subjects and labels.

    Args:
        table: The scores.
        groups: Name -> indices of the structures of each organ group.
        num_resamples: Number of bootstrap resamples; each samples the subjects once, for everything.
        seed: Seed of the resampling.

    Returns:
        Means, paired differences and ranks for each structure, each group and the mean of all structures.
    """
    rows: dict[Row, list[int]] = {("label", name): [i] for i, name in enumerate(table.structures)}
    rows |= {("group", name): list(members) for name, members in groups.items()}
    rows[MEAN, MEAN] = list(range(len(table.structures)))

    draws = draw_subjects(len(table.subject_names), num_resamples=num_resamples, seed=seed)
    by_subject = average_within_subjects(table.values, table.subjects)
    estimates, resampled = _average_rows(by_subject, draws, rows)
    counts = {row: count_defined(by_subject, members) for row, members in rows.items()}
    means = {
        method: {
            row: {
                metric: summarise(estimates[row][m, k], resampled[row][m, :, k], int(counts[row][m, k]))
                for k, metric in enumerate(METRICS)
            }
            for row in rows
        }
        for m, method in enumerate(table.methods)
    }
    ranks = {
        row: {
            metric: _rank_methods(table.methods, estimates[row][:, k], resampled[row][:, :, k], metric)
            for k, metric in enumerate(METRICS)
        }
        for row in rows
    }
    several = len(table.methods) > 1
    return Aggregate(rows, means, _compare(table, draws, rows) if several else {}, ranks if several else {})


def average_groups_per_case(table: ScoreTable, groups: Mapping[str, Sequence[int]]) -> dict[str, NDArray[np.float64]]:
    """Average the structures of each group within each case: name -> shape (M, C, 5), NaN where none is defined."""
    return {name: average_labels(table.values, list(members)) for name, members in groups.items()}


def _average_rows(
    by_subject: NDArray[np.float64], draws: NDArray[np.int64], rows: Mapping[Row, list[int]]
) -> tuple[dict[Row, NDArray[np.float64]], dict[Row, NDArray[np.float64]]]:
    """Average (M, S, L, K) over subjects, then over the labels of each row: (M, K), and (M, R, K) per resample."""
    everyone = np.ones((1, by_subject.shape[-3]))
    label_means = weighted_mean(everyone, by_subject)[..., 0, :, :]
    resampled = weighted_mean(draws, by_subject)
    return (
        {row: average_labels(label_means, members) for row, members in rows.items()},
        {row: average_labels(resampled, members) for row, members in rows.items()},
    )


def _compare(
    table: ScoreTable, draws: NDArray[np.int64], rows: Mapping[Row, list[int]]
) -> dict[Row, dict[str, list[Difference]]]:
    differences: dict[Row, dict[str, list[Difference]]] = {row: {metric: [] for metric in METRICS} for row in rows}
    for first, second in combinations(range(len(table.methods)), 2):
        # Undefined in one method means undefined as a difference: NaN carries over.
        paired = table.values[second] - table.values[first]
        unpaired = np.isfinite(table.values[first]) != np.isfinite(table.values[second])
        by_subject = average_within_subjects(paired, table.subjects)
        estimates, resampled = _average_rows(by_subject, draws, rows)
        for row, members in rows.items():
            counts = count_defined(by_subject, members)
            for k, metric in enumerate(METRICS):
                differences[row][metric].append(
                    Difference(
                        table.methods[first],
                        table.methods[second],
                        summarise(estimates[row][k], resampled[row][:, k], int(counts[k])),
                        int(np.isfinite(paired[:, members, k]).sum()),
                        int(unpaired[:, members, k].sum()),
                    )
                )
    return differences


def _rank_methods(
    methods: Sequence[str], estimates: NDArray[np.float64], resampled: NDArray[np.float64], metric: str
) -> dict[str, Rank]:
    """Rank methods by `estimates` (M,) and in each resample by `resampled` (M, R)."""
    from scipy.stats import rankdata

    resampled = resampled[:, np.isfinite(resampled).all(axis=0)]
    if not np.isfinite(estimates).all() or resampled.size == 0:
        return {}
    sign = -1.0 if HIGHER_IS_BETTER[metric] else 1.0
    # Equal means can differ in the last bit, because sums are taken in another order.
    ranks = rankdata(np.round(sign * estimates, 12), method="min").astype(int)
    rounded = np.round(sign * resampled, 12)
    best = rankdata(rounded, method="min", axis=0).astype(int)
    average = rankdata(rounded, method="average", axis=0).mean(axis=1)
    return {
        method: Rank(
            int(ranks[m]),
            float(average[m]),
            tuple(int((best[m] == place).sum()) for place in range(1, len(methods) + 1)),
        )
        for m, method in enumerate(methods)
    }
