"""Masks of structures, cut out of label maps to the joint bounding box of reference and prediction."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.images.labels import LabelTable

Box = tuple[slice, ...]

# SciPy lists a box for every value up to the highest. Beyond this values are numbered first, so that time and memory
# depend on how many values there are and not on which.
_LISTED = 2**16


class StructureCrops:
    """Cuts the masks of structures out of a reference and a prediction.

    Working on the joint box of a structure instead of the image is what makes the metrics fast: what lies outside is
    background in both masks and changes none of them.

    Args:
        reference: Reference label map with 2 or 3 axes.
        prediction: Predicted label map of the same shape.
        labels: The labels; where the reference has the ignore label, both masks are background.

    Attributes:
        num_voxels: Number of voxels of the image that are not ignored.
    """

    def __init__(
        self, reference: NDArray[np.integer[Any]], prediction: NDArray[np.integer[Any]], labels: LabelTable
    ) -> None:
        self._maps = (reference, prediction)
        self._ignore = labels.ignore_label
        self._boxes = (find_boxes(reference, labels.values), find_boxes(prediction, labels.values))
        self.num_voxels = reference.size
        if self._ignore is not None and self._ignore in self._boxes[0]:
            ignored = reference[self._boxes[0][self._ignore]] == self._ignore
            self.num_voxels -= int(np.count_nonzero(ignored))

    def get_masks(self, values: tuple[int, ...]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return the masks of a structure in the reference and in the prediction, both cropped to their joint box."""
        reference, prediction = self._maps
        if 0 not in values:
            boxes = [found[value] for found in self._boxes for value in values if value in found]
            box = join_boxes(boxes) if boxes else (slice(0, 1),) * reference.ndim
            reference, prediction = reference[box], prediction[box]
        mask_reference, mask_prediction = _select(reference, values), _select(prediction, values)
        if self._ignore is not None:
            used = reference != self._ignore
            mask_reference &= used
            mask_prediction &= used
        return mask_reference, mask_prediction


def find_boxes(label_map: NDArray[np.integer[Any]], values: Collection[int]) -> dict[int, Box]:
    """Find the bounding box of each of the positive `values` that occurs in a label map, in one pass over it."""
    known = np.array(sorted(value for value in values if value > 0), dtype=np.int64)
    if not known.size:
        return {}
    if known[-1] < _LISTED:
        boxes = _find_objects(label_map, int(known[-1]))
        return {int(value): box for value in known if (box := boxes[value - 1]) is not None}
    places = np.minimum(np.searchsorted(known, label_map), known.size - 1)
    boxes = _find_objects(np.where(known[places] == label_map, places + 1, 0), known.size)
    return {int(value): box for value, box in zip(known, boxes, strict=True) if box is not None}


def find_foreign_values(label_map: NDArray[np.integer[Any]], labels: LabelTable) -> list[int]:
    """Return the values of a label map, sorted, that dataset.json does not know."""
    highest = int(label_map.max())
    if highest < _LISTED and int(label_map.min()) >= 0:
        # Faster than sorting all voxels.
        boxes = _find_objects(label_map, max(highest, 1))
        found = {value for value, box in enumerate(boxes, start=1) if box is not None}
    else:
        found = set(np.unique(label_map).tolist())
    return sorted(found - labels.values)


def join_boxes(boxes: list[Box]) -> Box:
    """Return the smallest box that holds all of `boxes` (at least one)."""
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides)) for sides in zip(*boxes, strict=True)
    )


def _find_objects(label_map: NDArray[np.integer[Any]], highest: int) -> list[Box | None]:
    from scipy import ndimage

    boxes: list[Box | None] = ndimage.find_objects(label_map, max_label=highest)
    return boxes


def _select(label_map: NDArray[np.integer[Any]], values: tuple[int, ...]) -> NDArray[np.bool_]:
    # One comparison per value is faster than np.isin for the few values of a region.
    mask = np.asarray(label_map == values[0])
    for value in values[1:]:
        mask |= label_map == value
    return mask
