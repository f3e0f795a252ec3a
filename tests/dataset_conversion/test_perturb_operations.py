"""Each operation on masks small enough to work out by hand."""

import numpy as np
import pytest

from nnunetv2_hypersort.images.geometry import Grid
from nnunetv2_hypersort.images.orientation import AXES
from nnunetv2_hypersort.perturbation import operations, planted_errors

# Array axes are left-right, posterior-anterior, inferior-superior; the last one is three times as coarse.
RAS = Grid.along((1.0, 1.0, 3.0), ("R", "A", "S"))
# The same anatomy as nnU-Net would read it from a file stored LPS: axes reversed, two of them pointing backwards.
SPL = Grid.along((3.0, 1.0, 1.0), ("S", "P", "L"))


def to_spl(labels):
    return np.flip(labels.transpose(2, 1, 0), (1, 2)).copy()


def block(shape, *parts):
    labels = np.zeros(shape, dtype=np.uint16)
    for value, *slices in parts:
        labels[tuple(slice(*ends) for ends in slices)] = value
    return labels


def two_boxes():
    """Label 2 behind, label 1 in front, the border between index 5 and 6 of the second axis."""
    return block((7, 12, 5), (2, (2, 5), (2, 6), (1, 4)), (1, (2, 5), (6, 10), (1, 4)))


def test_dilation_is_measured_in_millimetres():
    point = block((7, 7, 5), (1, (3, 4), (3, 4), (2, 3)))

    grown = operations.dilate(point, RAS, (1,), 2)

    # Within 2 mm in a plane of 1 mm voxels: the discrete disc of radius 2, 13 voxels; the next slice is 3 mm away.
    assert np.count_nonzero(grown) == 13
    assert np.count_nonzero(grown[:, :, 2]) == 13
    # With 3 mm the disc of radius 3 has 29 voxels, and each neighbouring slice gets the voxel straight above or below.
    assert np.count_nonzero(operations.dilate(point, RAS, (1,), 3)) == 29 + 2


def test_dilation_takes_background_only_and_shares_it_by_distance():
    line = np.array([1, 0, 0, 0, 2, 3], dtype=np.uint16).reshape(6, 1, 1)

    grown = operations.dilate(line, RAS, (1, 2), 5)

    # The middle voxel is as far from 1 as from 2 and goes to the label named first; 3 is not overwritten.
    assert grown.ravel().tolist() == [1, 1, 1, 2, 2, 3]


def test_spill_takes_from_the_neighbour():
    line = np.array([0, 1, 1, 2, 2, 2, 0], dtype=np.uint16).reshape(7, 1, 1)

    assert operations.spill(line, RAS, 1, 2, (2,)).ravel().tolist() == [0, 1, 1, 1, 1, 2, 0]
    assert operations.spill(line, RAS, 1, 2, (0, 2)).ravel().tolist() == [1, 1, 1, 1, 1, 2, 0]


def test_erosion_is_measured_in_millimetres_and_spares_the_image_edge():
    cube = block((9, 9, 3), (1, (2, 7), (2, 7), (0, 3)))

    # Neither in-plane edge voxels at 1 mm nor slices: the slices touch the image's edge.
    assert np.argwhere(operations.erode(cube, RAS, (1,), 1)).min(axis=0).tolist() == [3, 3, 0]
    assert np.count_nonzero(operations.erode(cube, RAS, (1,), 1)) == 3 * 3 * 3
    slab = block((5, 5, 5), (1, (0, 5), (0, 5), (1, 4)))
    # The background's slice is 3 mm away: 2.9 mm do nothing, 3 mm take the outer slices.
    assert np.array_equal(operations.erode(slab, RAS, (1,), 2.9), slab)
    assert np.unique(np.nonzero(operations.erode(slab, RAS, (1,), 3))[2]).tolist() == [2]


def test_smoothing_removes_a_spike_and_fills_a_notch_but_keeps_a_plane():
    slab = block((11, 11, 5), (1, (0, 6), (0, 11), (0, 5)))
    rough = slab.copy()
    rough[6, 5, 2] = 1
    rough[5, 2, 2] = 0

    assert np.array_equal(operations.smooth(slab, RAS, (1,), 1), slab)
    assert np.array_equal(operations.smooth(rough, RAS, (1,), 1), slab)


