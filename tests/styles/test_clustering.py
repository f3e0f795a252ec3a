"""Clusters of latents, against how the points were sampled."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from nnunetv2_hypersort.styles.clustering import find_clusters

CENTRES = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])


def drawn(sizes: list[int], *, spread: float = 0.3, scattered: int = 0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    points = CENTRES[truth] + rng.normal(0, spread, (len(truth), 2))
    far = rng.uniform(-4, 6, (scattered, 2))
    return np.concatenate([points, far]), np.concatenate([truth, np.full(scattered, -1)])


@pytest.mark.parametrize("seed", range(3))
def test_clusters_are_found_without_their_number_and_the_largest_comes_first(seed):
    points, truth = drawn([100, 60, 40], scattered=16, seed=seed)
    clusters = find_clusters(points)
    right = truth >= 0
    assert len(clusters) == 3
    assert adjusted_rand_score(truth[right], clusters.labels[right]) > 0.95
    assert (clusters.labels[~right] == -1).mean() > 0.6
    sizes = np.bincount(clusters.labels[clusters.labels >= 0])
    assert list(sizes) == sorted(sizes, reverse=True)
    for number, medoid in enumerate(clusters.medoids):
        assert clusters.labels[medoid] == number
        assert np.linalg.norm(points[medoid] - points[clusters.labels == number].mean(0)) < 0.3


def test_a_few_cases_that_lie_together_are_no_style():
    points, _ = drawn([100, 60])
    pair = np.array([[-5.0, 5.0], [-5.01, 5.0]])
    together = find_clusters(np.concatenate([points, pair]))
    assert len(together) == 2
    assert list(together.labels[-2:]) == [-1, -1]
    five = pair[0] + np.random.default_rng(1).normal(0, 0.05, (5, 2))
    assert len(find_clusters(np.concatenate([points, five]))) == 3


@pytest.mark.parametrize("seed", range(4))
def test_one_style_is_one_cluster(seed):
    points, _ = drawn([200], seed=seed)
    assert len(find_clusters(points)) == 1


def test_a_dense_core_with_wide_wings_is_one_cluster():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0, 0.25, (80, 2)), rng.normal(0, 1, (130, 2)) * [1.0, 0.6]])
    assert len(find_clusters(points)) == 1


def test_a_style_need_not_be_gaussian():
    rng = np.random.default_rng(0)
    angle = rng.uniform(-1, 1, 200)
    bow = np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, 0.15, (200, 2))
    assert len(find_clusters(bow)) == 1


def test_labels_do_not_depend_on_the_unit_or_the_origin():
    points, _ = drawn([50, 30])
    np.testing.assert_array_equal(find_clusters(points).labels, find_clusters(points * 1e-3 + 7).labels)


@pytest.mark.parametrize("points", [np.zeros((1, 2)), np.zeros((30, 2)), np.ones((4, 3))])
def test_very_few_or_equal_latents_are_one_cluster(points):
    clusters = find_clusters(points)
    assert len(clusters) == 1
    assert not clusters.labels.any()
