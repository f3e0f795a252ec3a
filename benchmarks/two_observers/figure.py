"""The latents of both observers, those of one image joined."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.two_observers import features
from benchmarks.two_observers.datasets import read_drawings
from benchmarks.two_observers.one_run import read_training
from benchmarks.two_observers.protocol import Design, Run
from nnunetv2_hypersort.files import atomic_path

COLOURS = ("#3b6fb6", "#e08a1e")


def draw_latents(workplace: Workplace, runs: Sequence[Run], path: Path) -> bool:
    """Draw the first finished run of each design; returns whether there was any."""
    shown = []
    for design in Design:
        for run in runs:
            record = read_training(workplace, run) if run.design is design else None
            if record is not None:
                shown.append((run, record))
                break
    if not shown:
        return False
    with style.context("default"):
        figure = Figure(figsize=(5 * len(shown), 4.6), layout="constrained")
        for axes, (run, record) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            drawings = read_drawings(workplace, run)
            cases = [drawings[case] for case in record.cases]
            components, shares = features.principal_components(record.latents)
            points = np.column_stack([components, np.zeros(len(cases))])[:, :2]
            for image in sorted({drawing.image for drawing in cases}):
                own = [row for row, drawing in enumerate(cases) if drawing.image == image]
                axes.plot(*points[own].T, color="0.8", linewidth=0.8, zorder=0)
            for observer, colour in zip(run.design.drawn_by, COLOURS, strict=True):
                own = [row for row, drawing in enumerate(cases) if drawing.observer == observer]
                axes.scatter(*points[own].T, s=22, color=colour, linewidths=0, label=observer.replace("_", " "))
            axes.set_title(f"{run.design.value}, seed {run.seed}, {record.history_visits[-1]:.0f} visits per case")
            names = [f"component {index + 1} ({share:.0%})" for index, share in enumerate(shares[:2])]
            axes.set_xlabel(names[0])
            axes.set_ylabel(names[1] if len(names) > 1 else "")
            axes.legend(fontsize=8)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=110)
    return True
