"""Permutation tests: known statistics, and p-values that are uniform where nothing differs."""

import numpy as np
import pytest

from benchmarks.two_observers import permutation
from benchmarks.two_observers.permutation import (
    paired_test,
    share_in_common_direction,
    share_within_pairs,
    unpaired_test,
)


def test_the_paired_statistic_is_hotellings() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, (12, 2))
    mean, covariance = differences.mean(0), np.cov(differences.T)
    t_squared = 12 * mean @ np.linalg.inv(covariance) @ mean
    found = paired_test(differences, range(12))
    assert found.statistic == pytest.approx(t_squared / (t_squared + 11))
    assert found.permutations == 2**12


def test_few_pairs_are_swapped_exactly() -> None:
    # All differences equal: only no swap and all swaps reach the statistic, 2 of 2^4.
    found = paired_test(np.full((4, 1), 3.0), range(4))
    assert (found.statistic, found.p) == (pytest.approx(1), pytest.approx(2 / 16))
    # With both eyes of a child swapped together there are two children.
    assert paired_test(np.full((4, 1), 3.0), ["1", "1", "2", "2"]).p == pytest.approx(2 / 4)


def test_p_is_uniform_without_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation, "PERMUTATIONS", 199)
    rng = np.random.default_rng(1)
    paired = [paired_test(rng.normal(size=(24, 2)), range(24)).p for _ in range(200)]
    drawn = [rng.permutation(np.arange(24) < 12) for _ in range(200)]
    unpaired = [unpaired_test(rng.normal(size=(24, 2)), is_second).p for is_second in drawn]
    for values in (paired, unpaired):
        assert 0.02 <= np.mean(np.asarray(values) <= 0.05) <= 0.1
        assert 0.4 <= np.mean(values) <= 0.6


def test_a_common_direction_is_found() -> None:
    rng = np.random.default_rng(2)
    differences = rng.normal((1.2, 0), 1, (24, 2))
    assert paired_test(differences, range(24)).p < 0.001
    children = np.repeat(np.arange(12), 2)
    assert paired_test(differences, children).p < 0.01
    assert share_in_common_direction(differences, children) > 0.75


def test_the_unpaired_statistic_is_one_where_only_observers_differ() -> None:
    is_second = np.arange(10) < 4
    found = unpaired_test(np.where(is_second, 1.0, -2.0)[:, None], is_second)
    assert found.statistic == pytest.approx(1)
    assert found.p < 0.02


def test_collapsed_latents_show_no_difference() -> None:
    assert paired_test(np.zeros((20, 2)), range(20)).p == 1
    assert unpaired_test(np.zeros((20, 2)), np.arange(20) < 10).p == 1


def test_share_of_the_variance_within_pairs() -> None:
    first = np.array([[0.0], [10], [20]])
    assert share_within_pairs(first, first) == 0
    assert share_within_pairs(np.zeros((3, 1)), np.ones((3, 1))) == 1
    # Pairs (0, 2) and (10, 12): around their means 1, around the mean of all 26.
    assert share_within_pairs(np.array([[0.0], [10]]), np.array([[2.0], [12]])) == pytest.approx(1 / 26)
