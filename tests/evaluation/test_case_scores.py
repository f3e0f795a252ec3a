"""Every metric on masks whose answer can be worked out by hand."""

import math

import numpy as np
import pytest
from evaluation_helpers import make_box

from nnunetv2_hypersort.evaluation import LabelTable, Presence, StructureScores, compute_case_scores

ONE = LabelTable({"background": 0, "organ": 1})
TWO = LabelTable({"background": 0, "first": 1, "second": 2})


def score(reference, prediction, spacing=(1.0, 1.0, 1.0), *, labels=ONE, tolerance=2.0) -> StructureScores:
    return compute_case_scores(reference, prediction, labels=labels, spacing=spacing, nsd_tolerances=tolerance)[0]


def test_shifted_cube_by_hand() -> None:
    # A cube of 4^3 voxels, moved by 2 voxels of 3 mm along the first axis: half of it overlaps.
    reference = make_box((12, 10, 10), (2, 6), (3, 7), (3, 7))
    prediction = make_box((12, 10, 10), (4, 8), (3, 7), (3, 7))
    result = score(reference, prediction, (3.0, 1.0, 1.0))
    assert result.presence is Presence.BOTH
    assert (result.counts.tp, result.counts.fp, result.counts.fn) == (32, 32, 32)
    assert result.counts.tn == 1200 - 96
    assert result.dsc == 0.5
    assert result.iou == pytest.approx(1 / 3)
    assert result.vs == 1.0
    assert result.reference_volume == pytest.approx(192.0)
    # Surface voxels of the prediction: 16 + 12 + 12 + 16 in its four layers. The layers that the cubes share are, for
    # the shell, on the surface of the other. Only the 2 x 2 inner voxels of the first layer of each cube, inside the
    # other, lie 1 mm from its shell; the two layers outside are one and two layers, 3 mm and 6 mm, from its end, the
    # last one with all of its 16 voxels.
    distances = sorted([0.0] * (12 + 12) + [1.0] * 4 + [3.0] * 12 + [6.0] * 16)
    assert result.hd95 == pytest.approx(np.quantile(distances, 0.95))
    assert result.hd95 == pytest.approx(6.0)
    assert result.asd == pytest.approx(np.mean(distances), abs=1e-6)


@pytest.mark.parametrize(("tolerance", "expected"), [(0.0, None), (5.9, None), (6.0, 1.0)])
def test_nsd_of_a_slab_is_the_share_of_surface_within_the_tolerance(tolerance: float, expected: float | None) -> None:
    # In two dimensions: a stripe through the whole image, moved by 3 pixels of 2 mm. Both long edges are 6 mm apart.
    reference = make_box((20, 400), (4, 10), (0, 400))
    prediction = make_box((20, 400), (7, 13), (0, 400))
    result = score(reference, prediction, (2.0, 2.0), tolerance=tolerance)
    if expected is not None:
        assert result.nsd == pytest.approx(expected)
    else:
        # What agrees at a smaller tolerance are parts of the two short ends: 2 x 12 mm of about 2 x 1624 mm.
        assert 0.0 < result.nsd < 0.02


def test_spacing_is_used_along_the_right_axis() -> None:
    reference = make_box((9, 9, 9), (4, 5), (4, 5), (4, 5))
    for axis, expected in enumerate((0.7, 2.0, 5.0)):
        prediction = np.roll(reference, 1, axis)
        result = score(reference, prediction, (0.7, 2.0, 5.0))
        assert result.hd95 == pytest.approx(expected, rel=1e-6)
        assert result.asd == pytest.approx(expected, rel=1e-6)


def test_identical_masks_are_perfect_even_at_the_border_of_the_image() -> None:
    for mask in (make_box((6, 6, 6), (0, 6), (0, 6), (0, 6)), make_box((6, 6, 6), (0, 2), (3, 6), (5, 6))):
        result = score(mask, mask, (0.5, 1.0, 3.0), tolerance=0.0)
        assert (result.dsc, result.iou, result.hd95, result.nsd, result.asd, result.vs) == (1, 1, 0, 1, 0, 1)


def test_hd95_is_the_larger_direction_and_does_not_pool_both() -> None:
    # One voxel against itself and a far line: all of the reference is met, most of the prediction is far away.
    reference = make_box((3, 3, 40), (1, 2), (1, 2), (1, 2))
    prediction = reference | make_box((3, 3, 40), (1, 2), (1, 2), (30, 31))
    # Distances from the prediction: 0 and 29 mm; the 95th percentile between them is 27.55 mm. To it: 0.
    result = score(reference, prediction)
    assert result.hd95 == pytest.approx(0.95 * 29)
    assert result.asd == pytest.approx(29 / 3)


def test_last_slice_of_the_joint_box_counts() -> None:
    # A crop that loses the last slice would not see the part of the prediction that is 3 voxels away.
    reference = make_box((8, 8, 8), (2, 4), (2, 4), (2, 4))
    prediction = make_box((8, 8, 8), (2, 4), (2, 4), (2, 7))
    result = score(reference, prediction, tolerance=0.5)
    assert result.hd95 == pytest.approx(3.0)


