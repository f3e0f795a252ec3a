"""The worst cases of a method, each in the slice with the most errors, with contours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.evaluation.score_table import ScoreTable
from nnunetv2_hypersort.files.figures import as_label
from nnunetv2_hypersort.images.geometry import Grid
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.reading import ImageReader

NUM_CASES = 6
NUM_COLUMNS = 3
MAX_STRUCTURES = 8


def draw_worst_cases(
    table: ScoreTable,
    method: int,
    *,
    cases: Sequence[Case],
    labels: LabelTable,
    reader: ImageReader,
    images: Mapping[str, Path] | None = None,
) -> Figure | None:
    """Draw the cases with the lowest mean DSC: reference contours solid, predicted contours dashed.

    Args:
        table: The scores.
        method: Index of the method.
        cases: The files of the cases.
        labels: The structures.
        reader: Reads the files as nnU-Net does.
        images: By case the file of its image (see `check_images`); without it the background is plain.

    Returns:
        The figure, or None if no case has a DSC.
    """
    dice = np.ma.masked_invalid(table.values[method, :, :, 0]).mean(axis=1).filled(np.nan)
    order = [int(index) for index in np.argsort(dice, kind="stable") if np.isfinite(dice[index])][:NUM_CASES]
    if not order:
        return None
    columns = min(NUM_COLUMNS, len(order))
    rows = -(-len(order) // columns)
    figure = Figure(figsize=(max(4 * columns, 6), 4.3 * rows + 0.9), layout="constrained")
    figure.suptitle(
        f"{as_label(table.methods[method])}: lowest mean DSC (reference solid, prediction dashed)", fontsize=11
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    palette = _Palette()
    for axes in panels:
        axes.set_axis_off()
    for axes, index in zip(panels, order, strict=False):
        image = None if images is None else images[cases[index].name]
        _draw_case(axes, cases[index], method, labels, reader, image, palette)
        worst = int(np.nanargmin(table.values[method, index, :, 0]))
        axes.set_title(
            f"{as_label(table.cases[index])}: mean DSC {dice[index]:.3f}\n"
            f"worst: {as_label(table.structures[worst])} {table.values[method, index, worst, 0]:.3f}",
            fontsize=9,
        )
    handles = [
        panels[0].plot([], [], color=colour, label=as_label(table.structures[s]))[0]
        for s, colour in sorted(palette.chosen.items())
    ]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=2 * columns, frameon=False, fontsize=9)
    return figure


class _Palette:
    """Gives each structure a colour when it is first shown, so that those that are shown differ."""

    def __init__(self) -> None:
        import matplotlib

        maps = [matplotlib.colormaps[name] for name in ("tab10", "Set2", "Dark2")]
        self._colours = [colours(index) for colours in maps for index in range(colours.N)]
        self.chosen: dict[int, tuple[float, ...]] = {}

    def choose(self, structure: int) -> tuple[float, ...]:
        """Return the colour of a structure."""
        return self.chosen.setdefault(structure, self._colours[len(self.chosen) % len(self._colours)])


def _draw_case(
    axes: Axes,
    case: Case,
    method: int,
    labels: LabelTable,
    reader: ImageReader,
    image_file: Path | None,
    palette: _Palette,
) -> None:
    paths = (case.reference, case.predictions[method])
    grid = reader.label_grid(next(path for path in (*paths, *case.predictions) if path is not None))
    empty = np.zeros(grid.shape, np.uint8)
    maps: list[NDArray[Any]] = [empty if path is None else reader.read_labels(path).values for path in paths]
    # Of an image with several channels, as of colours, their mean.
    image = None if image_file is None else reader.read_image(image_file).mean(axis=0)
    maps += [] if image is None else [image]
    ignored = maps[0] == labels.ignore_label if labels.ignore_label is not None else np.zeros(grid.shape, bool)
    wrong = (maps[0] != maps[1]) & ~ignored
    slices, spacing = _cut_slice(maps, wrong, grid)
    rows, columns = _find_view(slices[0], slices[1], labels)
    reference, prediction = slices[0][rows, columns], slices[1][rows, columns]
    height, width = reference.shape
    extent = (0.0, width * spacing[1], height * spacing[0], 0.0)
    if image is None:
        axes.imshow(np.full((1, 1), 0.92), cmap="gray", vmin=0, vmax=1, extent=extent)
    else:
        background = slices[2][rows, columns]
        low, high = np.quantile(background, [0.005, 0.995])
        axes.imshow(background, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), extent=extent)
    across = (np.arange(width) + 0.5) * spacing[1]
    down = (np.arange(height) + 0.5) * spacing[0]
    for s in _choose_structures(reference, prediction, labels):
        colour = palette.choose(s)
        for label_map, style in ((reference, "solid"), (prediction, "dashed")):
            mask = np.isin(label_map, labels.structures[s].values)
            # A contour needs two different values and two rows and columns.
            if mask.any() and not mask.all() and min(mask.shape) > 1:
                axes.contour(across, down, mask, levels=[0.5], colors=[colour], linestyles=style, linewidths=1.2)
    axes.set_aspect("equal")


def _cut_slice(
    maps: Sequence[NDArray[Any]], wrong: NDArray[np.bool_], grid: Grid
) -> tuple[list[NDArray[Any]], tuple[float, float]]:
    """Cut the slice with the most errors out of each map, turned as radiologists look at it."""
    flat = [axis for axis, n in enumerate(grid.shape) if n == 1]
    axis = flat[0] if flat else int(np.argmax(grid.spacing))
    others = [other for other in range(3) if other != axis]
    position = int(wrong.sum(axis=tuple(others)).argmax())
    slices = [np.take(label_map, position, axis=axis) for label_map in maps]
    spacing = (grid.spacing[others[0]], grid.spacing[others[1]])
    # Down the screen go z (head first) or else y (front first); across go x (the patient's right first) or else y.
    directions = grid.affine[:3, others]
    world = [int(np.abs(directions[:, side]).argmax()) for side in range(2)]
    flipped = [bool(directions[world[side], side] > 0) for side in range(2)]
    slices = [np.flip(one, tuple(side for side in range(2) if flipped[side])) for one in slices]
    if world[0] < world[1]:
        return [one.T for one in slices], (spacing[1], spacing[0])
    return slices, spacing


def _find_view(reference: NDArray[Any], prediction: NDArray[Any], labels: LabelTable) -> tuple[slice, slice]:
    """Return the part of a slice that holds all foreground, with a margin."""
    foreground = (reference > 0) | (prediction > 0)
    if labels.ignore_label is not None:
        foreground &= reference != labels.ignore_label
    if not foreground.any():
        return slice(None), slice(None)
    sides = []
    for axis in range(2):
        found = np.flatnonzero(foreground.any(axis=1 - axis))
        margin = 4 + (found[-1] - found[0]) // 8
        sides.append(slice(max(0, int(found[0] - margin)), int(found[-1] + margin + 1)))
    return sides[0], sides[1]


def _choose_structures(reference: NDArray[Any], prediction: NDArray[Any], labels: LabelTable) -> list[int]:
    """Return the structures of a slice; only those with the most errors if there are many."""
    errors = {}
    for s, structure in enumerate(labels.structures):
        masks = np.isin(reference, structure.values), np.isin(prediction, structure.values)
        if masks[0].any() or masks[1].any():
            errors[s] = int((masks[0] != masks[1]).sum())
    return sorted(sorted(errors, key=lambda s: -errors[s])[:MAX_STRUCTURES])
