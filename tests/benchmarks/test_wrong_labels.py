"""The scores that rank wrong labels, against hand calculation."""

import math

import numpy as np
import pytest

from benchmarks.style_recovery.softmin import softmin_score
from benchmarks.style_recovery.wrong_labels import isolation, isolation_forest, mahalanobis


@pytest.fixture
def _cleanlab() -> None:
    pytest.importorskip("cleanlab", reason="the softmin baseline is cleanlab's, which is not installed")


@pytest.mark.usefixtures("_cleanlab")
def test_softmin_of_a_volume_by_hand() -> None:
    # Four voxels in two slices; the given labels have the probabilities 0.9, 0.2, 0.6 and 1.
    labels = np.array([[[0, 1]], [[1, 0]]])
    of_label_1 = np.array([[[0.1, 0.2]], [[0.6, 0.0]]])
    given = [0.9, 0.2, 0.6, 1.0]
    weights = [math.exp((1 - p) / 0.1) for p in given]
    expected = sum(w * p for w, p in zip(weights, given, strict=True)) / sum(weights)
    score = softmin_score(labels, np.stack([1 - of_label_1, of_label_1]))
    assert score == pytest.approx(expected, abs=1e-9)
    assert 0.2 < score < 0.22


@pytest.mark.usefixtures("_cleanlab")
def test_softmin_does_not_depend_on_how_slices_are_stacked() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), (4, 5, 6)).transpose(3, 0, 1, 2)
    labels = rng.integers(0, 3, (4, 5, 6))
    turned = softmin_score(labels.transpose(2, 0, 1), probabilities.transpose(0, 3, 1, 2))
    assert softmin_score(labels, probabilities) == pytest.approx(turned, rel=1e-12)


def test_isolation_is_the_distance_to_the_fifth_neighbour() -> None:
    latents = np.arange(10.0)[:, None]
    # From 0 the fifth other point is 5; from 4 those at distance 1, 1, 2, 2 and then 3.
    assert isolation(latents)[[0, 4, 9]].tolist() == [5, 3, 5]


@pytest.mark.parametrize("score", [mahalanobis, isolation_forest])
def test_outlying_masks_get_the_highest_score(score) -> None:
    rng = np.random.default_rng(3)
    # The last two columns follow from the others, as extents and positions of masks do.
    features = rng.normal(size=(100, 4))
    features = np.column_stack([features, features[:, 0] + features[:, 1], features[:, 2]])
    features[17] += 8
    assert score(features, 0).argmax() == 17
