"""How well wrong labels are ranked first, gross ones and those that leave a Dice of 0.7 to 0.9 apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery.ranking import METRICS, Group, mean_metric, paired_difference
from benchmarks.style_recovery.wrong_labels import (
    FOREST,
    ISOLATION,
    MAHALANOBIS,
    OURS,
    OWN_LOSS,
    SOFTMIN,
    isolation,
    isolation_forest,
    mahalanobis,
)
from benchmarks.unseen_styles.discriminant import standardised
from benchmarks.unseen_styles.evidence import MASKS, RESIDUALS, Evidence

Content = dict[str, Any]
DISAGREEMENT = "cross_fit_disagreement"
RESIDUAL_MAHALANOBIS = "residual_mahalanobis"
BASELINES = (DISAGREEMENT, RESIDUAL_MAHALANOBIS, SOFTMIN, ISOLATION, MAHALANOBIS, FOREST)
ROWS = {"Dice up to 0.7": (-1.0, 0.7), "Dice 0.7 to 0.9": (0.7, 0.9), "all": (-1.0, 1.0)}
EXPECTED = "wrong_probability"
"""The column of the ranking with how likely a label is wrong, where there is one."""


def wrong_labels(workplace: Workplace, found: Sequence[Evidence]) -> Content:
    """For each range of Dice how many labels are wrong and every score's metrics; and what was flagged, how rightly."""
    content: Content = {}
    groups = [(evidence, _scores(evidence)) for evidence in found]
    for name, (above, up_to) in ROWS.items():
        parts = []
        for evidence, scores in groups:
            wrong = ~evidence.right
            dice = np.asarray([entry.dice for entry in evidence.truth])
            kept = ~wrong | ((dice > above) & (dice <= up_to))
            parts.append(Group(wrong[kept], {score: values[kept] for score, values in scores.items()}))
        if parts[0].wrong.any():
            content[name] = _metrics(parts)
    content["flagged"] = [_flagged(evidence) for evidence in found]
    return content


def _scores(evidence: Evidence) -> dict[str, np.ndarray]:
    cases, record = evidence.cases, evidence.record
    ranked = {row["case"]: row for row in record["ranking"]}
    losses = dict(zip(record["record"]["cases"], record["record"]["losses"], strict=True))
    masks = standardised(evidence.tables[MASKS])
    seed = evidence.run.seed
    scores = {
        OURS: np.asarray([ranked[case]["outlyingness"] for case in cases], float),
        OWN_LOSS: np.asarray([losses[case] for case in cases], float),
        ISOLATION: isolation(evidence.tables["latents"]),
        MAHALANOBIS: mahalanobis(masks, seed),
        FOREST: isolation_forest(masks, seed),
    }
    if evidence.cross_fit:
        scores[DISAGREEMENT] = 1 - np.asarray([evidence.cross_fit[case]["dice"] for case in cases])
        scores[SOFTMIN] = -np.asarray([evidence.cross_fit[case]["softmin"] for case in cases])
        scores[RESIDUAL_MAHALANOBIS] = mahalanobis(standardised(evidence.tables[RESIDUALS]), seed)
    return {name: np.nan_to_num(values) for name, values in scores.items()}


def _metrics(groups: Sequence[Group]) -> Content:
    content: Content = {"wrong_labels": [int(group.wrong.sum()) for group in groups], "scores": {}}
    for name in (OURS, OWN_LOSS, *BASELINES):
        having = [group for group in groups if name in group.scores]
        if not having:
            continue
        entry: Content = {metric: [mean_metric([group], metric, name) for group in having] for metric in METRICS}
        if name != OURS:
            entry["ours_minus_this"] = {
                metric: {key: getattr(gap, key) for key in ("mean", "low", "high")}
                for metric in METRICS
                for gap in [paired_difference(groups, metric, name, OURS)]
            }
        content["scores"][name] = entry
    return content


def _flagged(evidence: Evidence) -> Content:
    flagged = set(evidence.record["flagged"]) & set(evidence.cases)
    wrong = {case for case, entry in zip(evidence.cases, evidence.truth, strict=True) if entry.wrong}
    content: Content = {"flagged": len(flagged), "wrong": len(flagged & wrong), "of": len(wrong)}
    expected = [row[EXPECTED] for row in evidence.record["ranking"] if row["case"] in flagged and EXPECTED in row]
    if expected:
        content["expected_precision"] = float(np.mean(expected))
    return content
