"""A label map against a segmentation: how many voxels of each label they share, and where they differ."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


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
