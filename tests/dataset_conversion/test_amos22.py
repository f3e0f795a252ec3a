"""AMOS22, from download to dataset folder."""

import json
import os

import numpy as np
import pytest
from convert_builders import (
    AFFINE,
    AMOS_TASK1,
    AMOS_ZENODO,
    SHAPE,
    SHEARED,
    amos_label,
    break_checksum,
    convert_amos,
    ct,
    load,
    make_amos,
    names,
    save,
    truncate,
)
from csv_rows import csv_rows

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError


@pytest.fixture
def source(tmp_path):
    return make_amos(tmp_path / "amos22")


def test_default_is_all_labelled_ct_linked_and_unchanged(raw, source):
    folder = convert_amos(source)
    assert folder == raw / "Dataset218_AMOS22"
    assert names(folder) == ["cases.csv", "conversion.json", "dataset.json", "imagesTr", "labelsTr"]
    assert names(folder / "imagesTr") == ["amos_0001_0000.nii.gz", "amos_0004_0000.nii.gz", "amos_0008_0000.nii.gz"]
    assert names(folder / "labelsTr") == ["amos_0001.nii.gz", "amos_0004.nii.gz", "amos_0008.nii.gz"]
    for kind, target in (("images", "imagesTr/amos_0008_0000"), ("labels", "labelsTr/amos_0008")):
        assert os.path.samefile(source / f"{kind}Va" / "amos_0008.nii.gz", folder / f"{target}.nii.gz")
    content = json.loads((folder / "dataset.json").read_text())
    assert content["labels"] == {name: int(value) for value, name in AMOS_TASK1.items()}
    assert content["channel_names"] == {"0": "CT"}
    assert content["numTraining"] == 3
    assert "CC BY 4.0" in content["licence"]
    assert "7262581" in content["reference"]
    assert content["release"] == "1.0 01/05/2022"
    assert "overwrite_image_reader_writer" not in content
    record = json.loads((folder / "conversion.json").read_text())
    assert record["source"] == str(source)
    assert record["options"]["modality"] == "ct"
    assert record["versions"]["nnunetv2-hypersort"]
    assert record["cases"]["amos_0001"]["label"] == {"from": "labelsTr/amos_0001.nii.gz", "how": "hard link"}


@pytest.mark.parametrize("labels", [AMOS_TASK1, AMOS_ZENODO])
@pytest.mark.parametrize("listed", ["imagesVa", "imagesVal"])
@pytest.mark.parametrize("nested", ["", "amos22"])
def test_every_published_spelling_gives_the_same_dataset(raw, tmp_path, labels, listed, nested):
    source = tmp_path / "unpacked"
    make_amos(source / nested if nested else source, labels=labels, listed_validation_folder=listed)
    folder = convert_amos(source)
    assert len(names(folder / "imagesTr")) == 3
    assert list(json.loads((folder / "dataset.json").read_text())["labels"]) == list(AMOS_TASK1.values())


@pytest.mark.parametrize("spelling", ["gallbladder", "gall bladder"])
def test_binary_task_of_one_organ(raw, source, spelling):
    folder = convert_amos(source, classes=[spelling])
    assert json.loads((folder / "dataset.json").read_text())["labels"] == {"background": 0, "gallbladder": 1}
    values, affine = load(folder / "labelsTr" / "amos_0004.nii.gz")
    np.testing.assert_array_equal(values, amos_label(4) == 4)
    np.testing.assert_array_equal(affine, AFFINE)
    assert values.dtype == np.uint8


def test_organs_merged_into_one_label(raw, source):
    folder = convert_amos(source, classes=["liver"], merges={"kidneys": ["right kidney", "kidney_left"]})
    assert json.loads((folder / "dataset.json").read_text())["labels"] == {"background": 0, "kidneys": 1, "liver": 2}
    values, _ = load(folder / "labelsTr" / "amos_0001.nii.gz")
    original = amos_label(1)
    np.testing.assert_array_equal(values == 1, (original == 2) | (original == 3))
    np.testing.assert_array_equal(values == 2, original == 6)


def test_validation_as_its_own_fold_and_test_images(raw, source):
    folder = convert_amos(source, validation="fold", test_images=True)
    assert json.loads((folder / "splits_final.json").read_text()) == [
        {"train": ["amos_0001", "amos_0004"], "val": ["amos_0008"]}
    ]
    assert names(folder / "imagesTs") == ["amos_0002_0000.nii.gz"]
    assert not (folder / "labelsTs").exists()
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 3


