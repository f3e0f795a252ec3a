"""Organ groups by name and by size."""

import numpy as np
import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.evaluation.groups import group_by_size, parse_groups, resolve_groups

NAMES = ["liver", "gallbladder", "spleen", "aorta", "adrenal_gland_left"]


def test_groups_are_parsed_and_looked_up_by_name() -> None:
    groups = parse_groups(["small=gallbladder,adrenal_gland_left", "large = liver , spleen, liver"])
    assert resolve_groups(groups, NAMES) == {"small": [1, 4], "large": [0, 2]}


@pytest.mark.parametrize("argument", ["small", "=liver", "small=", "small=,"])
def test_malformed_groups_are_refused(argument: str) -> None:
    with pytest.raises(HyperSORTError, match="has not the form"):
        parse_groups([argument])


def test_group_given_twice_is_refused() -> None:
    with pytest.raises(HyperSORTError, match="given twice"):
        parse_groups(["a=liver", "a=spleen"])


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(HyperSORTError, match=r'"galbladder".*did you mean "gallbladder"\?'):
        resolve_groups({"small": ["galbladder"]}, NAMES)
    with pytest.raises(HyperSORTError, match="the names are liver, gallbladder"):
        resolve_groups({"small": ["7"]}, NAMES)


def test_group_named_like_a_label_is_refused() -> None:
    with pytest.raises(HyperSORTError, match="name of a label"):
        resolve_groups({"liver": ["spleen"]}, NAMES)


def test_terciles_follow_the_median_volume_and_not_the_order_of_labels() -> None:
    volumes = np.array(
        [
            [1500.0, 30.0, 200.0, 100.0, 4.0],
            [1400.0, 40.0, 210.0, 0.0, 5.0],
            [1600.0, 9999.0, 190.0, 110.0, 6.0],  # one gallbladder is huge: the median does not mind
        ]
    )
    assert group_by_size(volumes, NAMES) == {"small": [4, 1], "medium": [3, 2], "large": [0]}
    shuffled = [2, 4, 0, 3, 1]
    again = group_by_size(volumes[:, shuffled], [NAMES[i] for i in shuffled])
    assert {name: {NAMES[shuffled[i]] for i in group} for name, group in again.items()} == {
        "small": {"adrenal_gland_left", "gallbladder"},
        "medium": {"aorta", "spleen"},
        "large": {"liver"},
    }


def test_structures_that_no_reference_holds_are_in_no_group() -> None:
    volumes = np.array([[3.0, 0.0, 2.0, 1.0, 0.0]])
    assert group_by_size(volumes, NAMES) == {"small": [3], "medium": [2], "large": [0]}


def test_fewer_than_three_structures_have_no_size_groups() -> None:
    assert group_by_size(np.array([[3.0, 1.0]]), NAMES[:2]) == {}
    assert group_by_size(np.array([[3.0, 1.0, 0.0]]), NAMES[:3]) == {}
