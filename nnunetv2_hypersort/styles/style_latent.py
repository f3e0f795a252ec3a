"""The latent that shows a style in one fold."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.styles.fold_clusters import FoldClusters
from nnunetv2_hypersort.styles.model_folder import ModelFolder
from nnunetv2_hypersort.styles.overlap import dice_per_label, mean_dice
from nnunetv2_hypersort.styles.preprocessed import PreprocessedImage, load_preprocessed
from nnunetv2_hypersort.styles.segmenter import FoldSegmenter
from nnunetv2_hypersort.styles.trained_fold import TrainedFold

# How far from the other styles, as a share of the distance between them and the medoid.
_FURTHER = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
# Of Dice: what leaving the medoid must gain, and what may be lost again on the way before it is given up.
_CHANGE = 0.01


def style_latent(
    model: ModelFolder,
    fold: TrainedFold,
    clusters: FoldClusters,
    cluster: int,
    *,
    cases: int = 16,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """The latent of a cluster's medoid, or one further from the other clusters that leaves out what its cases do.

    What an annotation style leaves out hardly weighs in nnU-Net's loss: the Dice of a label that is not there has next
    to no gradient, so cross-entropy alone removes what the network still draws of it, and the last stray voxels weigh
    little there. Where the medoid's network draws a label that most of the nearest cases lack, latents further along
    the line from the other clusters through the medoid are tried, and the one is taken whose Dice with the labels of
    these cases is best. A label that only one of the two has counts as 0.

    Args:
        model: The model.
        fold: One of its folds.
        clusters: The clusters of this fold.
        cluster: Number of the cluster.
        cases: How many cases nearest to the medoid are looked at; with 0 it is always the medoid.
        device: Device of PyTorch.

    Returns:
        Shape (dim,). Also the medoid's where the preprocessed data are gone or this stage of a cascade cannot be run.
    """
    record = fold.record
    medoid = record.latent_of(clusters.medoids[cluster])
    others = [case for case, number in clusters.clusters.items() if number not in (cluster, -1)]
    if not others or cases < 1:
        return medoid
    away = medoid - np.mean([record.latent_of(case) for case in others], axis=0)
    members = sorted(
        clusters.cases_of(cluster), key=lambda case: float(np.linalg.norm(record.latent_of(case) - medoid))
    )
    try:
        images = [load_preprocessed(model, case) for case in members[:cases]]
        absent = _left_out(model, images)
        if not absent:
            return medoid
        # Mirroring changes little here, and takes up to eight times as long.
        segmenter = FoldSegmenter(model, replace(fold, mirror_axes=None), device)
    except HyperSORTError:
        return medoid
    dice, draws = _compare(segmenter, images, medoid, absent)
    chosen, best = medoid, dice + _CHANGE
    for share in _FURTHER if draws else ():
        candidate = medoid + share * away
        dice, _ = _compare(segmenter, images, candidate, absent)
        if dice > best:
            chosen, best = candidate, dice
        elif dice < best - _CHANGE and chosen is not medoid:
            break
    return np.asarray(chosen, dtype=np.float64)


def _left_out(model: ModelFolder, images: Sequence[PreprocessedImage]) -> list[str]:
    return [
        name
        for name, values in model.labels.items()
        if np.mean([np.isin(image.segmentation, values).any() for image in images]) < 0.5
    ]


def _compare(
    segmenter: FoldSegmenter, images: Sequence[PreprocessedImage], latent: np.ndarray, absent: Sequence[str]
) -> tuple[float, bool]:
    """Mean Dice of the images with their labels, and whether a label that should be absent is drawn in any of them."""
    model = segmenter.model
    scores, draws = [], False
    for image in images:
        assert image.segmentation is not None
        segmentation = segmenter.segment_preprocessed(image, latent)
        ignore = model.planned.label_manager.ignore_label
        dice = mean_dice(dice_per_label(segmentation, image.segmentation, model.labels, ignore))
        # Nothing is there, and nothing is drawn.
        scores.append(1.0 if np.isnan(dice) else dice)
        draws |= any(np.isin(segmentation, model.labels[name]).any() for name in absent)
    return float(np.mean(scores)), draws