@pytest.mark.parametrize(
    ("modality", "cases", "channel"),
    [
        ("ct", ["amos_0001", "amos_0500"], "CT"),
        ("mri", ["amos_0501"], "MRI"),
        ("both", ["amos_0001", "amos_0500", "amos_0501"], "CT or MRI"),
    ],
)
def test_modality_follows_the_id_and_chooses_the_normalisation(raw, tmp_path, modality, cases, channel):
    from nnunetv2.preprocessing.normalization.map_channel_name_to_normalization import get_normalization_scheme

    folder = convert_amos(make_amos(tmp_path / "a", train=(1, 500, 501), validation=()), modality=modality)
    assert names(folder / "labelsTr") == [f"{case}.nii.gz" for case in cases]
    content = json.loads((folder / "dataset.json").read_text())
    assert content["channel_names"] == {"0": channel}
    expected = "CTNormalization" if modality == "ct" else "ZScoreNormalization"
    assert get_normalization_scheme(channel).__name__ == expected


def test_files_beyond_the_lists_and_litter(raw, source, tmp_path):
    save(source / "imagesTr" / "amos_0005.nii.gz", ct(5), sform_only=False)
    save(source / "labelsTr" / "amos_0005.nii.gz", amos_label(5), sform_only=False)
    (source / "imagesTr" / "._amos_0001.nii.gz").write_bytes(b"litter")
    (source / "imagesTr" / "average.nii.gz").write_bytes(b"litter")
    folder = convert_amos(source)
    assert "amos_0005.nii.gz" not in names(folder / "labelsTr")
    assert any("--all-files" in text for text in json.loads((folder / "conversion.json").read_text())["warnings"])
    folder = convert_amos(source, dataset_id=219, all_files=True)
    assert names(folder / "labelsTr") == [f"amos_{number:04d}.nii.gz" for number in (1, 4, 5, 8)]


def test_style_metadata_travels_but_birth_dates_do_not(raw, source):
    (source.parent / "labeled_data_meta_0000_0599.csv").write_text(
        "amos_id,Patient's Birth Date,Patient's Sex,Patient's Age,Manufacturer's Model Name,Manufacturer,"
        "Acquisition Date,Site\n"
        '1,19500101,M,067Y,Aquilion ONE,TOSHIBA,20180203,"LG, CH"\n'
        "8,19600101,F,057Y,Optima CT540,GE,20180204,B\n"
        "4,19600101,F,057Y,Optima CT540,GE,20180204,A\n4,19610101,F,058Y,Optima CT540,GE,20180204,B\n"
    )
    folder = convert_amos(source)
    text = (folder / "cases.csv").read_text()
    assert "birth" not in text.casefold()
    assert "19500101" not in text
    rows = {row["case"]: row for row in csv_rows(folder / "cases.csv")}
    assert list(rows["amos_0001"])[:4] == ["case", "subject", "split", "modality"]
    assert rows["amos_0001"]["site"] == "LG, CH"
    assert rows["amos_0001"]["manufacturer"] == "TOSHIBA"
    assert rows["amos_0008"]["split"] == "val"
    assert rows["amos_0004"]["manufacturer"] == "GE"
    assert rows["amos_0004"]["site"] == ""  # two rows that disagree


def test_every_bad_case_is_reported_at_once_and_nothing_is_written(raw, tmp_path, capsys):
    source = make_amos(tmp_path / "amos22", train=range(1, 11), validation=())
    truncate(source / "imagesTr" / "amos_0001.nii.gz")
    break_checksum(source / "labelsTr" / "amos_0002.nii.gz")
    (source / "labelsTr" / "amos_0003.nii.gz").unlink()
    (source / "imagesTr" / "amos_0004.nii.gz").unlink()
    moved = AFFINE.copy()
    moved[0, 3] += 20
    save(source / "labelsTr" / "amos_0005.nii.gz", amos_label(5), moved)
    save(source / "labelsTr" / "amos_0006.nii.gz", amos_label(6) + 1)
    save(source / "imagesTr" / "amos_0007.nii.gz", np.full(SHAPE, np.nan, np.float32))
    save(source / "imagesTr" / "amos_0008.nii.gz", np.zeros((*SHAPE, 2), np.int16))
    assert main(["convert", "amos22", str(source), "-d", "218", "-np", "1"]) == 1
    assert list(raw.iterdir()) == []
    lines = capsys.readouterr().err.rstrip().splitlines()
    assert any("8 of 10 cases cannot be converted" in line and "--skip-bad" in line for line in lines)
    # The list is the last thing the user sees.
    last = [line.strip() for line in lines[-8:]]
    for number, file, reason in (
        (1, "imagesTr/amos_0001.nii.gz", "cut short"),
        (2, "labelsTr/amos_0002.nii.gz", "CRC"),
        (3, "labelsTr/amos_0003.nii.gz", "an image without a label"),
        (4, "imagesTr/amos_0004.nii.gz", "a label without an image"),
        (5, "labelsTr/amos_0005.nii.gz", "lies elsewhere"),
        (6, "labelsTr/amos_0006.nii.gz", "outside the list 0 ... 15: 16"),
        (7, "imagesTr/amos_0007.nii.gz", "NaN"),
        (8, "imagesTr/amos_0008.nii.gz", "one 3-D volume"),
    ):
        found = [line for line in last if line.startswith(f"amos_{number:04d}: ")]
        assert len(found) == 1, number
        assert file in found[0]
        assert reason in found[0]
        assert "; " in found[0]  # the remedy


