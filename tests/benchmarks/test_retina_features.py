"""Statistics of vessels and images, on drawings that can be counted."""

import numpy as np
import pytest

from benchmarks.two_observers.features import correlations, dice, image_features, mask_features, principal_components


def test_a_straight_vessel() -> None:
    mask = np.zeros((40, 120), bool)
    mask[10:13, 10:110] = True
    found = mask_features(mask)
    assert found["area"] == 300
    # The centre line loses about half a width at each end.
    assert found["length"] == pytest.approx(98, abs=2)
    assert found["width"] == pytest.approx(3, abs=0.15)
    assert found["thin"] == 1
    assert found["pieces"] == 1
    assert found["roughness"] == pytest.approx(1, abs=0.06)


def test_a_wide_vessel_beside_a_thin_one() -> None:
    mask = np.zeros((60, 220), bool)
    mask[5:8, 10:210] = True
    mask[30:41, 10:210] = True
    found = mask_features(mask)
    assert found["pieces"] == 2
    assert found["thin"] == pytest.approx(0.5, abs=0.04)


def test_an_image_within_its_field_of_view() -> None:
    image = np.full((20, 20, 3), 200, np.uint8)
    image[..., 1] = 100
    inside = np.zeros((20, 20), bool)
    inside[5:15, 5:15] = True
    image[~inside] = 0
    found = image_features(image, inside)
    assert found["brightness"] == 100
    assert found["contrast"] == 0
    assert found["redness"] == 2


def test_dice() -> None:
    assert dice(np.array([True, True, False]), np.array([True, False, False])) == pytest.approx(2 / 3)


def test_correlations_are_adjusted_and_sorted() -> None:
    rng = np.random.default_rng(0)
    axis = np.arange(24.0)
    columns = {"opposite": -(axis**3), "constant": np.ones(24), **{f"n{i}": rng.normal(size=24) for i in range(8)}}
    found = correlations({"component 1": axis}, columns)
    assert (found[0]["feature"], found[0]["rho"]) == ("opposite", pytest.approx(-1))
    assert found[0]["p"] < 0.001
    assert all(entry["feature"] != "constant" for entry in found)
    # Eight features of pure noise: adjusted, none stands out.
    assert min(entry["p"] for entry in found[1:]) > 0.05


def test_principal_components_of_a_line() -> None:
    line = np.arange(5.0)[:, None] * [3.0, 4.0]
    components, shares = principal_components(line)
    np.testing.assert_allclose(np.abs(components[:, 0]), [10, 5, 0, 5, 10])
    np.testing.assert_allclose(shares, [1, 0], atol=1e-12)
