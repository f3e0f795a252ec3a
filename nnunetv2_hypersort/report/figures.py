"""The latent maps of the report as one picture, for a paper or a slide."""

import os
from itertools import islice
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nnunetv2_hypersort.files.figures import as_label, names_are_text, save_figure
from nnunetv2_hypersort.latents.latent_map import draw_latent_map
from nnunetv2_hypersort.report.content import ReportContent, ShownFold

_MARKERS = "oDs^vP"
_NAMED_CASES = 3


def save_map_figure(path: str | os.PathLike[str], content: ReportContent) -> None:
    """Write a picture with a row per fold: the latents by style (if there are styles), by quality or else by loss.

    The worst cases of the ranking are named.

    Args:
        path: The file, whole or not at all; its ending chooses the format.
        content: What the report shows.

    Raises:
        OSError: The file cannot be written.
    """
    quality = {case: ranked.quality for case, ranked in content.ranking.items() if np.isfinite(ranked.quality)}
    numbers, meaning = (quality, "label quality") if quality else (content.loss_of(), "loss (Dice + cross-entropy)")
    across = 2 if content.styles else 1
    with names_are_text(default_style=True):
        figure = Figure(figsize=(6 * across, 5 * len(content.folds)), layout="constrained")
        grid = figure.subplots(len(content.folds), across, squeeze=False)
        for row, fold in zip(grid, content.folds, strict=True):
            if content.styles:
                _draw_styles(row[0], fold, content)
            colours = np.array([numbers.get(case, np.nan) for case in fold.cases])
            ranked = (case for case in content.cases if case in quality and case in fold.rows)
            worst = list(islice(ranked, _NAMED_CASES))
            draw_latent_map(
                row[-1],
                fold.latents,
                colours=colours,
                colour_label=meaning,
                marked=[(fold.rows[case], case) for case in worst],
            )
            for axes in row:
                mark = f", provisional (epoch {fold.epoch})" if fold.name in content.provisional else ""
                axes.set_title(f"Fold {fold.name}{mark}")
        save_figure(figure, path, dpi=150)


def _draw_styles(axes: Any, fold: ShownFold, content: ReportContent) -> None:
    of_case = content.style_of()
    points = fold.plane.project(fold.latents)
    alone = np.array([case not in of_case for case in fold.cases])
    if alone.any():
        axes.scatter(*points[alone].T, s=24, c="0.5", marker="x", linewidths=1, label="no style")
    for number, shown in enumerate(content.styles):
        rows = [row for row, case in enumerate(fold.cases) if of_case.get(case) == shown.name]
        if rows:
            marker = _MARKERS[number % len(_MARKERS)]
            colour = f"C{number % 10}"
            axes.scatter(*points[rows].T, s=20, color=colour, marker=marker, linewidths=0, label=as_label(shown.name))
    axes.set_xlabel(fold.plane.names[0])
    axes.set_ylabel(fold.plane.names[1])
    axes.legend(loc="best")
