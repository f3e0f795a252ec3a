"""The operations on the shape of labels, their parts and slices, on masks small enough to work out by hand."""

import numpy as np
import pytest
from skimage import morphology

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.geometry import Grid
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.perturbation import shape_operations
from nnunetv2_hypersort.perturbation.spec import parse_spec

RAS = Grid.along((1.0, 1.0, 3.0), ("R", "A", "S"))
LPS = Grid.along((1.0, 1.0, 3.0), ("L", "P", "S"))


def block(shape, *parts):
    labels = np.zeros(shape, dtype=np.uint16)
    for value, *slices in parts:
        labels[tuple(slice(*ends) for ends in slices)] = value
    return labels


def random_blobs(seed=0, shape=(1, 60, 60)):
    rng = np.random.default_rng(seed)
    coarse = rng.random((1, shape[1] // 6, shape[2] // 6)) < 0.45
    return np.kron(coarse, np.ones((1, 6, 6))).astype(np.uint16)


@pytest.mark.parametrize("radius", [1, 3, 4.5])
def test_clefts_and_thin_parts_are_those_of_scikit_image(radius):
    labels = np.pad(random_blobs(), ((0, 0), (12, 12), (12, 12)))
    picture = Grid.along((999.0, 1.0, 1.0), ("S", "P", "L"), labels.shape, planar=True)
    # A disc of voxel centres within the radius.
    reach = np.arange(-5, 6)
    disc = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.uint8)

    closed = shape_operations.fill_clefts(labels, picture, (1,), radius)
    opened = shape_operations.leave_out_thin(labels, picture, (1,), radius)

    assert np.array_equal(closed[0] > 0, morphology.closing(labels[0].astype(np.uint8), disc) > 0)
    assert np.array_equal(opened[0] > 0, morphology.opening(labels[0].astype(np.uint8), disc) > 0)
    assert closed.sum() > labels.sum() > opened.sum()


def test_clefts_are_filled_in_millimetres_and_go_to_the_closer_label():
    # Two walls 4 voxels apart along an axis of 1 mm, and two slices 1 voxel apart along one of 3 mm.
    labels = block((20, 9, 9), (1, (4, 8), (0, 9), (0, 9)), (2, (12, 16), (0, 9), (0, 9)))

    narrow = shape_operations.fill_clefts(labels, RAS, (1, 2), 1.9)
    wide = shape_operations.fill_clefts(labels, RAS, (1, 2), 4)

    assert np.array_equal(narrow, labels)
    assert wide[8:12, 4, 4].tolist() == [1, 1, 2, 2]
    # Nothing is lost, and what is not selected is neither moved nor written over.
    assert np.array_equal(wide[labels > 0], labels[labels > 0])
    alone = shape_operations.fill_clefts(labels, RAS, (1,), 4)
    assert np.array_equal(alone, labels)


def test_the_gap_to_the_edge_of_the_image_is_no_cleft():
    labels = block((12, 12, 5), (1, (1, 6), (2, 10), (1, 4)))

    assert np.array_equal(shape_operations.fill_clefts(labels, RAS, (1,), 9), labels)


def test_an_appendage_is_left_out_and_what_goes_on_beyond_the_image_is_not_thin():
    body = block((24, 24, 9), (1, (4, 16), (4, 16), (2, 7)))
    labels = body.copy()
    labels[16:22, 9:11, 3:6] = 1

    trimmed = shape_operations.leave_out_thin(labels, RAS, (1,), 2)

    # The body loses its sharp corners and edges, the appendage everything.
    assert not trimmed[17:].any()
    assert (trimmed[5:15, 5:15, 3:6] == 1).all()
    slab = block((12, 12, 5), (1, (0, 2), (0, 12), (0, 5)))
    assert np.array_equal(shape_operations.leave_out_thin(slab, RAS, (1,), 1.5), slab)


def test_every_third_slice_is_copied_to_its_neighbours():
    labels = np.zeros((1, 10, 1), dtype=np.uint16)
    labels[0, 2:9, 0] = [1, 1, 2, 2, 1, 2, 1]

    copied = shape_operations.copy_slices(labels, RAS, (1, 2), "posterior-anterior", 3)

    # Runs of slices 2 to 4, 5 to 7 and 8, each with the labels of its middle.
    assert copied.ravel().tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1, 0]
    # Slices count from the posterior end, wherever the array begins.
    labels = labels[:, ::-1]
    assert shape_operations.copy_slices(labels, LPS, (1, 2), "posterior-anterior", 3).ravel().tolist() == [
        *copied.ravel().tolist()[::-1]
    ]


def test_copied_slices_hide_no_other_label_and_end_with_the_label():
    labels = block((4, 8, 3), (1, (0, 4), (2, 7), (0, 3)), (2, (0, 2), (2, 3), (0, 3)))

    copied = shape_operations.copy_slices(labels, RAS, (1,), "posterior-anterior", 5)

    assert np.array_equal(copied == 2, labels == 2)
    assert np.unique(np.nonzero(copied)[1]).tolist() == [2, 3, 4, 5, 6]
    # The middle slice is whole, so every slice is, but for the other label.
    assert (copied[:, 3:7] == 1).all()


def test_only_the_largest_pieces_are_kept():
    labels = block((20, 6, 3), (1, (0, 4), (0, 4), (0, 3)), (1, (6, 9), (0, 4), (0, 3)), (1, (11, 12), (0, 1), (0, 1)))
    labels[14:18, 0:4, 0:3] = 2

    one = shape_operations.keep_largest(labels, RAS, (1, 2), 1)
    two = shape_operations.keep_largest(labels, RAS, (1,), 2)

    assert np.array_equal(one, np.where(np.arange(20)[:, None, None] < 5, labels, np.where(labels == 2, 2, 0)))
    assert np.unique(np.nonzero(two == 1)[0]).tolist() == [0, 1, 2, 3, 6, 7, 8]


def test_they_can_be_named_in_a_spec():
    steps = [
        {"fill_clefts": {"mm": 3}},
        {"leave_out_thin": {"mm": 2, "labels": ["organ"]}},
        {"copy_slices": {"axis": "inferior-superior", "every": 4}},
        {"keep_largest": {}},
    ]
    spec = parse_spec({"styles": {"changed": {"proportion": 1, "operations": steps}}})
    labels = block(
        (30, 30, 12), (1, (5, 25), (5, 12), (1, 11)), (1, (5, 25), (15, 25), (2, 11)), (1, (0, 1), (0, 1), (0, 1))
    )

    drawn = spec.styles[0].apply(labels, RAS, LabelTable({"background": 0, "organ": 1}))

    assert not np.array_equal(drawn, labels)
    assert drawn[0, 0, 0] == 0


@pytest.mark.parametrize(
    "step", [{"copy_slices": {"axis": "left-right", "every": 1}}, {"keep_largest": {"pieces": 1.5}}]
)
def test_counts_are_whole_numbers(step):
    with pytest.raises(HyperSORTError, match="a whole number of at least"):
        parse_spec({"styles": {"changed": {"proportion": 1, "operations": [step]}}})
