"""Metrics that count voxels: Dice similarity coefficient and volume similarity."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class VoxelCounts:
    """True and false positives and negatives of one structure, in voxels that are not ignored."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def reference(self) -> int:
        """Voxels of the structure in the reference."""
        return self.tp + self.fn

    @property
    def prediction(self) -> int:
        """Voxels of the structure in the prediction."""
        return self.tp + self.fp


def count_voxels(reference: NDArray[np.bool_], prediction: NDArray[np.bool_], *, num_voxels: int) -> VoxelCounts:
    """Count the four cells of the confusion matrix of two masks.

    Args:
        reference: Reference mask of any shape; may be a crop, as long as it holds every foreground voxel.
        prediction: Predicted mask of the same shape.
        num_voxels: Number of voxels of the whole image that are not ignored, for the true negatives.
    """
    tp = int(np.count_nonzero(reference & prediction))
    fn = int(np.count_nonzero(reference)) - tp
    fp = int(np.count_nonzero(prediction)) - tp
    return VoxelCounts(tp=tp, fp=fp, fn=fn, tn=num_voxels - tp - fp - fn)


def compute_dice(shared: ArrayLike, first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Dice similarity coefficient 2 |A and B| / (|A| + |B|).

    Args:
        shared: Voxels (or volume) that both masks have; a number or an array.
        first: Voxels of the one.
        second: Voxels of the other; all three are broadcast together.

    Returns:
        In [0, 1], of the common shape (() for numbers); not-a-number where both masks are empty, as in nnU-Net.
    """
    shared, total = np.asarray(shared, float), np.add(first, second, dtype=float)
    shared, total = np.broadcast_arrays(shared, total)
    dice: NDArray[np.float64] = np.divide(2 * shared, total, out=np.full(total.shape, np.nan), where=total > 0)
    return dice


def dice_of_masks(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Dice similarity coefficient of two masks of one shape, not-a-number if both are empty."""
    return float(compute_dice(*map(np.count_nonzero, (first & second, first, second))))


def compute_iou(counts: VoxelCounts) -> float:
    """Intersection over union TP / (TP + FP + FN) in [0, 1], NaN if both masks are empty (as in nnU-Net)."""
    union = counts.tp + counts.fp + counts.fn
    return counts.tp / union if union else math.nan


def compute_volume_similarity(counts: VoxelCounts) -> float:
    """Volume similarity 1 - |Vp - Vr| / (Vp + Vr) in [0, 1], NaN if both masks are empty.

    Taha and Hanbury, BMC Medical Imaging 15:29 (2015). Blind to where the volumes are: two masks of the same size
    that do not touch score 1.
    """
    total = counts.reference + counts.prediction
    return 1 - abs(counts.prediction - counts.reference) / total if total else math.nan
