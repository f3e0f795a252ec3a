"""Voxel grids with anatomical axes, so that operations do not depend on the order of an array's axes."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray
from scipy import ndimage

from nnunetv2_hypersort.images.distances import distance_to_mask, signed_distance_to_border
from nnunetv2_hypersort.images.orientation import AXES, array_affine

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

# Two grids are one if their corners lie closer than this many voxels: headers are rounded to float32 by some tools.
_CORNER_TOLERANCE = 0.05
# nnU-Net's spacing of the axis that a picture does not have.
_STAND_IN = 999
# Pictures state no orientation: rows and columns as DICOM has them by default.
_CODES_OF_PICTURES = ("S", "P", "L")


@dataclass(frozen=True)
class Grid:
    """The voxel grid of an image or label map, its axes in the order of nnU-Net's arrays (slowest first).

    Attributes:
        shape: Number of voxels along each of the three axes.
        spacing: Distance of neighbouring voxel centres along each axis as nnU-Net reads it, in mm (in pixels for PNG
            and BMP).
        affine: Maps array indices to scanner coordinates in mm, x to the right, y to the front and z to the head of
            the patient (NIfTI's RAS+), shape (4, 4).
        planar: The file is two-dimensional: nnU-Net puts an axis of one voxel before the others, whose spacing is a
            stand-in (999 times the largest) and no length.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    planar: bool = False

    @classmethod
    def of(cls, shape: tuple[int, ...], properties: Mapping[str, Any]) -> "Grid":
        """The grid of an array of one of nnU-Net's readers.

        Args:
            shape: The last three axes of the array.
            properties: What the reader says of the file.
        """
        first, second, third = (float(step) for step in properties["spacing"])
        planar = len(properties["sitk_stuff"]["spacing"]) == 2 if "sitk_stuff" in properties else first == _STAND_IN
        affine = array_affine(properties)
        if affine is None:
            return cls.along((first, second, third), _CODES_OF_PICTURES, shape, planar=planar)
        return cls(shape, (first, second, third), affine, planar)

    @classmethod
    def along(
        cls,
        spacing: tuple[float, float, float],
        codes: tuple[str, str, str],
        shape: tuple[int, ...] = (1, 1, 1),
        *,
        planar: bool = False,
    ) -> "Grid":
        """A grid whose axes run along those of the patient, towards the ends named in `codes` (letters of LRPAIS)."""
        affine = np.zeros((4, 4))
        affine[3, 3] = 1
        for column, (code, step) in enumerate(zip(codes, spacing, strict=True)):
            row = next(row for row, ends in enumerate(AXES.values()) if code in ends)
            affine[row, column] = step if code == list(AXES.values())[row][0] else -step
        return cls(shape, spacing, affine, planar)

    @cached_property
    def codes(self) -> tuple[str, str, str]:
        """For each axis the letter (one of LRPAIS) of the end towards which the index grows.

        In an oblique image this is the closest anatomical axis.
        """
        first, second, third = aff2axcodes(self.affine)
        return first, second, third

    @property
    def diagonal(self) -> float:
        """Length of the diagonal of the whole image, voxels counted with their full extent, in mm."""
        return math.sqrt(sum((self.shape[axis] * self.spacing[axis]) ** 2 for axis in self._file_axes))

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel in mm³, its area in mm² if the file is two-dimensional."""
        return math.prod(self.spacing[axis] for axis in self._file_axes)

    def difference(self, other: "Grid") -> str | None:
        """Say in words how `other` differs from this grid, or None if they are the same grid."""
        if self.shape != other.shape or self.planar != other.planar:
            return f"{times(other.file_shape)} voxels instead of {times(self.file_shape)}"
        if not np.allclose(self.spacing, other.spacing, rtol=1e-3, atol=0):
            return f"a spacing of {times(other.file_spacing)} mm instead of {times(self.file_spacing)} mm"
        shift = corner_distance(self.affine, other.affine, self.shape)
        if shift > _CORNER_TOLERANCE * min(self.spacing):
            return f"another origin or orientation (corners up to {shift:.4g} mm apart)"
        return None

    @property
    def file_shape(self) -> tuple[int, ...]:
        """`shape` without the axis that a two-dimensional file does not have."""
        return tuple(self.shape[axis] for axis in self._file_axes)

    @property
    def file_spacing(self) -> tuple[float, ...]:
        """`spacing` without the axis that a two-dimensional file does not have."""
        return tuple(self.spacing[axis] for axis in self._file_axes)

    @property
    def _file_axes(self) -> tuple[int, ...]:
        return (1, 2) if self.planar else (0, 1, 2)

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


def corner_distance(first: NDArray[np.float64], second: NDArray[np.float64], shape: Sequence[int]) -> float:
    """Return how far apart, in mm, two affines put the corner voxels of a grid, at the worst corner."""
    corners = np.array([[*corner, 1] for corner in itertools.product(*((0, size - 1) for size in shape))], dtype=float)
    return float(np.linalg.norm(corners @ (first - second).T[:, :3], axis=1).max())


def times(numbers: Iterable[float]) -> str:
    """Write numbers of voxels or millimetres as people say them: 512 x 512 x 100."""
    return " x ".join(f"{number:.6g}" for number in numbers)


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
    return distance_to_mask(mask, grid.spacing)


def signed_distance(mask: Mask, grid: Grid) -> NDArray[np.float64]:
    """Return the distance in mm to the border of `mask`, negative inside; see `signed_distance_to_border`."""
    return signed_distance_to_border(mask, grid.spacing)


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
    # a voxel both ends of a label lie exactly between two voxels, and one must be in and the other not. Axes along
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
