"""Box plots of one metric, one box per structure and method."""

import inspect
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nnunetv2_hypersort.evaluation.case_scores import METRICS, UNITS, Presence
from nnunetv2_hypersort.evaluation.score_table import ScoreTable
from nnunetv2_hypersort.files.figures import as_label

COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown", "tab:pink", "tab:olive", "tab:cyan")


def draw_box_plot(table: ScoreTable, metric: str) -> Figure | None:
    """Draw the cases of each structure and method as a box with its median, quartiles and whiskers (1.5 IQR).

    Cases in which a structure is missed or falsely predicted count in the boxes; they are also marked with a cross. On
    the axes in mm, where they are the image diagonal, the crosses stand at the right edge if they would squeeze all
    else together.

    Returns:
        The figure, or None if the metric is undefined everywhere.
    """
    k = METRICS.index(metric)
    values = table.values[..., k]
    if not np.isfinite(values).any():
        return None
    # Structures without a value would be empty lines; data sets with a hundred labels have many.
    shown = [s for s in range(values.shape[2]) if np.isfinite(values[:, :, s]).any()]
    values, presence = values[:, :, shown], table.presence[:, :, shown]
    only_one = (presence == Presence.MISSED) | (presence == Presence.FALSE_POSITIVE)
    num_methods, _, num_structures = values.shape
    step = 0.8 / num_methods
    figure = Figure(figsize=(8, 1.4 + num_structures * max(0.35, 0.22 * num_methods)), layout="constrained")
    axes = figure.add_subplot()
    limit = _choose_limit(values, only_one, metric)
    jitter = np.random.default_rng(0)
    # Matplotlib 3.10 renamed this option.
    renamed = "orientation" in inspect.signature(axes.boxplot).parameters
    horizontal: dict[str, Any] = {"orientation": "horizontal"} if renamed else {"vert": False}
    for m, method in enumerate(table.methods):
        colour = COLOURS[m % len(COLOURS)]
        for s in range(num_structures):
            column = values[m, :, s]
            defined = np.isfinite(column)
            if not defined.any():
                continue
            height = s + (m - (num_methods - 1) / 2) * step
            axes.boxplot(
                column[defined],
                positions=[height],
                **horizontal,
                widths=0.75 * step,
                showfliers=False,
                patch_artist=True,
                boxprops={"facecolor": colour, "alpha": 0.35, "edgecolor": colour},
                medianprops={"color": colour, "linewidth": 2},
                whiskerprops={"color": colour},
                capprops={"color": colour},
                manage_ticks=False,
            )
            heights = height + jitter.uniform(-0.2, 0.2, column.size) * step
            plain, crossed = defined & ~only_one[m, :, s], defined & only_one[m, :, s]
            axes.plot(column[plain], heights[plain], ".", color=colour, markersize=3, alpha=0.6)
            if crossed.any():
                places = np.minimum(column[crossed], limit) if limit else column[crossed]
                axes.plot(places, heights[crossed], "x", color=colour, markersize=5, clip_on=False)
        axes.plot([], [], "s", color=colour, alpha=0.5, label=as_label(method))
    if (only_one & np.isfinite(values)).any():
        edge = f" (image diagonal, beyond {limit:.3g} mm)" if limit else ""
        axes.plot([], [], "x", color="black", label=f"missed or false positive{edge}")
    axes.set_yticks(range(num_structures), [as_label(table.structures[s]) for s in shown])
    axes.set_ylim(num_structures - 0.5, -0.5)
    axes.set_xlabel(f"{metric} ({UNITS[metric]})" if UNITS[metric] else metric)
    if limit:
        axes.set_xlim(-0.03 * limit, limit)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=min(3, num_methods + 1), frameon=False, fontsize=9)
    return figure


def _choose_limit(values: np.ndarray, only_one: np.ndarray, metric: str) -> float | None:
    """Right end of an axis in mm if the image diagonals would squeeze the measured distances, else None."""
    measured = values[np.isfinite(values) & ~only_one]
    counted = values[np.isfinite(values) & only_one]
    if not UNITS[metric] or not measured.size or not counted.size or measured.max() <= 0:
        return None
    limit = 1.15 * float(measured.max())
    return limit if counted.max() > 2 * limit else None
