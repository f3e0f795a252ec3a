"""Anatomical directions of the arrays that nnU-Net's readers return."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes

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
    # nnU-Net's arrays are ordered z, y, x: the reverse of the file's axes. Affines are RAS+.
    if "sitk_stuff" in properties:
        dimension = len(properties["sitk_stuff"]["spacing"])
        affine = np.eye(4)
        affine[:dimension, :dimension] = np.reshape(properties["sitk_stuff"]["direction"], (dimension, dimension))
        affine[:2] *= -1  # ITK's world is LPS+
    elif "nibabel_stuff" in properties:
        kept = properties["nibabel_stuff"]
        affine = np.asarray(kept.get("reoriented_affine", kept["original_affine"]))
    else:
        return None
    first, second, third = aff2axcodes(affine)
    return third, second, first
