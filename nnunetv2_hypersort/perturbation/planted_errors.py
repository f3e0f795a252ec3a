"""Planted errors: pure functions that make a label map wrong."""

from collections.abc import Sequence

import numpy as np
from nibabel import orientations

from nnunetv2_hypersort.images.geometry import Grid, Labels
from nnunetv2_hypersort.images.orientation import AXES


def flip(labels: Labels, grid: Grid, axis: str) -> Labels:
    """Mirror the whole label map along an anatomical axis, about the centre of the image, which is not mirrored."""
    return np.array(np.flip(labels, grid.axis(axis)[0]))


def other_case(labels: Labels, grid: Grid, donor: Labels, donor_grid: Grid) -> Labels:
    """Put another case's label map in place of this one: image centre on image centre, in mm and anatomical axes.

    The donor is sampled at the nearest voxel; beyond its edge is background.
    """
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt(donor_grid.codes), orientations.axcodes2ornt(grid.codes)
    )
    turned = orientations.apply_orientation(donor, turn)
    spacing = [0.0] * 3
    for source_axis, target_axis in enumerate(turn[:, 0].astype(int)):
        spacing[target_axis] = donor_grid.spacing[source_axis]
    indices, inside = [], []
    for length, step, donor_length, donor_step in zip(labels.shape, grid.spacing, turned.shape, spacing, strict=True):
        from_centre = (np.arange(length) - (length - 1) / 2) * step
        index = np.floor(from_centre / donor_step + (donor_length - 1) / 2 + 0.5).astype(int)
        inside.append((index >= 0) & (index < donor_length))
        indices.append(np.clip(index, 0, donor_length - 1))
    pasted: Labels = turned[np.ix_(*indices)].astype(labels.dtype)
    along, across, through = inside
    pasted[~(along[:, None, None] & across[:, None] & through)] = 0
    return pasted


def empty(labels: Labels) -> Labels:
    """Return a label map without any label."""
    return np.zeros_like(labels)


def swap_labels(labels: Labels, values: Sequence[int]) -> Labels:
    """Give each of `values` the name of the next one, the last that of the first."""
    result: Labels = labels.copy()
    for old, new in zip(values, (*values[1:], values[0]), strict=True):
        result[labels == old] = new
    return result


def missing_slices(
    labels: Labels, grid: Grid, values: tuple[int, ...], axis: str, fraction: float, start: float
) -> Labels:
    """Empty a run of consecutive slices across an axis, as when an annotator skipped a part.

    Args:
        labels: Label map.
        grid: Its spacing and orientation.
        values: The labels that lose slices.
        axis: Anatomical axis across which the slices lie.
        fraction: Share of the slices holding any of `values` that is emptied (0 to 1), at least one slice.
        start: Where the run begins: 0 the first possible slice, 1 the last possible one.

    Returns:
        The label map without these slices.
    """
    selected = np.isin(labels, values)
    result: Labels = labels.copy()
    index, _ = grid.axis(axis)
    occupied = np.unique(np.nonzero(selected)[index])
    if not len(occupied):
        return result
    length = max(1, round(fraction * len(occupied)))
    first = round(start * (len(occupied) - length))
    emptied = np.zeros(labels.shape[index], dtype=bool)
    emptied[occupied[first : first + length]] = True
    shape = [1, 1, 1]
    shape[index] = -1
    result[selected & emptied.reshape(shape)] = 0
    return result


def random_ways(rng: np.random.Generator, mm: float, axis: str | None, axes: Sequence[str]) -> dict[str, float]:
    """Choose a way of length `mm`, by axis: along `axis` to one of its ends, else in any direction that `axes` span."""
    if axis is not None:
        return {axis: mm * float(rng.choice([-1, 1]))}
    # Always three numbers: what is sampled after them is the same in a plane as in a volume.
    sampled = dict(zip(AXES, rng.normal(size=len(AXES)), strict=True))
    direction = np.asarray([sampled[each] for each in axes])
    direction *= mm / np.linalg.norm(direction)
    return dict(zip(axes, map(float, direction), strict=True))
