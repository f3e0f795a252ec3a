"""Splits without flagged cases: nnU-Net's file, and what the folds remember of it."""

import json

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.model.training_splits import read_splits, write_splits_without

SPLITS = [{"train": ["a", "b", "c"], "val": ["d"]}, {"train": ["b", "c", "d"], "val": ["a"]}]


def test_flagged_cases_leave_the_training_and_stay_in_the_validation(tmp_path):
    path = tmp_path / "splits.json"
    write_splits_without(path, SPLITS, ["a"])
    assert json.loads(path.read_text()) == [{"train": ["b", "c"], "val": ["d"]}, SPLITS[1]]


def test_an_existing_file_is_never_overwritten(tmp_path):
    path = tmp_path / "splits.json"
    path.write_text("mine")
    with pytest.raises(HyperSORTError, match="exists already and is not overwritten"):
        write_splits_without(path, SPLITS, [])
    assert path.read_text() == "mine"


def test_a_fold_must_keep_cases_to_train_on(tmp_path):
    with pytest.raises(HyperSORTError, match="fold 1 has 1 training case"):
        write_splits_without(tmp_path / "splits.json", [*SPLITS[:1], {"train": ["b", "c"], "val": []}], ["c"])
    assert not any(tmp_path.iterdir())


def test_the_folds_remember_the_splits(trained_model, monkeypatch, tmp_path):
    model = ModelFolder.open(trained_model, folds=[1])
    splits = read_splits(model)
    assert splits == json.loads((model.preprocessed_folder() / "splits_final.json").read_text())
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "gone"))
    assert read_splits(model) == splits