def test_dangling_link_is_a_missing_file(raw, source):
    (source / "imagesTr" / "amos_0001.nii.gz").unlink()
    (source / "imagesTr" / "amos_0001.nii.gz").symlink_to(source / "nowhere.nii.gz")
    with pytest.raises(HyperSORTError, match=r"amos_0001: imagesTr/amos_0001\.nii\.gz is missing"):
        convert_amos(source)


def test_skip_bad_goes_on_and_lists_what_was_left_out(raw, source, capsys):
    truncate(source / "imagesTr" / "amos_0001.nii.gz")
    assert main(["convert", "amos22", str(source), "-d", "218", "--skip-bad", "-np", "1"]) == 0
    folder = raw / "Dataset218_AMOS22"
    assert names(folder / "labelsTr") == ["amos_0004.nii.gz", "amos_0008.nii.gz"]
    left_out = json.loads((folder / "conversion.json").read_text())["left_out"]
    assert [(entry["case"], entry["file"]) for entry in left_out] == [("amos_0001", "imagesTr/amos_0001.nii.gz")]
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 2
    assert "amos_0001" not in (folder / "cases.csv").read_text()
    assert "amos_0001" in capsys.readouterr().out.splitlines()[-1]


def test_exclude_is_the_remedy_for_one_case(raw, source):
    truncate(source / "imagesTr" / "amos_0001.nii.gz")
    folder = convert_amos(source, exclude=("amos_0001",))
    assert names(folder / "labelsTr") == ["amos_0004.nii.gz", "amos_0008.nii.gz"]
    with pytest.raises(HyperSORTError, match="no case amos_0999"):
        convert_amos(source, dataset_id=219, exclude=("amos_0999",))


def test_quick_check_sees_lengths_and_conversion_still_catches_the_rest(raw, source):
    truncate(source / "imagesTr" / "amos_0001.nii.gz")
    with pytest.raises(HyperSORTError, match=r"amos_0001: imagesTr/amos_0001\.nii\.gz is cut short"):
        convert_amos(source, check="quick")
    save(source / "imagesTr" / "amos_0001.nii.gz", ct(1), sform_only=False)
    break_checksum(source / "labelsTr" / "amos_0004.nii.gz")
    # A file that is only linked is not read in this mode; one whose values change is.
    with pytest.raises(HyperSORTError, match=r"amos_0004: labelsTr/amos_0004\.nii\.gz fails its CRC check"):
        convert_amos(source, check="quick", classes=["liver"])
    assert not (raw / "Dataset218_AMOS22").exists()
    save(source / "labelsTr" / "amos_0004.nii.gz", amos_label(4), sform_only=False)
    assert convert_amos(source, check="quick", classes=["liver"]).is_dir()


def test_labels_that_need_it_are_rewritten_and_images_stay_linked(raw, source):
    noisy = AFFINE.copy()
    noisy[2, 3] += 0.005
    save(source / "labelsTr" / "amos_0001.nii.gz", amos_label(1), noisy, sform_only=False)
    save(source / "labelsTr" / "amos_0004.nii.gz", amos_label(4, dtype=np.float64), sform_only=False)
    save(source / "labelsVa" / "amos_0008.nii.gz", amos_label(8)[..., np.newaxis], sform_only=False)
    folder = convert_amos(source)
    record = json.loads((folder / "conversion.json").read_text())["cases"]
    assert record["amos_0001"]["grid_snapped_to_image"] == ["labelsTr/amos_0001.nii.gz"]
    for number in (1, 4, 8):
        case = f"amos_{number:04d}"
        values, affine = load(folder / "labelsTr" / f"{case}.nii.gz")
        np.testing.assert_array_equal(values, amos_label(number))
        np.testing.assert_array_equal(affine, AFFINE)
        assert values.dtype == np.uint8
        assert record[case]["label"]["how"].startswith("values rewritten")
        assert record[case]["image"]["how"] == "hard link"


def test_singleton_axis_of_an_image_goes_and_its_voxels_stay(raw, source):
    save(source / "imagesTr" / "amos_0001.nii.gz", ct(1)[..., np.newaxis], sform_only=False)
    folder = convert_amos(source)
    values, affine = load(folder / "imagesTr" / "amos_0001_0000.nii.gz")
    np.testing.assert_array_equal(values, ct(1))
    np.testing.assert_array_equal(affine, AFFINE)


