"""What a trained model shows of the styles of its cases: the one place to exchange when that changes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.styles.clustering import find_clusters


@dataclass(frozen=True)
class Seen:
    """What a trained fold shows of its n training cases.

    Attributes:
        cases: The cases.
        latents: Shape (n, dim).
        features: Shape (n, d): what `hypersort styles` clusters; the latents, if nothing is joined to them.
        clusters: Shape (n,): the clusters that `hypersort styles` finds, -1 for a case of none.
    """

    cases: tuple[str, ...]
    latents: np.ndarray
    features: np.ndarray
    clusters: np.ndarray


def features_of(model_folder: Path, fold: int = 0) -> Seen:
    """Read what a trained model shows.

    Args:
        model_folder: nnU-Net's trained-model folder.
        fold: Its fold.
    """
    (trained,) = ModelFolder.open(model_folder, folds=(fold,)).folds
    record = trained.record
    return Seen(record.case_ids, record.latents, record.latents, find_clusters(record.latents).labels)
