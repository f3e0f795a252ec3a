"""The way of the latents through the training, and how soon the styles are found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style as matplotlib_style
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery.datasets import read_truth
from benchmarks.style_recovery.protocol import Method, Run
from benchmarks.style_recovery.records import read_training
from nnunetv2_hypersort.files import atomic_path

COLOURS = ("#3b6fb6", "#e08a1e", "#3f9c5a", "#8c5fb3", "#7a7a7a")  # told apart with red-green blindness, too


def draw_trajectories(workplace: Workplace, runs: Sequence[Run], results: Mapping[str, Any], path: Path) -> bool:
    """Draw one row per mixture from its first HyperSORT run that is finished; returns whether there was any."""
    rows = []
    for name in dict.fromkeys(run.mixture.name for run in runs if run.mixture.spec):
        for run in runs:
            record = read_training(workplace, run) if run.method is Method.HYPERSORT else None
            if run.mixture.name == name and record is not None:
                rows.append((run, record))
                break
    if not rows:
        return False
    with matplotlib_style.context("default"):
        figure = Figure(figsize=(13, 4.4 * len(rows)), layout="constrained")
        axes = figure.subplots(len(rows), 3, squeeze=False)
        for (way, end, curve), (run, record) in zip(axes, rows, strict=True):
            truth = read_truth(workplace, run)
            styles = [truth[case].style for case in record.cases]
            wrong = np.asarray([truth[case].is_wrong for case in record.cases])
            _draw_latents(way, end, record.history, styles, wrong, run.mixture.styles)
            way.set_title(f"{run.mixture.name}, seed {run.seed}: way of the latents")
            end.set_title(f"at the end, {record.history_visits[-1]:.0f} visits per case")
            _draw_curves(curve, results["mixtures"][run.mixture.name]["recovery"])
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=110)
    return True


def _draw_latents(
    way: Any,
    end: Any,
    history: NDArray[np.floating],
    styles: Sequence[str],
    wrong: NDArray[np.bool_],
    names: Sequence[str],
) -> None:
    points, labels = _plane(history)
    for case, own in enumerate(styles):
        colour = "black" if wrong[case] else COLOURS[names.index(own) % len(COLOURS)]
        way.plot(*points[:, case].T, color=colour, linewidth=0.6, alpha=0.6)
    for name, colour in zip(names, COLOURS, strict=False):
        own = np.asarray(styles) == name
        for axes, size in ((way, 8), (end, 22)):
            axes.scatter(*points[-1, own & ~wrong].T, s=size, color=colour, linewidths=0)
            axes.scatter(*points[-1, own & wrong].T, s=2 * size, color=colour, marker="X", edgecolors="black")
    handles = [
        Line2D([], [], color=colour, marker="o", linestyle="", label=name)
        for name, colour in zip(names, COLOURS, strict=False)
    ]
    handles.append(
        Line2D([], [], color="white", markeredgecolor="black", marker="X", linestyle="", label="wrong label")
    )
    end.legend(handles=handles, fontsize=8)
    for axes in (way, end):
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])


def _plane(history: NDArray[np.floating]) -> tuple[NDArray[np.floating], tuple[str, str]]:
    """History, shape (entries, cases, dim), in two coordinates: from three on the plane of most variance at the end."""
    dim = history.shape[-1]
    if dim == 1:
        return np.concatenate([history, np.zeros_like(history)], axis=-1), ("z_0", "")
    if dim == 2:
        return history, ("z_0", "z_1")
    centre = history[-1].mean(0)
    directions = np.linalg.svd(history[-1] - centre, full_matrices=False)[2][:2]
    return (history - centre) @ directions.T, ("first principal component", "second principal component")


def _draw_curves(axes: Any, recovery: Sequence[Mapping[str, Any]]) -> None:
    for row in recovery:
        if row["method"] in (Method.HYPERSORT.value, Method.PUBLISHED.value, Method.MIRRORED.value):
            visits, ari = zip(*row["ari_over_visits"], strict=True)
            looks = {Method.HYPERSORT.value: "-", Method.PUBLISHED.value: ":", Method.MIRRORED.value: "--"}
            axes.plot(visits, ari, looks[row["method"]], label=f"{row['method']}, seed {row['seed']}")
    axes.axhline(0.9, color="0.6", linewidth=0.8)
    axes.set_ylim(-0.05, 1.03)
    axes.set_xlabel("visits per case")
    axes.set_ylabel("ARI of the clusters found")
    axes.set_title("how soon the styles are found")
    axes.legend(fontsize=8)
