"""The cases of each style, by the vote of the folds, and its name, which stays when styles are found again."""

import itertools
import string
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from nnunetv2_hypersort.styles.clustering import FoldClusters

# A style with more than half of the cases in common can have them with one only.
_SAME_STYLE = 0.5


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


def name_styles(
    styles: Sequence[Collection[str]], earlier: Mapping[str, Collection[str]], taken: Collection[str] = ()
) -> list[str]:
    """Name styles `style_a`, `style_b` and so on, in their order.

    Args:
        styles: The cases of each style.
        earlier: The cases of styles named before; a style that has most of its cases in common with one of them
            keeps that name, so that what users wrote down stays true when a fold more is trained.
        taken: Names that other styles have.

    Returns:
        A name for each.
    """
    names: list[str | None] = [None] * len(styles)
    known = [name for name in earlier if name not in taken]
    before = [set(earlier[name]) for name in known]
    overlap = np.array([[_overlap(set(cases), others) for others in before] for cases in styles])
    for row, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True) if known and styles else ():
        if overlap[row, column] > _SAME_STYLE:
            names[row] = known[column]
    # A name of before is not given to another style: what users wrote down would silently mean that one.
    free = (name for name in _names() if name not in earlier and name not in taken)
    return [name or next(free) for name in names]


def _overlap(cases: Set[str], others: Set[str]) -> float:
    either = len(cases | others)
    return len(cases & others) / either if either else 0.0


def _names() -> Iterator[str]:
    yield from (f"style_{letter}" for letter in string.ascii_lowercase)
    yield from (f"style_{number}" for number in itertools.count(27))
