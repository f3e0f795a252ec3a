"""The content of summary.json: what nnU-Net writes, and everything that is new under the key "hypersort"."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnunetv2_hypersort.evaluation.aggregation import MEAN, Aggregate
from nnunetv2_hypersort.evaluation.bootstrap import Interval
from nnunetv2_hypersort.evaluation.case_scores import METRICS, Presence, StructureScores
from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.evaluation.score_table import ScoreTable
from nnunetv2_hypersort.images.labels import LabelTable


def build_nnunet_summary(
    table: ScoreTable, method: int, *, cases: Sequence[Case], labels: LabelTable
) -> dict[str, Any]:
    """Build the summary of one method as `nnunetv2.evaluation.evaluate_predictions.compute_metrics_on_folder` does.

    nnU-Net's own entries have nnU-Net's values, NaN and plain means included; HD95, NSD, ASD, VS and `presence` stand
    beside them.

    Args:
        table: The scores.
        method: Index of the method.
        cases: The C cases, for their file names (None for a missing file).
        labels: The L structures, for their keys.

    Returns:
        `metric_per_case`, `mean` and `foreground_mean`, ready for JSON.
    """
    keys = [structure.key for structure in labels.structures]
    unknown = (table.presence[method] == Presence.NOT_ANNOTATED).all(axis=0)
    per_case = [
        {
            "metrics": {
                key: _list_metrics(score) | {"presence": score.presence.value}
                for key, score in zip(keys, table.scores[method, index], strict=True)
            },
            "prediction_file": _text(case.predictions[method]),
            "reference_file": _text(case.reference),
        }
        for index, case in enumerate(cases)
    ]
    mean = {}
    for position, key in enumerate(keys):
        columns = [_list_metrics(score) for score in table.scores[method, :, position]]
        mean[key] = {name: _nanmean([column[name] for column in columns]) for name in columns[0]}
    # A label that no case is annotated for has no mean that others could lack.
    scored = [key for key, nowhere in zip(keys, unknown, strict=True) if not nowhere] or keys
    foreground = {name: float(np.mean([mean[key][name] for key in scored])) for name in mean[keys[0]]}
    return {"foreground_mean": foreground, "mean": mean, "metric_per_case": per_case}


def build_statistics(table: ScoreTable, aggregate: Aggregate, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Build the entry "hypersort" of summary.json: means with intervals, counts, comparisons and ranks.

    Undefined numbers are null here.

    Args:
        table: The scores.
        aggregate: What was made of them.
        settings: Further entries: conventions, tolerances, groups, notes.
    """
    counts = table.count_presence()
    results: dict[str, Any] = {}
    for m, method in enumerate(table.methods):
        results[method] = {"labels": {}, "groups": {}}
        for (kind, name), members in aggregate.rows.items():
            entry = {
                metric: _describe_interval(interval) for metric, interval in aggregate.means[method][kind, name].items()
            }
            entry["cases"] = {
                presence.value: int(counts[presence][m, members].sum())
                for presence in counts
                if presence is not Presence.NOT_ANNOTATED or counts[presence].any()
            }
            if kind == MEAN:
                results[method][MEAN] = entry
            else:
                results[method][f"{kind}s"][name] = entry
    content = {
        "methods": list(table.methods),
        "num_cases": len(table.cases),
        "num_subjects": len(table.subject_names),
        **settings,
        "results": results,
    }
    if aggregate.differences:
        content["comparisons"] = [
            {
                "row": name,
                "kind": kind,
                "metric": metric,
                "first": difference.first,
                "second": difference.second,
                "second_minus_first": _describe_interval(difference.interval),
                "num_pairs": difference.num_pairs,
                "num_unpaired": difference.num_unpaired,
            }
            for (kind, name), by_metric in aggregate.differences.items()
            for metric, differences in by_metric.items()
            for difference in differences
        ]
        content["ranks"] = [
            {
                "row": name,
                "kind": kind,
                "metric": metric,
                "method": method,
                "rank": rank.rank,
                "mean_rank": rank.mean_rank,
                "resamples_with_rank": list(rank.counts),
            }
            for (kind, name), by_metric in aggregate.ranks.items()
            for metric, ranks in by_metric.items()
            for method, rank in ranks.items()
        ]
    return content


def _list_metrics(score: StructureScores) -> dict[str, float]:
    counts = score.counts
    known = score.presence is not Presence.NOT_ANNOTATED
    voxels = {
        "FP": counts.fp,
        "TP": counts.tp,
        "FN": counts.fn,
        "TN": counts.tn,
        "n_pred": counts.prediction,
        "n_ref": counts.reference,
    }
    values = dict(zip(METRICS, score.values, strict=True))
    return {
        "Dice": values.pop("DSC"),
        "IoU": score.iou,
        **(voxels if known else dict.fromkeys(voxels, math.nan)),
        **values,
    }


def _describe_interval(interval: Interval) -> dict[str, Any]:
    return {
        "mean": _null(interval.mean),
        "ci95": [_null(interval.low), _null(interval.high)],
        "num_subjects": interval.num_subjects,
    }


def _nanmean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def _null(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _text(path: Any) -> str | None:
    return None if path is None else str(path)
