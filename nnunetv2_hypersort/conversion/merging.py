"""Label maps from binary masks or from other label maps."""

from typing import Any

import numpy as np
import numpy.typing as npt

from nnunetv2_hypersort.conversion.nifti import (
    LEAVE_OUT,
    UnusableFileError,
    Volume,
    describe_scaling,
)

LabelArray = npt.NDArray[np.uint8]

_STORE_WHOLE = "store the labels as whole numbers without scaling (scl_slope 1, scl_inter 0)"


def occupied(volume: Volume) -> npt.NDArray[np.intp]:
    """Return the positions of a mask's voxels above zero, in file order, and check that it is a mask.

    Raises:
        UnusableFileError: The file holds several values above zero, or one below: it is not a binary mask.
    """
    values = volume.values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UnusableFileError("holds NaN or infinite values", LEAVE_OUT)
    slices = values.reshape(-1, int(np.prod(volume.shape[:2])))
    filled = np.maximum.reduce(slices, axis=1) > 0
    if values.dtype.kind != "u":
        filled |= np.minimum.reduce(slices, axis=1) < 0
    filled = np.flatnonzero(filled)
    if not filled.size:
        return np.empty(0, dtype=np.intp)
    # Structures fill a few slices of a scan; everything below looks at those only.
    start = int(filled[0]) * slices.shape[1]
    part = values[start : (int(filled[-1]) + 1) * slices.shape[1]]
    inside = np.flatnonzero(part)
    found = part[inside]
    if not (found == found[0]).all() or found[0] < 0:
        raise _fault(volume, f"is not a binary mask: it holds the values 0, {_digits(np.unique(found)[:5])}")
    return inside + start


def add_mask(labels: LabelArray, label: int, mask: Volume) -> int:
    """Write `label` wherever a mask is above zero, over whatever stands there: the later class wins.

    Args:
        labels: The label map so far, one axis in file order; changed in place.
        label: The label id.
        mask: A binary mask on the same grid.

    Returns:
        The number of voxels taken from an earlier label.

    Raises:
        UnusableFileError: The file is not a binary mask.
    """
    inside = occupied(mask)
    before = labels[inside]
    labels[inside] = label
    return int(np.count_nonzero((before != 0) & (before != label)))


def integer_labels(volume: Volume, legal: int) -> npt.NDArray[Any]:
    """Return the values of a label map as integers, whatever type they are stored in.

    Args:
        volume: The label map.
        legal: Values 0 ... `legal` - 1 are expected.

    Raises:
        UnusableFileError: Values that are not whole numbers, or outside the list.
    """
    values = volume.values
    if values.dtype.kind == "f":
        whole = np.nan_to_num(values, nan=-1.0, posinf=-1.0, neginf=-1.0)
        strange = values[whole != np.rint(whole)]
        if strange.size:
            raise _fault(volume, f"holds values that are not whole numbers, such as {_digits(strange[:1])}")
        values = whole
    if values.min() < 0 or values.max() >= legal:
        outside = np.unique(values[(values < 0) | (values >= legal)])
        raise _fault(volume, f"holds label values outside the list 0 ... {legal - 1}: {_digits(outside[:5])}")
    return values.astype(np.uint16, copy=False) if values.dtype.kind == "f" else values


def translate_labels(volume: Volume, lookup: tuple[int, ...]) -> LabelArray:
    """Replace each value v of a label map by `lookup[v]`, in file order.

    Raises:
        UnusableFileError: As `integer_labels`.
    """
    table = np.asarray(lookup, dtype=np.uint8)
    translated: LabelArray = table[integer_labels(volume, len(lookup))]
    return translated


def _fault(volume: Volume, reason: str) -> UnusableFileError:
    scaling = describe_scaling(volume.header)
    return UnusableFileError(reason + scaling, f"{_STORE_WHOLE}, or {LEAVE_OUT}" if scaling else LEAVE_OUT)


def _digits(values: npt.NDArray[Any]) -> str:
    # All digits that tell a value from its neighbours: 1.0000000153, which is not 1.
    return ", ".join(str(value).removesuffix(".0") for value in values)
