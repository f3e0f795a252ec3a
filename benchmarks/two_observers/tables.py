"""The tables of docs/two_observers.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.nnunet_runs.tables import format_table

Content = Mapping[str, Any]


def markdown(results: Content) -> str:
    """All tables."""
    runs = results["runs"]
    agree = results["dice_of_observers"]
    header = ("design", "seed", "cases", "spread", "clusters", "noise", "ARI of the observers", "statistic", "p")
    header += ("p, children swapped", "pairs in a common direction", "variance within images")
    parts = [
        f"The observers agree at Dice {agree['mean']:.3f} (mean of {agree['images']} images).",
        f"### Do the latents separate the observers?\n\n{format_table(header, map(_test_row, runs))}",
    ]
    for title, key in (
        ("What the latents mean: between images", "between_images"),
        ("What the difference within an image means", "within_pairs"),
    ):
        rows = [row for run in runs for row in _meaning_rows(run, key)]
        header = ("design", "seed", "axis (share of variance)", "Spearman's rho with")
        parts.append(f"### {title}\n\n{format_table(header, rows)}")
    return "\n\n".join(parts)


def _test_row(run: Content) -> list[Any]:
    test = run.get("test_pairs") or run["test_cases"]
    row = [run["design"], run["seed"], run["cases"], f"{run['spread']:.3f}", run["clusters"], run["noise"]]
    row += [f"{run['ari_of_observers']:.2f}", f"{test['statistic']:.3f}", f"{test['p']:.4f}"]
    if "test_pairs" not in run:
        return [*row, "", "", ""]
    within = run["share_within_pairs"]
    row += [f"{run['test_children']['p']:.4f}", f"{run['share_in_common_direction']:.0%}"]
    return [*row, "-" if within is None else f"{within:.0%}"]


def _meaning_rows(run: Content, key: str) -> list[list[Any]]:
    entries: Sequence[Content] = run.get(key, [])
    rows = []
    for axis in sorted({entry["axis"] for entry in entries}):
        share = run["component_shares"][int(axis.split()[1]) - 1]
        listed = ", ".join(
            f"{entry['feature']} {entry['rho']:+.2f} (p {entry['p']:.3f})" for entry in entries if entry["axis"] == axis
        )
        rows.append([run["design"], run["seed"], f"{axis} ({share:.0%})", listed])
    return rows
