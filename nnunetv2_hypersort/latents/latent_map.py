"""The latent map: a scatter plot of the training latents."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nnunetv2_hypersort.files.figures import as_label, names_are_text, save_figure
from nnunetv2_hypersort.latents.plane import LatentPlane


def draw_latent_map(
    axes: Any,
    latents: np.ndarray,
    *,
    colours: np.ndarray | None = None,
    colour_label: str = "",
    mode: int | None = None,
    marked: Sequence[tuple[int, str]] = (),
) -> None:
    """Draw training latents into matplotlib axes.

    Args:
        axes: Where to draw.
        latents: Shape (cases, dim). With more than two coordinates the plane of largest variance is shown.
        colours: Shape (cases,): a number per case for the colour; not-a-number is shown grey.
        colour_label: What the colour means.
        mode: Row of the densest latent, shown as a ring.
        marked: Rows to name in the plot, with their names.
    """
    plane = LatentPlane.through(latents)
    points, names = plane.project(latents), plane.names
    known = np.isfinite(colours) if colours is not None else np.zeros(len(points), bool)
    axes.scatter(*points[~known].T, s=18, c="0.45", linewidths=0)
    if colours is not None and known.any():
        points_shown = axes.scatter(*points[known].T, s=18, c=colours[known], cmap="viridis", linewidths=0)
        axes.figure.colorbar(points_shown, ax=axes, label=as_label(colour_label))
    if mode is not None:
        axes.scatter(*points[mode], s=160, facecolors="none", edgecolors="crimson", linewidths=1.8, label="mode")
        axes.legend(loc="best")
    for row, name in marked:
        axes.annotate(as_label(name), points[row], textcoords="offset points", xytext=(5, 5), fontsize=8)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])


def save_latent_map(path: str | os.PathLike[str], latents: np.ndarray, *, title: str, **drawing: Any) -> None:
    """Write a latent map as an image file, whole or not at all; the keywords are those of `draw_latent_map`."""
    with names_are_text(default_style=True):
        figure = Figure(figsize=(7, 6), layout="constrained")
        axes = figure.add_subplot()
        draw_latent_map(axes, latents, **drawing)
        axes.set_title(as_label(title))
        save_figure(figure, path, dpi=110)
