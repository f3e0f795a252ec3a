"""Partitions against scikit-learn's index, and what resamples do to them."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, balanced_accuracy_score

from benchmarks.unseen_styles import partitions


def test_the_index_is_scikit_learns_with_equal_weights() -> None:
    rng = np.random.default_rng(0)
    styles = rng.integers(0, 3, 50)
    clusters = np.where(rng.random(50) < 0.3, rng.integers(0, 4, 50), styles)
    found = partitions.rand_index(clusters, styles, np.ones((1, 50)))
    assert found == pytest.approx(adjusted_rand_score(styles, clusters))
    assert partitions.rand_index(np.zeros(50, int), styles, np.ones((1, 50))) == pytest.approx(0)
    accuracy = partitions.accuracy(clusters, styles, np.ones((1, 50)))
    assert accuracy == pytest.approx(balanced_accuracy_score(styles, clusters, adjusted=False), abs=1e-9)


def test_weights_leave_cases_out_and_copies_are_no_evidence() -> None:
    styles, clusters = np.array([0, 0, 0, 1, 1, 1, 0]), np.array([0, 0, 1, 1, 1, 0, 1])
    without = partitions.rand_index(clusters, styles, np.array([[1.0, 1, 1, 1, 1, 1, 0]]))
    assert without == pytest.approx(adjusted_rand_score(styles[:-1], clusters[:-1]))
    # Every case alone agrees with nothing, however often each is drawn.
    rng = np.random.default_rng(0)
    draws = rng.multinomial(7, np.full(7, 1 / 7), size=200).astype(float)
    assert np.abs(partitions.rand_index(np.arange(7), styles, draws)).max() < 1e-9


def test_a_paired_difference_is_about_images() -> None:
    rng = np.random.default_rng(1)
    styles = np.tile([0, 1], 40)
    images = [str(number) for number in np.repeat(np.arange(40), 2)]
    good = np.where(rng.random(80) < 0.1, 1 - styles, styles)
    poor = np.where(rng.random(80) < 0.35, 1 - styles, styles)
    for metric in partitions.METRICS:
        gap = partitions.paired_difference(metric, [(good, poor, styles, images)])
        assert gap.low > 0
        assert gap.low < gap.mean < gap.high
        assert gap.num_subjects == 40
        same = partitions.paired_difference(metric, [(good, good, styles, images)] * 2)
        assert (same.low, same.mean, same.high) == (0, 0, 0)


def test_two_plain_groups_are_found_in_every_way() -> None:
    rng = np.random.default_rng(0)
    styles = np.repeat([0, 1], 30)
    features = np.column_stack([10 * styles + rng.normal(size=60), 9 * styles + rng.normal(size=60), np.ones(60)])
    for clusters in partitions.cluster_ways(features, 2).values():
        assert adjusted_rand_score(styles, clusters) == 1


def test_nothing_that_varies_is_one_cluster() -> None:
    for clusters in partitions.cluster_ways(np.ones((12, 3)), 2).values():
        assert set(clusters) == {0}


def test_cases_of_no_cluster_stand_alone() -> None:
    assert partitions.each_alone(np.array([0, -1, 1, -1])).tolist() == [0, 2, 1, 3]
    assert partitions.each_alone(np.array([-1, -1])).tolist() == [0, 1]


def test_the_best_threshold_of_one_number() -> None:
    styles = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert partitions.best_threshold(np.arange(9.0), styles) == pytest.approx(1)
    assert partitions.best_threshold(np.zeros(9), styles) == pytest.approx(0)
