"""Residuals of labels against segmentations whose difference can be counted."""

import numpy as np
import pytest
from scipy import ndimage

from nnunetv2_hypersort.images.label_residuals import FEATURES, label_residuals


def ball(radius: float, size: int = 41, axes: int = 3) -> np.ndarray:
    grid = np.meshgrid(*[np.arange(size) - size // 2] * axes, indexing="ij")
    return (sum(one**2 for one in grid) <= radius**2).astype(np.uint8)


def block(*extent: tuple[int, int], shape: tuple[int, ...] = (12, 30, 30)) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    labels[tuple(slice(*ends) for ends in extent)] = 1
    return labels


def of(label: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> dict[str, float]:
    found = label_residuals(label, prediction, spacing, {"organ": 1})
    assert list(found) == [f"organ.{name}" for name in FEATURES]
    assert np.isfinite(list(found.values())).all()
    return {name.removeprefix("organ."): value for name, value in found.items()}


def test_nothing_is_left_where_label_and_segmentation_agree() -> None:
    same = ball(9)
    assert of(same, same, (3.0, 1.0, 0.5)) == pytest.approx(dict.fromkeys(FEATURES, 0.0), abs=1e-12)
    nothing = np.zeros_like(same)
    assert of(nothing, nothing) == dict.fromkeys(FEATURES, 0.0)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_border_further_out_is_measured_in_millimetres(sign: int) -> None:
    larger, smaller = ball(13), ball(10)
    label, prediction = (larger, smaller) if sign > 0 else (smaller, larger)
    found = of(label, prediction, (2.0, 2.0, 2.0))
    assert found["border_mean"] == pytest.approx(sign * 6, abs=0.6)
    assert found["border_q50"] == pytest.approx(sign * 6, abs=0.6)
    assert found["log_volume_ratio"] == pytest.approx(sign * np.log(larger.sum() / smaller.sum()), abs=1e-3)
    # The same shape in another size is as smooth, but for the voxels.
    assert found["log_roughness_ratio"] == pytest.approx(0, abs=0.06)


def test_one_end_trimmed_moves_one_quantile_and_not_the_middle() -> None:
    # 4 of 20 planes of 1 mm are missing at one end, in voxels that are 3 mm thick across.
    label, prediction = block((3, 9), (5, 25), (4, 20)), block((3, 9), (5, 25), (4, 24))
    found = of(label, prediction, (3.0, 1.0, 1.0))
    # The label's end lies 4 mm inside the segmentation, and the segmentation's end 4 mm outside the label.
    assert found["border_q05"] == pytest.approx(-4)
    assert found["border_q50"] == found["border_q95"] == 0
    # In mm²: both ends, and the sides of the 4 planes between them, which lie 1 to 4 mm beyond what both have.
    ends, strip = 2 * 6 * 3 * 20 * 4, 2 * (20 + 6 * 3) * (1 + 2 + 3 + 4)
    area = 2 * (20 * 16 + 6 * 3 * 16 + 6 * 3 * 20) + 2 * (20 * 20 + 6 * 3 * 20 + 6 * 3 * 20)
    # Near the edges of an end the sides are closer than the other end.
    assert -(ends + strip) / area < found["border_mean"] < -0.75 * (ends + strip) / area
    assert found["log_volume_ratio"] == pytest.approx(np.log((6 * 20 * 16 + 1) / (6 * 20 * 20 + 1)))
    assert found["only_label"] == 0
    assert found["only_prediction"] == pytest.approx(6 * 20 * 4 / (6 * 20 * 18))


def test_thick_slices_count_with_their_thickness() -> None:
    label, prediction = block((2, 9), (5, 25), (5, 25)), block((3, 9), (5, 25), (5, 25))
    assert of(label, prediction, (5.0, 1.0, 1.0))["border_q95"] == pytest.approx(5)


def test_a_shift_has_no_volume_but_two_sides() -> None:
    label, prediction = block((3, 9), (5, 25), (4, 20)), block((3, 9), (5, 25), (6, 22))
    found = of(label, prediction)
    assert found["log_volume_ratio"] == 0
    assert found["border_mean"] == pytest.approx(0)
    assert found["only_label"] == found["only_prediction"] == pytest.approx(2 / 16)
    assert (found["border_q05"], found["border_q95"]) == pytest.approx((-2, 2))


def test_a_rough_label_is_told_from_a_smooth_one_of_its_volume() -> None:
    smooth = block((2, 10), (5, 25), (5, 25))
    rough = smooth.copy()
    # Every other column of one face taken away, as many added on the other side.
    rough[2:10:2, 5:25, 24] = 0
    rough[2:10:2, 5:25, 4] = 1
    found = of(rough, smooth)
    assert found["log_volume_ratio"] == 0
    assert found["log_roughness_ratio"] > 0.2


def test_exchanging_label_and_segmentation_changes_the_sign() -> None:
    rng = np.random.default_rng(0)
    first, second = (ndimage.gaussian_filter(rng.normal(size=(14, 20, 20)), 2) > 0.02 for _ in range(2))
    forth = of(first.astype(np.uint8), second.astype(np.uint8), (3.0, 1.0, 2.0))
    back = of(second.astype(np.uint8), first.astype(np.uint8), (3.0, 1.0, 2.0))
    for one, other in {
        "log_volume_ratio": "log_volume_ratio",
        "log_roughness_ratio": "log_roughness_ratio",
        "border_mean": "border_mean",
        "border_q05": "border_q95",
    }.items():
        assert forth[one] == pytest.approx(-back[other], abs=0.02)
    assert (forth["only_label"], forth["only_prediction"]) == (back["only_prediction"], back["only_label"])


def test_pictures_need_no_third_axis_whatever_its_spacing() -> None:
    label, prediction = ball(12, axes=2), ball(10, axes=2)
    flat = label_residuals(label, prediction, (1.0, 1.0), {"organ": 1})
    assert label_residuals(label[None], prediction[None], (999.0, 1.0, 1.0), {"organ": 1}) == flat
    assert flat["organ.border_mean"] == pytest.approx(2, abs=0.4)


def test_a_missing_structure_is_told_by_volume_and_shares() -> None:
    label = block((3, 9), (5, 25), (4, 20))
    found = of(np.zeros_like(label), label)
    assert found["log_volume_ratio"] == pytest.approx(-np.log(label.sum() + 1))
    assert (found["only_label"], found["only_prediction"]) == (0, 2)
    assert found["border_mean"] == 0


def test_regions_and_ignored_voxels() -> None:
    label = block((3, 9), (5, 25), (4, 20))
    label[3:9, 5:25, 12:20] = 2
    prediction = (label > 0).astype(np.uint8)
    found = label_residuals(label, prediction, (1.0, 1.0, 1.0), {"whole": (1, 2), "second": 2}, ignore_label=9)
    assert found["whole.log_volume_ratio"] == 0
    assert found["second.only_label"] == 2
    # What is ignored in the label is ignored in the segmentation as well.
    label[3:9, 5:25, 18:20] = 9
    found = label_residuals(label, prediction, (1.0, 1.0, 1.0), {"whole": (1, 2)}, ignore_label=9)
    assert found == pytest.approx(dict.fromkeys(found, 0.0))


def test_shapes_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="shape"):
        label_residuals(np.zeros((3, 3, 3), int), np.zeros((3, 3, 4), int), (1.0, 1.0, 1.0), {"organ": 1})
