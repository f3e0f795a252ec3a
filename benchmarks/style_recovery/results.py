"""All numbers of the benchmark, from the records of the runs that are finished."""

import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.nnunet_runs.record import TrainingRecord, as_json, read_json
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery import wrong_labels
from benchmarks.style_recovery.clusters import NOISE, agreement, k_means, visits_needed
from benchmarks.style_recovery.crossed import crossed_interval
from benchmarks.style_recovery.datasets import read_truth
from benchmarks.style_recovery.held_out import SCORES
from benchmarks.style_recovery.one_run import SOFTMIN
from benchmarks.style_recovery.protocol import MIXTURES, Method, Mixture, Protocol, Run
from benchmarks.style_recovery.ranking import METRICS, Group, mean_metric, paired_difference, precision_at_k
from benchmarks.style_recovery.records import held_out_file, ranking_file, read_training
from benchmarks.style_recovery.style_latents import read_style_latents
from nnunetv2_hypersort.evaluation.bootstrap import Interval
from nnunetv2_hypersort.styles.clustering import find_clusters

SEVERE = 0.7
ARI_NEEDED = 0.9
Content = dict[str, Any]


def collect(workplace: Workplace, runs: Sequence[Run], protocol: Protocol) -> Content:
    """Everything the tables say, as JSON types; what is not finished is left out."""
    finished = {run: record for run in runs if (record := read_training(workplace, run)) is not None}
    by_name = {
        mixture.name: {run: record for run, record in finished.items() if run.mixture == mixture}
        for mixture in MIXTURES
    }
    hypersort = next(run for run in runs if run.method is Method.HYPERSORT)
    settings = {key: value for key, value in hypersort.settings.items() if key != "training"}
    content = {
        "protocol": {**vars(protocol), "seeds": list(protocol.seeds)},
        "settings": settings,
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "runs": {run.name: {"minutes": round(record.seconds / 60, 2)} for run, record in finished.items()},
        "mixtures": {
            mixture.name: {
                "spec": mixture.spec,
                "styles": list(mixture.styles),
                "no_mirroring_along": list(mixture.no_mirroring_along),
                "recovery": [
                    _recovery(workplace, *item) for item in by_name[mixture.name].items() if _has_latents(item)
                ],
                "held_out": _held_out(workplace, by_name[mixture.name], mixture),
                **(_only_planted(workplace, by_name[mixture.name], mixture) if mixture.spec else {}),
            }
            for mixture in MIXTURES
        },
    }
    return as_json(content)


def _has_latents(item: tuple[Run, TrainingRecord]) -> bool:
    return item[0].method.has_latents


def _only_planted(workplace: Workplace, finished: Mapping[Run, TrainingRecord], mixture: Mixture) -> Content:
    return {
        "wrong_labels": _wrong_labels(workplace, finished),
        "mask_statistics": mask_statistics_summary(read_json(mask_statistics_file(workplace, mixture))),
    }


# --- styles ---------------------------------------------------------------------------------------------------------


def _recovery(workplace: Workplace, run: Run, record: TrainingRecord) -> Content:
    truth = read_truth(workplace, run)
    styles = [truth[case].style for case in record.cases]
    right = np.asarray([not truth[case].is_wrong for case in record.cases])
    every = np.ones_like(right)
    clusters = find_clusters(record.latents).labels
    given = k_means(record.latents, len(run.mixture.styles), run.seed)
    curve = [agreement(find_clusters(latents).labels, styles, right)[0] for latents in record.history]
    first, kept = visits_needed(list(record.history_visits), curve, ARI_NEEDED)
    return {
        "method": run.method.value,
        "seed": run.seed,
        "visits": record.history_visits[-1],
        "clusters": len(set(clusters.tolist()) - {NOISE}),
        "noise": int((clusters == NOISE).sum()),
        **dict(zip(("ari", "nmi"), agreement(clusters, styles, right), strict=True)),
        **dict(zip(("ari_all_cases", "nmi_all_cases"), agreement(clusters, styles, every), strict=True)),
        **dict(zip(("ari_number_given", "nmi_number_given"), agreement(given, styles, right), strict=True)),
        "visits_to_ari": first,
        "visits_to_ari_for_good": kept,
        "ari_over_visits": [[visits, ari] for visits, ari in zip(record.history_visits, curve, strict=True)],
    }


# --- wrong labels ---------------------------------------------------------------------------------------------------


def _wrong_labels(workplace: Workplace, finished: Mapping[Run, TrainingRecord]) -> Content:
    plain = {run.seed: record for run, record in finished.items() if run.method is Method.PLAIN}
    softmin: dict[int, dict[str, float]] = {}
    for run in finished:
        scored = (read_json(held_out_file(workplace, run)) or {}).get(SOFTMIN, {})
        softmin.setdefault(run.seed, {}).update(scored)
    all_errors, severe, kinds = [], [], []
    for run, record in finished.items():
        if run.method is not Method.HYPERSORT:
            continue
        scores = wrong_labels.all_scores(
            workplace,
            run,
            record,
            ranking=read_json(ranking_file(workplace, run)) or {},
            plain=plain.get(run.seed),
            softmin=softmin.get(run.seed, {}),
        )
        truth = [read_truth(workplace, run)[case] for case in record.cases]
        wrong = np.asarray([case.is_wrong for case in truth])
        considered = ~wrong | np.asarray([case.dice <= SEVERE for case in truth])
        all_errors.append(Group(wrong, scores))
        severe.append(_part(Group(wrong, scores), considered))
        kinds.append([case.error for case in truth])
    return {
        "all": _ranking(all_errors),
        f"dice_up_to_{SEVERE}": _ranking(severe),
        "auroc_by_error": _by_error(all_errors, kinds),
    }


