"""How one segmentation of an image differs from another of the same image, in numbers that have a direction."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from nnunetv2_hypersort.images.orientation import AXES

PLANES = {"left-right": "sagittal", "posterior-anterior": "coronal", "inferior-superior": "axial"}
"""The slices across each anatomical axis."""

# Of an outline rounder than this, the direction of its long axis is chance.
_LEAST_ELONGATION = 1.2
# The outermost hundredth of the voxels may be islands, and does not decide where a structure ends.
_END = 0.01


def compare_masks(
    mask: np.ndarray, other: np.ndarray, spacing: Sequence[float], codes: Sequence[str] | None
) -> dict[str, float]:
    """Measure how a mask differs from another one.

    Args:
        mask: Shape (x, y, z), bool.
        other: The mask it is compared with, of the same shape.
        spacing: Voxel size in mm, one per array axis.
        codes: The anatomical end towards which each array axis runs (one of LRPAIS), or None for images without
            orientation, of which only volume and border are measured.

    Returns:
        Not-a-number where something cannot be measured, as with an empty mask:

        - `volume_ratio`: volume of the mask over that of the other.
        - `border_mm`: mean distance of the border from that of the other, positive where it lies further out. Measured
          from both borders.
        - `end_left_mm`, `end_right_mm`, `end_posterior_mm` and so on: how much further the mask reaches.
        - `shift_right_mm`, `shift_anterior_mm`, `shift_superior_mm`: how far its centre of gravity lies from that of
          the other in this direction.
        - `turn_axial_degrees`, `turn_coronal_degrees`, `turn_sagittal_degrees`: the turn of its outline in these
          slices about the centre of each slice, in (-90, 90], from the principal axes; 0 if turning the other mask by
          it brings the two no closer. Positive is anticlockwise in the radiological view: axial slices from the feet,
          coronal from the front, sagittal from the left.
    """
    volume = int(other.sum())
    difference = {"volume_ratio": int(mask.sum()) / volume if volume else math.nan, "border_mm": math.nan}
    points = None
    if mask.any() and volume:
        (box,) = ndimage.find_objects((mask | other).astype(np.uint8))
        # An image of one slice has no border before and behind it.
        flat = tuple(axis for axis, length in enumerate(mask.shape) if length == 1)
        mask, other = mask[box], other[box]
        steps = [step for axis, step in enumerate(spacing) if axis not in flat]
        difference["border_mm"] = _border(np.pad(mask.squeeze(flat), 1), np.pad(other.squeeze(flat), 1), steps)
        points = (_Points(mask, spacing, codes), _Points(other, spacing, codes)) if codes is not None else None
    if codes is not None:
        difference.update(_position(points))
    return difference


def _border(mask: np.ndarray, other: np.ndarray, spacing: Sequence[float]) -> float:
    signed = [_signed_distances(one, spacing) for one in (mask, other)]
    return (_mean_over_border(mask, signed[1], spacing) - _mean_over_border(other, signed[0], spacing)) / 2


def _signed_distances(mask: np.ndarray, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    # To the centre of the closest voxel on the other side of the border, positive outside, and to the border itself. It
    # runs half a voxel before that centre where it is parallel to the grid, a quarter in the mean over oblique ones.
    outside, inside = (
        ndimage.distance_transform_edt(one, sampling=spacing, return_indices=True) for one in (~mask, mask)
    )
    signed = outside[0] - inside[0]
    steps = np.reshape(spacing, (-1, *[1] * mask.ndim))
    way = (np.where(mask, inside[1], outside[1]) - np.indices(mask.shape)) * steps
    voxel = np.linalg.norm(way * steps, axis=0) / np.abs(signed)
    before = voxel * np.where((way != 0).sum(axis=0) > 1, 0.25, 0.5)
    return signed, signed - np.sign(signed) * before


def _mean_over_border(mask: np.ndarray, signed: tuple[np.ndarray, np.ndarray], spacing: Sequence[float]) -> float:
    total = area = 0.0
    for axis, step in enumerate(spacing):
        inside = np.moveaxis(mask, axis, 0)
        crossing = inside[1:] != inside[:-1]
        (first, first_border), (second, second_border) = (
            [np.moveaxis(distance, axis, 0)[part][crossing] for distance in signed]
            for part in (slice(None, -1), slice(1, None))
        )
        # Where the borders run between the same two voxels, what is before their centres cancels.
        is_same = np.sign(first) != np.sign(second)
        distance = np.where(is_same, first + second, first_border + second_border) / 2
        face = math.prod(spacing) / step
        total += face * float(distance.sum())
        area += face * int(crossing.sum())
    return total / area


class _Points:
    """Where the voxels of a mask lie, in mm towards the positive end of each anatomical axis."""

    def __init__(self, mask: np.ndarray, spacing: Sequence[float], codes: Sequence[str]) -> None:
        self.mask = mask
        indices = np.nonzero(mask)
        self.index, self.step, self.along, self.slices = {}, {}, {}, {}
        for axis, ends in AXES.items():
            index = next(index for index, code in enumerate(codes) if code in ends)
            self.index[axis] = index
            self.step[axis] = spacing[index] if codes[index] == ends[0] else -spacing[index]
            self.along[axis] = indices[index] * self.step[axis]
            self.slices[axis] = indices[index]

    def direction(self, axis: str) -> float:
        """Direction of the long axis of the outlines in the slices across an axis, in degrees."""
        first, second = self.seen(axis, self)
        covariance = np.cov(first, second, bias=True) if len(first) > 1 else np.zeros((2, 2))
        smallest, largest = np.linalg.eigvalsh(covariance)
        if not largest > _LEAST_ELONGATION**2 * max(smallest, 0):
            return math.nan
        return math.degrees(0.5 * math.atan2(2 * covariance[0, 1], covariance[0, 0] - covariance[1, 1]))

    def seen(self, axis: str, other: "_Points") -> tuple[np.ndarray, np.ndarray]:
        """The voxels to the right of and above the centres of the other mask in their slices, in mm."""
        first, second = _in_plane(axis)
        # In the radiological view the patient's left, or his back, is on the right of the picture.
        return other.centres(first, axis)[self.slices[axis]] - self.along[first], (
            self.along[second] - other.centres(second, axis)[self.slices[axis]]
        )

    def centres(self, name: str, axis: str) -> np.ndarray:
        """The centre in each slice across an axis, not-a-number where the mask is empty."""
        length = self.mask.shape[self.index[axis]]
        counts = np.bincount(self.slices[axis], minlength=length)
        sums = np.bincount(self.slices[axis], self.along[name], minlength=length)
        return np.asarray(np.divide(sums, counts, out=np.full(length, np.nan), where=counts > 0))

    def covered_by(self, other: "_Points", axis: str, degrees: float) -> int:
        """Number of voxels that the other mask covers once it is turned in its slices."""
        first, second = _in_plane(axis)
        right, up = self.seen(axis, other)
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        slices = self.slices[axis]
        # Each voxel looks where it came from: the inverse turn.
        before = {
            first: other.centres(first, axis)[slices] - (cosine * right + sine * up),
            second: other.centres(second, axis)[slices] + (cosine * up - sine * right),
        }
        found = np.isfinite(right)
        indices = [slices[found]] * 3
        for name, values in before.items():
            indices[self.index[name]] = np.rint(values[found] / self.step[name]).astype(np.int64)
        inside = np.all([(one >= 0) & (one < length) for one, length in zip(indices, self.mask.shape, strict=True)], 0)
        return int(other.mask[tuple(one[inside] for one in indices)].sum())


def _in_plane(axis: str) -> tuple[str, str]:
    first, second = (name for name in AXES if name != axis)
    return first, second


def _position(points: tuple[_Points, _Points] | None) -> dict[str, float]:
    position = {}
    for axis, plane in PLANES.items():
        negative, positive = axis.split("-")
        low = high = shift = turn = math.nan
        if points is not None:
            here, there = (one.along[axis] for one in points)
            low = float(np.quantile(there, _END) - np.quantile(here, _END))
            high = float(np.quantile(here, 1 - _END) - np.quantile(there, 1 - _END))
            shift = float(here.mean() - there.mean())
            turn = _turn(*points, axis)
        position[f"end_{negative}_mm"], position[f"end_{positive}_mm"] = low, high
        position[f"shift_{positive}_mm"] = shift
        position[f"turn_{plane}_degrees"] = turn
    return position


def _turn(points: _Points, other: _Points, axis: str) -> float:
    turn = 90 - (90 - points.direction(axis) + other.direction(axis)) % 180
    if math.isnan(turn):
        return math.nan
    # Where only the shape differs, its long axis turns as well, but no turn brings one mask closer to the other.
    return turn if points.covered_by(other, axis, turn) > points.covered_by(other, axis, 0) else 0.0
