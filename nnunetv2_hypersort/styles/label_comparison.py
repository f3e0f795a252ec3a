"""A label map against a segmentation: Dice per label, and the voxels where they differ."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nnunetv2_hypersort.evaluation.overlap import compute_dice, count_voxels


@dataclass(frozen=True)
class LabelComparison:
    """How a label map differs from a segmentation.

    Attributes:
        dice: By the name of each label or region, in [0, 1]; not-a-number where neither has it, as in nnU-Net.
        differing: Shape of the label map: voxels that belong to other labels or regions in one than in the other.
            Ignored voxels never do.
    """

    dice: Mapping[str, float]
    differing: np.ndarray

    @property
    def mean_dice(self) -> float:
        """Mean over the labels that are there; 1 if both are empty."""
        values = [value for value in self.dice.values() if not np.isnan(value)]
        return float(np.mean(values)) if values else 1.0

    @property
    def worst_label(self) -> str | None:
        """The label with the lowest Dice; None if both are empty."""
        present = {name: value for name, value in self.dice.items() if not np.isnan(value)}
        return min(present, key=lambda name: present[name], default=None)


def compare_label_map(
    label_map: np.ndarray,
    segmentation: np.ndarray,
    labels: Mapping[str, int | tuple[int, ...]],
    ignore: int | None = None,
) -> LabelComparison:
    """Compare a label map with a segmentation.

    Args:
        label_map: Label values.
        segmentation: Label values, of the same shape.
        labels: By name a value, or the values of a region.
        ignore: Voxels that have this value in the label map do not count.
    """
    counted = np.ones(label_map.shape, bool) if ignore is None else label_map != ignore
    differing = np.zeros(label_map.shape, bool)
    dice = {}
    for name, values in labels.items():
        drawn, predicted = (np.isin(array, values) & counted for array in (label_map, segmentation))
        dice[name] = compute_dice(count_voxels(drawn, predicted, num_voxels=int(counted.sum())))
        differing |= drawn != predicted
    return LabelComparison(dice, differing)
