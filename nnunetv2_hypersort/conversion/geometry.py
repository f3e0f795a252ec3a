"""Where voxels lie in space: are two grids the same, and does SimpleITK accept a header."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunetv2_hypersort.conversion.nifti import LEAVE_OUT, UnusableFileError, spatial_shape
from nnunetv2_hypersort.images.geometry import corner_distance, times
from nnunetv2_hypersort.images.headers import grid_by_itk, read_itk_header

NOISE = 0.01
"""Largest distance between two grids, as a part of the smallest voxel edge, that counts as float noise."""

TURN = 0.1
"""Largest angle in degrees between axes of two grids with the same first voxel and voxel size that is still noise.

NIfTI keeps three of the four numbers of a unit quaternion, as 32-bit floats, and the fourth, a, as what is missing to a
sum of squares of 1. Near a = 0 (turns by 180 degrees, which nearly all scanners write) the rounding of the other three
moves a by up to sqrt(3 eps) = 6e-4 (the limit within which nibabel takes it for 0; eps = 2^-23), and the direction by
twice its arcsine, 0.07 degrees.
"""

Affine = npt.NDArray[np.float64]
_SAME_SIZE = 1e-3


@dataclass(frozen=True)
class GridMatch:
    """How the grid of a label file, which is that of its image, is written down.

    Attributes:
        same: To within nnU-Net's own comparison, as the image's; if not, the image's grid should be written instead.
        turned: The largest angle between axes in degrees, where it is more than the noise of a position; else 0.
    """

    same: bool
    turned: float = 0.0


def require_same_grid(image_header: Any, other_header: Any) -> GridMatch:
    """Compare the grid of a label file with that of its image.

    nnU-Net refuses another size or spacing, but only warns of another position or direction and then trains on the two
    as if they lay on each other. Here what rounding explains passes: `NOISE` for positions, `TURN` for directions.

    Raises:
        UnusableFileError: Another number of voxels, or voxels that truly lie elsewhere.
    """
    shape, other_shape = spatial_shape(image_header), spatial_shape(other_header)
    if shape != other_shape:
        raise UnusableFileError(f"has {times(other_shape)} voxels where the image has {times(shape)}", LEAVE_OUT)
    affine, other = image_header.get_best_affine(), other_header.get_best_affine()
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    same_zooms = bool(np.allclose(image_header.get_zooms()[:3], other_header.get_zooms()[:3]))
    distance = corner_distance(affine, other, shape)
    if distance <= NOISE * spacing.min():
        return GridMatch(same=bool(np.allclose(affine, other)) and same_zooms)
    turned = _degrees_between_axes(affine, other)
    same_start = np.linalg.norm(affine[:3, 3] - other[:3, 3]) <= NOISE * spacing.min()
    same_edges = np.allclose(spacing, np.linalg.norm(other[:3, :3], axis=0))
    if turned > TURN or not (same_start and same_edges):
        raise UnusableFileError(
            f"lies elsewhere in space than its image (up to {distance:.3g} mm, axes up to {turned:.2g} degrees apart)",
            "if it was drawn on this very image, give it the header of the image (with SimpleITK: "
            f"label.CopyInformation(image)); else {LEAVE_OUT}",
        )
    return GridMatch(same=False, turned=turned)


def _degrees_between_axes(first: Affine, second: Affine) -> float:
    axes, others = (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0) for affine in (first, second))
    # By the chord: the arccosine of a scalar product near 1 has no digits left.
    half_chord = np.linalg.norm(axes - others, axis=0).max() / 2
    return float(np.degrees(2 * np.arcsin(min(1.0, half_chord))))


def itk_geometry(path: Path) -> npt.NDArray[np.float64] | None:
    """Return spacing, origin and direction as SimpleITK reads them, or None where it refuses the header.

    SimpleITK is nnU-Net's default reader. It refuses directions that are not orthonormal; asking it is the only test
    that agrees with it for every combination of sform and qform.
    """
    try:
        reader = read_itk_header(path)
    except RuntimeError:
        return None
    return np.array([*reader.GetSpacing(), *reader.GetOrigin(), *reader.GetDirection()], dtype=float)


def as_nnunet_reads(header: Any, path: Path) -> Any:
    """Return the header of an image with the position in space that nnU-Net's default reader gives it.

    ITK takes voxel sizes from `pixdim`, and drops an sform of another scale for the qform; nibabel keeps the sform.

    Args:
        header: nibabel's header of the image.
        path: The image.

    Returns:
        The header itself where there is no such difference, or ITK refuses the file; else a copy in which sform and
        qform are what ITK reads.
    """
    sizes = np.linalg.norm(header.get_sform()[:3, :3], axis=0)
    if not header["sform_code"] or np.allclose(sizes, header.get_zooms()[:3], rtol=_SAME_SIZE, atol=0):
        return header
    try:
        grid, _ = grid_by_itk(path)
    except RuntimeError:
        return header
    header = header.copy()
    # nnU-Net's arrays are ordered z, y, x: the reverse of the file's axes.
    header.set_qform(grid.affine[:, [2, 1, 0, 3]], int(header["qform_code"]) or 1)
    header.set_sform(grid.affine[:, [2, 1, 0, 3]], int(header["sform_code"]))
    return header
