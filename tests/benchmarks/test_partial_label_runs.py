"""The benchmark of partly annotated labels: who is annotated for what, and how runs are compared."""

from collections import Counter

import pytest

from benchmarks.partial_labels.datasets import annotate
from benchmarks.partial_labels.protocol import FULL, LABELS, REGIMES, Method, plan_runs
from benchmarks.partial_labels.results import collect, markdown, targets

CASES = [f"case_{number:03d}" for number in range(200)]


def test_cases_are_annotated_in_the_shares_of_a_regime():
    for regime in REGIMES:
        annotated = annotate(CASES, regime, seed=0)
        counts = Counter(annotated.values())
        assert sum(counts.values()) == len(CASES)
        assert counts == {names: round(share * len(CASES)) for names, share in regime.shares}
        assert annotated != annotate(CASES, regime, seed=1)


def test_datasets_of_different_labels_have_different_names_and_numbers():
    runs = plan_runs(FULL) + plan_runs(FULL, [10, 11, 12])
    assert len({run.name for run in runs}) == len(runs)
    datasets = {run.dataset for run in runs}
    assert len({name[7:10] for name in datasets}) == len(datasets)
    # For each regime and seed the partial one, what nnU-Net reads and one per label; and the source of the ceiling.
    assert len(datasets) == len(REGIMES) * 6 * (2 + len(LABELS)) + 1


def test_methods_are_compared_on_the_same_cases():
    runs = [run for run in plan_runs(FULL) if run.epochs == FULL.epochs]
    dice = {Method.CEILING: 0.9, Method.PER_LABEL: 0.88, Method.PARTIAL: 0.895, Method.AS_IS: 0.5}
    records = {
        run: {
            "seconds": 1.0,
            "scores": {
                case: {label: [dice.get(run.method, 0.7) + 0.01 * (case == "b"), 0.9] for label in run.labels}
                for case in "ab"
            },
        }
        for run in runs
    }
    rows = collect(records, FULL, FULL.seeds)
    (partial,) = [
        row for row in rows if (row["method"], row["regime"], row["label"]) == ("partial", REGIMES[0].name, "Anterior")
    ]
    assert partial["dice"] == pytest.approx(0.9)
    assert partial["dice_versus_ceiling"] == pytest.approx(-0.005)
    assert partial["dice_versus_per_label"] == pytest.approx([0.015] * 3)
    assert all(row["dice"] and row["per_label"] and row["recall"] for row in targets(rows))
    assert "+0.015 [+0.015, +0.015]" in markdown(rows)


def test_what_was_not_compared_is_neither_met_nor_missed():
    (run,) = [run for run in plan_runs(FULL, [0]) if run.method is Method.PARTIAL and run.epochs == FULL.epochs][:1]
    scores = {"seconds": 1.0, "scores": {case: {label: [0.9, 0.9] for label in run.labels} for case in "ab"}}
    rows = collect({run: scores}, FULL, FULL.seeds)
    assert [(row["dice"], row["recall"], row["per_label"]) for row in targets(rows)] == [(None,) * 3] * len(LABELS)
