"""Which style a training case is drawn in, by the vote of the folds that train on it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnunetv2_hypersort.styles.fold_clusters import FoldClusters


@dataclass(frozen=True)
class Votes:
    """The outcome for all training cases.

    Attributes:
        cases: For each style its cases, in alphabetical order.
        outliers: Cases that more than half of their folds put into no cluster.
        undecided: Cases that the folds put into different styles equally often, or into clusters that are no style.
    """

    cases: tuple[tuple[str, ...], ...]
    outliers: tuple[str, ...]
    undecided: tuple[str, ...]


def vote(folds: Sequence[FoldClusters], styles: Sequence[Mapping[str, int]]) -> Votes:
    """Give each case the style that most of its folds put it into.

    Args:
        folds: The clusters of each fold.
        styles: For each style its cluster in the folds that have it.
    """
    style_of = {(fold, cluster): number for number, style in enumerate(styles) for fold, cluster in style.items()}
    members: list[list[str]] = [[] for _ in styles]
    outliers, undecided = [], []
    for case in sorted(set().union(*(fold.clusters for fold in folds))):
        of_folds = [(fold.fold, fold.clusters[case]) for fold in folds if case in fold.clusters]
        alone = sum(cluster < 0 for _, cluster in of_folds)
        found = Counter(style_of[cluster] for cluster in of_folds if cluster in style_of)
        (best, votes), *others = [*found.most_common(2), (-1, 0)]
        if 2 * alone > len(of_folds):
            outliers.append(case)
        elif best < 0 or votes == others[0][1]:
            undecided.append(case)
        else:
            members[best].append(case)
    return Votes(tuple(map(tuple, members)), tuple(outliers), tuple(undecided))
