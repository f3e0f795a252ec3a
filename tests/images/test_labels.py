"""dataset.json: labels, regions, the ignore label, and what is wrong with it."""

import json
from pathlib import Path

import numpy as np
import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.nnunet.dataset_json import read_label_table


def write_dataset_json(path: Path, labels: dict, **more: object) -> Path:
    path.write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz", **more}))
    return path


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
    scheme = read_label_table(write_dataset_json(tmp_path / "dataset.json", labels, regions_class_order=order))
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
        ({"labels": {"background": 0, "a": 1.7}, "file_ending": ".nii.gz"}, 'the label "a" must be a whole.*1.7'),
        ({"labels": {"background": 0, "a": [1, 2.2]}, "file_ending": ".nii.gz"}, 'the label "a" must be a whole.*2.2'),
        ({"labels": {"background": 0, "a": "1.7"}, "file_ending": ".nii.gz"}, 'the label "a" must be a whole'),
        ({"labels": {"background": 0, "a": True}, "file_ending": ".nii.gz"}, 'the label "a" must be a whole'),
        ({"labels": {"background": 0, "a": None}, "file_ending": ".nii.gz"}, 'the label "a" must be a whole'),
        ({"labels": {"background": 0, "a": 2**24 + 1}, "file_ending": ".nii.gz"}, "cannot tell from its neighbours"),
        ({"labels": {"background": 0, "a": 10**30}, "file_ending": ".nii.gz"}, "cannot tell from its neighbours"),
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
        read_label_table(path)
    assert str(path) in str(caught.value)


def test_missing_dataset_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(HyperSORTError, match=r"nowhere\.json does not exist"):
        read_label_table(tmp_path / "nowhere.json")


def test_values_that_nnunet_reads_as_whole_numbers_are_taken(tmp_path: Path) -> None:
    labels = {"background": 0, "a": 1.0, "b": "2", "c": 20_000_000}
    table = read_label_table(write_dataset_json(tmp_path / "dataset.json", labels))
    assert table.values == {0, 1, 2, 20_000_000}
    # 32-bit floating point, in which nnU-Net reads label maps, holds exactly those values that are accepted.
    for value in (2**24, 2**24 + 2, 2**25 + 4, 3 * 2**30):
        LabelTable.from_dataset_json({"labels": {"background": 0, "a": value}}, "dataset.json")
        assert int(np.float32(value)) == value
    for value in (2**24 + 1, 2**25 + 2, 2**31 - 1):
        assert int(np.float32(value)) != value
        with pytest.raises(HyperSORTError, match=str(value)):
            LabelTable.from_dataset_json({"labels": {"background": 0, "a": value}}, "dataset.json")


def test_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = write_dataset_json(tmp_path / "dataset.json", {"background": 0, "liver": 1})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_label_table(path).names == ["liver"]
