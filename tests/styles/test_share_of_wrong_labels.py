"""How many labels are wrong, and which: the mixture on scores whose truth is known."""

import math
import re

import numpy as np
import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.ranking.flagging import check_limits, flag_cases
from nnunetv2_hypersort.ranking.ranking_table import RankedCase, format_ranking, read_ranking
from nnunetv2_hypersort.ranking.wrong_labels import expected_of, find_wrong_labels, flag_at_precision


def scores(rng, count, rate, *, skewed):
    """Outlyingness of usual labels, in robust standard deviations, and of wrong ones that lie further out."""
    wrong = rng.random(count) < rate
    parts = [rng.normal(size=count)]
    if skewed:
        parts += [(rng.gamma(2, size=count) - 1.68) / 1.2, (rng.gamma(3, size=count) - 2.67) / 1.55]
    further = np.where(rng.random(count) < 0.6, rng.gamma(4, 2, count), rng.gamma(2, 1.5, count))
    return np.mean(parts, axis=0) + np.where(wrong, further, 0), wrong


def ranked(values, **more):
    return [
        RankedCase(
            f"case_{row}", 1 / (1 + math.exp(value - 3.5)), "", ("0",), "", outlyingness=value, loss_z=value, **more
        )
        for row, value in enumerate(values)
    ]


@pytest.mark.parametrize("skewed", [False, True])
def test_the_stated_precision_and_number_of_wrong_labels_are_true(skewed):
    flagged = right = stated = expected = true = 0
    for seed in range(15):
        values, wrong = scores(np.random.default_rng(seed), 200, 0.08, skewed=skewed)
        found = find_wrong_labels(values, ["all"] * 200, resamples=0)
        flags = flag_at_precision(found.probabilities, 0.8)
        flagged, right = flagged + flags.flagged.sum(), right + (flags.flagged & wrong).sum()
        stated += flags.precision * flags.flagged.sum()
        expected, true = expected + found.expected, true + wrong.sum()
    assert flagged >= 100, "too few flags to say anything about them"
    assert stated / flagged == pytest.approx(right / flagged, abs=0.1)
    assert expected == pytest.approx(true, rel=0.25)


def test_labels_that_are_all_right_are_not_flagged():
    flagged, expected = 0, 0.0
    for seed in range(15):
        values, _ = scores(np.random.default_rng(100 + seed), 200, 0.0, skewed=True)
        found = find_wrong_labels(values, ["all"] * 200, resamples=0)
        flagged += flag_at_precision(found.probabilities, 0.8).flagged.sum()
        expected += found.expected
    # Of 3,000 right labels.
    assert flagged <= 10
    assert expected / 15 < 3


def test_the_interval_holds_the_number_and_grows_with_the_doubt():
    near, apart = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        usual = rng.normal(size=180)
        for width, further in ((near, 2.5), (apart, 15.0)):
            found = find_wrong_labels([*usual, *rng.normal(further, 1, 20)], ["all"] * 200, resamples=40)
            assert found.low <= found.expected <= found.high
            width.append(found.high - found.low)
            if further == 15:
                assert found.low <= 20 <= found.high
    assert np.mean(near) > 0
    # Twenty labels far out vary as a binomial number does: 4 standard deviations are 17.
    assert np.mean(apart) == pytest.approx(4 * math.sqrt(200 * 0.1 * 0.9), rel=0.4)


def test_who_lies_further_out_is_no_less_likely_wrong_and_the_unknown_is_unknown():
    values, _ = scores(np.random.default_rng(3), 120, 0.1, skewed=True)
    values = np.append(values, [np.nan, 1e9])
    found = find_wrong_labels(values, ["all"] * 122, resamples=0)
    order = np.argsort(values[np.isfinite(values)])
    assert (np.diff(found.probabilities[np.isfinite(values)][order]) >= 0).all()
    assert math.isnan(found.probabilities[120])
    assert found.probabilities[121] > 0.99
    assert found.expected == pytest.approx(np.nansum(found.probabilities))


