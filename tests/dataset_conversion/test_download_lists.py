"""Lists of a download that contradict themselves: every such case is named, none is put anywhere in silence."""

import json

import pytest
from convert_builders import box, convert_amos, convert_masks, make_amos, make_totalsegmentator
from csv_rows import csv_rows

from nnunetv2_hypersort.errors import HyperSORTError

MASKS = {"liver": box((1, 1, 1), (4, 4, 4))}


def refused(convert, *args, **options):
    with pytest.raises(HyperSORTError, match="cases cannot be converted") as caught:
        convert(*args, **options)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


@pytest.mark.parametrize("validation", ["join", "fold"])
def test_amos_case_in_training_and_validation(raw, tmp_path, validation):
    source = make_amos(tmp_path / "amos22", train=(1, 2), validation=(2, 3), test=())
    [line] = refused(convert_amos, source, validation=validation)
    assert line.startswith("amos_0002: dataset.json has the case more than once (training, validation); keep it in one")
    assert list(raw.iterdir()) == []
    folder = convert_amos(source, validation=validation, skip_bad=True)
    assert sorted(path.name for path in (folder / "labelsTr").iterdir()) == ["amos_0001.nii.gz", "amos_0003.nii.gz"]
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 2


def test_every_fault_stands_in_one_list(raw, tmp_path):
    source = make_amos(tmp_path / "amos22", train=(1, 2, 4, 5), validation=(2,), test=())
    (source / "imagesTr/amos_0004.nii.gz").unlink()
    (source / "labelsTr/amos_0005.nii.gz").write_bytes(b"")
    assert [line.split(":")[0] for line in refused(convert_amos, source)] == ["amos_0002", "amos_0004", "amos_0005"]


@pytest.mark.parametrize("key", ["training", "validation"])
def test_amos_case_twice_in_one_list(raw, tmp_path, key):
    source = make_amos(tmp_path / "amos22", train=(1, 2), validation=(3,), test=())
    content = json.loads((source / "dataset.json").read_text())
    content[key].append(content[key][0])
    (source / "dataset.json").write_text(json.dumps(content))
    [line] = refused(convert_amos, source)
    assert f"more than once ({key}, {key})" in line


def test_a_test_case_counts_where_it_is_taken(raw, tmp_path):
    source = make_amos(tmp_path / "amos22", train=(1, 2), validation=(), test=(2,))
    [line] = refused(convert_amos, source, test_images=True)
    assert "amos_0002: dataset.json has the case more than once (training, test)" in line
    assert convert_amos(source, exclude=("amos_0002",), test_images=True).is_dir()


def test_all_files_does_not_take_a_listed_case_again(raw, tmp_path):
    source = make_amos(tmp_path / "amos22", train=(1, 2), validation=(2,), test=())
    content = json.loads((source / "dataset.json").read_text())
    content["validation"] = []
    (source / "dataset.json").write_text(json.dumps(content))
    [line] = refused(convert_amos, source, all_files=True)
    assert "amos_0002: dataset.json has the case more than once (training, imagesVa)" in line
    assert convert_amos(source).is_dir()


def splits_of(folder):
    return {row["case"]: row["split"] for row in csv_rows(folder / "cases.csv")}


@pytest.mark.parametrize("words", [("Train", "VAL", "Test"), ("TRAIN ", " val", "test\t")])
def test_splits_in_any_capitals(raw, tmp_path, words):
    source = make_totalsegmentator(tmp_path / "ts", dict(zip(("s1", "s2", "s3"), words, strict=True)), MASKS)
    folder = convert_masks(source)
    assert splits_of(folder) == {"s1": "train", "s2": "val", "s3": "test"}
    assert [path.name for path in (folder / "imagesTs").iterdir()] == ["s3_0000.nii.gz"]
    assert json.loads((folder / "splits_final.json").read_text()) == [{"train": ["s1"], "val": ["s2"]}]


def test_an_unknown_split_is_no_training(raw, tmp_path):
    source = make_totalsegmentator(tmp_path / "ts", {"s1": "train", "s2": "tset", "s3": "training"}, MASKS)
    lines = refused(convert_masks, source)
    assert [line.partition(";")[0] for line in lines] == [
        "s2: meta.csv has the split 'tset' for the case",
        "s3: meta.csv has the split 'training' for the case",
    ]
    assert "write train, val or test" in lines[0]
    assert splits_of(convert_masks(source, skip_bad=True)) == {"s1": "train"}


@pytest.mark.parametrize("again", ["s2;val", "s2;test", " s2 ;test", "S2;train"])
def test_a_case_in_two_rows_is_no_training(raw, tmp_path, again):
    source = make_totalsegmentator(tmp_path / "ts", {"s1": "train", "s2": "test"}, MASKS)
    (source / "meta.csv").write_text(f"image_id;split\ns1;train\ns2;test\n{again}\n")
    [line] = refused(convert_masks, source)
    assert line.startswith("s2: meta.csv has the case in several rows; keep one")
    assert splits_of(convert_masks(source, skip_bad=True)) == {"s1": "train"}


def test_no_word_at_all_joins_training_with_a_warning(raw, tmp_path, capsys):
    source = make_totalsegmentator(tmp_path / "ts", {"s1": "train", "s2": ""}, MASKS)
    assert splits_of(convert_masks(source)) == {"s1": "train", "s2": "train"}
    assert "1 cases have no split in meta.csv and join training: s2" in capsys.readouterr().out


def test_a_row_under_other_capitals_is_the_row_of_its_case(raw, tmp_path):
    source = make_totalsegmentator(tmp_path / "ts", {"s1": "train", "s2": "test"}, MASKS)
    (source / "meta.csv").write_text("image_id;split\ns1;train\nS2;test\n")
    assert splits_of(convert_masks(source)) == {"s1": "train", "s2": "test"}


def test_two_rows_of_the_amos_table_are_told(raw, tmp_path, capsys):
    source = make_amos(tmp_path / "amos22", train=(1, 2), validation=(), test=())
    table = source / "labeled_data_meta_0000_0599.csv"
    table.write_text("amos_id,Site,Age\n1,A,50\n2,A,60\n0001,B,50\n")
    folder = convert_amos(source)
    rows = {row["case"]: (row["site"], row["age"]) for row in csv_rows(folder / "cases.csv")}
    assert rows == {"amos_0001": ("", "50"), "amos_0002": ("A", "60")}
    assert "several rows for amos_0001: where they differ" in capsys.readouterr().out
