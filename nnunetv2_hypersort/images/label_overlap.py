"""Dice of a segmentation and a label map, per label or region of the model."""

from collections.abc import Mapping

import numpy as np

from nnunetv2_hypersort.images.overlap import compute_dice, count_voxels


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
    counted = np.ones(reference.shape, bool) if ignore_label is None else reference != ignore_label
    segmentation, reference = segmentation[counted], reference[counted]
    return {
        name: compute_dice(
            count_voxels(np.isin(reference, value), np.isin(segmentation, value), num_voxels=reference.size)
        )
        for name, value in labels.items()
    }


def mean_dice(dice: Mapping[str, float]) -> float:
    """The mean over the labels that are there; not-a-number if none is."""
    values = [value for value in dice.values() if not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")