def test_kinds_of_evidence_are_judged_each_on_its_own_scale():
    rng = np.random.default_rng(0)
    # 4 is far out where the deviation is 0.3, and nothing special where it is 3.
    narrow, wide = 0.3 * rng.normal(size=100), 3 * rng.normal(size=100)
    values = [*narrow, 4.0, *wide, 4.0]
    found = find_wrong_labels(values, [*["narrow"] * 101, *["wide"] * 101], resamples=0)
    assert found.probabilities[100] > 0.9
    assert found.probabilities[201] < 0.1


def test_flags_by_hand():
    chances = [0.2, 0.9, math.nan, 0.6, 1.0, 0.55]
    # 1.0, 0.9, 0.6: mean 0.8333; with 0.55 it is 0.7625; 0.2 is more likely right.
    flags = flag_at_precision(chances, 0.8)
    assert flags.flagged.tolist() == [False, True, False, True, True, False]
    assert flags.precision == pytest.approx(2.5 / 3)
    assert flags.recall == pytest.approx(2.5 / 3.25)
    assert flag_at_precision(chances, 0.1).flagged.tolist() == [False, True, False, True, True, True]
    assert not flag_at_precision([0.1, 0.4], 0.3).flagged.any()
    assert math.isnan(flag_at_precision([0.1, 0.4], 0.3).precision)
    assert expected_of([True, False], [0.5, 0.5]).recall == pytest.approx(0.5)


def test_few_cases_and_cases_without_spread_are_flagged_by_quality():
    few = flag_cases(ranked([0.0] * 9 + [9.0]), precision=0.8)
    assert few.estimate is None
    assert (few.flagged.tolist(), few.threshold) == ([False] * 9 + [True], 0.5)
    assert "1 of 10 cases have a quality below 0.5; how many labels are wrong cannot be told" in str(few)
    assert flag_cases(ranked([1.0] * 50), precision=0.8).estimate is None


def test_what_is_said():
    rng = np.random.default_rng(1)
    values = [*rng.normal(size=190), *rng.normal(20, 1, 10)]
    by_precision = flag_cases(ranked(values), precision=0.8)
    assert by_precision.flagged.tolist() == [False] * 190 + [True] * 10
    assert re.match(r"About 1[01] of 200 labels look wrong \(", str(by_precision))
    assert "); 10 are flagged, at an expected precision of 1.00 and an expected recall of " in str(by_precision)
    by_quality = flag_cases(ranked(values), precision=0.8, threshold=0.9)
    assert by_quality.flagged.tolist() == [case.quality < 0.9 for case in ranked(values)]
    assert by_quality.precision < by_precision.precision
    assert "(quality below 0.9)" in str(by_quality)
    assert "none is flagged" in str(flag_cases(ranked(rng.normal(size=60)), precision=0.8))


@pytest.mark.parametrize(
    ("precision", "threshold", "said"), [(1.0, None, "precision is 1"), (0.8, 1.5, "threshold is 1.5")]
)
def test_limits_that_are_none_are_refused(precision, threshold, said):
    with pytest.raises(HyperSORTError, match=said):
        check_limits(precision, threshold)


def test_flags_are_written_and_read_and_tables_of_before_have_none(tmp_path):
    cases = ranked([0.5, 4.0], flagged=True, wrong_probability=0.75)
    (tmp_path / "case_ranking.csv").write_text(format_ranking(cases))
    again = read_ranking(tmp_path).cases["case_1"]
    assert (again.flagged, again.wrong_probability) == (True, 0.75)
    (tmp_path / "case_ranking.csv").write_text("case,quality\na,0.5\n")
    assert read_ranking(tmp_path).cases["a"].flagged is None
    for bad, said in (
        ("case,quality,flagged\na,0.5,perhaps\n", "neither yes nor no"),
        ("case,quality,wrong_probability\na,0.5,1.5\n", "wrong_probability '1.5'"),
    ):
        (tmp_path / "case_ranking.csv").write_text(bad)
        with pytest.raises(HyperSORTError, match=said):
            read_ranking(tmp_path)
