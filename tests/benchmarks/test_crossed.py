"""Intervals over cases and seeds."""

import numpy as np
import pytest

from benchmarks.style_recovery.crossed import crossed_interval


def test_without_spread_there_is_no_width() -> None:
    interval = crossed_interval(np.full((3, 10), 0.2))
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.2, 0.2, 0.2))


def test_one_seed_is_the_bootstrap_over_cases() -> None:
    values = np.random.default_rng(0).normal(1, 2, (1, 400))
    interval = crossed_interval(values)
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - half, rel=0.1)
    assert interval.high == pytest.approx(values.mean() + half, rel=0.1)


def test_seeds_that_disagree_widen_the_interval() -> None:
    cases = np.random.default_rng(1).normal(size=50)
    alike = np.stack([cases, cases, cases])
    apart = np.stack([cases - 1, cases, cases + 1])
    widths = [(found := crossed_interval(values)).high - found.low for values in (alike, apart)]
    assert widths[1] > 2 * widths[0]
