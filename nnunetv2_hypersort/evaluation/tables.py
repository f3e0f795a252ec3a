"""Tables: metrics.csv, metrics_groups.csv, and the Markdown tables of the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.evaluation.aggregation import MEAN, Aggregate, Row
from nnunetv2_hypersort.evaluation.bootstrap import Interval
from nnunetv2_hypersort.evaluation.case_scores import METRICS, UNITS, Presence
from nnunetv2_hypersort.evaluation.score_table import ScoreTable
from nnunetv2_hypersort.files.tables import format_table
from nnunetv2_hypersort.files.text_tables import markdown_table


def format_metrics_csv(table: ScoreTable, nsd_tolerances: Sequence[float]) -> str:
    """Format one line per method, case and structure; empty where a metric is undefined.

    Args:
        table: The scores.
        nsd_tolerances: Tolerance of each structure in mm.

    Returns:
        CSV with the columns method, case, subject, label, DSC, HD95, NSD, ASD, VS, presence, reference_volume_mm3,
        prediction_volume_mm3 and nsd_tolerance_mm.
    """
    header = ["method", "case", "subject", "label", *METRICS, "presence"]
    header += ["reference_volume_mm3", "prediction_volume_mm3", "nsd_tolerance_mm"]
    lines = []
    for m, c, s in np.ndindex(*table.scores.shape):
        score = table.scores[m, c, s]
        lines.append(
            [
                *(table.methods[m], table.cases[c], table.subjects[c], table.structures[s]),
                *map(_cell, score.values),
                score.presence.value,
                *map(_cell, (score.reference_volume, score.prediction_volume, nsd_tolerances[s])),
            ]
        )
    return format_table(header, lines)


def format_groups_csv(table: ScoreTable, groups: Mapping[str, NDArray[np.float64]]) -> str:
    """Format one line per method, case and organ group: the mean over the structures of the group in that case.

    Args:
        table: The scores.
        groups: Name -> values of shape (M, C, 5).
    """
    return format_table(
        ["method", "case", "subject", "group", *METRICS],
        [
            [method, case, subject, name, *map(_cell, values[m, c])]
            for m, method in enumerate(table.methods)
            for c, (case, subject) in enumerate(zip(table.cases, table.subjects, strict=True))
            for name, values in groups.items()
        ],
    )


def format_markdown(table: ScoreTable, aggregate: Aggregate, notes: Sequence[str]) -> str:
    """Format the results as Markdown tables, readable as they stand: one per method, then comparisons and ranks."""
    parts = [_format_method(table, aggregate, m) for m in range(len(table.methods))]
    if aggregate.differences:
        parts.append(_format_differences(aggregate))
        parts.append(_format_ranks(table, aggregate))
    parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def _format_method(table: ScoreTable, aggregate: Aggregate, m: int) -> str:
    method = table.methods[m]
    counts = table.count_presence()
    header = ["label", "subjects", *map(_title, METRICS), "missed", "false positive", "absent"]
    lines = []
    for row, members in aggregate.rows.items():
        intervals = aggregate.means[method][row]
        shown = [Presence.MISSED, Presence.FALSE_POSITIVE, Presence.ABSENT]
        lines.append(
            [
                _row_title(row),
                str(intervals["DSC"].num_subjects),
                *(_format_interval(intervals[metric], metric) for metric in METRICS),
                *(str(int(counts[presence][m, members].sum())) for presence in shown),
            ]
        )
    return f"### {method}\n\n" + markdown_table(header, lines)


def _format_differences(aggregate: Aggregate) -> str:
    header = ["difference", "label", *map(_title, METRICS), "unpaired"]
    pairs = [(d.first, d.second) for d in aggregate.differences[MEAN, MEAN]["DSC"]]
    lines = []
    for first, second in pairs:
        for row, by_metric in aggregate.differences.items():
            found = {
                metric: next(d for d in by_metric[metric] if (d.first, d.second) == (first, second))
                for metric in METRICS
            }
            lines.append(
                [
                    f"{second} - {first}",
                    _row_title(row),
                    *(_format_interval(found[metric].interval, metric, signed=True) for metric in METRICS),
                    str(found["DSC"].num_unpaired),
                ]
            )
    return "### Paired differences\n\n" + markdown_table(header, lines)


def _format_ranks(table: ScoreTable, aggregate: Aggregate) -> str:
    ranks = aggregate.ranks[MEAN, MEAN]
    header = ["method", *METRICS]
    lines = []
    for method in table.methods:
        cells = []
        for metric in METRICS:
            rank = ranks[metric].get(method)
            cells.append(f"{rank.rank} ({rank.counts[0] / _num_resamples(ranks[metric]):.0%})" if rank else "-")
        lines.append([method, *cells])
    return "### Ranks by the mean over labels (share of resamples at rank 1)\n\n" + markdown_table(header, lines)


def _num_resamples(ranks: Mapping[str, Any]) -> int:
    # Every resample gives each method one rank, so the counts of any method add up to their number.
    return int(sum(next(iter(ranks.values())).counts))


def _row_title(row: Row) -> str:
    kind, name = row
    return {"label": name, "group": f"*{name}*", "mean": "**mean**"}[kind]


def _title(metric: str) -> str:
    return f"{metric} ({UNITS[metric]})" if UNITS[metric] else metric


def _format_interval(interval: Interval, metric: str, *, signed: bool = False) -> str:
    if not math.isfinite(interval.mean):
        return "-"
    digits = 2 if UNITS[metric] else 3
    # Adding 0 turns the -0.0 that rounding can leave into 0.0.
    mean, low, high = (
        f"{round(end, digits) + 0.0:{'+' if signed else ''}.{digits}f}"
        for end in (interval.mean, interval.low, interval.high)
    )
    return mean if not math.isfinite(interval.low) else f"{mean} [{low}, {high}]"


def _cell(value: float) -> str:
    return f"{value:.9g}" if math.isfinite(value) else ""
