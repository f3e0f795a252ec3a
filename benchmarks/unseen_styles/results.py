"""All numbers of the suite, from the records of the runs that are finished."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.nnunet_runs.record import as_json
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery.crossed import crossed_interval
from benchmarks.unseen_styles import partitions
from benchmarks.unseen_styles.discriminant import Told, tell_styles
from benchmarks.unseen_styles.evidence import BASELINES, LATENTS, Evidence, gather, log_area_ratios
from benchmarks.unseen_styles.labels_wrong import wrong_labels
from benchmarks.unseen_styles.mixtures import Annotated, Mixture
from benchmarks.unseen_styles.one_run import read_record
from benchmarks.unseen_styles.protocol import Method, Run
from nnunetv2_hypersort.evaluation.bootstrap import Interval

Content = dict[str, Any]
STYLES = "styles"
JOINED = "all together"
HIDDEN = 0.2


def collect(workplace: Workplace, runs: Sequence[Run]) -> Content:
    """Everything the tables say, as JSON types; what is not finished is left out."""
    content: Content = {}
    for mixture in dict.fromkeys(run.mixture for run in runs):
        own = [run for run in runs if run.mixture == mixture]
        found = [
            evidence
            for run in own
            if run.method is Method.HYPERSORT and (evidence := gather(workplace, own, run)) is not None
        ]
        if found:
            content[mixture.name] = _mixture(workplace, mixture, own, found)
    return as_json(content)


def _mixture(workplace: Workplace, mixture: Mixture, runs: Sequence[Run], found: Sequence[Evidence]) -> Content:
    seeds = [_Seed(evidence) for evidence in found]
    return {
        "cases": len(found[0].cases),
        "styles": list(mixture.styles),
        "annotators": isinstance(mixture, Annotated),
        "once": isinstance(mixture, Annotated) and mixture.once,
        "minutes": [evidence.record["minutes"] for evidence in found],
        "chance": 1 / len(mixture.styles),
        "hidden": float(np.median([seed.told_by_masks for seed in seeds])) < HIDDEN,
        "seeds": [seed.to_json() for seed in seeds],
        "minus_baseline": {name: _minus_baseline(seeds, name) for name in (STYLES, LATENTS, JOINED)},
        "degree": [_degree(workplace, evidence) for evidence in found],
        "own_style": _own_style(workplace, runs, found),
        "wrong_labels": wrong_labels(workplace, found) if any(entry.wrong for entry in found[0].truth) else None,
    }


class _Seed:
    """One run with latents: every partition of its right cases, and what a discriminant analysis tells of them."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        mixture = evidence.run.mixture
        # Planted errors take part where a user would not know of them, and count nowhere.
        self.right = evidence.right
        self.truth = evidence.styles[self.right]
        self.images = [entry.group for entry, right in zip(evidence.truth, self.right, strict=True) if right]
        tables = {name: evidence.tables[name] for name in (LATENTS, *BASELINES) if name in evidence.tables}
        if len(tables) == 1 + len(BASELINES):
            tables[JOINED] = np.hstack(list(tables.values()))
        self.ways = {
            name: {
                way: clusters[self.right]
                for way, clusters in partitions.cluster_ways(table, len(mixture.styles)).items()
            }
            for name, table in tables.items()
        }
        self.ways[STYLES] = {STYLES: partitions.each_alone(np.asarray(evidence.record["seen"]["clusters"]))[self.right]}
        within = isinstance(mixture, Annotated) and not mixture.once
        self.told: dict[str, Told] = {
            name: tell_styles(table[self.right], self.truth, self.images, within_groups=within)
            for name, table in tables.items()
        }

    def ari(self, clusters: NDArray[np.integer[Any]]) -> float:
        return float(partitions.rand_index(clusters, self.truth, np.ones((1, len(self.truth))))[0])

    def best(self, name: str) -> tuple[str, float]:
        """The way that suits a table best, and its index."""
        scores = {way: self.ari(clusters) for way, clusters in self.ways[name].items()}
        way = max(scores, key=lambda one: scores[one])
        return way, scores[way]

    @property
    def told_by_masks(self) -> float:
        return self.ari(self.ways["mask statistics"][partitions.TOLD])

    @property
    def best_baseline(self) -> str:
        """The baseline with the best partition."""
        return max((name for name in BASELINES if name in self.ways), key=lambda name: self.best(name)[1])

    @property
    def best_told(self) -> str:
        """The baseline of which most can be told."""
        return max((name for name in BASELINES if name in self.told), key=lambda name: self.told[name].accuracy)

    @property
    def ceiling(self) -> float | None:
        """The index of what a discriminant analysis of everything together tells."""
        return self.ari(self.told[JOINED].predicted) if JOINED in self.told else None

    def to_json(self) -> Content:
        clusters = np.asarray(self.evidence.record["seen"]["clusters"])
        return {
            "seed": self.evidence.run.seed,
            "clusters": len(set(clusters.tolist()) - {partitions.NOISE}),
            "noise": int((clusters == partitions.NOISE).sum()),
            "ari": {name: {way: self.ari(parts) for way, parts in ways.items()} for name, ways in self.ways.items()},
            "told": {
                name: {"accuracy": told.accuracy, "p": told.p, "ari": self.ari(told.predicted)}
                for name, told in self.told.items()
            },
            "ceiling": self.ceiling,
        }


