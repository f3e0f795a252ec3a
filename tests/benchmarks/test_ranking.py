"""Ranking metrics against scikit-learn, counting, and intervals that are known."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.style_recovery.ranking import (
    Group,
    auroc,
    average_precision,
    mean_metric,
    paired_difference,
    precision_at_k,
)


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_metrics_equal_scikit_learn(ties: bool) -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 6, 60).astype(float) if ties else rng.normal(size=60)
    wrong = rng.random(60) < 0.2
    weights = rng.integers(0, 4, (25, 60)).astype(float)
    for ours, reference in ((auroc, roc_auc_score), (average_precision, average_precision_score)):
        expected = [reference(wrong, scores, sample_weight=row) for row in weights]
        np.testing.assert_allclose(ours(scores, wrong, weights), expected, atol=1e-12)


def test_perfect_and_inverse_ranking() -> None:
    wrong, once = np.array([True, True, False, False]), np.ones((1, 4))
    scores = np.array([4.0, 3.0, 2.0, 1.0])
    assert auroc(scores, wrong, once)[0] == average_precision(scores, wrong, once)[0] == 1
    assert auroc(-scores, wrong, once)[0] == 0
    # The two wrong ones come third and fourth: precisions 1/3 and 2/4.
    assert average_precision(-scores, wrong, once)[0] == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_a_resample_without_wrong_labels_is_undefined() -> None:
    wrong = np.array([True, False, False])
    assert np.isnan(auroc(np.arange(3.0), wrong, np.array([[0.0, 2, 1]]))[0])
    assert np.isnan(average_precision(np.arange(3.0), wrong, np.array([[0.0, 2, 1]]))[0])


def test_precision_at_k_by_counting() -> None:
    wrong = np.array([True, False, True, False, False])
    assert precision_at_k(np.array([5.0, 4, 3, 2, 1]), wrong) == 0.5
    assert precision_at_k(np.array([5.0, 1, 4, 2, 3]), wrong) == 1
    # One wrong and one right label share the second place.
    assert precision_at_k(np.array([5.0, 4, 4, 2, 1]), wrong) == pytest.approx(0.75)


def test_the_interval_is_paired_and_averages_seeds_that_have_both() -> None:
    rng = np.random.default_rng(2)
    groups = []
    for _ in range(2):
        wrong = np.arange(80) < 12
        good = wrong + rng.normal(0, 0.6, 80)
        groups.append(Group(wrong, {"good": good, "same": good, "bad": rng.normal(size=80)}))
    groups.append(Group(groups[0].wrong, {"bad": groups[0].scores["bad"]}))
    same = paired_difference(groups, "auroc", "same", "good")
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    better = paired_difference(groups, "average_precision", "bad", "good")
    assert 0 < better.low < better.mean < better.high
    assert better.num_subjects == 160
    by_hand = [
        mean_metric([group], "average_precision", "good") - mean_metric([group], "average_precision", "bad")
        for group in groups[:2]
    ]
    assert better.mean == pytest.approx(np.mean(by_hand))
    assert np.isnan(mean_metric(groups, "auroc", "absent"))
    assert np.isnan(paired_difference(groups, "auroc", "absent", "good").mean)
