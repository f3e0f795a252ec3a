"""splits_final.json as people write it."""

import json

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.splits import as_split, read_splits, refuse_unusable, repeated


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_is_read_with_and_without_a_byte_order_mark(tmp_path, encoding):
    path = tmp_path / "splits_final.json"
    content = [{"train": ["ä_1", "b"], "val": ["c"], "test": 3}]
    path.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    assert read_splits(path) == content
    assert as_split(read_splits(path)[0], where="x") == {"train": ["ä_1", "b"], "val": ["c"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [("[{", "cannot be read"), ("{}", "is not a list of folds"), ('"a"', "is not a list of folds")],
)
def test_what_is_no_list_of_folds_is_refused(tmp_path, text, said):
    path = tmp_path / "splits_final.json"
    path.write_text(text)
    with pytest.raises(HyperSORTError, match=rf"splits_final\.json {said}"):
        read_splits(path)


def test_numbers_are_identifiers_without_quotes():
    split = as_split({"train": [1, 2, "3", 1.5], "val": [10]}, where="x")
    assert split == {"train": ["1", "2", "3", "1.5"], "val": ["10"]}


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ({"val": ["a"]}, "train"),
        ({"train": ["a"]}, "val"),
        ({"train": "abc", "val": ["a"]}, "train"),
        ({"train": ["a"], "val": {"a": 1}}, "val"),
        ({"train": ["a", None], "val": ["a"]}, "train"),
        ({"train": ["a"], "val": [True]}, "val"),
        ({"train": [["a"]], "val": ["a"]}, "train"),
        (["a"], "train"),
        (None, "train"),
    ],
)
def test_a_part_that_is_no_list_of_identifiers_is_named(entry, part):
    with pytest.raises(HyperSORTError, match=rf"s\.json, fold 2: `{part}` is not a list of case identifiers"):
        as_split(entry, where="s.json, fold 2")


def test_what_cannot_be_trained_is_refused_and_what_nnunet_trains_on_is_not():
    known = ["case_1", "case_2", "case_3"]
    # In both parts, and twice in one: nnU-Net trains on that.
    refuse_unusable({"train": ["case_1", "case_1", "case_2"], "val": ["case_1"]}, known, where="x")
    for part, split in (("train", {"train": [], "val": ["case_1"]}), ("val", {"train": ["case_1"], "val": []})):
        with pytest.raises(HyperSORTError, match=f"x: there are no cases under `{part}`"):
            refuse_unusable(split, known, where="x")
    with pytest.raises(HyperSORTError, match=r"1 of the cases under `val` are not preprocessed \(Case_3\)\. Is case_3"):
        refuse_unusable({"train": ["case_1"], "val": ["Case_3", "case_2"]}, known, where="x")


def test_repeated_cases():
    assert repeated(["b", "a", "c", "a", "b", "a"]) == ["a", "b"]