def test_header_that_simpleitk_refuses_asks_for_nnunet_s_nibabel_reader(raw, source):
    save(source / "imagesTr" / "amos_0001.nii.gz", ct(1), SHEARED)
    save(source / "labelsTr" / "amos_0001.nii.gz", amos_label(1), SHEARED)
    folder = convert_amos(source)
    content = json.loads((folder / "dataset.json").read_text())
    assert content["overwrite_image_reader_writer"] == "NibabelIOWithReorient"
    assert os.path.samefile(source / "imagesTr" / "amos_0001.nii.gz", folder / "imagesTr" / "amos_0001_0000.nii.gz")
    assert "simpleitk" in json.loads((folder / "conversion.json").read_text())["cases"]["amos_0001"]


def test_sform_and_qform_in_another_order_than_the_image_s_are_not_linked(raw, source):
    # nibabel reads the same place from both files, SimpleITK would not: the label has no qform to fall back to.
    save(source / "imagesTr" / "amos_0001.nii.gz", ct(1), SHEARED, sform_only=False)
    save(source / "labelsTr" / "amos_0001.nii.gz", amos_label(1), SHEARED, sform_only=True)
    folder = convert_amos(source)
    record = json.loads((folder / "conversion.json").read_text())["cases"]["amos_0001"]
    assert record["label"]["how"].startswith("values rewritten")


def test_empty_label_and_odd_intensities_are_warnings(raw, source):
    save(source / "labelsTr" / "amos_0001.nii.gz", np.zeros(SHAPE, np.uint16), sform_only=False)
    odd = ct(4)
    odd[0, 0, 0] = -9758
    save(source / "imagesTr" / "amos_0004.nii.gz", odd, sform_only=False)
    warnings = json.loads((convert_amos(source) / "conversion.json").read_text())["warnings"]
    assert any(text.startswith("amos_0001: its label map is empty") for text in warnings)
    assert any(text.startswith("amos_0004: intensities from -9758") for text in warnings)


def test_copy_is_independent_of_the_download(raw, source):
    folder = convert_amos(source, copy=True)
    target = folder / "imagesTr" / "amos_0001_0000.nii.gz"
    assert not os.path.samefile(source / "imagesTr" / "amos_0001.nii.gz", target)
    assert target.read_bytes() == (source / "imagesTr" / "amos_0001.nii.gz").read_bytes()


def test_two_processes_give_the_same_dataset(raw, source):
    first = convert_amos(source, classes=["liver", "spleen"])
    second = convert_amos(source, dataset_id=219, processes=2, classes=["liver", "spleen"])
    for path in sorted(first.glob("*Tr/*")):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "dataset.json").unlink(), "does not look like the unpacked download"),
        (lambda root: (root / "dataset.json").write_text("{"), "is not JSON"),
        (lambda root: (root / "dataset.json").write_text("{}"), "lists no labels"),
        (lambda root: (root / "dataset.json").write_text('{"labels": {"0": "background", "1": "tail"}}'), "'tail'"),
        (
            lambda root: (root / "labeled_data_meta_0000_0599.csv").write_text("a,b\n"),
            "no column `amos_id`",
        ),
    ],
)
def test_other_folders_are_refused_with_the_reason(raw, source, spoil, message):
    spoil(source)
    with pytest.raises(HyperSORTError, match=message):
        convert_amos(source)


def test_mri_from_a_list_of_ct_only(raw, source):
    with pytest.raises(HyperSORTError, match="lists no MRI case"):
        convert_amos(source, modality="mri")


def test_real_task1_file_and_label_maps(raw, tmp_path, shared_data):
    data = shared_data
    import nibabel

    example = data / "amos22_example"
    source = tmp_path / "amos22"
    for part, case in (("Tr", "amos_0001"), ("Va", "amos_0013")):
        label = nibabel.load(example / f"labels{part}" / f"{case}.nii.gz")
        image = nibabel.Nifti1Image(np.zeros(label.shape, np.int16), None, label.header)
        image.set_data_dtype(np.int16)
        (source / f"images{part}").mkdir(parents=True)
        nibabel.save(image, source / f"images{part}" / f"{case}.nii.gz")
        (source / f"labels{part}").symlink_to(example / f"labels{part}")
    (source / "dataset.json").symlink_to(example / "dataset.json")
    with pytest.raises(HyperSORTError, match="298 of 300 cases"):
        convert_amos(source, check="quick")
    folder = convert_amos(source, skip_bad=True, classes=["liver"])
    for part, case in (("Tr", "amos_0001"), ("Va", "amos_0013")):
        values, affine = load(folder / "labelsTr" / f"{case}.nii.gz")
        original, original_affine = load(example / f"labels{part}" / f"{case}.nii.gz")
        np.testing.assert_array_equal(values, original == 6)
        np.testing.assert_array_equal(affine, original_affine)
        assert values.any()
