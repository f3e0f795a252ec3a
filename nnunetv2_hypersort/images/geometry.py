"""Voxel grids with anatomical axes, so that operations do not depend on the order of an array's axes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nnunetv2_hypersort.images.orientation import AXES

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint16]
Window = tuple[slice, ...]

# End name -> axis it belongs to and its sign on that axis.
ENDS = {
    "left": ("left-right", -1),
    "right": ("left-right", 1),
    "posterior": ("posterior-anterior", -1),
    "anterior": ("posterior-anterior", 1),
    "inferior": ("inferior-superior", -1),
    "superior": ("inferior-superior", 1),
}


@dataclass(frozen=True)
class Grid:
    """Spacing and orientation of a three-dimensional label map.

    Attributes:
        spacing: Voxel size in mm, one per array axis.
        codes: For each array axis the letter (one of LRPAIS) of the end towards which the index grows, as
            `nibabel.orientations.aff2axcodes` gives it. In an oblique image this is the closest anatomical axis.
    """

    spacing: tuple[float, float, float]
    codes: tuple[str, str, str]

    def axis(self, name: str) -> tuple[int, int]:
        """Return the array axis of an anatomical axis, and 1 if the index grows to its positive end, else -1."""
        positive, negative = AXES[name]
        for index, code in enumerate(self.codes):
            if code in (positive, negative):
                return index, 1 if code == positive else -1
        raise ValueError(f"the orientation {''.join(self.codes)} has no axis {name}")

    def extended(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Return the anatomical axes along which a label map of this shape has more than one voxel."""
        return tuple(name for name in AXES if shape[self.axis(name)[0]] > 1)

    def vector(self, name: str, mm: float) -> NDArray[np.float64]:
        """Return a way of `mm` along an anatomical axis (positive: to the end named second) in voxels, shape (3,)."""
        index, sign = self.axis(name)
        voxels = np.zeros(3)
        voxels[index] = sign * mm / self.spacing[index]
        return voxels


def window(mask: Mask, grid: Grid, margin_mm: float) -> Window | None:
    """Return the slices of the bounding box of `mask`, grown by `margin_mm` and two voxels; None if it is empty.

    Morphology inside this window equals morphology in the whole array, and is much faster where organs are small.
    """
    box = ndimage.find_objects(mask.astype(np.uint8))
    if not box or box[0] is None:
        return None
    margins = [int(np.ceil(margin_mm / step)) + 2 for step in grid.spacing]
    return tuple(
        slice(max(0, side.start - margin), min(length, side.stop + margin))
        for side, margin, length in zip(box[0], margins, mask.shape, strict=True)
    )


def distance_to(mask: Mask, grid: Grid) -> NDArray[np.float64]:
    """Return the distance in mm of each voxel centre to the closest voxel centre of `mask` (infinite if empty)."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(~mask, sampling=grid.spacing)
    return distance


def signed_distance(mask: Mask, grid: Grid) -> NDArray[np.float64]:
    """Return the distance in mm to the border of `mask`, negative inside.

    Half a voxel's difference between the two one-sided distances cancels, so the zero crossing lies midway between
    the centres of the last voxel inside and the first outside.
    """
    far = float(np.linalg.norm(np.asarray(mask.shape) * grid.spacing))
    return np.minimum(distance_to(mask, grid), far) - np.minimum(distance_to(~mask, grid), far)


def resample(labels: Labels, grid: Grid, values: tuple[int, ...], coordinates: NDArray[np.float64]) -> Labels:
    """Sample `values` of a label map at other coordinates, sub-voxel by way of their signed distances.

    Signed distances are interpolated linearly, so a way of half a voxel neither thickens nor thins a label, and a way
    of whole voxels moves it exactly. What lies outside the array is background.

    Args:
        labels: Label map, shape (X, Y, Z) in any axis order.
        grid: Its spacing and orientation.
        values: Label values to be sampled; all others are taken as background.
        coordinates: Where to sample, in voxels, shape (3, *output shape).

    Returns:
        The label map sampled, of the output shape, holding 0 and `values`.
    """
    selected = np.isin(labels, values)
    result = np.zeros(coordinates.shape[1:], dtype=labels.dtype)
    if not selected.any():
        return result
    # Rounded, so that the float noise of headers decides nothing. Then a hair to one side: after a way of exactly half
    # a voxel both ends of a label lie exactly between two voxels, and one must be drawn and the other not. Axes along
    # which nothing moves stay as they are, so that corners are no exception.
    coordinates = np.round(coordinates, 6)
    coordinates = coordinates + 1e-4 * (coordinates != np.rint(coordinates))
    limits = np.asarray(labels.shape).reshape((3,) + (1,) * (coordinates.ndim - 1)) - 0.5
    inside = np.all((coordinates >= -0.5) & (coordinates < limits + 2e-4), axis=0)

    def sample(mask: Mask) -> NDArray[np.float64]:
        values_: NDArray[np.float64] = ndimage.map_coordinates(
            signed_distance(mask, grid), coordinates, order=1, mode="nearest"
        )
        return values_

    foreground = inside & (sample(selected) < 0)
    present = [value for value in values if np.any(labels == value)]
    closest = np.argmin([sample(labels == value) for value in present], axis=0)
    result[foreground] = np.asarray(present, dtype=labels.dtype)[closest[foreground]]
    return result
