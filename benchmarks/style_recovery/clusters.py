"""Clusters of latents, and how they compare with the styles that were planted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

Integers = NDArray[np.integer[Any]]
Reals = NDArray[np.floating[Any]]
NOISE = -1


def agreement(clusters: Integers, styles: Sequence[str], considered: NDArray[np.bool_]) -> tuple[float, float]:
    """Adjusted Rand index and normalised mutual information of clusters and styles.

    A case that belongs to no cluster counts as a cluster of its own.

    Args:
        clusters: Shape (n,), -1 for none.
        styles: The n styles.
        considered: Shape (n,): the cases that count.

    Returns:
        ARI (Hubert and Arabie 1985), 1 for equal partitions and about 0 for chance; NMI in [0, 1].
    """
    alone = clusters == NOISE
    parts = np.where(alone, clusters.max() + 1 + np.cumsum(alone), clusters)[considered]
    truth = np.asarray(styles)[considered]
    return float(adjusted_rand_score(truth, parts)), float(normalized_mutual_info_score(truth, parts))


def k_means(latents: Reals, count: int, seed: int) -> Integers:
    """Clusters with their number given, shape (n,)."""
    count = min(count, len(np.unique(latents, axis=0)))
    return np.asarray(KMeans(count, n_init=20, random_state=seed).fit_predict(latents))


def clusters_of_styles(
    clusters: Integers, styles: Sequence[str], right: NDArray[np.bool_], wanted: Sequence[str]
) -> dict[str, int | None]:
    """For each style the cluster that holds most of its cases, as a user would say it on seeing a few of them.

    Args:
        clusters: Shape (n,), -1 for none.
        styles: The n styles.
        right: Shape (n,): the cases without planted error, which alone say what a cluster is.
        wanted: Names of the styles.

    Returns:
        A cluster per style; None where none of the style's cases is in a cluster.
    """
    chosen: dict[str, int | None] = {}
    for style in wanted:
        own = clusters[right & (np.asarray(styles) == style) & (clusters != NOISE)]
        names, counts = np.unique(own, return_counts=True)
        chosen[style] = int(names[counts.argmax()]) if len(own) else None
    return chosen


def visits_needed(visits: Sequence[float], scores: Sequence[float], threshold: float) -> tuple[float, float]:
    """How many visits it took until a score reached a threshold, and until it stayed there to the end.

    Args:
        visits: Visits per case at each entry, rising.
        scores: The score at each entry.
        threshold: What is to be reached.

    Returns:
        Visits at the first entry that reaches it, and at the first from which on all do; infinite if there is none.
    """
    reached = np.asarray(scores) >= threshold
    if not reached.any():
        return np.inf, np.inf
    first = float(visits[int(reached.argmax())])
    below = np.flatnonzero(~reached)
    after = 0 if not len(below) else int(below[-1]) + 1
    return first, float(visits[after]) if after < len(reached) else np.inf
