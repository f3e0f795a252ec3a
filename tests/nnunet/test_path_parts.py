"""Names from files are one part of a path, or one word, or refused."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.dataset_json import DatasetJson
from nnunetv2_hypersort.nnunet.names import is_path_part, path_part
from nnunetv2_hypersort.nnunet.plans import read_dataset_json, read_plans
from nnunetv2_hypersort.nnunet.raw_dataset import open_dataset

PATHS = ["../x", "/x", "a/b", "..", ".", "", "a\\b", "a\0b", "x" * 256, "é" * 128, "\ud800", 7, None, {"x": 1}, True]
NO_WORDS = ["a.b", "../x", "__main__", "__import__", "a b", "", 7, ["x"], "os;x", "x" * 300, "é"]


@given(st.text() | st.binary().map(lambda name: name.decode(errors="surrogateescape")))
def test_what_is_one_part_stays_in_its_folder(name):
    if is_path_part(name):
        path = Path("/folder/of/all") / name
        assert path.parent == Path("/folder/of/all")
        assert os.path.normpath(path) == str(path)


@pytest.mark.parametrize(
    "name", ["Dataset004_Hippocampus", "liver 1", "-", "...", ".x", "=1+1", "a\rb", "ä", "x" * 255]
)
def test_odd_names_are_names(name):
    assert path_part(name, what="It", source="x") == name


def plans() -> dict:
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "normalization_schemes": ["ZScoreNormalization"],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "previous_stage": "3d_lowres",
        "next_stage": "3d_cascade",
    }
    return {
        "dataset_name": "Dataset004_Hippocampus",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "configurations": {"3d_fullres": configuration, "2d": {"inherits_from": "3d_fullres"}},
    }


def read(tmp_path: Path, content: object) -> object:
    path = tmp_path / "plans.json"
    path.write_text(json.dumps(content))
    return read_plans(path)


def test_plans_of_nnunet_are_read(tmp_path):
    assert read(tmp_path, plans()) == plans()


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("key", ["dataset_name", "plans_name"])
def test_a_name_in_plans_that_is_a_path_is_refused(tmp_path, key, name):
    with pytest.raises(HyperSORTError, match=rf"^{key} in .*plans\.json is .*, which is not one plain name"):
        read(tmp_path, {**plans(), key: name})


@pytest.mark.parametrize("name", [name for name in PATHS if name is not None])
@pytest.mark.parametrize("key", ["data_identifier", "inherits_from", "previous_stage", "next_stage"])
def test_a_name_in_a_configuration_that_is_a_path_is_refused(tmp_path, key, name):
    content = plans()
    content["configurations"]["2d"][key] = name
    with pytest.raises(HyperSORTError, match=rf"2d\.{key} in .* is .*, which is not one plain name"):
        read(tmp_path, content)


def test_a_configuration_whose_name_is_a_path_is_refused(tmp_path):
    content = plans()
    content["configurations"]["../x"] = {}
    with pytest.raises(HyperSORTError, match="The name of a configuration in"):
        read(tmp_path, content)


@pytest.mark.parametrize("configurations", [[], "x", {"2d": []}, {"2d": None}])
def test_configurations_that_are_none_are_refused(tmp_path, configurations):
    with pytest.raises(HyperSORTError, match="The configurations in"):
        read(tmp_path, {**plans(), "configurations": configurations})


@pytest.mark.parametrize("name", NO_WORDS)
def test_a_name_to_be_looked_up_that_is_no_word_is_refused(tmp_path, name):
    for key in ("image_reader_writer", "label_manager"):
        with pytest.raises(HyperSORTError, match=f"{key} in .* is no name of a class or function"):
            read(tmp_path, {**plans(), key: name})
    for key, value in (("preprocessor_name", name), ("resampling_fn_seg", name), ("normalization_schemes", [name])):
        content = plans()
        content["configurations"]["3d_fullres"][key] = value
        with pytest.raises(HyperSORTError, match=rf"3d_fullres\.{key}.* is no name of a class or function"):
            read(tmp_path, content)


@pytest.mark.parametrize(
    "ending", ["/../x.nii.gz", "nii.gz", ".nii/gz", ".", "", "..", ".n i", 7, [".nii"], ".a.b.c.d"]
)
def test_a_file_ending_that_is_more_is_refused_everywhere(tmp_path, ending):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"labels": {"background": 0, "liver": 1}, "file_ending": ending}))
    for use in (read_dataset_json, DatasetJson.read, lambda path: open_dataset(path.parent)):
        with pytest.raises(HyperSORTError, match="file_ending"):
            use(path)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".png", ".TIF", ".nrrd", ".mha"])
def test_endings_of_nnunet_are_taken(tmp_path, ending):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"labels": {"background": 0, "liver": 1}, "file_ending": ending}))
    assert read_dataset_json(path)["file_ending"] == DatasetJson.read(path).file_ending == ending


def test_a_case_of_a_raw_dataset_that_is_a_path_is_refused(tmp_path):
    content = {"labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz", "channel_names": {"0": "CT"}}
    listed = {"../../x": {"images": ["a.nii.gz"], "label": "b.nii.gz"}}
    (tmp_path / "dataset.json").write_text(json.dumps({**content, "dataset": listed}))
    with pytest.raises(
        HyperSORTError, match=r"A case in .*dataset\.json is '\.\./\.\./x', which is not one plain name"
    ):
        open_dataset(tmp_path)


def test_json_nested_too_deeply_is_refused(tmp_path):
    deep: object = 1
    for _ in range(200):
        deep = [deep]
    for content in ({**plans(), "x": deep}, {**plans(), "x": {"y": {"z": deep}}}):
        with pytest.raises(HyperSORTError, match="nested deeper than 40 levels"):
            read(tmp_path, content)
