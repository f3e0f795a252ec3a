"""Differences between masks, against shapes whose differences are known."""

import math

import numpy as np
import pytest

from nnunetv2_hypersort.styles.mask_difference import compare_masks

RAS = ("R", "A", "S")


def ball(radius, centre=(20.0, 20.0, 20.0), spacing=(1.0, 1.0, 1.0), shape=(41, 41, 41)) -> np.ndarray:
    axes = np.meshgrid(*(np.arange(n) * step for n, step in zip(shape, spacing, strict=True)), indexing="ij")
    return sum((axis - place) ** 2 for axis, place in zip(axes, centre, strict=True)) <= radius**2


def test_equal_masks_differ_in_nothing():
    difference = compare_masks(ball(8), ball(8), (1, 1, 1), RAS)
    assert difference.pop("volume_ratio") == 1
    # The outline of a ball has no long axis.
    turns = [difference.pop(f"turn_{plane}_degrees") for plane in ("axial", "coronal", "sagittal")]
    assert all(math.isnan(turn) for turn in turns)
    assert set(difference.values()) == {0.0}


@pytest.mark.parametrize(("small", "large"), [(10, 12), (8, 11.5), (10, 10.5)])
def test_the_border_of_a_ball_moves_by_the_difference_of_the_radii(small, large):
    out = compare_masks(ball(large), ball(small), (1, 1, 1), RAS)
    assert out["border_mm"] == pytest.approx(large - small, abs=0.15)
    assert out["volume_ratio"] == pytest.approx((large / small) ** 3, rel=0.05)
    back = compare_masks(ball(small), ball(large), (1, 1, 1), RAS)
    assert back["border_mm"] == pytest.approx(-out["border_mm"])
    assert abs(out["shift_right_mm"]) < 1e-9


def test_the_border_is_measured_in_mm_on_anisotropic_voxels():
    spacing = (3.0, 1.0, 1.0)
    shape = (14, 41, 41)
    centre = (21.0, 20.0, 20.0)
    out = compare_masks(ball(14, centre, spacing, shape), ball(11, centre, spacing, shape), spacing, None)
    assert out["border_mm"] == pytest.approx(3, abs=0.3)
    assert set(out) == {"volume_ratio", "border_mm"}


def test_a_box_grown_at_one_end():
    box = np.zeros((30, 30, 30), bool)
    box[10:20, 10:20, 10:20] = True
    longer = box.copy()
    longer[10:20, 4:20, 10:20] = True
    # The arrays run to the left, to the front and to the feet.
    out = compare_masks(longer, box, (1, 2, 1), ("L", "A", "I"))
    ends = {name: value for name, value in out.items() if name.startswith("end")}
    assert ends.pop("end_posterior_mm") == 12
    assert set(ends.values()) == {0.0}
    assert (out["shift_right_mm"], out["shift_anterior_mm"], out["shift_superior_mm"]) == (0, -6, 0)
    assert out["volume_ratio"] == 1.6


def test_a_moved_mask_lies_elsewhere_and_has_the_same_border():
    # Three voxels of 2 mm along an array axis that runs to the left, on which the patient's right is negative.
    out = compare_masks(ball(8, (23, 20, 20)), ball(8), (2, 2, 2), ("L", "P", "S"))
    assert out["shift_right_mm"] == pytest.approx(-6)
    assert (out["end_left_mm"], out["end_right_mm"]) == (6, -6)
    assert out["border_mm"] == pytest.approx(0, abs=1e-9)
    assert out["shift_anterior_mm"] == out["shift_superior_mm"] == 0


def bar(degrees: float, plane: tuple[int, int]) -> np.ndarray:
    """A bar of 24 x 8 x 12 voxels, its long side turned from the first to the second axis of the plane."""
    centred = np.meshgrid(*[np.arange(41.0) - 20] * 3, indexing="ij")
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    along = cosine * centred[plane[0]] + sine * centred[plane[1]]
    across = cosine * centred[plane[1]] - sine * centred[plane[0]]
    (depth,) = {0, 1, 2} - set(plane)
    return (abs(along) <= 12) & (abs(across) <= 4) & (abs(centred[depth]) <= 6)


# In a picture whose right is the patient's right, a turn from right to front (or up) is anticlockwise. Radiologists see
# the patient's right on their left, so there it is clockwise; and sagittal slices with the front on the left.
@pytest.mark.parametrize(("view", "plane"), [("axial", (0, 1)), ("coronal", (0, 2)), ("sagittal", (1, 2))])
def test_a_turn_has_the_sign_of_the_radiological_view(view, plane):
    out = compare_masks(bar(30, plane), bar(10, plane), (1, 1, 1), RAS)
    assert out[f"turn_{view}_degrees"] == pytest.approx(-20, abs=1.5)
    mirrored = tuple("L" if code == "R" else code for code in RAS)
    there = compare_masks(bar(30, plane), bar(10, plane), (1, 1, 1), mirrored)[f"turn_{view}_degrees"]
    assert there == pytest.approx(-20 if view == "sagittal" else 20, abs=1.5)


def test_the_order_of_the_array_axes_does_not_matter():
    masks = [bar(30, (0, 2)), bar(0, (0, 2))]
    out = compare_masks(*masks, (1, 1, 1), RAS)
    turned = [mask.transpose(2, 0, 1)[::-1] for mask in masks]
    assert compare_masks(*turned, (1, 1, 1), ("I", "R", "A")) == pytest.approx(out, nan_ok=True)


def test_a_change_of_shape_is_no_turn():
    # What grows on two sides has another long axis, but turning the old shape does not give the new one.
    before = bar(0, (0, 1))
    after = before.copy()
    after[8:14, 14:28, 14:27] = True
    after[27:33, 14:27, 14:27] = True
    assert compare_masks(after, before, (1, 1, 1), RAS)["turn_axial_degrees"] == 0


def test_one_slice_is_measured_as_an_image():
    disc, larger = (ball(radius, (0, 20, 20), shape=(1, 41, 41)) for radius in (8, 11))
    out = compare_masks(larger, disc, (999.0, 1.0, 1.0), None)
    assert out["border_mm"] == pytest.approx(3, abs=0.2)
    assert out["volume_ratio"] == pytest.approx((11 / 8) ** 2, rel=0.05)


def test_an_empty_mask_can_be_compared_in_volume_alone():
    nothing = np.zeros((41, 41, 41), bool)
    out = compare_masks(nothing, ball(8), (1, 1, 1), RAS)
    assert out.pop("volume_ratio") == 0
    assert all(math.isnan(value) for value in out.values())
    assert len(out) == 13
    assert math.isnan(compare_masks(ball(8), nothing, (1, 1, 1), None)["volume_ratio"])
