"""What was aimed at, and whether it was met."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.style_recovery.protocol import MIXTURES, Method, Mixture
from benchmarks.style_recovery.results import SEVERE
from benchmarks.style_recovery.wrong_labels import BASELINES, OURS

Content = Mapping[str, Any]
MAX_MASK_STATISTICS_ARI = 0.2


@dataclass(frozen=True)
class Verdict:
    """One row of the table of targets.

    Attributes:
        what: What was measured.
        target: What was aimed at, in words.
        values: One value per seed, in the order of the seeds; empty if no run of it is finished.
        is_met: Whether the target is met; None if nothing can be said yet.
        note: What else decides, such as an interval.
    """

    what: str
    target: str
    values: tuple[float, ...]
    is_met: bool | None
    note: str = ""

    @property
    def median(self) -> float:
        """The median over the seeds; NaN without a value."""
        return float(np.median(self.values)) if self.values else float("nan")


def judge(results: Content) -> list[Verdict]:
    """Every target with its verdict."""
    verdicts = []
    for mixture in MIXTURES:
        content = results["mixtures"][mixture.name]
        if mixture.spec is None:
            verdicts += _clean(content, mixture)
        else:
            verdicts += [
                *_recovery(content, mixture),
                *_wrong_labels(content["wrong_labels"][f"dice_up_to_{SEVERE}"], mixture),
                *_held_out(content["held_out"], mixture),
            ]
            verdicts += _mask_statistics(content, mixture)
    return verdicts


def _at_median(
    what: str, target: str, values: Sequence[float | None], meets: Callable[[float], bool], note: str = ""
) -> Verdict:
    # What is not finite (a score never reached) is stored as null, and is worse than any number.
    known = tuple(np.inf if value is None else float(value) for value in values)
    return Verdict(what, target, known, meets(float(np.median(known))) if known else None, note)


def _recovery(content: Content, mixture: Mixture) -> list[Verdict]:
    wanted = mixture.ari_target
    rows = content["recovery"]
    verdicts = []
    for method, when in ((Method.HYPERSORT, "25"), (Method.LONG, "200")):
        values = [row["ari"] for row in rows if row["method"] == method.value]
        verdicts.append(
            _at_median(f"ARI, {mixture.name}, {when} visits per case", f">= {wanted}", values, lambda v: v >= wanted)
        )
    visits = [row["visits_to_ari_for_good"] for row in rows if row["method"] == Method.HYPERSORT.value]
    verdicts.append(
        _at_median(f"visits per case for ARI >= 0.9 to the end, {mixture.name}", "<= 15", visits, lambda v: v <= 15)
    )
    return verdicts


def _wrong_labels(content: Content, mixture: Mixture) -> list[Verdict]:
    scores = content["scores"]
    ours = scores.get(OURS, {"auroc": [], "average_precision": []})
    others = {name: scores[name] for name in BASELINES if name in scores and OURS in scores}
    what = f"wrong labels with Dice <= {SEVERE}, {mixture.name}"
    verdicts = [
        _at_median(f"average precision, {what}", ">= 0.95", ours["average_precision"], lambda value: value >= 0.95)
    ]
    best, note = _strongest(others, "auroc")
    verdicts.append(
        Verdict(
            f"AUROC, {what}",
            "no lower than any baseline (upper end of the paired 95 % interval >= 0)",
            tuple(ours["auroc"]),
            all(entry["ours_minus_this"]["auroc"]["high"] >= 0 for entry in others.values()) if best else None,
            note,
        )
    )
    best, note = _strongest(others, "average_precision")
    verdicts.append(
        Verdict(
            f"average precision, {what}",
            "above every baseline",
            tuple(ours["average_precision"]),
            all(entry["ours_minus_this"]["average_precision"]["mean"] > 0 for entry in others.values())
            if best
            else None,
            note,
        )
    )
    return verdicts


def _strongest(others: Mapping[str, Content], metric: str) -> tuple[str, str]:
    if not others:
        return "", ""
    name = max(others, key=lambda other: float(np.mean(others[other][metric])))
    gap = others[name]["ours_minus_this"][metric]
    return name, f"ours - {name}: {gap['mean']:+.3f} [{_number(gap['low'])}, {_number(gap['high'])}]"


def _held_out(content: Content, mixture: Mixture) -> list[Verdict]:
    verdicts = []
    for style in mixture.styles:
        differences = content[style]["hypersort_minus"]
        frequent = style == mixture.styles[0]
        for other, target, least in (
            (Method.ORACLE.value, "no more than 0.01 below", -0.01),
            (Method.PLAIN.value, "no more than 0.005 below" if frequent else "above", -0.005 if frequent else 0.0),
        ):
            gap = differences.get(other, {}).get("DSC")
            verdicts.append(
                _at_median(
                    f"Dice of style {style} minus that of {other}, {mixture.name}",
                    target,
                    gap["per_seed"] if gap else [],
                    lambda value, least=least: value >= least if least else value > 0,
                    _spread(gap),
                )
            )
    return verdicts


def _clean(content: Content, mixture: Mixture) -> list[Verdict]:
    gap = content["held_out"][mixture.styles[0]]["hypersort_minus"].get(Method.PLAIN.value, {}).get("DSC")
    clusters = [row["clusters"] for row in content["recovery"] if row["method"] == Method.HYPERSORT.value]
    return [
        _at_median(
            "Dice minus that of plain nnU-Net, clean data",
            "within 0.01",
            gap["per_seed"] if gap else [],
            lambda value: abs(value) <= 0.01,
            _spread(gap),
        ),
        Verdict(
            "clusters found, clean data",
            "one with every seed",
            tuple(map(float, clusters)),
            all(count == 1 for count in clusters) if clusters else None,
        ),
    ]


def _mask_statistics(content: Content, mixture: Mixture) -> list[Verdict]:
    found = content["mask_statistics"]
    if not mixture.is_hidden:
        return []
    return [
        Verdict(
            f"ARI of a Gaussian mixture on mask statistics, {mixture.name}",
            f"< {MAX_MASK_STATISTICS_ARI}, or the mixture does not count",
            (found["all_features"],) if found else (),
            found["all_features"] < MAX_MASK_STATISTICS_ARI if found else None,
            f"{found['family']} alone: {found['family_ari']:.2f}" if found else "",
        )
    ]


def _spread(gap: Content | None) -> str:
    return f"mean {gap['mean']:+.3f} [{_number(gap['low'])}, {_number(gap['high'])}]" if gap else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