def test_smoothing_leaves_other_labels_alone():
    labels = block((11, 11, 5), (1, (0, 6), (0, 11), (0, 5)), (2, (6, 7), (5, 6), (2, 3)))

    assert np.array_equal(operations.smooth(labels, RAS, (1,), 1) == 2, labels == 2)


def test_margin_opens_a_gap_on_one_side_only():
    labels = two_boxes()

    gap = operations.margin(labels, RAS, (1,), (2,), 2)

    assert np.array_equal(gap == 2, labels == 2)
    # Voxels of label 1 whose centre is at most 2 mm from a centre of label 2: indices 6 and 7.
    assert np.unique(np.nonzero(gap == 1)[1]).tolist() == [8, 9]
    assert np.array_equal(gap == 1, (labels == 1) & (np.arange(12) >= 8)[None, :, None])


def test_holes_are_filled_in_space_or_in_slices():
    closed = block((5, 5, 5), (1, (0, 5), (0, 5), (0, 5)), (0, (2, 3), (2, 3), (2, 3)))
    tunnel = block((5, 5, 5), (1, (0, 5), (0, 5), (0, 5)), (0, (2, 3), (2, 3), (0, 5)))

    assert operations.fill_holes(closed, RAS, (1,)).all()
    assert np.array_equal(operations.fill_holes(tunnel, RAS, (1,)), tunnel)
    assert operations.fill_holes(tunnel, RAS, (1,), "inferior-superior").all()
    assert np.array_equal(operations.fill_holes(tunnel, RAS, (1,), "left-right"), tunnel)


def test_filling_does_not_overwrite_an_enclosed_label():
    labels = block((5, 5, 5), (1, (0, 5), (0, 5), (0, 5)), (2, (2, 3), (2, 3), (2, 3)))

    assert np.array_equal(operations.fill_holes(labels, RAS, (1,)), labels)


def test_offset_by_whole_voxels_is_exact_and_signed_by_anatomy():
    labels = two_boxes()

    assert np.array_equal(operations.offset(labels, RAS, (1, 2), {"left-right": 2}), np.roll(labels, 2, axis=0))
    assert np.array_equal(operations.offset(labels, RAS, (1, 2), {"inferior-superior": -3}), np.roll(labels, -1, 2))
    # In the flipped array "right" is where indices fall.
    flipped = to_spl(labels)
    assert np.array_equal(operations.offset(flipped, SPL, (1, 2), {"left-right": 2}), np.roll(flipped, -2, axis=2))


@pytest.mark.parametrize("mm", [-1.5, 0.5, 2.5])
def test_offset_by_half_a_voxel_keeps_the_volume(mm):
    cube = block((12, 12, 12), (1, (4, 8), (4, 8), (4, 8)))

    moved = operations.offset(cube, Grid.along((1.0, 1.0, 1.0), ("R", "A", "S")), (1,), {"left-right": mm})

    assert np.array_equal(moved, np.roll(cube, int(np.floor(mm)), 0)) or np.array_equal(
        moved, np.roll(cube, int(np.ceil(mm)), 0)
    )


def test_offset_by_a_fraction_of_a_voxel_goes_to_the_closer_one():
    cube = block((12, 12, 12), (1, (4, 8), (4, 8), (4, 8)))
    half = operations.offset(cube, Grid.along((2.0, 2.0, 2.0), ("R", "A", "S")), (1,), {"left-right": 0.9})

    assert np.array_equal(half, cube)
    more = operations.offset(cube, Grid.along((2.0, 2.0, 2.0), ("R", "A", "S")), (1,), {"left-right": 1.1})
    assert np.array_equal(more, np.roll(cube, 1, axis=0))


def test_offset_loses_what_leaves_the_image_and_does_not_wrap():
    labels = block((5, 3, 3), (1, (3, 5), (0, 3), (0, 3)))

    moved = operations.offset(labels, RAS, (1,), {"left-right": 1})

    assert np.unique(np.nonzero(moved)[0]).tolist() == [4]


