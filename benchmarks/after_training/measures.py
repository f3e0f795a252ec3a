"""What the styles and the ranking of five folds say, and what training again without the flagged cases changes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.after_training.cleaned import cleaned_runs, scores_file
from benchmarks.after_training.five_folds import FIVE_FOLDS, first_run, model_folder
from benchmarks.nnunet_runs.record import read_json
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery.clusters import agreement
from benchmarks.style_recovery.crossed import crossed_interval
from benchmarks.style_recovery.datasets import Truth, read_truth
from benchmarks.style_recovery.protocol import Method, Run
from benchmarks.style_recovery.ranking import METRICS, precision_at_k
from benchmarks.style_recovery.records import held_out_file, read_training
from benchmarks.style_recovery.style_latents import read_style_latents
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.ranking.rank import rank_cases
from nnunetv2_hypersort.ranking.ranking_table import RankedCase
from nnunetv2_hypersort.styles.clustering import FoldClusters
from nnunetv2_hypersort.styles.finding import find_styles
from nnunetv2_hypersort.styles.found_styles import FoundStyles

Content = dict[str, Any]


def find_styles_of_five_folds(workplace: Workplace, config: str) -> FoundStyles:
    """What `hypersort styles` finds; written into the model."""
    return find_styles(model_folder(workplace, first_run(config), FIVE_FOLDS))


def styles_over_folds(workplace: Workplace, config: str, found: FoundStyles) -> Content:
    """ARI of each fold and of the named styles over all folds, and how far the folds agree."""
    run = first_run(config)
    truth = read_truth(workplace, run)
    model = ModelFolder.open(model_folder(workplace, run, FIVE_FOLDS))
    per_fold = {}
    for fold in model.folds:
        numbers = FoldClusters.find(fold.record).clusters
        cases = list(numbers)
        per_fold[fold.name] = _recovery(cases, np.asarray([numbers[case] for case in cases]), truth)
    style_of = {case: number for number, one in enumerate(found.styles) for case in one.style.cases}
    cases = sorted(truth)
    alignment = found.alignment
    return {
        "ari_per_fold": per_fold,
        "ari_of_named_styles": _recovery(cases, np.asarray([style_of.get(case, -1) for case in cases]), truth),
        "styles": [
            {
                "name": one.style.name,
                "cases": len(one.style.cases),
                "folds": len(one.style.folds),
                "says": one.description,
            }
            for one in found.styles
        ],
        "consistent": alignment.consistent,
        "agreement": alignment.agreement and vars(alignment.agreement),
        "lowest_agreement_of_two_folds": min(pair.share for pair in alignment.pairs.values()),
    }


def _recovery(cases: Sequence[str], labels: np.ndarray, truth: Mapping[str, Truth]) -> float:
    right = np.asarray([not truth[case].is_wrong for case in cases])
    return agreement(labels, [truth[case].style for case in cases], right)[0]


def ranking_over_folds(workplace: Workplace, config: str) -> Content:
    """AUROC, average precision and precision at k of planted errors: five folds, and fold 0 alone on its own cases."""
    run = first_run(config)
    truth = read_truth(workplace, run)
    folder = model_folder(workplace, run, FIVE_FOLDS)
    alone = rank_cases(folder, folds=(0,), progress=False).cases
    together = rank_cases(folder, progress=False).cases
    return {
        "fold 0, its training cases": _ranked([case for case in alone if case.folds], truth),
        "five folds, all cases": _ranked(together, truth),
    }


def _ranked(cases: Sequence[RankedCase], truth: Mapping[str, Truth]) -> Content:
    wrong = np.asarray([truth[case.case].is_wrong for case in cases])
    scores = {
        "rank": [case.outlyingness for case in cases],
        "loss": [case.loss for case in cases],
        "isolation, within the style": [case.isolation_z for case in cases],
        "disagreement": [-case.agreement for case in cases],
    }
    once = np.ones((1, len(cases)))
    flagged = np.asarray([bool(case.flagged) for case in cases])
    return {
        "cases": len(cases),
        "wrong_labels": int(wrong.sum()),
        "flagged": int(flagged.sum()),
        "flagged_and_wrong": int((flagged & wrong).sum()),
        "scores": {
            name: {
                **{metric: float(of(np.asarray(values), wrong, once)[0]) for metric, of in METRICS.items()},
                "precision_at_k": precision_at_k(np.asarray(values), wrong),
            }
            for name, values in scores.items()
        },
    }


def flag(workplace: Workplace, run: Run) -> Path:
    """Rank the cases of a run's own training; returns the split file without those that are flagged."""
    splits = workplace.folder / "rankings" / f"{run.name}.splits.json"
    if not splits.exists():
        splits.parent.mkdir(exist_ok=True)
        rank_cases(model_folder(workplace, run, run.name), folds=(0,), exclude=splits, progress=False)
    return splits


def left_out(workplace: Workplace, config: str) -> list[Content]:
    """For each seed how many training cases were left out, and how many of them had a planted error."""
    rows = []
    for run in cleaned_runs(config):
        record = read_training(workplace, run)
        splits = read_json(workplace.folder / "rankings" / f"{run.name}.splits.json")
        if run.method is Method.HYPERSORT and record is not None and splits is not None:
            truth = read_truth(workplace, run)
            dropped = set(record.cases) - set(splits[0]["train"])
            wrong = {case for case in record.cases if truth[case].is_wrong}
            rows.append(
                {"seed": run.seed, "left_out": len(dropped), "of_them_wrong": len(dropped & wrong), "wrong": len(wrong)}
            )
    return rows


def cleaning(workplace: Workplace, config: str) -> Content:
    """Dice of held-out cases in each style, trained with all cases and without those that were flagged."""
    pairs: dict[str, dict[str, list[tuple[np.ndarray, np.ndarray]]]] = {}
    for run in cleaned_runs(config):
        latents, after = read_style_latents(workplace, run), read_json(scores_file(workplace, run))
        if latents is None or after is None:
            continue
        before = read_json(held_out_file(workplace, run))
        for style, latent in latents.items():
            cases = sorted(after[style])
            before_it, after_it = (
                np.asarray([scores[style][case][0] for case in cases]) for scores in (before[latent], after)
            )
            pairs.setdefault(style, {}).setdefault(run.method.value, []).append((before_it, after_it))
    return {style: {method: _paired(found) for method, found in methods.items()} for style, methods in pairs.items()}


def _paired(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Content:
    before, after = (np.stack([pair[side] for pair in pairs]) for side in (0, 1))
    interval = crossed_interval(after - before)
    return {
        "seeds": len(pairs),
        "all_cases": float(before.mean()),
        "without_flagged": float(after.mean()),
        "difference": {"mean": interval.mean, "low": interval.low, "high": interval.high},
    }
