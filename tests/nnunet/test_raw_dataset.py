"""Raw data sets: dataset.json as people have it, and label maps that nnU-Net can write again."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.raw_dataset import open_dataset, read_labels


def make(folder: Path, labels: dict, array: np.ndarray) -> Path:
    for name, stem in (("imagesTr", "c_0000"), ("labelsTr", "c")):
        (folder / name).mkdir(parents=True)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(folder / name / f"{stem}.nii.gz"))
    content = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def boxes(*values: int) -> np.ndarray:
    array = np.zeros((4, 5, 6), np.int32)
    for row, value in enumerate(values):
        array[1:3, row, 2:5] = value
    return array


def test_byte_order_mark_in_dataset_json(tmp_path: Path) -> None:
    folder = make(tmp_path / "Dataset001_A", {"background": 0, "liver": 1}, boxes(1))
    (folder / "dataset.json").write_bytes(b"\xef\xbb\xbf" + (folder / "dataset.json").read_bytes())
    dataset = open_dataset(folder)
    assert dataset.table.foreground == (1,)
    found = read_labels(dataset.cases["c"].label, dataset.content, dataset.table)
    np.testing.assert_array_equal(found.labels, boxes(1))


def test_fractional_label_values_are_refused_by_name(tmp_path: Path) -> None:
    folder = make(tmp_path / "Dataset001_A", {"background": 0, "liver": 1.7, "spleen": 2.2}, boxes(1, 2))
    with pytest.raises(HyperSORTError, match=r'the label "liver" must be a whole number .*1\.7'):
        open_dataset(folder)


def test_values_that_nnunet_cannot_write_are_refused(tmp_path: Path) -> None:
    for value in (65_535, 65_536):
        folder = make(tmp_path / f"Dataset{value % 10:03d}_A", {"background": 0, "liver": value}, boxes(value))
        dataset = open_dataset(folder)
        if value < 65_536:
            found = read_labels(dataset.cases["c"].label, dataset.content, dataset.table)
            np.testing.assert_array_equal(found.labels, boxes(value))
        else:
            with pytest.raises(HyperSORTError, match="nnU-Net writes none above 65535"):
                read_labels(dataset.cases["c"].label, dataset.content, dataset.table)


def test_unknown_values_are_named(tmp_path: Path) -> None:
    dataset = open_dataset(make(tmp_path / "Dataset001_A", {"background": 0, "liver": 1}, boxes(1, 7)))
    with pytest.raises(HyperSORTError, match="holds the value 7"):
        read_labels(dataset.cases["c"].label, dataset.content, dataset.table)
