"""Images and label maps on another voxel size, with the outer edges of the grid kept in place."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nnunetv2_hypersort.conversion.merging import LabelArray

Spacing = tuple[float, float, float]
Shape = tuple[int, int, int]


def resampled_shape(shape: Shape, spacing: Spacing, target: Spacing) -> Shape:
    """Return the number of voxels of size `target` (mm) that best cover a grid of `shape` voxels of size `spacing`."""
    counts = [max(1, round(size * old / new)) for size, old, new in zip(shape, spacing, target, strict=True)]
    return counts[0], counts[1], counts[2]


def resampled_header(header: Any, target: Spacing) -> Any:
    """Return the header of the resampled grid: same directions, voxels of `target` mm, same outer corner.

    A voxel's position is its centre, so the first centre moves by half the difference of the voxel sizes.
    """
    header = header.copy()
    affine = header.get_best_affine()
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    scale = np.asarray(target, dtype=float) / spacing
    new = affine.copy()
    new[:3, :3] = affine[:3, :3] * scale
    new[:3, 3] = affine[:3, 3] + affine[:3, :3] @ ((scale - 1) / 2)
    header.set_data_shape(resampled_shape(header.get_data_shape()[:3], tuple(spacing), target))
    header.set_qform(new, int(header["qform_code"]) or 1, strip_shears=True)
    header.set_sform(new, int(header["sform_code"]) or 1)
    header.set_zooms(target)
    return header


def resample_image(image: npt.NDArray[Any], spacing: Spacing, target: Spacing) -> npt.NDArray[np.float32]:
    """Resample a 3-D image with cubic splines; beyond the edge the nearest voxel goes on.

    Args:
        image: Intensities, (x, y, z).
        spacing: Its voxel size in mm.
        target: The new voxel size in mm.
    """
    return _transform(
        image.astype(np.float32), spacing, target, (0, 0, 0), resampled_shape(_shape(image), spacing, target), 3
    )


def resample_labels(labels: LabelArray, spacing: Spacing, target: Spacing) -> LabelArray:
    """Resample a 3-D label map: each label linearly, kept where it reaches one half; later labels win.

    Linear interpolation with a threshold is what nnU-Net does with segmentations; nearest-neighbour sampling would lose
    structures one voxel thick.
    """
    shape = resampled_shape(_shape(labels), spacing, target)
    result: LabelArray = np.zeros(shape, dtype=np.uint8)
    scale = [new / old for old, new in zip(spacing, target, strict=True)]
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        # Only the part of the new grid that the label can reach is computed.
        low = [max(0, int(np.floor((part.start - 1) / step))) for part, step in zip(box, scale, strict=True)]
        high = [
            min(size, int(np.ceil((part.stop + 1) / step)) + 1)
            for part, step, size in zip(box, scale, shape, strict=True)
        ]
        weight = _transform(
            (labels == label).astype(np.float32),
            spacing,
            target,
            (low[0], low[1], low[2]),
            (high[0] - low[0], high[1] - low[1], high[2] - low[2]),
            1,
        )
        result[low[0] : high[0], low[1] : high[1], low[2] : high[2]][weight >= 0.5] = label
    return result


def _transform(
    values: npt.NDArray[np.float32], spacing: Spacing, target: Spacing, start: Shape, shape: Shape, order: int
) -> npt.NDArray[np.float32]:
    scale = np.asarray(target, dtype=float) / np.asarray(spacing, dtype=float)
    offset = (np.asarray(start) + 0.5) * scale - 0.5
    result: npt.NDArray[np.float32] = ndimage.affine_transform(
        values, scale, offset, output_shape=shape, order=order, mode="nearest", output=np.float32
    )
    return result


def _shape(values: npt.NDArray[Any]) -> Shape:
    return values.shape[0], values.shape[1], values.shape[2]
