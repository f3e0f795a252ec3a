"""annotated_labels: what a dataset.json says of which labels were looked for, and every way it can be wrong."""

import json

import numpy as np
import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels, annotated_entries, entries_for

CLASSES = {"background": 0, "liver": 1, "spleen": 2, "kidney": 3, "ignore": 4}
REGIONS = {"background": 0, "body": [1, 2, 3], "brain": [2, 3], "eyes": 3}
CASES = ("a", "b", "c")


def read(annotated, *, labels=CLASSES, sets=None, cases=CASES) -> AnnotatedLabels:
    content = {"labels": labels, "annotated_labels": annotated}
    if sets is not None:
        content["annotated_label_sets"] = sets
    return AnnotatedLabels.from_dataset_json(content, "dataset.json", cases=cases)


def test_ordinary_dataset_is_fully_annotated():
    annotated = AnnotatedLabels.from_dataset_json({"labels": CLASSES}, "dataset.json", cases=CASES)
    assert not annotated.partly
    assert annotated.names_of("a") == ("liver", "spleen", "kidney")
    assert annotated.flags_of("a") == (True, True, True)
    assert annotated.values_of("a") == {0, 1, 2, 3, 4}


def test_lists_and_sets():
    annotated = read({"a": ["kidney", "liver"], "b": "two"}, sets={"two": ["spleen", "liver"], "unused": ["liver"]})
    assert annotated.partly
    # In the order of the labels, whatever the order of the list.
    assert annotated.names_of("a") == ("liver", "kidney")
    assert annotated.unknown_of("a") == ("spleen",)
    assert annotated.flags_of("b") == (True, True, False)
    assert annotated.names_of("c") == ("liver", "spleen", "kidney")


def test_a_full_list_is_no_partial_annotation():
    assert not read({"a": ["kidney", "liver", "spleen"]}).partly


@pytest.mark.parametrize(
    ("annotated", "sets", "message"),
    [
        ({"d": ["liver"]}, None, 'lists the case "d", which the data set does not have'),
        ({"a": ["livre"]}, None, r'annotated_labels\["a"\] lists "livre".* did you mean "liver"'),
        ({"a": ["lung"]}, None, r'\["a"\] lists "lung".*the names are liver, spleen, kidney'),
        ({"a": []}, None, r'\["a"\] is empty; list the labels'),
        ({"a": ["liver", "background"]}, None, r'\["a"\] lists "background"'),
        ({"a": ["ignore"]}, None, r'\["a"\] lists "ignore"'),
        ({"a": "liver"}, None, r'\["a"\] is "liver", a label and no set; write a list, \["liver"\]'),
        ({"a": "amso"}, {"amos": ["liver"]}, r'\["a"\] is "amso".*no set of this name; did you mean "amos"'),
        ({"a": "amos"}, {"amos": []}, r'annotated_label_sets\["amos"\] is empty'),
        ({"a": ["liver"]}, {"amos": ["lung"]}, r'annotated_label_sets\["amos"\] lists "lung"'),
        ({"a": {"liver": 1}}, None, r'\["a"\] must be a list of labels or the name of a set, not a dict'),
        ({"a": [1]}, None, r'\["a"\] holds 1; give names'),
        ({"a": None}, None, "must be a list of labels or the name of a set, not None"),
        (["a"], None, '"annotated_labels" must map case identifiers'),
        ({"a": ["liver"]}, ["amos"], '"annotated_label_sets" must map names of sets'),
    ],
)
def test_mistakes_name_case_and_label(annotated, sets, message):
    with pytest.raises(HyperSORTError, match=message) as raised:
        read(annotated, sets=sets)
    assert "\n" not in str(raised.value)


def test_names_of_one_value_cannot_be_annotated_apart():
    labels = {"background": 0, "kidneys": 1, "kidney_left": 1, "liver": 2}
    with pytest.raises(
        HyperSORTError, match=r'\["a"\] lists "kidneys" without "kidney_left", and both have the value 1'
    ):
        read({"a": ["kidneys"], "b": ["kidney_left"]}, labels=labels)
    assert read({"a": ["kidneys", "kidney_left"]}, labels=labels).flags_of("a") == (True, False)
    regions = {"background": 0, "body": [1, 2], "trunk": [2, 1], "eyes": 2}
    with pytest.raises(HyperSORTError, match=r'lists "trunk" without "body"'):
        read({"a": ["trunk"]}, labels=regions)


