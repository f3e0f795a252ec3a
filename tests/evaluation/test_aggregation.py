"""Means, paired differences and ranks, worked out by hand."""

import numpy as np
import pytest

from nnunetv2_hypersort.evaluation.aggregation import aggregate
from nnunetv2_hypersort.evaluation.case_scores import Presence, StructureScores
from nnunetv2_hypersort.evaluation.score_table import ScoreTable
from nnunetv2_hypersort.images.overlap import VoxelCounts

NAN = float("nan")
MEAN = ("mean", "mean")


def make_table(dice, subjects=None) -> ScoreTable:
    """A table whose DSC is `dice[method][case][label]`; HD95 is 10 (1 - DSC)."""

    def cell(value: float) -> StructureScores:
        presence = Presence.ABSENT if np.isnan(value) else Presence.BOTH
        return StructureScores(presence, VoxelCounts(1, 0, 0, 1), value, 10 * (1 - value), value, NAN, value, 1.0, 1.0)

    num_cases, num_labels = len(dice[0]), len(dice[0][0])
    cases = [f"case{c}" for c in range(num_cases)]
    return ScoreTable.from_scores(
        [[[cell(value) for value in labels] for labels in method] for method in dice],
        methods=[f"method{m}" for m in range(len(dice))],
        cases=cases,
        subjects=subjects or cases,
        structures=[f"label{s}" for s in range(num_labels)],
    )


def test_mean_is_over_cases_then_subjects_then_labels() -> None:
    table = make_table([[[0.2, 1.0], [0.4, 1.0], [0.9, 0.0]]], subjects=["a", "a", "b"])
    result = aggregate(table, {"both": [0, 1], "one": [1]})
    means = result.means["method0"]
    assert means["label", "label0"]["DSC"].mean == pytest.approx(0.6)
    assert means["label", "label1"]["DSC"].mean == pytest.approx(0.5)
    assert means[MEAN]["DSC"].mean == pytest.approx(0.55)
    assert means["group", "both"]["DSC"].mean == pytest.approx(0.55)
    assert means["group", "one"]["DSC"].mean == pytest.approx(0.5)
    assert means[MEAN]["DSC"].num_subjects == 2
    assert np.isnan(means[MEAN]["ASD"].mean)


def test_rare_label_weighs_as_much_as_a_common_one() -> None:
    table = make_table([[[0.9, NAN], [0.9, NAN], [0.9, 0.1]]])
    result = aggregate(table, {})
    interval = result.means["method0"]["label", "label1"]["DSC"]
    assert interval.num_subjects == 1
    assert np.isnan(interval.low)
    assert result.means["method0"][MEAN]["DSC"].mean == pytest.approx(0.5)


def test_paired_difference_does_not_see_what_the_methods_share() -> None:
    # The second method is better by 0.05 in every case, whatever the case: the interval of the difference has no width.
    generator = np.random.default_rng(0)
    first = generator.uniform(0.3, 0.9, (25, 2))
    result = aggregate(make_table([first.tolist(), (first + 0.05).tolist()]), {})
    (difference,) = result.differences[MEAN]["DSC"]
    assert (difference.first, difference.second) == ("method0", "method1")
    assert difference.interval.mean == pytest.approx(0.05)
    assert difference.interval.low == pytest.approx(0.05)
    assert difference.interval.high == pytest.approx(0.05)
    assert result.means["method0"][MEAN]["DSC"].high - result.means["method0"][MEAN]["DSC"].low > 0.05
    (distance,) = result.differences[MEAN]["HD95"]
    assert distance.interval.mean == pytest.approx(-0.5)


def test_what_only_one_method_has_is_counted_and_not_paired() -> None:
    table = make_table([[[0.5], [NAN], [0.7]], [[0.6], [0.0], [0.9]]])
    (difference,) = aggregate(table, {}).differences["label", "label0"]["DSC"]
    assert (difference.num_pairs, difference.num_unpaired) == (2, 1)
    assert difference.interval.mean == pytest.approx(0.15)
    # It does count in the mean of the method that made it up.
    assert aggregate(table, {}).means["method1"]["label", "label0"]["DSC"].mean == pytest.approx(0.5)


def test_ranks_follow_the_direction_of_the_metric_and_add_up() -> None:
    generator = np.random.default_rng(1)
    base = generator.uniform(0.3, 0.6, (30, 3))
    result = aggregate(make_table([base, base + 0.2, base + 0.1]), {}, num_resamples=300)
    for metric in ("DSC", "HD95", "NSD", "VS"):
        ranks = result.ranks[MEAN][metric]
        assert [ranks[f"method{m}"].rank for m in range(3)] == [3, 1, 2]
        assert ranks["method1"].counts == (300, 0, 0)
        assert ranks["method1"].mean_rank == 1.0
    assert result.ranks[MEAN]["ASD"] == {}


def test_close_methods_share_the_first_rank_among_the_resamples() -> None:
    generator = np.random.default_rng(2)
    first, second = generator.normal(0.7, 0.1, (2, 40, 1))
    second += first.mean() - second.mean() + 0.005
    ranks = aggregate(make_table([first, second]), {}).ranks[MEAN]["DSC"]
    assert ranks["method1"].rank == 1
    assert 500 < ranks["method1"].counts[0] < 950
    assert ranks["method0"].counts[0] + ranks["method1"].counts[0] == 1000


def test_equal_methods_share_the_better_rank() -> None:
    values = np.random.default_rng(3).uniform(size=(10, 2))
    ranks = aggregate(make_table([values, values]), {}).ranks[MEAN]["DSC"]
    assert [ranks[name].rank for name in ("method0", "method1")] == [1, 1]
    assert ranks["method0"].mean_rank == 1.5


def test_single_method_is_not_compared() -> None:
    result = aggregate(make_table([[[0.5], [0.6]]]), {})
    assert result.differences == {}
    assert result.ranks == {}
