"""Common axes of several blocks of numbers, against stock decompositions and answers by hand."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from nnunetv2_hypersort.hypernetwork.conditioning.joint_components import (
    joint_components,
    robustly_scaled,
    within_images,
    without,
)

RNG = np.random.default_rng(0)


def test_one_block_has_its_principal_components():
    block = RNG.normal(size=(30, 5)) * [5, 3, 1, 1, 1]
    block -= block.mean(axis=0)
    scores = joint_components([block], 2)
    stock = PCA(2).fit_transform(block)
    for axis in range(2):
        assert abs(np.corrcoef(scores[:, axis], stock[:, axis])[0, 1]) == pytest.approx(1)
    assert (scores**2).mean() == pytest.approx(1)


def test_a_block_of_many_noisy_columns_does_not_outweigh_one_of_few():
    style = np.repeat([-1.0, 1.0], 40)
    few = style[:, None] + RNG.normal(size=(80, 1)) * 0.3
    many = RNG.normal(size=(80, 200)) * 10
    blocks = [block - block.mean(axis=0) for block in (many, few)]
    assert abs(np.corrcoef(joint_components(blocks, 2).T, style)[-1, :-1]).max() > 0.8
    assert abs(np.corrcoef(PCA(2).fit_transform(np.hstack(blocks)).T, style)[-1, :-1]).max() < 0.5


def test_where_there_are_fewer_components_than_coordinates_the_rest_is_zero():
    scores = joint_components([np.array([[-1.0], [1.0], [0.0]])], 3)
    assert scores[:, 0].any()
    assert not scores[:, 1:].any()
    assert not joint_components([np.zeros((4, 2))], 2).any()


def test_robust_scales():
    # Median 2, median absolute deviation 1; the last value lies further out than is told. A column of zeros stays.
    values = np.column_stack([[0.0, 1.0, 2.0, 3.0, 100.0], np.zeros(5)])
    scaled = robustly_scaled(values)
    np.testing.assert_allclose(scaled[:, 0], [-2 / 1.4826, -1 / 1.4826, 0, 1 / 1.4826, 4])
    assert not scaled[:, 1].any()


def test_what_is_unknown_says_nothing():
    values = np.array([[0.0, np.nan], [np.nan, np.nan], [2.0, np.nan], [1.0, np.nan]])
    scaled = robustly_scaled(values)
    # Without the unknown value the median is 1, and the median absolute deviation 1.
    np.testing.assert_allclose(scaled[:, 0], [-1 / 1.4826, 0, 1 / 1.4826, 0])
    assert not scaled[:, 1].any()


def test_what_sizes_explain_is_taken_out():
    sizes = RNG.normal(size=(50, 2))
    values = sizes @ [[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]] + RNG.normal(size=(50, 3)) * 0.1 + 7
    design = robustly_scaled(sizes)
    expected = values - LinearRegression().fit(design, values).predict(design)
    np.testing.assert_allclose(without(values, sizes), expected, atol=1e-10)


def test_annotations_of_one_image_are_compared_with_each_other():
    values = np.array([[10.0], [12.0], [3.0], [-4.0], [-4.0], [2.0]])
    images = np.array([7, 7, 5, -1, -1, -1])
    # The third case is alone with its image; the last three have a mean of -2.
    np.testing.assert_allclose(within_images(values, images)[:, 0], [-1, 1, 3, -2, -2, 4])
