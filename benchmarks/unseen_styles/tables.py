"""The tables of the suite. Where a baseline is better, the first sentence says so."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.nnunet_runs.tables import format_table
from benchmarks.unseen_styles.evidence import BASELINES, LATENTS
from benchmarks.unseen_styles.labels_wrong import BASELINES as RANKED_BY
from benchmarks.unseen_styles.labels_wrong import OURS, OWN_LOSS, ROWS
from benchmarks.unseen_styles.mixtures import Half
from benchmarks.unseen_styles.partitions import BIC_ALL, BIC_TWO, TOLD
from benchmarks.unseen_styles.results import JOINED, STYLES

Content = Mapping[str, Any]
_WAYS = (BIC_ALL, BIC_TWO, TOLD)


def markdown(results: Content) -> str:
    """All tables.

    Args:
        results: `half`, `openings` (how often the testing half was opened), `settings` and `mixtures`, as `collect`
            gives them.
    """
    mixtures: Content = results["mixtures"]
    parts = [first_sentence(mixtures), _about(results)]
    if mixtures:
        parts += [
            f"### Are the styles found?\n\n{_found(mixtures)}",
            f"### What is in there, told by the styles of other images\n\n{_told(mixtures)}",
            f"### In every way\n\n{_ways(mixtures)}",
            f"### Styles by degree\n\n{_degree(mixtures)}",
            f"### Held-out images at the mean latent of each style\n\n{_own_style(mixtures)}",
        ]
    with_errors = {name: entry for name, entry in mixtures.items() if entry["wrong_labels"]}
    if with_errors:
        parts.append(f"### Wrong labels\n\n{_wrong(with_errors)}")
        parts.append(f"### What `rank` flags\n\n{_flagged(with_errors)}")
    return "\n\n".join(parts)


def first_sentence(mixtures: Content) -> str:
    """Whether a baseline beats what HyperSORT shows, and where."""
    judged = {name: entry for name, entry in mixtures.items() if _medians(entry)}
    if not judged:
        return "Nothing can be compared yet: no mixture has both a training with latents and its baselines."
    beaten = [name for name, entry in judged.items() if (pair := _medians(entry)) and pair[1] > pair[0]]
    told = [name for name, entry in judged.items() if (pair := _accuracies(entry)) and pair[1] > pair[0]]
    sentence = (
        f"**A baseline of an afternoon finds the styles better than `hypersort styles` on {len(beaten)} of "
        f"{len(judged)} mixtures ({', '.join(beaten)})**"
        if beaten
        else f"On none of {len(judged)} mixtures a baseline of an afternoon finds the styles better than "
        f"`hypersort styles`"
    )
    rest = (
        f"; on {len(told)} a baseline knows more of them than the latents ({', '.join(told)})."
        if told
        else "; on none a baseline knows more of them than the latents."
    )
    return sentence + rest


def _about(results: Content) -> str:
    openings = results["openings"]
    times = "once" if openings == 1 else f"{openings} times"
    if results["half"] == Half.TESTING.value:
        return f"Testing half, which was opened {times} until this table was made."
    return f"Choosing half: methods were chosen here. The testing half was opened {times} so far."


def _medians(entry: Content) -> tuple[float, float] | None:
    """The median index of `styles` and of the better baseline, over the seeds that have both baselines."""
    seeds = [seed for seed in entry["seeds"] if set(BASELINES) <= set(seed["ari"])]
    if not seeds:
        return None
    ours = float(np.median([seed["ari"][STYLES][STYLES] for seed in seeds]))
    return ours, max(float(np.median([max(seed["ari"][name].values()) for seed in seeds])) for name in BASELINES)


def _accuracies(entry: Content) -> tuple[float, float] | None:
    seeds = [seed for seed in entry["seeds"] if set(BASELINES) <= set(seed["told"])]
    if not seeds:
        return None
    return _median_accuracy(seeds, LATENTS), max(_median_accuracy(seeds, name) for name in BASELINES)


def _median_accuracy(seeds: Sequence[Content], name: str) -> float:
    return float(np.median([seed["told"][name]["accuracy"] for seed in seeds]))


def _found(mixtures: Content) -> str:
    header = ("mixture", "cases", "styles", "hidden", "clusters", "ARI of `styles`", "latents, number told")
    header += ("residuals, best way", "mask statistics, best way", "ceiling", "`styles` - better baseline")
    rows = []
    for name, entry in mixtures.items():
        seeds = entry["seeds"]
        gap = entry["minus_baseline"][STYLES]
        rows.append(
            (
                name,
                entry["cases"],
                len(entry["styles"]),
                "yes" if entry["hidden"] else "no",
                "/".join(str(seed["clusters"]) for seed in seeds),
                _seeds([seed["ari"][STYLES][STYLES] for seed in seeds]),
                _seeds([seed["ari"][LATENTS][TOLD] for seed in seeds]),
                *(
                    _seeds([max(seed["ari"][one].values()) for seed in seeds if one in seed["ari"]])
                    for one in BASELINES
                ),
                _seeds([seed["ceiling"] for seed in seeds]),
                _gap(gap and gap["ari"]),
            )
        )
    return format_table(header, rows)


def _told(mixtures: Content) -> str:
    sources = (LATENTS, *BASELINES, JOINED)
    header = ("mixture", "chance", *(f"{name} (p)" for name in sources), "latents - better baseline", "together - it")
    rows = []
    for name, entry in mixtures.items():
        cells = []
        for source in sources:
            told = [seed["told"][source] for seed in entry["seeds"] if source in seed["told"]]
            p = f" ({np.median([one['p'] for one in told]):.3f})" if told else ""
            cells.append(_seeds([one["accuracy"] for one in told]) + p)
        gaps = [(entry["minus_baseline"][one] or {}).get("accuracy") for one in (LATENTS, JOINED)]
        rows.append((name, f"{entry['chance']:.2f}", *cells, *map(_gap, gaps)))
    return format_table(header, rows)


def _ways(mixtures: Content) -> str:
    header = ("mixture", "features", *_WAYS)
    rows = [
        (
            name,
            source,
            *(_seeds([seed["ari"][source][way] for seed in entry["seeds"] if source in seed["ari"]]) for way in _WAYS),
        )
        for name, entry in mixtures.items()
        for source in (LATENTS, *BASELINES, JOINED)
    ]
    return format_table(header, rows)


def _degree(mixtures: Content) -> str:
    header = (
        "mixture",
        "Spearman of the first axis with the log area ratio",
        "ARI of the best threshold on that ratio",
    )
    header += ("area ratio of the two styles", "predicted at their mean latents")
    rows = [
        (
            name,
            _seeds([one["spearman"] for one in entry["degree"]]),
            _seeds([one["threshold_ari"] for one in entry["degree"]]),
            _seeds([one.get("ratio_own") for one in entry["degree"]]),
            _seeds([one.get("ratio_predicted") for one in entry["degree"]]),
        )
        for name, entry in mixtures.items()
    ]
    return format_table(header, rows)


def _own_style(mixtures: Content) -> str:
    header = ("mixture, style", "images", "Dice", "oracle", "difference")
    rows = [
        (
            f"{name}, {style}",
            found.get("images", "-"),
            _seeds(found["dice"]),
            _seeds([found.get("oracle")]),
            _gap(found.get("minus_oracle")),
        )
        for name, entry in mixtures.items()
        for style, found in entry["own_style"].items()
    ]
    return format_table(header, rows)


def _wrong(mixtures: Content) -> str:
    header = ("mixture", "labels", "score", "AUROC", "average precision", "`rank` - this, AUROC", "`rank` - this, AP")
    rows = []
    for name, entry in mixtures.items():
        for title in ROWS:
            found = entry["wrong_labels"].get(title)
            if found is None:
                continue
            counts = "/".join(map(str, dict.fromkeys(found["wrong_labels"])))
            for score in (OURS, OWN_LOSS, *RANKED_BY):
                if score not in found["scores"]:
                    continue
                values = found["scores"][score]
                gaps = values.get("ours_minus_this", {})
                rows.append(
                    (
                        name,
                        f"{title} ({counts})",
                        score,
                        *(_seeds(values[metric]) for metric in ("auroc", "average_precision")),
                        *(_gap(gaps.get(metric)) for metric in ("auroc", "average_precision")),
                    )
                )
    return format_table(header, rows)


def _flagged(mixtures: Content) -> str:
    header = ("mixture", "flagged", "of them wrong", "wrong labels", "precision expected")
    rows = []
    for name, entry in mixtures.items():
        every = entry["wrong_labels"]["flagged"]
        rows.append(
            (
                name,
                *("/".join(str(one[key]) for one in every) for key in ("flagged", "wrong", "of")),
                _seeds([one.get("expected_precision") for one in every]),
            )
        )
    return format_table(header, rows)


def _seeds(values: Sequence[float | None]) -> str:
    """The median over the seeds; with several of them their range."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    median = f"{np.median(known):.2f}"
    return median if len(known) == 1 else f"{median} ({min(known):.2f} to {max(known):.2f})"


def _gap(gap: Content | None) -> str:
    if gap is None or gap["mean"] is None:
        return "-"
    ends = ["-" if gap[end] is None else f"{gap[end]:+.2f}" for end in ("low", "high")]
    return f"{gap['mean']:+.2f} [{ends[0]}, {ends[1]}]"
