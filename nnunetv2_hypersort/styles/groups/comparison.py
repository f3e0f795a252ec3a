"""One column compared: do the points of the cases differ between its groups, and is it the images?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.styles.groups.cross_fit import (
    Predictability,
    cross_fitted,
    main_directions,
    normal_scores,
    predict_groups,
    unexplained,
)
from nnunetv2_hypersort.styles.groups.design import Design, Level
from nnunetv2_hypersort.styles.groups.permutation import (
    PERMUTATIONS,
    FoldPoints,
    TestResult,
    group_shifts,
    permutation_test,
)

SIGNIFICANT = 0.05
"""A difference is said below this p, corrected for the number of columns (of pairs of groups)."""
TOLD_APART = 0.8
"""From this balanced accuracy on (of two groups; of more in proportion) images alone tell the groups apart."""


class Verdict(str, Enum):
    """The answer."""

    DIFFERENT = "annotated differently"
    NO_DIFFERENCE = "no difference found"
    IMAGES_DIFFER = "the images differ, too"
    IMAGES_UNKNOWN = "labels or images differ"


@dataclass(frozen=True)
class CasePoints:
    """What `styles` knows of the cases of one fold.

    Attributes:
        fold: Name of the fold.
        cases: The cases, each once.
        points: Shape (cases, dim), finite: latents, or features joined with them. Coordinates of different folds are
            unrelated.
    """

    fold: str
    cases: tuple[str, ...]
    points: np.ndarray


@dataclass(frozen=True)
class PairOfGroups:
    """A group against the most common one.

    Attributes:
        group: Number of the group.
        test: Whether their points differ beyond what the images explain.
        predictability: How well the images tell the two apart; None where they have the same images, or none are there.
    """

    group: int
    test: TestResult
    predictability: Predictability | None


@dataclass(frozen=True)
class Comparison:
    """A column compared.

    Attributes:
        design: What was compared with what.
        test: Whether points differ between the groups beyond what the images explain.
        plain: The same with nothing taken out.
        predictability: How well the images tell the groups apart; None where groups have the same images, or no image
            is there.
        pairs: Each group against the first; a single one with two groups.
        shifts: By fold how far the points of each group lie from those of all once what the images explain is taken
            out, shape (groups, dim).
        plain_shifts: The same with nothing taken out.
    """

    design: Design
    test: TestResult
    plain: TestResult
    predictability: Predictability | None
    pairs: tuple[PairOfGroups, ...]
    shifts: Mapping[str, np.ndarray]
    plain_shifts: Mapping[str, np.ndarray]

    def verdict(self, p: float) -> Verdict:
        """The answer.

        Args:
            p: That of `test`, corrected for the number of columns.
        """
        return _verdict(p, self.predictability, same_images=self.design.level is Level.IMAGES)

    def verdict_of(self, pair: PairOfGroups, p: float) -> Verdict:
        """The answer for one group against the first.

        Args:
            pair: The two.
            p: That of its test, corrected for the number of groups.
        """
        return _verdict(p, pair.predictability, same_images=self.design.level is Level.IMAGES)


def _verdict(p: float, told: Predictability | None, *, same_images: bool) -> Verdict:
    if told is not None and told.rescaled > TOLD_APART:
        return Verdict.IMAGES_DIFFER
    if p >= SIGNIFICANT:
        return Verdict.NO_DIFFERENCE
    return Verdict.DIFFERENT if same_images or told is not None else Verdict.IMAGES_UNKNOWN


class Comparer:
    """Compares columns on the same points and images; what the images explain of the points is found once.

    Args:
        points: Those of each fold.
        features: By case what its image is like, by name; empty where no image is there.
        places: What shifts are told in, such as latents where points are more than these; None takes the points.
        permutations: See `permutation_test`.
        seed: Of permutations and cross-fits.
    """

    def __init__(
        self,
        points: Sequence[CasePoints],
        features: Mapping[str, Mapping[str, float]],
        *,
        places: Sequence[CasePoints] | None = None,
        permutations: int = PERMUTATIONS,
        seed: int = 0,
    ) -> None:
        self._points = points
        self._places = points if places is None else places
        names = sorted(set().union(*(features[case] for case in features)))
        self._features = {case: np.array([of.get(name, np.nan) for name in names]) for case, of in features.items()}
        self._permutations, self._seed = permutations, seed
        self._explained: dict[Any, list[FoldPoints]] = {}

    def compare(self, design: Design) -> Comparison:
        """Compare the groups of a column."""
        scores = None if design.level is Level.IMAGES else self._scores(design.rows)
        plain, explained = self._points_of(self._points, "points", scores, design)
        told = self._told(scores, design)
        left = _without_images(design, told, plain, explained)
        test = self._test(*left, design.blocks)
        pairs = []
        for group in range(1, len(design.names)):
            if len(design.names) == 2:
                pairs.append(PairOfGroups(1, test, told))
                continue
            pair, kept = design.only(0, group)
            told_pair = self._told(None if scores is None else scores[kept], pair)
            left_of_pair = _without_images(pair, told_pair, _only(plain, kept), _only(explained, kept))
            pairs.append(PairOfGroups(group, self._test(*left_of_pair, pair.blocks), told_pair))
        places = plain, explained
        if self._places is not self._points:
            places = self._points_of(self._places, "places", scores, design)
        raw = np.eye(len(design.names))[design.groups]
        indicators, folds = _without_images(design, told, *places)
        named = [one.fold for one in self._places]
        return Comparison(
            design,
            test,
            self._test(raw, plain, design.blocks),
            told,
            tuple(pairs),
            _by_name(named, [group_shifts(indicators, fold, design.blocks) for fold in folds]),
            _by_name(named, [group_shifts(raw, fold, design.blocks) for fold in places[0]]),
        )

    def _test(self, indicators: np.ndarray, folds: Sequence[FoldPoints], blocks: NDArray[np.int64]) -> TestResult:
        return permutation_test(indicators, folds, blocks, permutations=self._permutations, seed=self._seed)

    def _points_of(
        self, of_folds: Sequence[CasePoints], kind: str, scores: np.ndarray | None, design: Design
    ) -> tuple[list[FoldPoints], list[FoldPoints]]:
        """The points of the rows, and what the images explain of them; nothing (no column) without images."""
        plain = [_of_rows(one, design.rows) for one in of_folds]
        if scores is None:
            return plain, [FoldPoints(fold.rows, np.empty((len(fold.rows), 0))) for fold in plain]
        # Columns with the same rows share what takes the time.
        key = (kind, design.level, design.rows)
        if key not in self._explained:
            self._explained[key] = [
                FoldPoints(
                    fold.rows,
                    cross_fitted(scores[fold.rows], fold.points, design.units[fold.rows], seed=self._seed)[0],
                )
                for fold in plain
            ]
        return plain, self._explained[key]

    def _scores(self, rows: Sequence[tuple[str, ...]]) -> np.ndarray | None:
        if not self._features:
            return None
        known = [[self._features[case] for case in cases if case in self._features] for cases in rows]
        length = len(next(iter(self._features.values())))
        return normal_scores(np.array([np.mean(one, axis=0) if one else np.full(length, np.nan) for one in known]))

    def _told(self, scores: np.ndarray | None, design: Design) -> Predictability | None:
        return None if scores is None else predict_groups(scores, design.groups, design.units, seed=self._seed)


def _without_images(
    design: Design, told: Predictability | None, plain: Sequence[FoldPoints], explained: Sequence[FoldPoints]
) -> tuple[np.ndarray, list[FoldPoints]]:
    """Groups and points without what the images explain of either."""
    groups = np.eye(len(design.names))[design.groups]
    if told is None:
        return groups, list(plain)
    points = [
        FoldPoints(fold.rows, unexplained(fold.points, known.points, told.probabilities[fold.rows]))
        for fold, known in zip(plain, explained, strict=True)
    ]
    # What the images say of points in any fold, in as many directions as one fold has.
    tables = []
    for known in explained:
        table = np.tile(known.points.mean(0), (len(groups), 1))
        table[known.rows] = known.points
        tables.append(table)
    count = min(max(table.shape[1] for table in tables), len(groups) // 10)
    return unexplained(groups, told.probabilities, main_directions(tables, count)), points


def holm(values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm 1979).

    Args:
        values: In [0, 1], in any order.

    Returns:
        The adjusted values, in the same order, in [0, 1].
    """
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.maximum.accumulate(np.asarray(values, float)[order] * np.arange(len(values), 0, -1))
    return [float(value) for value in np.minimum(adjusted, 1)]


def _of_rows(of_fold: CasePoints, rows: Sequence[tuple[str, ...]]) -> FoldPoints:
    where, points = {case: row for row, case in enumerate(of_fold.cases)}, np.asarray(of_fold.points, float)
    found = [(row, [where[case] for case in cases if case in where]) for row, cases in enumerate(rows)]
    found = [(row, there) for row, there in found if there]
    means = [points[there].mean(0) for _, there in found]
    return FoldPoints(np.array([row for row, _ in found], np.int64), np.reshape(means, (-1, points.shape[1])))


def _only(folds: Sequence[FoldPoints], kept: np.ndarray) -> list[FoldPoints]:
    number = {int(row): place for place, row in enumerate(kept)}
    found = []
    for fold in folds:
        inside = np.isin(fold.rows, kept)
        rows = np.array([number[int(row)] for row in fold.rows[inside]], np.int64)
        found.append(FoldPoints(rows, fold.points[inside]))
    return found


def _by_name(names: Sequence[str], values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return dict(zip(names, values, strict=True))
