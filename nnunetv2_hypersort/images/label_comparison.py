"""A label map against a segmentation: how many voxels of each label they share, and where they differ."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from nnunetv2_hypersort.images.overlap import compute_dice


@dataclass(frozen=True)
class LabelComparison:
    """How a label map differs from a segmentation. Ignored voxels count nowhere.

    Attributes:
        shared: Shape (labels,): voxels that both give the label.
        drawn: Shape (labels,): voxels with the label in the label map.
        predicted: Shape (labels,): voxels with the label in the segmentation.
        differing: Shape of the label map: voxels that belong to other labels or regions in one than in the other.
    """

    shared: np.ndarray
    drawn: np.ndarray
    predicted: np.ndarray
    differing: np.ndarray


def compare_label_map(
    label_map: np.ndarray,
    segmentation: np.ndarray,
    labels: Iterable[int | tuple[int, ...]],
    ignore: int | None = None,
) -> LabelComparison:
    """Compare a label map with a segmentation.

    Args:
        label_map: Label values.
        segmentation: Label values, of the same shape.
        labels: Of each label its value, or the values of a region.
        ignore: Voxels that have this value in the label map do not count.
    """
    counted = np.ones(label_map.shape, bool) if ignore is None else label_map != ignore
    differing = np.zeros(label_map.shape, bool)
    counts = []
    for values in labels:
        drawn, predicted = (np.isin(array, values) & counted for array in (label_map, segmentation))
        counts.append([(drawn & predicted).sum(), drawn.sum(), predicted.sum()])
        differing |= drawn != predicted
    shared, in_label_map, in_segmentation = np.array(counts).T
    return LabelComparison(shared, in_label_map, in_segmentation, differing)


def dice_per_label(
    segmentation: np.ndarray,
    reference: np.ndarray,
    labels: Mapping[str, int | tuple[int, ...]],
    ignore_label: int | None = None,
) -> dict[str, float]:
    """Dice similarity coefficient of each label.

    Args:
        segmentation: Label values.
        reference: Label values, of the same shape.
        labels: By name its value, or the values of a region.
        ignore_label: Voxels with this value in the reference do not count.

    Returns:
        By name a value in [0, 1]; not-a-number where neither has the label, as in nnU-Net.
    """
    compared = compare_label_map(reference, segmentation, labels.values(), ignore_label)
    dice = compute_dice(compared.shared, compared.drawn, compared.predicted)
    return dict(zip(labels, dice.tolist(), strict=True))


def mean_dice(dice: Mapping[str, float]) -> float:
    """The mean over the labels that are there; not-a-number if none is."""
    values = [value for value in dice.values() if not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")
