"""Clusters of latents, their number not given: the annotation styles of a fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_hypersort.latents import FoldRecord
from nnunetv2_hypersort.styles.bending import is_bent
from nnunetv2_hypersort.styles.isolation import isolated
from nnunetv2_hypersort.styles.medoid import medoid
from nnunetv2_hypersort.styles.split_level import split_level
from nnunetv2_hypersort.styles.splitting import best_splits
from nnunetv2_hypersort.styles.valley_clusters import valley_clusters

_CASES_PER_CLUSTER = 5
FEWEST_CASES = 2 * _CASES_PER_CLUSTER
"""Fewer cases than this are one cluster."""
# Splits of so many latents tell what more would.
_MOST_SEARCHED = 4_000
_STRAIGHT_CALLED_BENT = 0.02
_POOLED_CASES = 10
# Those at the rim of a cluster are of its style; only in the search for clusters it is better to do without them.
_THIN_IN_CLUSTER = 1 / 16
# Several parts are tried, each of which may be split by chance: about one in a hundred with so much more evidence.
_MORE_FOR_PARTS = 3.5


@dataclass(frozen=True)
class Clusters:
    """Clusters of the latents of one fold, the largest first.

    Attributes:
        labels: Shape (cases,), int64: the cluster of each case, 0 for the largest; -1 for a case of no cluster.
        medoids: For each cluster the row of its medoid, the case with the least summed distance to the others.
    """

    labels: np.ndarray
    medoids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.medoids)


@dataclass(frozen=True)
class FoldClusters:
    """Clusters of the latents of one fold, by the names of their cases.

    Attributes:
        fold: Name of the fold.
        clusters: For each training case that was visited the number of its cluster, counted from 0; -1 for a case of no
            cluster.
        medoids: For each cluster the case in its middle.
    """

    fold: str
    clusters: Mapping[str, int]
    medoids: tuple[str, ...]

    @classmethod
    def find(cls, record: FoldRecord) -> "FoldClusters":
        """Cluster the latents of a fold; a case that was never visited has none and is left out."""
        rows, points = points_of(record)
        cases = [record.case_ids[row] for row in rows]
        if not cases:
            return cls(record.fold, {}, ())
        found = find_clusters(points)
        return cls(
            record.fold,
            dict(zip(cases, map(int, found.labels), strict=True)),
            tuple(cases[row] for row in found.medoids),
        )

    def __len__(self) -> int:
        return len(self.medoids)

    def cases_of(self, cluster: int) -> tuple[str, ...]:
        """The cases of a cluster; of -1 those of no cluster."""
        return tuple(case for case, number in self.clusters.items() if number == cluster)


def points_of(record: FoldRecord) -> tuple[np.ndarray, np.ndarray]:
    """What the clusters of a fold are found in: the rows of its visited cases, and their latents beside the images."""
    rows = np.flatnonzero(record.visits > 0)
    return rows, record.beside_images()[rows]


def find_clusters(latents: np.ndarray) -> Clusters:
    """Find clusters of latents; one cluster, or none among very few cases, are possible answers.

    Whether there are several is a test. Isolated cases are set aside. The rest is split in two, and each part again, as
    long as two groups tell the latents better than one style of any shape by more than chance gives (`best_splits`,
    `split_level`), and the cases between the groups lie on the way from one to the other (`is_bent`: rings and bows are
    one style). Then each case goes to the cluster under whose Gaussian it is most probable; isolated cases belong to no
    cluster, and neither do fewer than five cases that lie together. If there are several, clusters with a valley of
    density between any two (`valley_clusters`) are taken where these are as many or more: three styles around a middle
    look like a bow to the test of parts.

    Args:
        latents: Shape (cases, dim), finite.

    Returns:
        The clusters.
    """
    count = len(latents)
    centred = np.asarray(latents, dtype=np.float64) - np.median(latents, axis=0)
    scale = np.sqrt((centred**2).mean())
    if count < FEWEST_CASES or scale == 0:
        return _ordered(np.zeros(count, dtype=np.int64), centred)
    points = centred / scale
    tested = _ordered(_tested_clusters(points), centred)
    if len(tested) < 2:
        return tested
    return max(_ordered(valley_clusters(points), centred), tested, key=len)


def _tested_clusters(points: np.ndarray) -> np.ndarray:
    count = len(points)
    # In any order but theirs, which may be by hospital.
    searched = np.random.default_rng(0).permutation(points)[:_MOST_SEARCHED] if count > _MOST_SEARCHED else points
    searched = searched[~isolated(searched)]
    found = [searched[rows] for rows in _parts(searched, np.arange(len(searched)), 0.0)]
    labels = _most_probable(points, found)
    for number in range(len(found)):
        rows = np.flatnonzero(labels == number)
        labels[rows[isolated(points[rows], _THIN_IN_CLUSTER)]] = -1
    sizes = np.bincount(labels[labels >= 0], minlength=len(found))
    labels[np.isin(labels, np.flatnonzero(sizes < _CASES_PER_CLUSTER))] = -1
    return labels


def _parts(points: np.ndarray, rows: np.ndarray, more: float) -> list[np.ndarray]:
    level = split_level(len(rows), points.shape[1]) + more
    for split in best_splits(points[rows], least=_CASES_PER_CLUSTER):
        if split.evidence <= level:
            break
        if not is_bent(split, level=_STRAIGHT_CALLED_BENT):
            halves = rows[~split.is_second], rows[split.is_second]
            return [part for half in halves for part in _parts(points, half, _MORE_FOR_PARTS)]
    return [rows]


def _most_probable(points: np.ndarray, clusters: Sequence[np.ndarray]) -> np.ndarray:
    if len(clusters) == 1:
        return np.zeros(len(points), dtype=np.int64)
    total = sum(map(len, clusters))
    centred = [cluster - cluster.mean(axis=0) for cluster in clusters]
    pooled = sum(one.T @ one for one in centred) / total
    pooled = pooled + 1e-9 * np.trace(pooled) * np.eye(len(pooled))
    densities = []
    for cluster, around in zip(clusters, centred, strict=True):
        # What few cases say of their spread is joined with what all say.
        covariance = (around.T @ around + _POOLED_CASES * pooled) / (len(cluster) + _POOLED_CASES)
        factor = np.linalg.cholesky(covariance)
        distances = np.linalg.solve(factor, (points - cluster.mean(axis=0)).T)
        densities.append(np.log(len(cluster) / np.diag(factor).prod()) - (distances**2).sum(axis=0) / 2)
    return np.asarray(np.argmax(densities, axis=0))


def _ordered(labels: np.ndarray, points: np.ndarray) -> Clusters:
    found = [label for label in np.unique(labels) if label >= 0]
    found.sort(key=lambda label: -int((labels == label).sum()))
    ordered = np.full(len(labels), -1, dtype=np.int64)
    medoids = []
    for number, label in enumerate(found):
        rows = np.flatnonzero(labels == label)
        ordered[rows] = number
        medoids.append(int(rows[medoid(points[rows])]))
    return Clusters(ordered, tuple(medoids))
