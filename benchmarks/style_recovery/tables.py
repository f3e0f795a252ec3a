"""The tables of docs/style_recovery.md."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.nnunet_runs.tables import format_table
from benchmarks.style_recovery.held_out import SCORES
from benchmarks.style_recovery.protocol import MIXTURES, Method
from benchmarks.style_recovery.results import SEVERE
from benchmarks.style_recovery.targets import Verdict, judge

Content = Mapping[str, Any]


def markdown(results: Content) -> str:
    """All tables."""
    return "\n".join(
        [
            "### Targets",
            "",
            _targets(judge(results)),
            "### Styles found",
            "",
            _recovery(results),
            "### Wrong labels",
            "",
            *(_wrong_labels(results, mixture.name) for mixture in MIXTURES if mixture.spec),
            "### Held-out cases",
            "",
            _held_out(results),
        ]
    )


def _targets(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for verdict in verdicts:
        met = {True: "met", False: "**missed**", None: "not run"}[verdict.is_met]
        values = ", ".join(map(_number, verdict.values)) if len(verdict.values) > 1 else ""
        rows.append((verdict.what, verdict.target, _number(verdict.median), values, verdict.note, met))
    return format_table(("", "target", "median", "seeds", "", "verdict"), rows)


def _recovery(results: Content) -> str:
    header = ("", "seed", "visits", "clusters", "noise", "ARI", "NMI", "ARI, all cases", "NMI, all cases")
    header += ("ARI, number given", "NMI, number given", "visits to ARI 0.9 (for good)")
    rows = [
        (
            f"{name}, {row['method']}",
            row["seed"],
            f"{row['visits']:.0f}",
            row["clusters"],
            row["noise"],
            *(_number(row[key]) for key in ("ari", "nmi", "ari_all_cases", "nmi_all_cases")),
            *(_number(row[key]) for key in ("ari_number_given", "nmi_number_given")),
            f"{_visits(row['visits_to_ari'])} ({_visits(row['visits_to_ari_for_good'])})",
        )
        for name, content in results["mixtures"].items()
        for row in content["recovery"]
    ]
    return format_table(header, rows)


def _wrong_labels(results: Content, mixture: str) -> str:
    content = results["mixtures"][mixture]["wrong_labels"]
    parts = []
    for key, title in ((f"dice_up_to_{SEVERE}", f"Dice to the truth <= {SEVERE}"), ("all", "all planted errors")):
        found = content[key]
        rows = [
            (
                name,
                *(_seeds(entry[metric]) for metric in ("auroc", "average_precision", "precision_at_k")),
                *(_gap(entry.get("ours_minus_this", {}).get(metric)) for metric in ("auroc", "average_precision")),
            )
            for name, entry in found["scores"].items()
        ]
        counts = ", ".join(map(str, found["wrong_labels"])) or "none"
        header = ("", "AUROC", "average precision", "precision at k", "ours - this, AUROC", "ours - this, AP")
        parts.append(f"{mixture}, {title} ({counts} wrong labels):\n\n{format_table(header, rows)}")
    by_error = content["auroc_by_error"]
    names = list(content["all"]["scores"])
    rows = [
        (kind, entry["wrong_labels"], *(_number(entry.get(name)) for name in names)) for kind, entry in by_error.items()
    ]
    parts.append(f"{mixture}, AUROC by error:\n\n{format_table(('', 'wrong labels', *names), rows)}")
    return "\n".join(parts)


def _held_out(results: Content) -> str:
    rows = []
    for name, content in results["mixtures"].items():
        for style, found in content["held_out"].items():
            for method in Method:
                if method.value not in found["methods"]:
                    continue
                scores = found["methods"][method.value]
                rows.append((f"{name}, {style}", method.value, *(_seeds(scores[score]) for score in SCORES), "", ""))
                if method is Method.HYPERSORT:
                    gaps = found["hypersort_minus"]
                    rows[-1] = rows[-1][:-2] + tuple(
                        _gap(gaps.get(other.value, {}).get("DSC")) for other in (Method.PLAIN, Method.ORACLE)
                    )
    return format_table(("style", "method", "DSC", "HD95 (mm)", "NSD (1 mm)", "DSC - plain", "DSC - oracle"), rows)


def _number(value: float | None) -> str:
    if value is None or np.isnan(value):
        return "-"
    return "never" if np.isinf(value) else f"{value:.3f}"


def _visits(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f}"


def _seeds(values: Sequence[float | None]) -> str:
    """The median over the seeds; with several of them their range."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    median = f"{np.median(known):.3f}"
    return median if len(known) == 1 else f"{median} ({min(known):.3f} to {max(known):.3f})"


def _gap(gap: Content | None) -> str:
    if gap is None or gap["mean"] is None:
        return ""
    low, high = (_signed(gap[end]) for end in ("low", "high"))
    return f"{_signed(gap['mean'])} [{low}, {high}]"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
