"""The latent that shows a style in one fold."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.label_comparison import dice_per_label, mean_dice
from nnunetv2_hypersort.model.case_images import evenly_spread
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import load_preprocessed
from nnunetv2_hypersort.model.segmenter import FoldSegmenter
from nnunetv2_hypersort.model.trained_fold import TrainedFold
from nnunetv2_hypersort.styles.clustering import FoldClusters

# How far from the other styles, as a share of the distance between them and the medoid.
_FURTHER = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
# Of Dice: what leaving the medoid must gain, and what may be lost again on the way before it is given up.
_CHANGE = 0.01
# Shares of cases that have a label.
_LEFT_OUT = 0.1
_USUAL = 0.5


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
    to no gradient, so cross-entropy alone removes what the network still segments, and the last stray voxels weigh
    little there. So where nearly none of the cases nearest to the medoid has a label that most cases of other clusters
    have, and the medoid's network has it, latents further along the line from the other clusters through the medoid
    are tried, and the one is taken whose Dice with the labels of these cases is best. A label that only one of the two
    has counts as 0.

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
        absent = _left_out(model, members[:cases], evenly_spread(sorted(others), cases))
        if not absent:
            return medoid
        # Mirroring changes little here, and takes up to eight times as long.
        segmenter = FoldSegmenter(model, replace(fold, mirror_axes=None), device)
    except HyperSORTError:
        return medoid
    dice, draws = _compare(segmenter, members[:cases], medoid, absent)
    chosen, best = medoid, dice + _CHANGE
    for share in _FURTHER if draws else ():
        candidate = medoid + share * away
        dice, _ = _compare(segmenter, members[:cases], candidate, absent)
        if dice > best:
            chosen, best = candidate, dice
        elif dice < best - _CHANGE and chosen is not medoid:
            break
    return np.asarray(chosen, dtype=np.float64)


def _left_out(model: ModelFolder, members: Sequence[str], others: Sequence[str]) -> list[str]:
    # Rare labels are absent nearly everywhere, and no matter of style.
    here = _shares(model, members, list(model.labels))
    seldom = [name for name, share in here.items() if share <= _LEFT_OUT]
    return [name for name, share in _shares(model, others, seldom).items() if share >= _USUAL] if seldom else []


def _shares(model: ModelFolder, cases: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """For each label the share of the cases whose training label has it."""
    counts = dict.fromkeys(labels, 0)
    for case in cases:
        # One at a time: preprocessed images can be large.
        segmentation = load_preprocessed(model, case).segmentation
        assert segmentation is not None
        for name in labels:
            counts[name] += bool(np.isin(segmentation, model.labels[name]).any())
    return {name: count / len(cases) for name, count in counts.items()}


def _compare(
    segmenter: FoldSegmenter, cases: Sequence[str], latent: np.ndarray, absent: Sequence[str]
) -> tuple[float, bool]:
    """Mean Dice of the cases with their labels, and whether a label that should be absent is in any of them."""
    model = segmenter.model
    scores, draws = [], False
    for case in cases:
        image = load_preprocessed(model, case)
        assert image.segmentation is not None
        segmentation = segmenter.segment_preprocessed(image, latent)
        ignore = model.planned.label_manager.ignore_label
        dice = mean_dice(dice_per_label(segmentation, image.segmentation, model.labels, ignore))
        # Nothing is there, and nothing is segmented.
        scores.append(1.0 if np.isnan(dice) else dice)
        draws |= any(np.isin(segmentation, model.labels[name]).any() for name in absent)
    return float(np.mean(scores)), draws