def test_volume_similarity_divides_by_both_volumes() -> None:
    reference = make_box((10, 10, 10), (0, 1), (0, 1), (0, 4))
    prediction = make_box((10, 10, 10), (0, 1), (0, 1), (0, 6))
    assert score(reference, prediction).vs == pytest.approx(1 - 2 / 10)
    # Blind to position, by definition.
    assert score(reference, make_box((10, 10, 10), (5, 6), (0, 1), (0, 4))).vs == 1.0


def test_absent_in_both_is_undefined() -> None:
    empty = np.zeros((4, 4, 4), np.uint8)
    result = score(empty, empty)
    assert result.presence is Presence.ABSENT
    assert all(math.isnan(value) for value in result.values)
    assert math.isnan(result.iou)
    assert result.counts.tn == 64


@pytest.mark.parametrize("missed", [True, False])
def test_present_in_one_only_scores_zero_and_the_image_diagonal(missed: bool) -> None:
    mask, empty = make_box((30, 20, 40), (1, 3), (1, 3), (1, 3)), np.zeros((30, 20, 40), np.uint8)
    result = score(mask, empty, (1.0, 2.0, 3.0)) if missed else score(empty, mask, (1.0, 2.0, 3.0))
    assert result.presence is (Presence.MISSED if missed else Presence.FALSE_POSITIVE)
    assert (result.dsc, result.nsd, result.vs, result.iou) == (0, 0, 0, 0)
    # 30, 40 and 120 mm: 130 mm.
    assert result.hd95 == pytest.approx(130.0)
    assert result.asd == pytest.approx(130.0)


def test_wrong_class_in_the_right_place_is_wrong() -> None:
    reference = make_box((6, 6, 6), (1, 4), (1, 4), (1, 4), value=1)
    prediction = make_box((6, 6, 6), (1, 4), (1, 4), (1, 4), value=2)
    first, second = compute_case_scores(reference, prediction, labels=TWO, spacing=(1, 1, 1))
    assert (first.dsc, second.dsc) == (0, 0)
    assert (first.presence, second.presence) == (Presence.MISSED, Presence.FALSE_POSITIVE)


def test_region_is_one_mask_and_not_the_mean_of_its_labels() -> None:
    labels = LabelTable({"background": 0, "whole": (1, 2), "core": 2})
    reference = make_box((6, 6, 6), (1, 4), (1, 4), (1, 4), value=1)
    reference[1] *= 2
    prediction = make_box((6, 6, 6), (1, 4), (1, 4), (1, 4), value=1)
    whole, core = compute_case_scores(reference, prediction, labels=labels, spacing=(1, 1, 1))
    assert whole.values == (1, 0, 1, 0, 1)
    assert core.dsc == 0


def test_ignored_voxels_count_in_nothing() -> None:
    labels = LabelTable({"background": 0, "organ": 1, "ignore": 2})
    reference = make_box((8, 8, 8), (1, 4), (1, 4), (1, 4))
    reference[:, :, 5:] = 2
    prediction = make_box((8, 8, 8), (1, 4), (1, 4), (1, 4))
    prediction[0, 0, 6] = 1  # a false positive where the reference says nothing
    result = score(reference, prediction, labels=labels)
    assert result.values == (1, 0, 1, 0, 1)
    assert result.counts.tn == 8 * 8 * 5 - 27
    assert result.reference_volume == result.prediction_volume == 27


def test_structure_wholly_ignored_is_absent() -> None:
    labels = LabelTable({"background": 0, "organ": 1, "ignore": 2})
    reference = np.full((4, 4, 4), 2, np.uint8)
    result = score(reference, make_box((4, 4, 4), (0, 2), (0, 2), (0, 2)), labels=labels)
    assert result.presence is Presence.ABSENT
    assert result.counts.tn == 0


def test_tolerance_is_per_structure() -> None:
    reference = make_box((30, 30, 30), (2, 8), (2, 8), (2, 8), value=1) + make_box(
        (30, 30, 30), (15, 21), (2, 8), (2, 8), value=2
    )
    scores = compute_case_scores(
        reference, np.roll(reference, 2, 2), labels=TWO, spacing=(1, 1, 1), nsd_tolerances=[0.5, 2.0]
    )
    assert scores[0].nsd < 0.9
    assert scores[1].nsd == 1.0


def test_label_values_beyond_uint8_and_unsigned_types() -> None:
    labels = LabelTable({"background": 0, "organ": 700})
    reference = make_box((5, 5, 5), (1, 3), (1, 3), (1, 3)).astype(np.int64) * 700
    assert score(reference, reference.astype(np.uint16), labels=labels).dsc == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": np.zeros((4, 4, 5), np.uint8)}, "one 2-D or 3-D shape"),
        ({"prediction": np.zeros((4, 4, 4), np.float32)}, "must hold integers"),
        ({"spacing": (1, 1)}, "3 positive numbers"),
        ({"spacing": (1, 1, 0)}, "3 positive numbers"),
        ({"nsd_tolerances": [1.0, 2.0]}, "1 numbers"),
        ({"nsd_tolerances": -1.0}, "1 numbers"),
    ],
)
def test_unfit_arguments_are_refused(change: dict, message: str) -> None:
    arguments = {
        "reference": np.zeros((4, 4, 4), np.uint8),
        "prediction": np.zeros((4, 4, 4), np.uint8),
        "labels": ONE,
        "spacing": (1, 1, 1),
        **change,
    }
    with pytest.raises(ValueError, match=message):
        compute_case_scores(arguments.pop("reference"), arguments.pop("prediction"), **arguments)