def _part(group: Group, kept: NDArray[np.bool_]) -> Group:
    return Group(group.wrong[kept], {name: values[kept] for name, values in group.scores.items()})


def _ranking(groups: Sequence[Group]) -> Content:
    # Where a seed has no wrong label of the kind nothing can be ranked.
    groups = [group for group in groups if group.wrong.any()]
    result: Content = {"wrong_labels": [int(group.wrong.sum()) for group in groups], "scores": {}}
    for name in wrong_labels.SCORES:
        having = [group for group in groups if name in group.scores]
        if not having:
            continue
        entry: Content = {metric: [mean_metric([group], metric, name) for group in having] for metric in METRICS}
        entry["precision_at_k"] = [precision_at_k(group.scores[name], group.wrong) for group in having]
        if name != wrong_labels.OURS:
            entry["ours_minus_this"] = {
                metric: _interval(paired_difference(groups, metric, name, wrong_labels.OURS)) for metric in METRICS
            }
        result["scores"][name] = entry
    return result


def _by_error(groups: Sequence[Group], kinds: Sequence[Sequence[str]]) -> Content:
    result: Content = {}
    present = {
        kind
        for group, of_cases in zip(groups, kinds, strict=True)
        for kind, is_wrong in zip(of_cases, group.wrong, strict=True)
        if is_wrong
    }
    for kind in sorted(present):
        parts = []
        for group, of_cases in zip(groups, kinds, strict=True):
            part = _part(group, ~group.wrong | (np.asarray(of_cases) == kind))
            if part.wrong.any():
                parts.append(part)
        counts = np.asarray([part.wrong.sum() for part in parts])
        result[kind] = {"wrong_labels": int(counts.sum())}
        for name in wrong_labels.SCORES:
            values = [(mean_metric([part], "auroc", name), part.wrong.sum()) for part in parts if name in part.scores]
            if values:
                result[kind][name] = np.average([value for value, _ in values], weights=[count for _, count in values])
    return result


# --- held-out cases -------------------------------------------------------------------------------------------------


def _held_out(workplace: Workplace, finished: Mapping[Run, TrainingRecord], mixture: Mixture) -> Content:
    result: Content = {}
    for style in mixture.styles:
        values: dict[str, dict[int, NDArray[np.floating]]] = {}
        for run in finished:
            if run.method is Method.CROSS_FIT or run.part not in ("", style):
                continue
            latents = read_style_latents(workplace, run) or {}
            scores = (read_json(held_out_file(workplace, run)) or {}).get(latents.get(style))
            if scores is not None:
                by_case = scores[style]
                values.setdefault(run.method.value, {})[run.seed] = np.asarray(
                    [by_case[case] for case in sorted(by_case)]
                )
        result[style] = {
            "methods": {method: _scores_of(by_seed) for method, by_seed in values.items()},
            "hypersort_minus": {
                other: difference
                for other in (Method.PLAIN.value, Method.ORACLE.value)
                if (difference := _difference(values.get(Method.HYPERSORT.value, {}), values.get(other, {})))
            },
        }
    return result


def _scores_of(by_seed: Mapping[int, NDArray[np.floating]]) -> Content:
    return {score: [by_seed[seed][:, column].mean() for seed in sorted(by_seed)] for column, score in enumerate(SCORES)}


def _difference(ours: Mapping[int, NDArray[np.floating]], other: Mapping[int, NDArray[np.floating]]) -> Content | None:
    """Paired by case, and by seed where the other has the seed; what exists for one seed only is paired with each."""
    if not ours or not other:
        return None
    only = next(iter(other.values())) if len(other) == 1 else None
    pairs = [(values, other.get(seed, only)) for seed, values in sorted(ours.items())]
    paired = np.stack([values - theirs for values, theirs in pairs if theirs is not None])
    return {
        score: {
            "per_seed": paired[:, :, column].mean(1),
            **_interval(crossed_interval(paired[:, :, column])),
        }
        for column, score in enumerate(SCORES)
    }


# --- mask statistics ------------------------------------------------------------------------------------------------


def mask_statistics_file(workplace: Workplace, mixture: Mixture) -> Any:
    """What `benchmarks/mask_statistics.py` wrote for a mixture."""
    return workplace.folder / "runs" / f"{mixture.name}-mask_statistics.json"


def mask_statistics_summary(content: Content | None) -> Content | None:
    """Median over the seeds of the ARI of Gaussian mixtures: of all features together, and of the worst family."""
    if content is None:
        return None
    medians = {
        family: max(float(np.median(values)) for method, values in methods.items() if method.startswith("gmm"))
        for family, methods in content["ari"].items()
    }
    families = {family: value for family, value in medians.items() if family != "all"}
    worst = max(families, key=lambda family: families[family])
    return {"seeds": content["seeds"], "all_features": medians["all"], "family": worst, "family_ari": families[worst]}


def _interval(interval: Interval) -> Content:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}
