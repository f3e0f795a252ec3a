"""dataset.json: labels, regions, the ignore label, and what is wrong with it."""

import json
from pathlib import Path

import pytest
from evaluation_helpers import write_dataset_json

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.evaluation import read_label_scheme


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "liver": 1, "spleen": 2},
        {"background": 0, "spleen": 2, "liver": 1, "ignore": 3},
        {"background": 0, "liver": [1], "spleen": 2},
        {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3},
        {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3},
        {"background": 0, "a": 5, "b": 9, "ignore": 10},
    ],
)
def test_structures_are_those_of_nnunet(tmp_path: Path, labels: dict) -> None:
    from nnunetv2.evaluation.evaluate_predictions import label_or_region_to_key
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    order = list(range(1, len([name for name in labels if name not in ("background", "ignore")]) + 1))
    manager = LabelManager(labels, regions_class_order=order)
    scheme = read_label_scheme(write_dataset_json(tmp_path / "dataset.json", labels, regions_class_order=order))
    expected = manager.foreground_regions if manager.has_regions else manager.foreground_labels
    assert [structure.key for structure in scheme.structures] == [label_or_region_to_key(r) for r in expected]
    assert scheme.ignore_label == manager.ignore_label
    assert scheme.values == {*manager.all_labels, *([manager.ignore_label] if manager.has_ignore_label else [])}
    for structure in scheme.structures:
        value = labels[structure.name]
        assert structure.values == tuple(value if isinstance(value, list) else [value])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", 'has no "labels"'),
        ({"file_ending": ".nii.gz"}, 'has no "labels"'),
        ({"labels": {"background": 0, "a": 1}}, "file_ending"),
        ({"labels": {"0": "background", "1": "liver"}, "file_ending": ".nii.gz"}, "names to numbers"),
        ({"labels": {"a": 1}, "file_ending": ".nii.gz"}, '"background": 0'),
        ({"labels": {"background": 0}, "file_ending": ".nii.gz"}, "no foreground label"),
        ({"labels": {"background": 0, "a": "x"}, "file_ending": ".nii.gz"}, 'the label "a" must be a whole number'),
        ({"labels": {"background": 0, "a": [1, 2], "b": []}, "file_ending": ".nii.gz"}, "not an empty list"),
        ({"labels": {"background": 0, "a": -1}, "file_ending": ".nii.gz"}, "0 or greater"),
        ({"labels": {"background": 0, "a": 1, "ignore": 1}, "file_ending": ".nii.gz"}, "also the value of another"),
        ({"labels": {"background": 0, "a": 1, "ignore": [2]}, "file_ending": ".nii.gz"}, "must be one number"),
    ],
)
def test_unusable_dataset_json_is_explained(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(HyperSORTError, match=message) as caught:
        read_label_scheme(path)
    assert str(path) in str(caught.value)


def test_missing_dataset_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(HyperSORTError, match=r"nowhere\.json does not exist"):
        read_label_scheme(tmp_path / "nowhere.json")
