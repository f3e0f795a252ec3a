"""Clusters of different folds matched by the cases that the folds share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

from nnunetv2_hypersort.styles.clustering import FoldClusters

# A cluster that shares more than half of the cases in either with another can do so with one only: the match is unique.
_LEAST_OVERLAP = 0.5
# Below this Cohen's kappa is called fair at best (Landis and Koch 1977): most of such an agreement is chance.
_LEAST_KAPPA = 0.4


@dataclass(frozen=True)
class Agreement:
    """How far folds agree on the style of the cases that they share.

    Attributes:
        cases: Number of comparisons: cases that two folds train on and both put into a cluster, over pairs of folds.
        share: The share of them whose clusters are matched, in [0, 1]; not-a-number without any.
        kappa: Cohen's kappa of the same, which is 0 for what chance alone gives and 1 for full agreement;
            not-a-number where chance alone would give full agreement, as with a single style.
    """

    cases: int
    share: float
    kappa: float


@dataclass(frozen=True)
class Alignment:
    """Clusters of all folds, matched.

    Attributes:
        styles: For each style its cluster in each fold that has it; that with the most cases first.
        unmatched: Clusters (fold, number) without a counterpart in another fold.
        agreement: Over all pairs of folds; None for a single fold.
        pairs: For each pair of folds.
        consistent: Whether the folds agree by more than chance and at least one style was matched, so that `styles`
            may be relied on. Otherwise `styles` is empty. A single fold, and folds without clusters, are consistent.
    """

    styles: tuple[Mapping[str, int], ...]
    unmatched: tuple[tuple[str, int], ...]
    agreement: Agreement | None
    pairs: Mapping[tuple[str, str], Agreement]
    consistent: bool


def align_clusters(folds: Sequence[FoldClusters]) -> Alignment:
    """Match the clusters of folds so that as many shared cases as possible have the same style everywhere.

    Each fold is matched to all others by optimal assignment (Hungarian method), fold after fold until nothing changes,
    once from each fold as the start; the best result counts. A cluster stays in its style if it shares more than half
    of its cases with the clusters of the same style in other folds, counted over cases that both folds put into a
    cluster (Jaccard index over 0.5). How the folds number their clusters makes no difference.

    Args:
        folds: The clusters of each fold, at least one fold.

    Returns:
        The styles, and how far the folds agree on them.
    """
    if len(folds) == 1:
        (fold,) = folds
        return Alignment(tuple({fold.fold: number} for number in range(len(fold))), (), None, {}, consistent=True)
    table = _Table(folds)
    columns = table.supported(max((table.matched(start) for start in range(len(folds))), key=table.agreeing))
    pairs = list(combinations(range(len(folds)), 2))
    agreement = table.agreement(columns, pairs)
    styles = _members(folds, columns)
    without_any = not any(len(fold) for fold in folds)
    consistent = without_any or (bool(styles) and not agreement.kappa < _LEAST_KAPPA)
    styles = styles if consistent else ()
    taken = {cluster for style in styles for cluster in style.items()}
    clusters = [(fold.fold, number) for fold in folds for number in range(len(fold))]
    return Alignment(
        styles,
        tuple(cluster for cluster in clusters if cluster not in taken),
        agreement,
        {(folds[one].fold, folds[two].fold): table.agreement(columns, [(one, two)]) for one, two in pairs},
        consistent,
    )


def _members(folds: Sequence[FoldClusters], columns: Sequence[np.ndarray]) -> tuple[Mapping[str, int], ...]:
    styles: dict[int, dict[str, int]] = {}
    sizes: dict[int, list[int]] = {}
    for fold, of_fold in zip(folds, columns, strict=True):
        for number, column in enumerate(of_fold):
            if column >= 0:
                styles.setdefault(column, {})[fold.fold] = number
                sizes.setdefault(column, []).append(len(fold.cases_of(number)))
    return tuple(styles[column] for column in sorted(styles, key=lambda column: -float(np.mean(sizes[column]))))


class _Table:
    """Which case is in which cluster of which fold. A matching is one array per fold: the style of each cluster."""

    def __init__(self, folds: Sequence[FoldClusters]) -> None:
        self.counts = [len(fold) for fold in folds]
        cases = sorted(set().union(*(fold.clusters for fold in folds)))
        self.labels = np.array([[fold.clusters.get(case, -1) for case in cases] for fold in folds], np.int64)
        self.overlaps = [[self._overlap(one, two) for two in range(len(folds))] for one in range(len(folds))]

    def _overlap(self, one: int, two: int) -> np.ndarray:
        shared = (self.labels[one] >= 0) & (self.labels[two] >= 0)
        overlap = np.zeros((self.counts[one], self.counts[two]), dtype=np.int64)
        np.add.at(overlap, (self.labels[one][shared], self.labels[two][shared]), 1)
        return overlap

    def matched(self, start: int) -> list[np.ndarray]:
        """Match all folds, beginning with the clusters of one as the styles."""
        folds = range(len(self.counts))
        columns = {start: np.arange(self.counts[start])}
        for fold in folds:
            if fold != start:
                columns[fold] = self._assigned(fold, columns)
        before = -1
        while (now := self.agreeing([columns[fold] for fold in folds])) > before:
            best, before = dict(columns), now
            for fold in folds:
                columns[fold] = self._assigned(fold, {other: columns[other] for other in folds if other != fold})
        return [best[fold] for fold in folds]

    def _assigned(self, fold: int, others: Mapping[int, np.ndarray]) -> np.ndarray:
        # Beyond the known styles there is room for each cluster to be one of its own.
        known = max((int(column.max(initial=-1)) for column in others.values()), default=-1) + 1
        shared = np.zeros((self.counts[fold], known + self.counts[fold]), dtype=np.int64)
        for other, columns in others.items():
            np.add.at(shared.T, columns, self.overlaps[fold][other].T)
        rows, found = linear_sum_assignment(shared, maximize=True)
        return np.asarray(np.where(shared[rows, found] > 0, found, known + rows))

    def supported(self, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Take clusters out of their style (-1), the worst first, that share too little with the rest of it."""
        columns = [of_fold.copy() for of_fold in columns]
        while True:
            overlap = {
                (fold, number): self._jaccard(columns, fold, number)
                for fold, of_fold in enumerate(columns)
                for number in map(int, np.flatnonzero(of_fold >= 0))
            }
            worst = min(overlap, key=lambda cluster: overlap[cluster], default=None)
            if worst is None or overlap[worst] > _LEAST_OVERLAP:
                return columns
            columns[worst[0]][worst[1]] = -1

    def _jaccard(self, columns: Sequence[np.ndarray], fold: int, number: int) -> float:
        both = either = 0
        for other, of_other in enumerate(columns):
            for match in np.flatnonzero(of_other == columns[fold][number]) if other != fold else ():
                overlap = self.overlaps[fold][other]
                both += overlap[number, match]
                either += overlap[number].sum() + overlap[:, match].sum() - overlap[number, match]
        return both / either if either else 0.0

    def agreeing(self, columns: Sequence[np.ndarray]) -> int:
        """Number of shared cases with the same style, over all pairs of folds."""
        pairs = combinations(range(len(self.counts)), 2)
        return sum(int(self.overlaps[one][two][np.equal.outer(columns[one], columns[two])].sum()) for one, two in pairs)

    def agreement(self, columns: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]]) -> Agreement:
        """Agreement on the shared cases of some pairs of folds; an unmatched cluster agrees with nothing."""
        cases, agreed, by_chance = 0, 0, 0.0
        for one, two in pairs:
            overlap = self.overlaps[one][two]
            same = np.equal.outer(columns[one], columns[two]) & (columns[one] >= 0)[:, None]
            cases += int(overlap.sum())
            agreed += int(overlap[same].sum())
            if overlap.any():
                by_chance += float(np.outer(overlap.sum(1), overlap.sum(0))[same].sum() / overlap.sum())
        if not cases:
            return Agreement(0, float("nan"), float("nan"))
        rest = cases - by_chance
        return Agreement(cases, agreed / cases, (agreed - by_chance) / rest if rest > 1e-9 * cases else float("nan"))
