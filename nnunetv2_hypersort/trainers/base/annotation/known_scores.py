"""nnU-Net's summary.json over what is annotated."""

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels


def known_scores(summary: Mapping[str, Any], annotated: AnnotatedLabels, file_ending: str) -> dict[str, Any]:
    """A summary in which what is not known is not-a-number, and means are over what is known.

    Args:
        summary: Content of a summary.json, or what nnU-Net makes it of; each case is named by its reference file.
        annotated: What the cases are annotated for.
        file_ending: Ending of the label files, with its dot.

    Returns:
        The summary with every metric of a label that its case is not annotated for as not-a-number; the mean of a label
        is that over the cases that have it, the mean of the foreground that over the labels that any case has.
    """
    keys = {structure.name: structure.key for structure in annotated.table.structures}
    per_case = []
    for entry in summary["metric_per_case"]:
        case_id = os.path.basename(entry["reference_file"]).removesuffix(file_ending)
        unknown = {keys[name] for name in annotated.unknown_of(case_id)}
        metrics = {
            key: dict.fromkeys(values, math.nan) if str(key) in unknown else values
            for key, values in entry["metrics"].items()
        }
        per_case.append({**entry, "metrics": metrics})
    mean = {
        key: {name: _mean([entry["metrics"][key][name] for entry in per_case]) for name in values}
        for key, values in summary["mean"].items()
    }
    structures = [key for key in mean if str(key) != "0"]
    foreground = {name: _mean([mean[key][name] for key in structures]) for name in summary["foreground_mean"]}
    return {**summary, "metric_per_case": per_case, "mean": mean, "foreground_mean": foreground}


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
