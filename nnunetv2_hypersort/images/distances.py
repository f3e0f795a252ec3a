"""Distances to masks and to their borders, in mm, on grids of any number of axes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def distance_to_mask(mask: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the distance of each voxel centre to the closest voxel centre of `mask`; infinite if it is empty.

    Args:
        mask: Of any shape.
        spacing: Distance of neighbouring voxel centres along each axis, in mm.
    """
    if not mask.any():
        return np.full(mask.shape, np.inf)
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(~mask, sampling=spacing)
    return distance


def signed_distance_to_border(mask: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the distance to the border of `mask`, negative inside.

    Half a voxel's difference between the two one-sided distances cancels, so the zero crossing lies midway between
    the centres of the last voxel inside and the first outside.

    Args:
        mask: Of any shape; with no voxel, or nothing but voxels, distances end at the diagonal of the array.
        spacing: Distance of neighbouring voxel centres along each axis, in mm.
    """
    far = float(np.linalg.norm(np.asarray(mask.shape) * np.asarray(spacing)))
    return np.minimum(distance_to_mask(mask, spacing), far) - np.minimum(distance_to_mask(~mask, spacing), far)


def border_area(mask: NDArray[np.bool_], spacing: Sequence[float]) -> float:
    """Return the area of the voxel faces between `mask` and the rest, in mm² (in two axes a length in mm).

    The edge of the array counts as border.

    Args:
        mask: Of any shape.
        spacing: Distance of neighbouring voxel centres along each axis, in mm.
    """
    padded = np.pad(mask, 1)
    steps = np.asarray(spacing, float)
    faces = [np.count_nonzero(np.diff(padded, axis=axis)) for axis in range(mask.ndim)]
    return float(np.dot(faces, steps.prod() / steps))
