"""Paired differences between two methods, per structure and metric."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnunetv2_hypersort.evaluation.aggregation import Aggregate, Row
from nnunetv2_hypersort.evaluation.bootstrap import Interval
from nnunetv2_hypersort.evaluation.case_scores import HIGHER_IS_BETTER, METRICS, UNITS
from nnunetv2_hypersort.evaluation.score_table import ScoreTable
from nnunetv2_hypersort.files.figures import as_label


def draw_differences(table: ScoreTable, result: Aggregate, first: int, second: int) -> Figure:
    """Draw the differences `second` - `first` of every case as dots, and their mean with its interval.

    Dots beyond the 1st and 99th percentile of a panel are shown at its edge, so that single missed structures do not
    squeeze all else together.

    Args:
        table: The scores.
        result: Differences with intervals.
        first: Index of one method.
        second: Index of the other.
    """
    metrics = [
        m for k, m in enumerate(METRICS) if np.isfinite(table.values[second] - table.values[first])[..., k].any()
    ]
    # Rows that say nothing would be empty lines; data sets with a hundred labels have many.
    names = table.methods[first], table.methods[second]
    rows = [row for row in result.rows if any(_has_value(result, row, metric, names) for metric in metrics)]
    figure = Figure(figsize=(2.2 + 2.6 * max(1, len(metrics)), 1.6 + 0.3 * len(rows)), layout="constrained")
    figure.suptitle(
        f"{as_label(names[1])} - {as_label(names[0])}: cases (dots), mean and 95 % interval over subjects", fontsize=10
    )
    if not metrics:
        figure.text(0.5, 0.5, "no case has a value for both methods", ha="center")
        return figure
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _draw_panel(axes, table, result, (first, second), metric, rows)
    titles = [f"{as_label(name)} ({kind})" if kind == "group" else as_label(name) for kind, name in rows]
    panels[0].set_yticks(range(len(rows)), titles)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _find_interval(result: Aggregate, row: Row, metric: str, names: tuple[str, str]) -> Interval:
    return next(d for d in result.differences[row][metric] if (d.first, d.second) == names).interval


def _has_value(result: Aggregate, row: Row, metric: str, names: tuple[str, str]) -> bool:
    return bool(np.isfinite(_find_interval(result, row, metric, names).mean))


def _draw_panel(
    axes: Axes,
    table: ScoreTable,
    result: Aggregate,
    pair: tuple[int, int],
    metric: str,
    rows: Sequence[Row],
) -> None:
    first, second = pair
    names = table.methods[first], table.methods[second]
    k = METRICS.index(metric)
    differences = table.values[second, ..., k] - table.values[first, ..., k]
    defined = differences[np.isfinite(differences)]
    low, high = np.quantile(defined, [0.01, 0.99])
    margin = max(high - low, 1e-6) * 0.1
    low, high = min(low, 0.0) - margin, max(high, 0.0) + margin
    jitter = np.random.default_rng(0)
    for height, row in enumerate(rows):
        if row[0] == "label":
            column = differences[:, result.rows[row][0]]
            column = np.clip(column[np.isfinite(column)], low, high)
            axes.plot(column, height + jitter.uniform(-0.25, 0.25, column.size), ".", color="0.6", markersize=3)
        interval = _find_interval(result, row, metric, names)
        if not np.isfinite(interval.mean):
            continue
        if np.isfinite(interval.low):
            axes.plot([interval.low, interval.high], [height, height], color="black", linewidth=1.5)
            low, high = min(low, interval.low - margin), max(high, interval.high + margin)
        axes.plot(interval.mean, height, "D" if row[0] != "label" else "o", color="black", markersize=5)
    axes.axvline(0, color="tab:red", linewidth=1, zorder=0)
    axes.set_xlim(low - margin / 2, high + margin / 2)
    better = "right" if HIGHER_IS_BETTER[metric] else "left"
    unit = f" ({UNITS[metric]})" if UNITS[metric] else ""
    axes.set_xlabel(f"{metric}{unit}\n{as_label(names[1])} better: {better}", fontsize=9)
    axes.grid(axis="x", alpha=0.3)
