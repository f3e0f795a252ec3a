"""Which classes become which labels."""

import pytest

from nnunetv2_hypersort.conversion.labels import parse_merge, plan_labels
from nnunetv2_hypersort.errors import HyperSORTError

CLASSES = ["spleen", "kidney_right", "kidney_left", "gallbladder", "liver"]


def test_all_classes_keep_their_order_and_count_from_one():
    plan = plan_labels(CLASSES)
    assert plan.dataset_labels() == {
        "background": 0, "spleen": 1, "kidney_right": 2, "kidney_left": 3, "gallbladder": 4, "liver": 5,
    }  # fmt: skip
    assert plan.whole


def test_a_subset_is_numbered_consecutively_in_the_order_of_the_source():
    plan = plan_labels(CLASSES, ["liver", "kidney_right"])
    assert plan.dataset_labels() == {"background": 0, "kidney_right": 1, "liver": 2}
    assert not plan.whole


def test_merged_classes_share_one_id_at_the_place_of_the_first():
    plan = plan_labels(CLASSES, merges={"kidneys": ["kidney_left", "kidney_right"]})
    assert plan.names == ("spleen", "kidneys", "gallbladder", "liver")
    assert plan.targets["kidney_left"] == plan.targets["kidney_right"] == 2


def test_merged_labels_are_kept_beside_a_subset():
    plan = plan_labels(CLASSES, ["liver"], merges={"kidneys": ["kidney_left", "kidney_right"]})
    assert plan.names == ("kidneys", "liver")


def test_groups_and_aliases_stand_for_their_classes():
    plan = plan_labels(
        CLASSES,
        ["abdomen", "gall bladder"],
        groups={"abdomen": ["liver", "spleen"]},
        aliases={"gall bladder": "gallbladder"},
    )
    assert plan.names == ("spleen", "gallbladder", "liver")


def test_unknown_class_names_the_nearest():
    with pytest.raises(HyperSORTError, match=r"'livr'.*did you mean liver"):
        plan_labels(CLASSES, ["livr"])


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ({"liver": ["spleen"]}, "already the name"),
        ({"background": ["spleen"]}, "already the name"),
        ({"a": ["spleen"], "b": ["spleen"]}, "in both"),
    ],
)
def test_impossible_merges_are_refused(merges, message):
    with pytest.raises(HyperSORTError, match=message):
        plan_labels(CLASSES, merges=merges)


def test_merge_option_is_read():
    assert parse_merge("kidneys=kidney_left, kidney_right") == ("kidneys", ["kidney_left", "kidney_right"])
    with pytest.raises(HyperSORTError, match="NAME=CLASS"):
        parse_merge("kidneys")