def test_offset_of_one_label_does_not_overwrite_another():
    labels = two_boxes()

    moved = operations.offset(labels, RAS, (2,), {"posterior-anterior": 2})

    assert np.array_equal(moved == 1, labels == 1)
    assert np.unique(np.nonzero(moved == 2)[1]).tolist() == [4, 5]


def test_quarter_turn_swaps_the_sides_of_a_plate():
    isotropic = Grid.along((1.0, 1.0, 1.0), ("R", "A", "S"))
    plate = block((9, 3, 9), (1, (2, 7), (1, 2), (4, 5)))

    turned = operations.rotate_slices(plate, isotropic, (1,), "posterior-anterior", 90)

    assert np.array_equal(turned, plate.transpose(2, 1, 0))


def test_turn_goes_anticlockwise_whatever_the_array_order():
    isotropic = Grid.along((1.0, 1.0, 1.0), ("R", "A", "S"))
    bar = block((11, 3, 11), (1, (1, 10), (0, 3), (5, 6)))

    turned = operations.rotate_slices(bar, isotropic, (1,), "posterior-anterior", 45)

    # Right and up: the bar that lay along left-right now rises to the right.
    assert turned[8, 1, 8] == 1
    assert turned[2, 1, 2] == 1
    assert turned[8, 1, 2] == 0
    other = Grid.along((1.0, 1.0, 1.0), ("S", "P", "L"))
    assert np.array_equal(operations.rotate_slices(to_spl(bar), other, (1,), "posterior-anterior", 45), to_spl(turned))


def test_turn_of_anisotropic_voxels_is_a_turn_in_millimetres():
    # 15 mm wide and one slice of 3 mm high; on end it is 3 mm wide and 15 mm high: five slices.
    bar = block((21, 1, 9), (1, (3, 18), (0, 1), (4, 5)))

    turned = operations.rotate_slices(bar, RAS, (1,), "posterior-anterior", 90)

    assert np.array_equal(turned, block((21, 1, 9), (1, (9, 12), (0, 1), (2, 7))))


def test_border_moves_by_so_many_millimetres_within_the_union():
    labels = two_boxes()

    moved = operations.shift_border(labels, RAS, (1, 2), "posterior-anterior", 2)

    assert np.array_equal(moved > 0, labels > 0)
    # The border that lay between indices 5 and 6 lies between 7 and 8.
    assert np.unique(np.nonzero(moved == 2)[1]).tolist() == [2, 3, 4, 5, 6, 7]
    assert np.array_equal(operations.shift_border(to_spl(labels), SPL, (1, 2), "posterior-anterior", 2), to_spl(moved))
    back = operations.shift_border(labels, RAS, (2, 1), "posterior-anterior", -2)
    assert np.unique(np.nonzero(back == 2)[1]).tolist() == [2, 3]


def test_tilted_border_rises_by_the_tangent_about_its_centre():
    labels = block((3, 12, 5), (2, (0, 3), (0, 6), (0, 5)), (1, (0, 3), (6, 12), (0, 5)))

    tilted = operations.tilt_border(labels, RAS, (1, 2), "posterior-anterior", "inferior-superior", 45)

    # tan 45 degrees = 1 and slices 3 mm apart: the border moves by 3 mm from slice to slice, by 0 in the middle one.
    assert [int((tilted[1, :, z] == 2).sum()) for z in range(5)] == [0, 3, 6, 9, 12]


def test_cut_takes_millimetres_or_a_fraction_off_one_end():
    labels = two_boxes()

    assert np.unique(np.nonzero(operations.cut(labels, RAS, (1, 2), "superior", mm=3))[2]).tolist() == [1, 2]
    assert np.unique(np.nonzero(operations.cut(labels, RAS, (1, 2), "posterior", mm=3))[1]).tolist()[0] == 5
    half = operations.cut(labels, RAS, (1, 2), "anterior", fraction=0.5)
    assert np.unique(np.nonzero(half)[1]).tolist() == [2, 3, 4, 5]
    only_two = operations.cut(labels, RAS, (2,), "superior", mm=3)
    assert np.array_equal(only_two == 1, labels == 1)
    spl = operations.cut(to_spl(labels), SPL, (1, 2), "anterior", fraction=0.5)
    assert np.array_equal(spl, to_spl(half))


