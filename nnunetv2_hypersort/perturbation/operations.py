"""Style operations: pure functions of a label map, its grid (spacing in mm, anatomical axes) and millimetres.

Every function returns a new array of the same shape and dtype. Label 0 is background. `values` are the labels worked
on; all others stay as they are, and nothing is ever written over them.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nnunetv2_hypersort.images.geometry import (
    ENDS,
    Grid,
    Labels,
    Mask,
    distance_to,
    resample,
    window,
)


def dilate(labels: Labels, grid: Grid, values: tuple[int, ...], mm: float, into: tuple[int, ...] = (0,)) -> Labels:
    """Grow labels by `mm` (Euclidean, between voxel centres) over background, or over the labels `into`.

    Where two growing labels meet, a voxel goes to the closer one; on a tie, to the one named first.
    """
    result: Labels = labels.copy()
    view = window(np.isin(labels, values), grid, mm)
    if view is None:
        return result
    cropped = labels[view]
    distances = np.stack([distance_to(cropped == value, grid) for value in values])
    winner = np.argmin(distances, axis=0)
    grown = np.isin(cropped, into) & ~np.isin(cropped, values) & (distances.min(axis=0) <= mm + 1e-6)
    result[view][grown] = np.asarray(values, dtype=labels.dtype)[winner[grown]]
    return result


def spill(labels: Labels, grid: Grid, value: int, mm: float, into: tuple[int, ...]) -> Labels:
    """Grow one label by `mm` over the labels `into`, which lose what it takes."""
    return dilate(labels, grid, (value,), mm, into)


def erode(labels: Labels, grid: Grid, values: tuple[int, ...], mm: float) -> Labels:
    """Turn into background what lies within `mm` of anything but `values`; the edge of the image does not erode."""
    result: Labels = labels.copy()
    selected = np.isin(labels, values)
    view = window(selected, grid, mm)
    if view is None:
        return result
    lost = selected[view] & (distance_to(~selected[view], grid) <= mm + 1e-6)
    result[view][lost] = 0
    return result


def smooth(labels: Labels, grid: Grid, values: tuple[int, ...], mm: float) -> Labels:
    """Smooth boundaries: Gaussian filter of standard deviation `mm` on each label, then the strongest label wins.

    Labels other than `values` count as background and keep their voxels.
    """
    result: Labels = labels.copy()
    view = window(np.isin(labels, values), grid, 4 * mm)
    if view is None:
        return result
    cropped = labels[view]
    sigma = [mm / step for step in grid.spacing]
    candidates = (0, *values)
    strengths = np.stack(
        [
            ndimage.gaussian_filter(
                (cropped == value if value else ~np.isin(cropped, values)).astype(np.float64), sigma, mode="nearest"
            )
            for value in candidates
        ]
    )
    smoothed = np.asarray(candidates, dtype=labels.dtype)[np.argmax(strengths, axis=0)]
    free = np.isin(cropped, candidates)
    result[view][free] = smoothed[free]
    return result


def margin(labels: Labels, grid: Grid, values: tuple[int, ...], neighbours: tuple[int, ...], mm: float) -> Labels:
    """Leave a gap at neighbours: turn into background what of `values` lies within `mm` of a label of `neighbours`."""
    result: Labels = labels.copy()
    selected = np.isin(labels, values)
    view = window(selected, grid, mm)
    if view is None:
        return result
    # A label can be told to give way to labels that are themselves among `values`, but never to itself.
    for value in values:
        others = [other for other in neighbours if other != value]
        near = distance_to(np.isin(labels[view], others), grid) <= mm + 1e-6
        result[view][(labels[view] == value) & near] = 0
    return result


def fill_holes(labels: Labels, grid: Grid, values: tuple[int, ...], axis: str | None = None) -> Labels:
    """Fill background cavities of each label, or with `axis` the holes in each slice across that axis.

    In an image of one slice a cavity is a hole in that slice.
    """
    result: Labels = labels.copy()
    for value in values:
        mask = labels == value
        if axis is None:
            # Along an axis of one voxel every voxel lies at the edge, open to the outside.
            filled = ndimage.binary_fill_holes(np.atleast_1d(mask.squeeze())).reshape(mask.shape)
        else:
            index, _ = grid.axis(axis)
            slices = [ndimage.binary_fill_holes(part) for part in np.moveaxis(mask, index, 0)]
            filled = np.moveaxis(np.stack(slices), 0, index)
        result[filled & (result == 0)] = value
    return result


def offset(labels: Labels, grid: Grid, values: tuple[int, ...], ways_mm: Mapping[str, float]) -> Labels:
    """Move labels together by so many mm along each anatomical axis named.

    Positive is to the axis's end named second (right, anterior, superior). What leaves the image is lost; what comes
    to lie on a label that does not move is hidden by it.
    """
    voxels = np.sum([grid.vector(axis, mm) for axis, mm in ways_mm.items()], axis=0)
    coordinates = _voxel_coordinates(labels) - voxels.reshape(3, 1, 1, 1)
    return _replace(labels, values, resample(labels, grid, values, coordinates))


def rotate_slices(labels: Labels, grid: Grid, values: tuple[int, ...], axis: str, degrees: float) -> Labels:
    """Turn labels together in each slice across an anatomical axis, about the slice's own centre of gravity.

    Volume, position and centroids stay (but for rounding), only the outline turns. In a picture with the positive
    ends of the two other axes, in the order left-right, posterior-anterior, inferior-superior, to the right and up,
    positive degrees turn anticlockwise.
    """
    selected = np.isin(labels, values)
    index, _ = grid.axis(axis)
    in_plane = [grid.axis(name) for name in ("left-right", "posterior-anterior", "inferior-superior") if name != axis]
    (first, first_sign), (second, second_sign) = in_plane
    coordinates = _voxel_coordinates(labels)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first_scale, second_scale = first_sign * grid.spacing[first], second_sign * grid.spacing[second]
    for position in range(labels.shape[index]):
        here: list[int | slice] = [slice(None)] * 3
        here[index] = position
        if not selected[tuple(here)].any():
            continue
        centre = ndimage.center_of_mass(selected[tuple(here)])
        first_centre, second_centre = centre if first < second else centre[::-1]
        at_first, at_second = (first, *here), (second, *here)
        u = (coordinates[at_first] - first_centre) * first_scale
        v = (coordinates[at_second] - second_centre) * second_scale
        # Each voxel looks where it came from: the inverse turn.
        coordinates[at_first] = first_centre + (cosine * u + sine * v) / first_scale
        coordinates[at_second] = second_centre + (-sine * u + cosine * v) / second_scale
    return _replace(labels, values, resample(labels, grid, values, coordinates))


def shift_border(labels: Labels, grid: Grid, between: tuple[int, int], axis: str, mm: float) -> Labels:
    """Move the border between two labels by `mm` along an axis; their union does not change.

    The shape of the border is kept: the partition of the union is continued beyond it (each point belongs to the
    closer label) and moved.
    """
    return _move_border(labels, grid, between, axis, np.full(labels.shape, mm))


def tilt_border(
    labels: Labels, grid: Grid, between: tuple[int, int], axis: str, towards: str, degrees: float
) -> Labels:
    """Tilt the border between two labels about its own centre; their union does not change.

    The border moves along `axis` by tan(degrees) mm for each mm that a point lies further along `towards` than the
    border's centre.
    """
    border = _border(labels, between)
    if not border.any():
        return np.array(labels)
    index, sign = grid.axis(towards)
    height = np.arange(labels.shape[index]) * sign * grid.spacing[index]
    centre = height[np.nonzero(border)[index]].mean()
    shape = [1, 1, 1]
    shape[index] = -1
    way = np.tan(np.radians(degrees)) * (height - centre).reshape(shape)
    return _move_border(labels, grid, between, axis, np.broadcast_to(way, labels.shape))


def cut(
    labels: Labels,
    grid: Grid,
    values: tuple[int, ...],
    end: str,
    mm: float | None = None,
    fraction: float | None = None,
) -> Labels:
    """Truncate labels at a level across an axis: take away `mm`, or a fraction of their extent, from one end.

    The extent is that of all `values` together, from slice to slice; a slice goes when its centre lies beyond the
    level. Exactly one of `mm` and `fraction` (0 to 1) is given.
    """
    if (mm is None) == (fraction is None):
        raise ValueError("cut needs exactly one of mm and fraction")
    result: Labels = labels.copy()
    selected = np.isin(labels, values)
    if not selected.any():
        return result
    axis, end_sign = ENDS[end]
    index, sign = grid.axis(axis)
    height = np.arange(labels.shape[index]) * sign * end_sign * grid.spacing[index]
    occupied = height[np.unique(np.nonzero(selected)[index])]
    half = grid.spacing[index] / 2
    top, bottom = occupied.max() + half, occupied.min() - half
    depth = mm if mm is not None else (fraction or 0.0) * (top - bottom)
    shape = [1, 1, 1]
    shape[index] = -1
    result[selected & (height > top - depth + 1e-6).reshape(shape)] = 0
    return result


def leave_out(labels: Labels, values: tuple[int, ...]) -> Labels:
    """Turn labels into background."""
    result: Labels = labels.copy()
    result[np.isin(labels, values)] = 0
    return result


def _replace(labels: Labels, values: tuple[int, ...], moved: Labels) -> Labels:
    result = leave_out(labels, values)
    free = result == 0
    result[free] = moved[free]
    return result


def _voxel_coordinates(labels: Labels) -> NDArray[np.float64]:
    return np.stack(np.meshgrid(*map(np.arange, labels.shape), indexing="ij")).astype(np.float64)


def _border(labels: Labels, between: tuple[int, int]) -> Mask:
    first, second = (labels == value for value in between)
    touching: Mask = first & ndimage.binary_dilation(second)
    return touching


def _move_border(labels: Labels, grid: Grid, between: tuple[int, int], axis: str, way: NDArray[np.float64]) -> Labels:
    result: Labels = labels.copy()
    first, second = (labels == value for value in between)
    if not (first.any() and second.any()):
        return result
    # Positive where the second label is closer: continues the partition beyond the union of the two.
    side = distance_to(first, grid) - distance_to(second, grid)
    index, sign = grid.axis(axis)
    coordinates = _voxel_coordinates(labels)
    coordinates[index] -= sign * way / grid.spacing[index]
    moved = ndimage.map_coordinates(side, np.round(coordinates, 6), order=1, mode="nearest")
    union = first | second
    result[union] = np.where(moved[union] < 0, between[0], between[1])
    return result
