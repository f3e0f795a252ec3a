"""What all runs came to: means, and differences between methods on the same cases."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.nnunet_runs.tables import format_table
from benchmarks.partial_labels.protocol import LABELS, NAMES, REGIMES, Method, Protocol, Run
from nnunetv2_hypersort.evaluation.bootstrap import draw_subjects, summarise

METRICS = ("dice", "recall")
WITHIN_CEILING = 0.01
LEAST_VERSUS_PER_LABEL = -0.005
_RESAMPLES = 2000

Scores = dict[tuple[int, str, str], NDArray[np.float64]]
"""By seed, case and label Dice and recall."""


def collect(records: Mapping[Run, Mapping[str, Any]], protocol: Protocol, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """One row per length, regime, method and label.

    Args:
        records: The finished runs and their records.
        protocol: How long they are.
        seeds: The seeds of the short runs.

    Returns:
        Rows with the means over cases and seeds, the differences to the ceiling, and to one nnU-Net per label with the
        95 % interval of the mean over cases (cases are drawn anew, each with all its seeds).
    """
    rows = []
    for epochs, chosen in ((protocol.epochs, seeds), (protocol.long_epochs, seeds[:1])):
        ceiling = _scores(records, None, Method.CEILING, epochs, chosen)
        for regime in (None, *REGIMES):
            methods = [Method.CEILING] if regime is None else [m for m in Method if m is not Method.CEILING]
            alone = _scores(records, regime, Method.PER_LABEL, epochs, chosen)
            for method in methods:
                found = _scores(records, regime, method, epochs, chosen)
                for label in LABELS:
                    row = _row(found, ceiling, alone, label)
                    if row is not None:
                        names = {"regime": "all" if regime is None else regime.name, "method": method.value}
                        rows.append({"epochs": epochs, **names, "label": label, **row})
    return rows


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as tables, one per length and regime."""
    text = []
    for epochs in dict.fromkeys(row["epochs"] for row in rows):
        for regime in REGIMES:
            shown = [row for row in rows if row["epochs"] == epochs and row["regime"] in ("all", regime.name)]
            shares = "; ".join(f"{share:.0%} {' and '.join(names)}" for names, share in regime.shares)
            header = ["method", "label", "Dice", "recall", "Dice - ceiling", "recall - ceiling", "Dice - per label"]
            lines = [
                [
                    NAMES[Method(row["method"])],
                    row["label"],
                    *(_number(row[metric]) for metric in METRICS),
                    *(_signed(row[f"{metric}_versus_ceiling"]) for metric in METRICS),
                    _interval(row["dice_versus_per_label"]),
                ]
                for row in shown
            ]
            text.append(f"**{epochs} epochs, training cases annotated for: {shares}**\n\n{format_table(header, lines)}")
    return "\n".join(text)


def targets(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What `PartialLabelsTrainer` has to reach, and whether it does; None where what it is compared with is missing."""
    found = []
    for row in rows:
        if row["method"] != Method.PARTIAL.value:
            continue
        met = {
            "dice": _reaches(row["dice_versus_ceiling"], -WITHIN_CEILING),
            "recall": _reaches(row["recall_versus_ceiling"], -WITHIN_CEILING),
            "per_label": _reaches(row["dice_versus_per_label"][1], LEAST_VERSUS_PER_LABEL),
        }
        found.append({key: row[key] for key in ("epochs", "regime", "label")} | met)
    return found


def _reaches(value: float | None, least: float) -> bool | None:
    return None if value is None else value >= least


def _scores(
    records: Mapping[Run, Mapping[str, Any]], regime: Any, method: Method, epochs: int, seeds: Sequence[int]
) -> Scores:
    return {
        (run.seed, case, label): np.array([np.nan if value is None else value for value in values], float)
        for run, record in records.items()
        if (run.regime, run.method, run.epochs) == (regime, method, epochs) and run.seed in seeds
        for case, by_label in record["scores"].items()
        for label, values in by_label.items()
    }


def _row(found: Scores, ceiling: Scores, alone: Scores, label: str) -> dict[str, Any] | None:
    own = [values for key, values in found.items() if key[2] == label]
    if not own:
        return None
    row: dict[str, Any] = dict(zip(METRICS, np.nanmean(own, axis=0).tolist(), strict=True))
    for metric, (mean, _, _) in zip(METRICS, _differences(found, ceiling, label), strict=True):
        row[f"{metric}_versus_ceiling"] = mean
    row["dice_versus_per_label"] = _differences(found, alone, label)[0]
    return row


def _differences(found: Scores, other: Scores, label: str) -> list[list[float | None]]:
    """Mean and interval of each metric's difference, paired by seed and case."""
    keys = [key for key in found if key[2] == label and key in other]
    if not keys:
        return [[None, None, None]] * len(METRICS)
    cases = sorted({case for _, case, _ in keys})
    # The seeds of a case are no further cases: each case is the mean over its seeds.
    by_case = np.array(
        [np.nanmean([found[key] - other[key] for key in keys if key[1] == case], axis=0) for case in cases]
    )
    weights = draw_subjects(len(cases), num_resamples=_RESAMPLES)
    drawn = weights @ np.nan_to_num(by_case) / (weights @ np.isfinite(by_case))
    intervals = [summarise(*each, len(cases)) for each in zip(np.nanmean(by_case, axis=0), drawn.T, strict=True)]
    return [[_finite(value) for value in (each.mean, each.low, each.high)] for each in intervals]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def _interval(values: Sequence[float | None]) -> str:
    mean, low, high = values
    return _signed(mean) + ("" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]")
