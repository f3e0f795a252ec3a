"""Style operations on the shape of labels and on how many of their parts and slices are annotated.

As in `operations`: pure functions of a label map, its grid and millimetres, that return a new array, change nothing but
`values` and write over background only.
"""

import numpy as np
from scipy import ndimage

from nnunetv2_hypersort.images.geometry import Grid, Labels, distance_to, window

# Between voxel centres, lengths are sums of roots: what is equal on paper differs in the last digits.
_HAIR = 1e-6


def fill_clefts(labels: Labels, grid: Grid, values: tuple[int, ...], mm: float) -> Labels:
    """Fill what lies between folds: the background that a ball of radius `mm` outside the labels cannot reach.

    Morphological closing of all `values` together (Serra 1982). What is filled goes to the closest label, on a tie to
    the one named first. Outside the image is background.
    """
    # A ball may lie beyond the image's edge; without room for it everything between label and edge were a cleft.
    sizes = zip(grid.spacing, labels.shape, strict=True)
    margins = [int(np.ceil(mm / step)) + 1 if length > 1 else 0 for step, length in sizes]
    padded = np.pad(labels, [(margin, margin) for margin in margins])
    view = window(np.isin(padded, values), grid, mm)
    if view is None:
        unchanged: Labels = labels.copy()
        return unchanged
    cropped = padded[view]
    distances = np.stack([distance_to(cropped == value, grid) for value in values])
    balls = distances.min(axis=0) > mm + _HAIR
    filled = (cropped == 0) & (distance_to(balls, grid) > mm + _HAIR)
    closest = np.asarray(values, dtype=labels.dtype)[np.argmin(distances, axis=0)]
    cropped[filled] = closest[filled]
    inside = tuple(slice(margin, margin + length) for margin, length in zip(margins, labels.shape, strict=True))
    result: Labels = padded[inside].copy()
    return result


def leave_out_thin(labels: Labels, grid: Grid, values: tuple[int, ...], mm: float) -> Labels:
    """Leave out appendages: turn into background what a ball of radius `mm` inside the labels cannot reach.

    Morphological opening of all `values` together (Serra 1982). A label that goes on at the image's edge is not thin
    there.
    """
    result: Labels = labels.copy()
    selected = np.isin(labels, values)
    view = window(selected, grid, mm)
    if view is None:
        return result
    inside = selected[view]
    balls = inside & (distance_to(~inside, grid) > mm + _HAIR)
    result[view][inside & (distance_to(balls, grid) > mm + _HAIR)] = 0
    return result


def copy_slices(labels: Labels, grid: Grid, values: tuple[int, ...], axis: str, every: int) -> Labels:
    """Annotate every n-th slice across an axis only, and copy it to its neighbours.

    From the end of the axis that is named first, the slices from the first to the last that the labels reach are taken
    in runs of `every`; all slices of a run get the labels of its middle one (of an even number the later), those of a
    last, shorter run that of its own middle.
    """
    selected = np.isin(labels, values)
    index, sign = grid.axis(axis)
    occupied = np.unique(np.nonzero(selected)[index])
    result: Labels = labels.copy()
    if not len(occupied):
        return result
    order = np.arange(occupied[0], occupied[-1] + 1)[::sign]
    source = np.moveaxis(np.where(selected, labels, 0).astype(labels.dtype), index, 0)
    target = np.moveaxis(result, index, 0)
    kept = np.moveaxis(~selected & (labels != 0), index, 0)
    for start in range(0, len(order), every):
        run = order[start : start + every]
        for position in run:
            target[position] = np.where(kept[position], target[position], source[run[len(run) // 2]])
    return result


def keep_largest(labels: Labels, grid: Grid, values: tuple[int, ...], pieces: int) -> Labels:
    """Leave out all but the largest pieces of each label, connected through faces, edges and corners.

    Of two pieces of one size that which comes first in the array is kept.
    """
    result: Labels = labels.copy()
    for value in values:
        found, count = ndimage.label(labels == value, structure=np.ones((3, 3, 3)))
        sizes = np.bincount(found.ravel(), minlength=count + 1)[1:]
        kept = 1 + np.argsort(-sizes, kind="stable")[:pieces]
        result[(found > 0) & ~np.isin(found, kept)] = 0
    return result
