"""The scores of all cases, methods and structures in arrays, with their axes named."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.evaluation.case_scores import METRICS, Presence, StructureScores


@dataclass(frozen=True)
class ScoreTable:
    """Scores of M methods on C cases with L structures (labels or regions).

    Attributes:
        methods: M names.
        cases: C names.
        subjects: The subject of each case, C names.
        structures: L names.
        values: The metrics, shape (M, C, L, 5), in the order of `METRICS`; NaN where undefined.
        presence: `Presence` of each structure, shape (M, C, L), dtype object.
        scores: The full scores, shape (M, C, L), dtype object.
    """

    methods: tuple[str, ...]
    cases: tuple[str, ...]
    subjects: tuple[str, ...]
    structures: tuple[str, ...]
    values: NDArray[np.float64]
    presence: NDArray[Any]
    scores: NDArray[Any]

    @classmethod
    def from_scores(
        cls,
        scores: Sequence[Sequence[Sequence[StructureScores]]],
        *,
        methods: Sequence[str],
        cases: Sequence[str],
        subjects: Sequence[str],
        structures: Sequence[str],
    ) -> "ScoreTable":
        """Build the table from `scores[method][case][structure]`."""
        shape = (len(methods), len(cases), len(structures))
        cells = np.empty(shape, dtype=object)
        for index in np.ndindex(*shape):
            cells[index] = scores[index[0]][index[1]][index[2]]
        values = np.array([cell.values for cell in cells.flat], dtype=np.float64).reshape(*shape, len(METRICS))
        presence = np.frompyfunc(lambda cell: cell.presence, 1, 1)(cells)
        return cls(tuple(methods), tuple(cases), tuple(subjects), tuple(structures), values, presence, cells)

    @property
    def subject_names(self) -> tuple[str, ...]:
        """The S different subjects, sorted."""
        return tuple(sorted(set(self.subjects)))

    @property
    def reference_volumes(self) -> NDArray[np.float64]:
        """Volume of each structure in each reference in mm^3, shape (C, L); 0 where it is absent."""
        volumes = [cell.reference_volume for cell in self.scores[0].flat]
        return np.array(volumes, dtype=np.float64).reshape(self.scores.shape[1:])

    def count_presence(self) -> dict[Presence, NDArray[np.int64]]:
        """Count the cases of each presence, shape (M, L) each."""
        return {presence: np.array(self.presence == presence, dtype=np.int64).sum(axis=1) for presence in Presence}


def average_within_subjects(values: NDArray[np.float64], subjects: Sequence[str] | NDArray[Any]) -> NDArray[np.float64]:
    """Average the cases of each subject, leaving undefined values out.

    Args:
        values: Shape (..., C, L, K), NaN where undefined.
        subjects: The subject of each of the C cases.

    Returns:
        Shape (..., S, L, K) with the subjects sorted by name; NaN where a subject has no defined value.
    """
    names, members = np.unique(np.asarray(subjects), return_inverse=True)
    return weighted_mean(np.equal.outer(np.arange(len(names)), members), values)


def weighted_mean(weights: NDArray[Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average `values` over their third-last axis with each row of `weights`, leaving undefined values out.

    Args:
        weights: Shape (R, N), not negative.
        values: Shape (..., N, L, K), NaN where undefined.

    Returns:
        Shape (..., R, L, K); NaN where no value with a weight is defined.
    """
    defined = np.isfinite(values)
    flat = np.where(defined, values, 0.0).reshape(*values.shape[:-2], -1)
    total = np.asarray(weights, dtype=np.float64) @ flat
    weight = np.asarray(weights, dtype=np.float64) @ defined.astype(np.float64).reshape(flat.shape)
    mean = np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)
    return mean.reshape(*mean.shape[:-1], *values.shape[-2:])
