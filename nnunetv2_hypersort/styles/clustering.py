"""Clusters of latents, their number not given: the annotation styles of a fold."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from nnunetv2_hypersort.latents import FoldRecord
from nnunetv2_hypersort.styles.medoid import medoid

_LARGEST_MIXTURE = 8
_CASES_PER_COMPONENT = 5
_VARIANCE_FLOOR = 1e-3
# Two components are one cluster unless the density on the ridge between them falls below this share of the lower peak.
_VALLEY = 0.5
# A component whose peak is below this share of the highest holds scattered cases, not a style.
_THIN = 0.1
_STEPS = 41
# A mixture of eight components is known from so many latents; more cost time and tell nothing.
_MOST_FITTED = 20_000


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
        clusters: For each training case that was drawn the number of its cluster, counted from 0; -1 for a case of no
            cluster.
        medoids: For each cluster the case in its middle.
    """

    fold: str
    clusters: Mapping[str, int]
    medoids: tuple[str, ...]

    @classmethod
    def find(cls, record: FoldRecord) -> "FoldClusters":
        """Cluster the latents of a fold; a case that was never drawn has none and is left out.

        What the images tell is taken out (`FoldRecord.beside_images`).
        """
        rows = np.flatnonzero(record.visits > 0)
        cases = [record.case_ids[row] for row in rows]
        if not cases:
            return cls(record.fold, {}, ())
        found = find_clusters(record.beside_images()[rows])
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


def find_clusters(latents: np.ndarray) -> Clusters:
    """Find clusters of latents; one cluster, or none among very few cases, are possible answers.

    A Gaussian mixture is fitted whose number of components the Bayesian information criterion chooses (Schwarz 1978).
    Components are then joined where the mixture's density has no valley on the ridge between their means (Ray and
    Lindsay 2005; Hennig 2010), as one style need not be Gaussian. Components that are far thinner than the densest
    hold the scattered latents of erroneous and unusual cases; these belong to no cluster, and neither do fewer than
    five cases that lie together.

    Args:
        latents: Shape (cases, dim), finite.

    Returns:
        The clusters.
    """
    count = len(latents)
    centred = np.asarray(latents, dtype=np.float64) - np.median(latents, axis=0)
    scale = np.sqrt((centred**2).mean())
    if count < 2 * _CASES_PER_COMPONENT or scale == 0:
        return _ordered(np.zeros(count, dtype=np.int64), centred)
    points = centred / scale
    mixture = _fit(points)
    peaks = mixture.weights_ / np.sqrt(np.linalg.det(mixture.covariances_))
    dense = np.flatnonzero(peaks >= _THIN * peaks.max())
    _, group = connected_components(_joined(mixture, dense), directed=False)
    posterior = mixture.predict_proba(points)
    of_groups = [posterior[:, dense[group == one]].sum(axis=1) for one in range(group.max() + 1)]
    scattered = np.delete(posterior, dense, axis=1).sum(axis=1)
    labels = np.argmax([*of_groups, scattered], axis=0)
    labels[labels == len(of_groups)] = -1
    sizes = np.bincount(labels[labels >= 0], minlength=len(of_groups))
    labels[np.isin(labels, np.flatnonzero(sizes < _CASES_PER_COMPONENT))] = -1
    return _ordered(labels, centred)


def _fit(points: np.ndarray) -> GaussianMixture:
    if len(points) > _MOST_FITTED:
        # In any order but theirs, which may be by hospital.
        points = np.random.default_rng(0).permutation(points)[:_MOST_FITTED]
    largest = min(_LARGEST_MIXTURE, len(points) // _CASES_PER_COMPONENT)
    with warnings.catch_warnings():
        # The best of five starts is kept, converged or not, as in any use of it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = [
            GaussianMixture(components, n_init=5, random_state=0, reg_covar=_VARIANCE_FLOOR).fit(points)
            for components in range(1, largest + 1)
        ]
    return min(fits, key=lambda fit: fit.bic(points))


def _joined(mixture: GaussianMixture, components: np.ndarray) -> np.ndarray:
    joined = np.zeros((len(components), len(components)), dtype=bool)
    for i, first in enumerate(components):
        for j, second in enumerate(components[:i]):
            density = np.exp(mixture.score_samples(_ridge(mixture, first, second)))
            # The lower of the highest points before and behind: a slope without a second peak is no valley.
            lower_peak = np.minimum(np.maximum.accumulate(density), np.maximum.accumulate(density[::-1])[::-1])
            joined[i, j] = (density >= _VALLEY * lower_peak).all()
    return joined


def _ridge(mixture: GaussianMixture, first: int, second: int) -> np.ndarray:
    # Every mode and saddle of two Gaussians lies on this curve (Ray and Lindsay 2005, equation 4).
    share = np.linspace(0, 1, _STEPS)[:, None, None]
    precision = (1 - share) * mixture.precisions_[first] + share * mixture.precisions_[second]
    pull = [mixture.precisions_[k] @ mixture.means_[k] for k in (first, second)]
    ridge: np.ndarray = np.linalg.solve(precision, (1 - share) * pull[0][:, None] + share * pull[1][:, None])[..., 0]
    return ridge


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
