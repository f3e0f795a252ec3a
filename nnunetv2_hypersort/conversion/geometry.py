"""Where voxels lie in space: are two grids the same, and does SimpleITK accept a header."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunetv2_hypersort.conversion.nifti import LEAVE_OUT, UnusableFileError, spatial_shape
from nnunetv2_hypersort.images.geometry import corner_distance, times
from nnunetv2_hypersort.images.headers import grid_by_itk, read_itk_header

NOISE = 0.01
"""Largest distance between two grids, as a part of the smallest voxel edge, that counts as float noise."""

_SAME_SIZE = 1e-3


def require_same_grid(image_header: Any, other_header: Any) -> bool:
    """Compare the grid of a label file with that of its image.

    Returns:
        True if they agree to within nnU-Net's own comparison; False if they differ by float noise, so that the image's
        grid should be written instead.

    Raises:
        UnusableFileError: Another number of voxels, or voxels that truly lie elsewhere.
    """
    shape, other_shape = spatial_shape(image_header), spatial_shape(other_header)
    if shape != other_shape:
        raise UnusableFileError(f"has {times(other_shape)} voxels where the image has {times(shape)}", LEAVE_OUT)
    affine, other = image_header.get_best_affine(), other_header.get_best_affine()
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    distance = corner_distance(affine, other, shape)
    if distance > NOISE * spacing.min():
        raise UnusableFileError(
            f"lies elsewhere in space than its image (up to {distance:.3g} mm)",
            "leave the case out with --skip-bad, or correct the header if you know which of the two is right",
        )
    same_zooms = np.allclose(image_header.get_zooms()[:3], other_header.get_zooms()[:3])
    return bool(np.allclose(affine, other) and same_zooms)


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
