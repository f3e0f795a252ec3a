"""Clusters between which the density of the points has a valley."""

import warnings

import numpy as np
from scipy.sparse.csgraph import connected_components
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

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


def valley_clusters(points: np.ndarray) -> np.ndarray:
    """Find clusters that are plain to see: with a valley of density between any two.

    A Gaussian mixture is fitted whose number of components the Bayesian information criterion chooses (Schwarz 1978).
    Components are then joined where the mixture's density has no valley on the ridge between their means (Ray and
    Lindsay 2005; Hennig 2010), as one style need not be Gaussian. Components that are far thinner than the densest hold
    the scattered latents of erroneous and unusual cases; these belong to no cluster, and neither do fewer than five
    cases that lie together.

    Args:
        points: Shape (cases, dim), with a root mean square of one about the median; at least ten cases.

    Returns:
        Shape (cases,), int64: the cluster of each case, -1 for a case of none.
    """
    mixture = _fit(points)
    peaks = mixture.weights_ / np.sqrt(np.linalg.det(mixture.covariances_))
    dense = np.flatnonzero(peaks >= _THIN * peaks.max())
    _, group = connected_components(_joined(mixture, dense), directed=False)
    posterior = mixture.predict_proba(points)
    of_groups = [posterior[:, dense[group == one]].sum(axis=1) for one in range(group.max() + 1)]
    scattered = np.delete(posterior, dense, axis=1).sum(axis=1)
    labels: np.ndarray = np.argmax([*of_groups, scattered], axis=0)
    labels[labels == len(of_groups)] = -1
    sizes = np.bincount(labels[labels >= 0], minlength=len(of_groups))
    labels[np.isin(labels, np.flatnonzero(sizes < _CASES_PER_COMPONENT))] = -1
    return labels


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