def test_leave_out_removes_one_label_only():
    labels = two_boxes()

    assert np.array_equal(operations.leave_out(labels, (2,)), np.where(labels == 1, 1, 0))


@pytest.mark.parametrize(
    "operation",
    [
        lambda labels: operations.dilate(labels, RAS, (1, 2), 2),
        lambda labels: operations.erode(labels, RAS, (1, 2), 1),
        lambda labels: operations.smooth(labels, RAS, (1, 2), 1),
        lambda labels: operations.margin(labels, RAS, (1,), (2,), 1),
        lambda labels: operations.fill_holes(labels, RAS, (1, 2)),
        lambda labels: operations.offset(labels, RAS, (1, 2), {"left-right": 1.3}),
        lambda labels: operations.rotate_slices(labels, RAS, (1, 2), "left-right", 20),
        lambda labels: operations.shift_border(labels, RAS, (1, 2), "left-right", 1),
        lambda labels: operations.tilt_border(labels, RAS, (1, 2), "left-right", "inferior-superior", 20),
        lambda labels: operations.cut(labels, RAS, (1, 2), "left", mm=1),
        lambda labels: operations.leave_out(labels, (1,)),
        lambda labels: planted_errors.missing_slices(labels, RAS, (1, 2), "left-right", 0.5, 0.5),
    ],
)
def test_operations_leave_their_input_alone_and_cope_with_an_empty_map(operation):
    labels = two_boxes()
    before = labels.copy()

    changed = operation(labels)

    assert np.array_equal(labels, before)
    assert changed.dtype == labels.dtype
    assert changed.shape == labels.shape
    assert not operation(np.zeros_like(labels)).any()


def test_flip_mirrors_the_named_axis():
    labels = two_boxes()
    labels[0, 0, 0] = 1

    assert planted_errors.flip(labels, RAS, "inferior-superior")[0, 0, -1] == 1
    assert planted_errors.flip(to_spl(labels), SPL, "inferior-superior")[0, -1, -1] == 0
    assert np.array_equal(
        planted_errors.flip(to_spl(labels), SPL, "left-right"), to_spl(planted_errors.flip(labels, RAS, "left-right"))
    )


def test_swapped_labels_exchange_names():
    labels = two_boxes()

    swapped = planted_errors.swap_labels(labels, (1, 2))

    assert np.array_equal(swapped == 1, labels == 2)
    assert np.array_equal(swapped == 2, labels == 1)


def test_missing_slices_are_a_run_of_the_wanted_length():
    labels = two_boxes()

    def left(start):
        rest = planted_errors.missing_slices(labels, RAS, (1, 2), "posterior-anterior", 0.5, start)
        return np.unique(np.nonzero(rest)[1]).tolist()

    # The boxes fill slices 2 to 9; half of the eight go.
    assert left(0.0) == [6, 7, 8, 9]
    assert left(0.5) == [2, 3, 8, 9]
    assert left(1.0) == [2, 3, 4, 5]


def test_another_case_is_laid_centre_on_centre_in_millimetres():
    donor = block((4, 4, 4), (1, (1, 3), (1, 3), (1, 3)))
    coarse = Grid.along((2.0, 2.0, 2.0), ("R", "A", "S"))
    fine = Grid.along((1.0, 1.0, 1.0), ("R", "A", "S"))

    pasted = planted_errors.other_case(np.zeros((10, 10, 6), np.uint16), fine, donor, coarse)

    # The donor's 4 mm cube covers 4 voxels of 1 mm about the centre along each axis.
    assert np.array_equal(pasted, block((10, 10, 6), (1, (3, 7), (3, 7), (1, 5))))


def test_another_case_is_turned_to_this_case_s_orientation():
    donor = two_boxes()

    pasted = planted_errors.other_case(np.zeros((5, 12, 7), np.uint16), SPL, donor, RAS)

    assert np.array_equal(pasted, to_spl(donor))


def test_random_way_has_the_wanted_length():
    rng = np.random.default_rng(0)

    assert np.linalg.norm(list(planted_errors.random_ways(rng, 5, None, tuple(AXES)).values())) == pytest.approx(5)
    assert {planted_errors.random_ways(rng, 5, "left-right", tuple(AXES))["left-right"] for _ in range(20)} == {-5, 5}