def test_label_map_with_a_class_that_is_not_annotated():
    annotated = read({"a": ["liver"]})
    fine, wrong = np.array([[[0, 1, 4]]]), np.array([[[0, 1, 3]]])
    annotated.check_label_map("a", fine, "a.nii.gz")
    annotated.check_label_map("b", wrong, "b.nii.gz")
    with pytest.raises(HyperSORTError, match=r"a\.nii\.gz: the case a holds the value 3 \(kidney\).*\(liver\)"):
        annotated.check_label_map("a", wrong, "a.nii.gz")


def test_a_region_may_use_any_of_its_values():
    annotated = read({"a": ["brain"], "b": ["eyes"]}, labels=REGIONS)
    assert annotated.flags_of("a") == (False, True, False)
    assert annotated.values_of("a") == {0, 2, 3}
    annotated.check_label_map("a", np.array([[[0, 2, 3]]]), "a")
    with pytest.raises(HyperSORTError, match=r"value 1 \(body\)"):
        annotated.check_label_map("a", np.array([[[1, 2]]]), "a")
    with pytest.raises(HyperSORTError, match=r"value 2 \(body, brain\)"):
        annotated.check_label_map("b", np.array([[[2, 3]]]), "b")


def test_keep_annotated_turns_the_rest_into_background():
    annotated = read({"a": ["liver"]})
    label_map = np.array([0, 1, 2, 3, 4], np.uint8)
    kept = annotated.keep_annotated("a", label_map)
    assert kept.tolist() == [0, 1, 0, 0, 4]
    assert kept.dtype == np.uint8
    assert annotated.keep_annotated("b", label_map) is label_map


def test_labels_that_no_training_case_has():
    annotated = read({"a": ["liver"], "b": ["liver"], "c": ["liver", "spleen"]})
    assert annotated.without_training(["a", "b"], ["c"]) == (["kidney"], ["spleen"])
    assert annotated.without_training(["a", "c"], ["b"]) == (["kidney"], [])


def test_written_entries_read_back_and_name_shared_sets_once():
    table = LabelTable.from_dataset_json({"labels": CLASSES}, "x")
    sets = {"amos": ["spleen", "liver"]}
    given = {"a": {"liver", "spleen"}, "b": {"liver", "spleen"}, "c": {"kidney"}, "d": {"liver", "spleen", "kidney"}}
    entries = annotated_entries(table, given, set_names=sets)
    assert entries == {
        "annotated_labels": {"a": "amos", "b": "amos", "c": ["kidney"]},
        "annotated_label_sets": {"amos": ["liver", "spleen"]},
    }
    unnamed = annotated_entries(table, given)
    assert unnamed["annotated_labels"]["a"] == unnamed["annotated_labels"]["b"] == "set_1"
    for written in (entries, unnamed):
        back = AnnotatedLabels.from_dataset_json({"labels": CLASSES, **written}, "x", cases="abcd")
        assert {case: set(back.names_of(case)) for case in given} == given
    assert annotated_entries(table, {"a": ["liver", "spleen", "kidney"]}) == {}


def test_written_entries_name_both_of_two_names_of_one_value():
    labels = {"background": 0, "kidneys": 1, "kidney_left": 1, "liver": 2}
    annotated = read({"a": ["kidneys", "kidney_left"]}, labels=labels)
    written = annotated_entries(annotated.table, annotated.listed)
    assert written == {"annotated_labels": {"a": ["kidneys", "kidney_left"]}}


def test_written_entries_are_checked():
    table = LabelTable.from_dataset_json({"labels": CLASSES}, "x")
    for names, message in (({"lung"}, 'lists "lung"'), (set(), "is empty"), ({"ignore"}, 'lists "ignore"')):
        with pytest.raises(HyperSORTError, match=message):
            annotated_entries(table, {"a": names})


def test_two_thousand_cases_of_117_labels_take_little_room():
    labels = {"background": 0, **{f"structure_{i:03d}": i for i in range(1, 119)}}
    table = LabelTable.from_dataset_json({"labels": labels}, "x")
    names = list(labels)[1:118]
    entries = annotated_entries(table, {f"case_{i:04d}": names for i in range(2000)})
    assert len(json.dumps(entries)) < 60_000


def test_entries_for_fewer_cases():
    content = {"labels": CLASSES, "annotated_labels": {"a": "one", "b": ["liver"]}, "annotated_label_sets": {"one": []}}
    kept = entries_for(content, ["b", "c"])
    assert kept["annotated_labels"] == {"b": ["liver"]}
    assert content["annotated_labels"].keys() == {"a", "b"}
    assert entries_for({"labels": CLASSES}, ["b"]) == {"labels": CLASSES}
