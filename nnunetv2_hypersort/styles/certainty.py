"""How sure the number of styles is: clusters found again in resampled cases, or what would have been seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunetv2_hypersort.hypernetwork.conditioning.joint_components import MAD_TO_DEVIATION
from nnunetv2_hypersort.latents import FoldRecord
from nnunetv2_hypersort.styles.clustering import FEWEST_CASES, FoldClusters, find_clusters, points_of
from nnunetv2_hypersort.styles.split_level import told_apart_distance

_RESAMPLES = 50
# More cases say the same, and the clusters are looked for as often as there are resamples.
_MOST_RESAMPLED = 400


@dataclass(frozen=True)
class Certainty:
    """How sure the number of clusters of one fold is.

    Attributes:
        fold: Name of the fold.
        cases: How many cases were clustered.
        stability: For each cluster the mean over resamples of its largest Jaccard index with a cluster found there, in
            [0, 1]; empty for a single cluster. Above 0.75 a cluster is called stable, below 0.6 it is none to rely on
            (Hennig 2007).
        told_apart: For a single cluster the distance of two styles of equal size, in standard deviations within the
            styles, from which this many cases would have been split in 80 % of simulated sets; else None, and so for
            a number of coordinates that was not simulated.
        volume_ratio: The ratio of volumes that the network segments at two latents that far apart along the first axis
            of the latents, the larger over the smaller coordinate; None where it was not measured.
        change: The difference between the two in words.
    """

    fold: str
    cases: int
    stability: tuple[float, ...]
    told_apart: float | None
    volume_ratio: float | None = None
    change: str = ""

    @classmethod
    def of(cls, record: FoldRecord, found: FoldClusters) -> "Certainty":
        """Judge the clusters that were found in a fold."""
        rows, points = points_of(record)
        if len(rows) < FEWEST_CASES:
            return cls(record.fold, len(rows), (), None)
        if len(found) == 1:
            return cls(record.fold, len(rows), (), told_apart_distance(len(rows), points.shape[1]))
        labels = np.array([found.clusters.get(record.case_ids[row], -1) for row in rows], dtype=np.int64)
        return cls(record.fold, len(rows), tuple(stability(points, labels, len(found)).tolist()), None)

    def to_text(self, names: Sequence[str]) -> str:
        """A sentence.

        Args:
            names: The style of each cluster.
        """
        if self.told_apart is None and not self.stability:
            if self.cases < FEWEST_CASES:
                return f"Fold {self.fold} has {self.cases} cases; fewer than {FEWEST_CASES} are never split."
            return f"What would have been seen in fold {self.fold} was not simulated for so many coordinates."
        if self.told_apart is None:
            listed = ", ".join(f"{name} {one:.2f}" for name, one in zip(names, self.stability, strict=True))
            return (
                f"Stability in fold {self.fold} when its {self.cases} cases are drawn anew (Jaccard index, 1: always "
                f"found again; below 0.6: not to be relied on): {listed}."
            )
        stands = f", which stands for this change: {self.change}" if self.change else ""
        return (
            f"Two styles of equal size among the {self.cases} cases of fold {self.fold} would have been seen in 80 % "
            f"of simulated sets from a distance of {self.told_apart:.1f} standard deviations within the styles{stands}."
        )

    def to_json(self) -> dict[str, Any]:
        """In JSON types, rounded."""
        return {
            "cases": self.cases,
            "stability": [round(one, 3) for one in self.stability],
            "told_apart_from": None if self.told_apart is None else round(self.told_apart, 2),
            "volume_ratio": None if self.volume_ratio is None else round(self.volume_ratio, 4),
            "change": self.change,
        }


def stability(points: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """How well clusters are found again when the cases are drawn anew (bootstrap of Hennig 2007, each case once).

    Args:
        points: Shape (cases, dim), finite.
        labels: Shape (cases,): the number of the cluster of each case, -1 for none.
        count: Number of clusters.

    Returns:
        Shape (count,): mean over 50 resamples of the largest Jaccard index of each cluster, among the resampled cases,
        with a cluster of these.
    """
    rng = np.random.default_rng(0)
    found = np.zeros(count)
    drawn = min(len(points), _MOST_RESAMPLED)
    for _ in range(_RESAMPLES if count else 0):
        rows = np.unique(rng.choice(len(points), drawn))
        again = find_clusters(points[rows])
        theirs = [again.labels == other for other in range(len(again))]
        for number in range(count):
            ours = labels[rows] == number
            found[number] += max(((ours & one).sum() / max((ours | one).sum(), 1) for one in theirs), default=0.0)
    return found / _RESAMPLES


def first_axis(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Centre, direction of the largest extent, and spread along it, robust against few cases far away.

    Args:
        points: Shape (cases, dim).

    Returns:
        Shapes (dim,), (dim,) of length 1, and the spread: the median absolute deviation in the unit of a standard
        deviation.
    """
    centre = np.median(points, axis=0)
    off = points - centre
    distance = np.linalg.norm(off, axis=1)
    inner = off[distance <= np.quantile(distance, 0.9)]
    axis = np.linalg.eigh(inner.T @ inner)[1][:, -1]
    # The sign of an axis is nobody's: the largest coordinate is positive.
    axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
    return centre, axis, MAD_TO_DEVIATION * float(np.median(np.abs(off @ axis)))
