"""How the axes of an image lie in the patient."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

# Axis name -> the RAS+ code of its positive end, which is the end named second, and that of its negative end.
AXES = {
    "left-right": ("R", "L"),
    "posterior-anterior": ("A", "P"),
    "inferior-superior": ("S", "I"),
}


def axis_codes(properties: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The anatomical end towards which each array axis runs.

    Args:
        properties: What nnU-Net's reader says of a file, as it also stands beside preprocessed data.

    Returns:
        For each array axis, in the reader's order (slowest first), one of the letters LRPAIS as
        `nibabel.orientations.aff2axcodes` gives it, in an oblique image that of the closest anatomical axis; None for
        files without orientation (PNG, TIFF).
    """
    affine = array_affine(properties)
    if affine is None:
        return None
    first, second, third = aff2axcodes(affine)
    return first, second, third


def array_affine(properties: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """Where the voxels of an array of nnU-Net's reader lie.

    Args:
        properties: What the reader says of the file.

    Returns:
        The affine from array indices (slowest axis first) to scanner coordinates in mm, x to the right, y to the front
        and z to the head of the patient (NIfTI's RAS+), shape (4, 4); None for files without orientation (PNG, TIFF).
    """
    affine = np.eye(4)
    if "sitk_stuff" in properties:
        kept = properties["sitk_stuff"]
        # A file of several channels has them as a fourth axis.
        file_axes = len(kept["spacing"])
        axes = min(file_axes, 3)
        direction = np.reshape(kept["direction"], (file_axes, file_axes))[:axes, :axes]
        affine[:axes, :axes] = direction * np.asarray(kept["spacing"])[:axes]
        affine[:axes, 3] = np.asarray(kept.get("origin", np.zeros(axes)))[:axes]
        affine[:2] *= -1  # ITK's world is LPS+
    elif "nibabel_stuff" in properties:
        kept = properties["nibabel_stuff"]
        affine = np.array(kept.get("reoriented_affine", kept["original_affine"]), dtype=np.float64)
    else:
        return None
    # nnU-Net's arrays are ordered z, y, x: the reverse of the file's axes.
    return affine[:, [2, 1, 0, 3]]
