"""Label quality against values worked out by hand."""

import math

import numpy as np
import pytest

from nnunetv2_hypersort.ranking import quality

NAN = math.nan


def test_isolation_is_the_distance_to_the_fifth_neighbour():
    line = np.array([0.0, 1, 2, 3, 4, 5, 20])[:, None]
    np.testing.assert_allclose(quality.isolation(line), [5, 4, 3, 3, 4, 5, 19])
    np.testing.assert_allclose(quality.isolation(np.array([[0.0, 0], [3, 4]])), [5, 5])
    np.testing.assert_allclose(quality.isolation(np.zeros((1, 2))), [0])
    assert quality.isolation(np.zeros((0, 2))).shape == (0,)


def test_robust_z_is_relative_to_the_group():
    # Median 6, deviations 5 4 3 2 1 0 1 2 3 4 5: their median is 3. The second group is the first, ten times as large.
    values = np.arange(1.0, 12)
    groups = np.repeat([0, 1], 11)
    z = quality.robust_z(np.concatenate([values, 10 * values]), groups, least_deviation=0.01)
    expected = (values - 6) / (1.4826 * 3)
    np.testing.assert_allclose(z, np.concatenate([expected, expected]))


def test_a_small_group_is_compared_with_all():
    values = np.concatenate([np.arange(1.0, 12), [100.0, 100.0]])
    z = quality.robust_z(values, [0] * 11 + [1, 1], least_deviation=0.01)
    # Among all 13 the median is 7; deviations 6 5 4 3 2 1 0 1 2 3 4 93 93, whose median is 3.
    np.testing.assert_allclose(z[-2:], 93 / (1.4826 * 3))


def test_robust_z_knows_no_smaller_deviation_than_the_least():
    z = quality.robust_z([1.0] * 10 + [1.5], [0] * 11, least_deviation=0.25)
    np.testing.assert_allclose(z, [0] * 10 + [2])


def test_unknown_values_stay_unknown_and_count_for_nothing():
    values = [*np.arange(1.0, 12), NAN]
    z = quality.robust_z(values, [0] * 12, least_deviation=0.01)
    assert math.isnan(z[-1])
    np.testing.assert_allclose(z[0], -5 / (1.4826 * 3))
    assert np.isnan(quality.robust_z([NAN, NAN], [0, 0], least_deviation=1)).all()


def test_few_held_out_cases_are_compared_with_the_training_cases():
    usual = np.linspace(0.1, 0.3, 11)  # median 0.2, median deviation 0.06
    few = quality.outlying_disagreement([0.5, 0.2], [0, 0], among=(usual, np.zeros(11)))
    np.testing.assert_allclose(few, [0.3 / (1.4826 * 0.06), 0], atol=1e-12)
    many = quality.outlying_disagreement(usual + 0.4, np.zeros(11), among=(usual, np.zeros(11)))
    np.testing.assert_allclose(many, (usual - 0.2) / (1.4826 * 0.06), atol=1e-12)


def test_agreement_is_dice_where_a_label_was_drawn():
    shared = [[[3, 0]]]
    np.testing.assert_allclose(quality.agreement_per_label(shared, [[4, 2]], [[[8, 3]]]), [[[0.5, 0]]])


def test_agreement_of_a_label_that_was_not_drawn_falls_with_the_volume_predicted():
    # The label is drawn with 80, 100 and 120: usually 100. The last four cases do not have it.
    drawn = np.array([80, 100, 120, 0, 0, 0, 0], float)[:, None]
    predicted = np.array([80, 100, 120, 0, 1, 25, 300], float)[:, None, None]
    shared = np.array([80, 100, 120, 0, 0, 0, 0], float)[:, None, None]
    agreement = quality.agreement_per_label(shared, drawn, predicted)[:, 0, 0]
    np.testing.assert_allclose(agreement, [1, 1, 1, NAN, 0.99, 0.75, 0])
    np.testing.assert_allclose(quality.mean_agreement(agreement[:, None, None])[:, 0], [1, 1, 1, 1, 0.99, 0.75, 0])


def test_a_label_that_nobody_drew_cannot_be_predicted_without_disagreement():
    assert quality.agreement_per_label([[[0]]], [[0]], [[[7]]]).item() == 0


def test_parts_are_combined_by_the_mean_of_what_is_known():
    np.testing.assert_allclose(quality.mean_of_known([[1, NAN, NAN], [3, 4, NAN]]), [2, 4, NAN])


def test_quality_is_half_at_the_limit_of_outliers_and_falls():
    z = np.array([-1000, 0, 3.5, 7, 1000])
    scores = quality.quality(z)
    np.testing.assert_allclose(scores, [1, 1 / (1 + math.exp(-3.5)), 0.5, 1 / (1 + math.exp(3.5)), 0], atol=1e-12)
    assert math.isnan(quality.quality([NAN])[0])


@pytest.fixture
def fold():
    """Two styles of 40 cases each, the second harder: losses and disagreements twice as high."""
    rng = np.random.default_rng(0)
    styles = np.repeat([0, 1], 40)
    latents = rng.normal(0, 0.1, (80, 2)) + 3 * styles[:, None]
    losses = rng.normal(0.5, 0.02, 80) * (1 + styles)
    disagreement = rng.normal(0.1, 0.01, 80) * (1 + styles)
    return latents, losses, styles, disagreement


@pytest.mark.parametrize("part", ["loss", "isolation", "disagreement"])
def test_each_part_alone_reveals_an_error_of_the_easier_style(fold, part):
    latents, losses, styles, disagreement = fold
    if part == "loss":
        losses[7] = 0.9  # usual in the harder style
    elif part == "isolation":
        latents[7] = 1.5
    else:
        disagreement[7] = 0.2
    found = quality.outlyingness(latents, losses, styles, disagreement)
    assert np.argmax(getattr(found, part)) == 7
    assert getattr(found, part)[7] > quality.OUTLYING
    assert np.argmax(found.combined) == 7
    np.testing.assert_allclose(found.combined, (found.loss + found.isolation + found.disagreement) / 3)


def test_a_case_that_was_never_drawn_is_judged_by_its_disagreement_alone(fold):
    latents, losses, styles, disagreement = fold
    losses[3], latents[3] = NAN, 50
    found = quality.outlyingness(latents, losses, styles, disagreement)
    assert math.isnan(found.loss[3])
    assert math.isnan(found.isolation[3])
    assert found.combined[3] == found.disagreement[3]
    without = quality.outlyingness(latents, losses, styles)
    assert np.isnan(without.disagreement).all()
    assert math.isnan(without.combined[3])
    np.testing.assert_allclose(without.combined[4], (found.loss[4] + found.isolation[4]) / 2)