def _minus_baseline(seeds: Sequence[_Seed], name: str) -> Content | None:
    """A source of knowledge minus the better baseline, over the seeds that have both baselines.

    For what `styles` finds the index of the partition; else also what a discriminant analysis tells.
    """
    complete = [seed for seed in seeds if name in seed.ways and set(BASELINES) <= set(seed.ways)]
    if not complete:
        return None
    content: Content = {
        "seeds": len(complete),
        "ari": _interval(
            partitions.paired_difference(
                "ari",
                [
                    (
                        seed.ways[name][seed.best(name)[0]],
                        seed.ways[seed.best_baseline][seed.best(seed.best_baseline)[0]],
                        seed.truth,
                        seed.images,
                    )
                    for seed in complete
                ],
            )
        ),
    }
    if name != STYLES:
        content["accuracy"] = _interval(
            partitions.paired_difference(
                "accuracy",
                [
                    (seed.told[name].predicted, seed.told[seed.best_told].predicted, seed.truth, seed.images)
                    for seed in complete
                ],
            )
        )
    return content


def _degree(workplace: Workplace, evidence: Evidence) -> Content:
    """How far the first axis of the latents is the amount that is annotated, and whether the latents steer it."""
    ratios = log_area_ratios(workplace, evidence.run.dataset, evidence.run.mixture)
    rows = [row for row, case in enumerate(evidence.cases) if case in ratios]
    own = np.asarray([ratios[evidence.cases[row]] for row in rows])
    latents = np.asarray(evidence.record["seen"]["latents"], float)[rows]
    _, _, directions = np.linalg.svd(latents - latents.mean(0), full_matrices=False)
    axis = (latents - latents.mean(0)) @ directions[0]
    content: Content = {"seed": evidence.run.seed, "spearman": None}
    if np.ptp(axis) and np.ptp(own):
        content["spearman"] = abs(float(spearmanr(axis, own).statistic))
    right = [entry for row, entry in enumerate(evidence.truth) if row in set(rows)]
    styles = evidence.run.mixture.styles
    content["threshold_ari"] = partitions.best_threshold(
        own, np.asarray([styles.index(entry.style) for entry in right])
    )
    held_out = evidence.record["held_out"]
    if len(styles) == 2 and set(styles) <= set(held_out):
        means = [
            float(np.mean([ratio for ratio, entry in zip(own, right, strict=True) if entry.style == style]))
            for style in styles
        ]
        pairs = [
            np.log(held_out[styles[1]][image]["voxels"] / found["voxels"])
            for image, found in held_out[styles[0]].items()
            if found["voxels"] and held_out[styles[1]][image]["voxels"]
        ]
        content["ratio_own"] = float(np.exp(means[1] - means[0]))
        content["ratio_predicted"] = float(np.exp(np.median(pairs))) if pairs else None
    return content


def _own_style(workplace: Workplace, runs: Sequence[Run], found: Sequence[Evidence]) -> Content:
    """Dice of held-out images in each style, at its mean latent, and minus that of the style's oracle."""
    content: Content = {}
    oracles = {run.part: read_record(workplace, run) for run in runs if run.method is Method.ORACLE}
    first = found[0].run.dataset
    for style in found[0].run.mixture.styles:
        same = [
            evidence for evidence in found if evidence.run.dataset == first and style in evidence.record["held_out"]
        ]
        dice = [_dice(evidence.record["held_out"][style]) for evidence in same]
        entry: Content = {"dice": [float(np.nanmean(list(one.values()))) for one in dice]}
        oracle = oracles.get(style)
        if oracle is not None and dice:
            theirs = _dice(oracle["held_out"][style])
            images = [image for image in theirs if all(image in one for one in dice)]
            gaps = np.asarray([[one[image] - theirs[image] for image in images] for one in dice])
            entry |= {
                "oracle": float(np.mean(list(theirs.values()))),
                "images": len(images),
                "minus_oracle": _interval(crossed_interval(gaps)),
            }
        content[style] = entry
    return content


def _dice(held_out: Mapping[str, Any]) -> dict[str, float]:
    return {image: entry["dice"] for image, entry in held_out.items() if entry["dice"] is not None}


def _interval(interval: Interval) -> Content:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "images": interval.num_subjects}
