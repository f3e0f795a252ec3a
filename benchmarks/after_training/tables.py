"""The tables of docs/working_with_styles.md."""

from collections.abc import Mapping
from typing import Any

from benchmarks.nnunet_runs.tables import format_table

Content = Mapping[str, Any]


def markdown(results: Content) -> str:
    """All tables."""
    return "\n".join(
        [
            "### Styles over five folds",
            "",
            _styles(results["styles"]),
            "### Wrong labels",
            "",
            _ranking(results["ranking"]),
            "### Redrawn in one style",
            "",
            _harmonised(results["harmonised"]),
        ]
        + (["### Training again", "", _cleaning(results)] if results["cleaning"] else [])
    )


def _styles(styles: Content) -> str:
    rows = [(f"ARI, fold {fold}", _number(ari)) for fold, ari in styles["ari_per_fold"].items()]
    rows.append(("ARI of the named styles, all cases", _number(styles["ari_of_named_styles"])))
    if styles["agreement"]:
        shared = styles["agreement"]
        rows.append((f"agreement of the folds ({shared['cases']} comparisons)", _number(shared["share"])))
        rows.append(("Cohen's kappa of it", _number(shared["kappa"])))
        rows.append(("lowest agreement of two folds", _number(styles["lowest_agreement_of_two_folds"])))
    named = format_table(
        ("style", "cases", "folds", "what `hypersort styles` says of it"),
        [(one["name"], one["cases"], one["folds"], one["says"]) for one in styles["styles"]],
    )
    return format_table(("", ""), rows) + "\n" + named


def _ranking(ranking: Content) -> str:
    parts = []
    for what, found in ranking.items():
        parts.append(
            f"{what[0].upper()}{what[1:]}: {found['cases']} cases, {found['wrong_labels']} with a planted error; "
            f"{found['flagged']} flagged, {found['flagged_and_wrong']} of them with an error.\n"
        )
        header = ("ranked by", "AUROC", "average precision", "precision at k")
        rows = [
            (name, _number(of["auroc"]), _number(of["average_precision"]), _number(of["precision_at_k"]))
            for name, of in found["scores"].items()
        ]
        parts.append(format_table(header, rows))
    return "\n".join(parts)


def _harmonised(harmonised: Content) -> str:
    header = (f"redrawn as {harmonised['style']}", "cases", "Dice before", "after")
    rows = [
        (group, of["cases"], _number(of["before"]), _number(of["after"])) for group, of in harmonised["groups"].items()
    ]
    return format_table(header, rows)


def _cleaning(results: Content) -> str:
    header = ("seed", "left out", "of them with an error", "planted errors in training")
    dropped = [(row["seed"], row["left_out"], row["of_them_wrong"], row["wrong"]) for row in results["left_out"]]
    rows = [
        (
            style,
            method,
            found["seeds"],
            _number(found["all_cases"]),
            _number(found["without_flagged"]),
            _interval(found["difference"]),
        )
        for style, methods in results["cleaning"].items()
        for method, found in methods.items()
    ]
    after = format_table(("style", "method", "seeds", "Dice, all cases", "without flagged", "difference"), rows)
    return format_table(header, dropped) + "\n" + after


def _interval(found: Content) -> str:
    low, high = ("-" if found[end] is None else f"{found[end]:+.3f}" for end in ("low", "high"))
    return f"{found['mean']:+.3f} [{low}, {high}]"


def _number(value: float) -> str:
    return f"{value:.3f}"
