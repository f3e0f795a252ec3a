"""One case's evidence of all folds, summed up."""

import math
from collections import Counter
from collections.abc import Mapping

from nnunetv2_hypersort.ranking.fold_evidence import CaseEvidence
from nnunetv2_hypersort.ranking.quality import OUTLYING, mean_of_known, quality
from nnunetv2_hypersort.ranking.ranking_table import RankedCase


def summarise_case(
    case: str, evidence: Mapping[str, CaseEvidence], style: str | None, provisional: str = ""
) -> RankedCase:
    """Sum up what the folds say about a case.

    Each part of the outlyingness is the mean over the folds, of the disagreement that of the folds which trained on
    the case and that of the folds which did not, in equal shares: only the latter cannot have learned the label.

    Args:
        case: Case identifier.
        evidence: By the name of the fold, at least one.
        style: The name of its style; empty if it has none, None for a case that no fold trained on: it is counted to
            the style that fits best.
        provisional: How far the folds had come, where that is not the end of their training.
    """
    trained = {fold: found for fold, found in evidence.items() if not found.held_out}
    held_out = {fold: found for fold, found in evidence.items() if found.held_out}
    if style is None:
        fitting = Counter(found.best_style for found in held_out.values() if found.best_style)
        style = fitting.most_common(1)[0][0] if fitting else ""
    parts = {
        "disagreement": _mean(
            _mean(*(found.disagreement_z for found in trained.values())),
            _mean(*(found.disagreement_z for found in held_out.values())),
        ),
        "loss": _mean(*(found.loss_z for found in trained.values())),
        "isolation": _mean(*(found.isolation_z for found in trained.values())),
    }
    fits = [found.fit for found in evidence.values() if found.fit is not None]
    outlyingness = _mean(*parts.values())
    return RankedCase(
        case=case,
        quality=float(quality(outlyingness)),
        style=style,
        folds=tuple(trained),
        reason=_reason(parts, evidence),
        held_out=tuple(held_out),
        outlyingness=outlyingness,
        loss=_mean(*(found.loss for found in trained.values())),
        agreement=_mean(*(fit.agreement for fit in fits)),
        doubtful_mm3=_mean(*(fit.doubtful_mm3 for fit in fits)),
        loss_z=parts["loss"],
        isolation_z=parts["isolation"],
        disagreement_z=parts["disagreement"],
        provisional=provisional,
    )


def _reason(parts: Mapping[str, float], evidence: Mapping[str, CaseEvidence]) -> str:
    def describe(part: str) -> str:
        if part == "disagreement":
            fits = [found.fit for found in evidence.values() if found.fit is not None]
            worst = min((fit.worst_label for fit in fits if fit.worst_label), key=lambda entry: entry[1], default=None)
            where = f", worst in {worst[0]}" if worst else ""
            return f"disagrees with every style (agreement {_mean(*(fit.agreement for fit in fits)):.2f}{where})"
        if part == "loss":
            return f"high loss ({_mean(*(found.loss for found in evidence.values())):.2f})"
        return "isolated latent"

    outlying = [part for part, value in parts.items() if value > OUTLYING]
    return "; ".join(describe(part) for part in sorted(outlying, key=lambda part: -parts[part]))


def _mean(*values: float) -> float:
    return float(mean_of_known([[value] for value in values])[0]) if values else math.nan
