"""Discriminant analysis that leaves images out, against scikit-learn's, and on features that hold nothing."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from benchmarks.unseen_styles.discriminant import leave_one_group_out, standardised, tell_styles


def sample(count: int, dimensions: int, shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    styles = np.arange(count) % 3
    groups = np.arange(count) // 3
    images = rng.normal(size=(count // 3, dimensions))[groups]
    points = images + 0.7 * rng.normal(size=(count, dimensions))
    points[:, 0] += shift * styles
    return points, styles, groups


def test_as_scikit_learn_without_shrinkage() -> None:
    points, styles, groups = sample(60, 3, 1.5)
    model = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3)
    theirs = cross_val_predict(model, points, styles, groups=groups, cv=LeaveOneGroupOut())
    ours = leave_one_group_out(standardised(points), styles, groups)
    assert (ours == theirs).mean() > 0.98
    assert 0.5 < (ours == styles).mean() < 1


def test_more_features_than_cases_are_shrunk() -> None:
    points, styles, groups = sample(30, 60, 8)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[1 / 3] * 3)
    theirs = cross_val_predict(model, points, styles, groups=groups, cv=LeaveOneGroupOut())
    ours = leave_one_group_out(standardised(points), styles, groups)
    # The styles differ in one feature, whose variance within them is a hundredth of that between them.
    assert (ours == styles).mean() > (theirs == styles).mean() - 0.1 > 0.8


@pytest.mark.parametrize("within", [False, True])
def test_what_holds_nothing_is_chance(within: bool) -> None:
    points, styles, groups = sample(60, 5, 0)
    told = tell_styles(points, styles, [str(group) for group in groups], within_groups=within)
    assert told.chance == pytest.approx(1 / 3)
    assert told.accuracy < 0.55
    assert told.p > 0.05


def test_what_holds_the_style_is_no_chance() -> None:
    points, styles, groups = sample(60, 5, 4)
    told = tell_styles(points, styles, [str(group) for group in groups], within_groups=True)
    assert told.accuracy > 0.8
    assert told.p == pytest.approx(1 / 200)


def test_an_image_is_never_judged_by_its_other_cases() -> None:
    # Each image has its own place, and both of its cases one style: known images would be told perfectly.
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 2)
    styles = np.repeat(rng.permutation(40) % 2, 2)
    points = np.repeat(rng.normal(size=(40, 30)), 2, axis=0)
    told = tell_styles(points, styles, [str(group) for group in groups], within_groups=False)
    assert told.accuracy < 0.7


def test_a_feature_that_does_not_vary_is_left_out() -> None:
    assert standardised(np.column_stack([np.full(5, 7.0), np.arange(5.0)])).shape == (5, 1)
