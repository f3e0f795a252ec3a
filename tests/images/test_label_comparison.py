"""Voxels that two label maps share, counted by hand."""

import numpy as np

from nnunetv2_hypersort.images.label_comparison import compare_label_map


def test_labels_are_counted_and_differing_voxels_marked():
    found = compare_label_map(np.array([0, 1, 1, 2, 2, -1]), np.array([0, 1, 2, 2, 0, 0]), [1, 2])
    np.testing.assert_array_equal(found.shared, [1, 1])
    np.testing.assert_array_equal(found.drawn, [2, 2])
    np.testing.assert_array_equal(found.predicted, [1, 2])
    # nnU-Net stores -1 outside the body, which is background to it.
    np.testing.assert_array_equal(found.differing, [False, False, True, False, True, False])


def test_regions_differ_where_membership_does():
    # whole = 1 and 2, core = 2: a voxel that is 1 here and 2 there lies in `whole` twice, but once in `core`.
    found = compare_label_map(np.array([1, 2, 0, 2]), np.array([2, 2, 0, 0]), [(1, 2), (2,)])
    np.testing.assert_array_equal(found.shared, [2, 1])
    np.testing.assert_array_equal(found.drawn, [3, 2])
    np.testing.assert_array_equal(found.predicted, [2, 2])
    np.testing.assert_array_equal(found.differing, [True, False, False, True])
    only_whole = compare_label_map(np.array([1, 2, 0, 2]), np.array([2, 2, 0, 0]), [(1, 2)])
    np.testing.assert_array_equal(only_whole.differing, [False, False, False, True])


def test_ignored_voxels_count_nowhere():
    found = compare_label_map(np.array([1, 3, 3, 0]), np.array([1, 1, 0, 1]), [1], ignore=3)
    np.testing.assert_array_equal([found.shared, found.drawn, found.predicted], [[1], [1], [2]])
    np.testing.assert_array_equal(found.differing, [False, False, False, True])
