"""The clusters of one fold's latents, by the names of their cases."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nnunetv2_hypersort.latents import FoldRecord
from nnunetv2_hypersort.styles.clustering import find_clusters


@dataclass(frozen=True)
class FoldClusters:
    """Clusters of the latents of one fold.

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
        """Cluster the latents of a fold; a case that was never drawn has none and is left out."""
        rows = np.flatnonzero(record.visits > 0)
        cases = [record.case_ids[row] for row in rows]
        if not cases:
            return cls(record.fold, {}, ())
        found = find_clusters(record.latents[rows])
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
