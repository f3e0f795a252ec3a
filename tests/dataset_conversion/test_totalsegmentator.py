"""TotalSegmentator, from download to dataset folder."""

import json
import os
import shutil

import nibabel
import numpy as np
import pytest
from convert_builders import (
    AFFINE,
    SHAPE,
    SHEARED,
    box,
    break_checksum,
    convert_masks,
    ct,
    load,
    make_totalsegmentator,
    names,
    save,
    truncate,
)
from csv_rows import csv_rows

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.conversion.settings import read_spacing
from nnunetv2_hypersort.dataset_conversion import totalsegmentator_releases as releases
from nnunetv2_hypersort.errors import HyperSORTError

SPLITS = {"s0000": "train", "s0001": "train", "s0002": "val", "s0003": "test"}
MASKS = {
    "spleen": box((0, 0, 0), (4, 4, 4)),
    "liver": box((2, 2, 2), (8, 8, 6)),
    "vertebrae_S1": box((9, 8, 0), (12, 10, 4)),
    "heart": box((0, 0, 0), (0, 0, 0)),
}
LABELS = {"background": 0, "spleen": 1, "liver": 2, "vertebrae_S1": 3, "heart": 4}


@pytest.fixture
def source(tmp_path):
    return make_totalsegmentator(tmp_path / "Totalsegmentator_dataset_v201", SPLITS, MASKS)


def content(folder, name="dataset.json"):
    return json.loads((folder / name).read_text())


def expected_label(masks=MASKS):
    label = np.zeros(SHAPE, np.uint8)
    for index, mask in enumerate(masks.values(), start=1):
        label[mask > 0] = index
    return label


@pytest.mark.parametrize(
    ("classes", "groups", "ends"),
    [
        (
            releases.CT_V1,
            releases.CT_V1_GROUPS,
            {1: "spleen", 7: "aorta", 42: "esophagus", 93: "face", 104: "urinary_bladder"},
        ),
        (
            releases.CT_V2,
            releases.CT_V2_GROUPS,
            {1: "spleen", 5: "liver", 26: "vertebrae_S1", 51: "heart", 59: "brachiocephalic_vein_left", 91: "skull",
             117: "costal_cartilages"},
        ),
        (releases.CT_V3, releases.CT_V3_GROUPS, {26: "vertebrae_L6", 117: "costal_cartilages"}),
        (releases.MRI_V1, None, {10: "lung_left", 33: "tibia", 56: "brain"}),
        (releases.MRI_V2, releases.MRI_V2_GROUPS, {10: "lung_left", 20: "intervertebral_discs", 50: "brain"}),
    ],
)  # fmt: skip
def test_class_maps_and_groups(classes, groups, ends):
    assert len(set(classes)) == len(classes) == max(ends)
    for index, name in ends.items():
        assert classes[index - 1] == name
    if groups is not None:
        assert sorted(name for members in groups.values() for name in members) == sorted(classes)


def test_dataset_of_all_structures(raw, source):
    folder = convert_masks(source)
    assert folder == raw / "Dataset291_TotalSegmentator"
    assert names(folder / "imagesTr") == ["s0000_0000.nii.gz", "s0001_0000.nii.gz", "s0002_0000.nii.gz"]
    assert names(folder / "imagesTs") == ["s0003_0000.nii.gz"]
    assert names(folder / "labelsTs") == ["s0003.nii.gz"]
    assert content(folder, "splits_final.json") == [{"train": ["s0000", "s0001"], "val": ["s0002"]}]
    assert content(folder)["labels"] == LABELS
    assert content(folder)["channel_names"] == {"0": "CT"}
    assert content(folder)["overwrite_image_reader_writer"] == "NibabelIOWithReorient"
    assert content(folder)["licence"] == "CC BY 4.0"
    assert content(folder)["release"] == "2.0.1"
    assert content(folder)["numTraining"] == 3
    values, affine = load(folder / "labelsTr" / "s0001.nii.gz")
    np.testing.assert_array_equal(values, expected_label())
    np.testing.assert_array_equal(affine, AFFINE)
    assert os.path.samefile(source / "s0001" / "ct.nii.gz", folder / "imagesTr" / "s0001_0000.nii.gz")
    record = content(folder, "conversion.json")["cases"]["s0001"]
    assert record["label"] == {"how": "merged from 4 masks", "overlap_voxels": 2 * 2 * 2}
    rows = {row["case"]: row for row in csv_rows(folder / "cases.csv")}
    assert rows["s0001"]["institute"] == "B"
    assert rows["s0001"]["scanner_model"] == "Somatom"
    assert rows["s0003"]["split"] == "test"
    assert rows["s0003"]["subject"] == "s0003"


def test_liver_alone_by_command(raw, source):
    assert main(["convert", "totalsegmentator", str(source), "-d", "291", "--classes", "liver", "-np", "1"]) == 0
    folder = raw / "Dataset291_TotalSegmentator"
    assert content(folder)["labels"] == {"background": 0, "liver": 1}
    values, _ = load(folder / "labelsTr" / "s0000.nii.gz")
    np.testing.assert_array_equal(values, MASKS["liver"])


def test_groups_are_those_of_the_project(raw, source):
    folder = convert_masks(source, classes=["organs", "vertebrae"])
    assert content(folder)["labels"] == {"background": 0, "spleen": 1, "liver": 2, "vertebrae_S1": 3}


def test_unknown_class_is_refused_with_the_nearest(raw, source):
    with pytest.raises(HyperSORTError, match="did you mean liver"):
        convert_masks(source, classes=["livre"])


def test_mri_has_its_own_image_name_class_map_and_normalisation(raw, tmp_path):
    masks = {
        "lung_left": box((0, 0, 0), (4, 4, 4)),
        "vertebrae": box((5, 5, 5), (7, 7, 7)),
        "brain": box((0, 8, 0), (2, 9, 2)),
    }
    source = make_totalsegmentator(
        tmp_path / "TotalsegmentatorMRI_dataset_v200", {"s0001": "train", "s0002": "test"}, masks, image="mri.nii.gz"
    )
    folder = convert_masks(source)
    assert folder.name == "Dataset291_TotalSegmentatorMRI"
    assert content(folder)["channel_names"] == {"0": "MRI"}
    assert list(content(folder)["labels"]) == ["background", "lung_left", "vertebrae", "brain"]
    assert "NC-SA" in content(folder)["licence"]
    assert not (folder / "splits_final.json").exists()  # no `val`: nnU-Net makes its own folds


@pytest.mark.parametrize(
    ("folder_name", "structures", "image", "version"),
    [
        ("x", releases.CT_V1, "ct.nii.gz", "1.0"),
        ("x", releases.CT_V3, "ct.nii.gz", "3.0.0"),
        ("Totalsegmentator_dataset_v2", releases.CT_V2, "ct.nii.gz", "2.0.0"),
        ("Totalsegmentator_dataset_small_v201", releases.CT_V2, "ct.nii.gz", "2.0.1"),
        ("x", releases.MRI_V1, "mri.nii.gz", "1.0.0"),
        ("TotalsegmentatorMRI_dataset_v300", releases.MRI_V2, "mri.nii.gz", "3.0.0"),
    ],
)
def test_release_is_recognised(raw, tmp_path, folder_name, structures, image, version):
    masks = dict.fromkeys(structures, box((0, 0, 0), (1, 1, 1), shape=(2, 2, 2)))
    root = tmp_path / folder_name
    for structure, mask in masks.items():
        save(root / "s0000" / "segmentations" / f"{structure}.nii.gz", mask)
    save(root / "s0000" / image, ct(shape=(2, 2, 2)))
    (root / "meta.csv").write_text("image_id;split\ns0000;train\n")
    folder = convert_masks(root)
    assert content(folder)["release"] == version
    assert list(content(folder)["labels"])[1:] == list(structures)


def test_release_that_cannot_be_told_is_said_and_can_be_given(raw, tmp_path, capsys):
    source = make_totalsegmentator(tmp_path / "unpacked", SPLITS, MASKS)
    convert_masks(source)
    assert "whether this is release 2.0.0 or 2.0.1" in capsys.readouterr().out
    folder = convert_masks(source, dataset_id=292, release="2.0.0")
    assert content(folder)["release"] == "2.0.0"
    with pytest.raises(HyperSORTError, match=r"releases known here are 1\.0, 2\.0\.0"):
        convert_masks(source, dataset_id=293, release="9")


def test_structures_of_a_later_release_come_last(raw, tmp_path):
    masks = {**MASKS, "appendix": box((11, 0, 0), (12, 1, 1))}
    folder = convert_masks(make_totalsegmentator(tmp_path / "later", SPLITS, masks))
    assert content(folder)["labels"] == {**LABELS, "appendix": 5}
    assert any("appendix" in text for text in content(folder, "conversion.json")["warnings"])


def test_absent_structure_file_is_an_error_unless_allowed(raw, source):
    (source / "s0001" / "segmentations" / "liver.nii.gz").unlink()
    with pytest.raises(HyperSORTError, match=r"s0001: s0001/segmentations has no file for liver; .*--allow-missing"):
        convert_masks(source)
    assert list(raw.iterdir()) == []
    folder = convert_masks(source, allow_missing=True)
    record = content(folder, "conversion.json")
    assert record["cases"]["s0001"]["not_annotated"] == ["liver"]
    assert "not_annotated" not in record["cases"]["s0000"]
    values, _ = load(folder / "labelsTr" / "s0001.nii.gz")
    assert not (values == LABELS["liver"]).any()
    assert content(folder)["annotated_labels"] == {"s0001": [name for name in list(LABELS)[1:] if name != "liver"]}
    assert any("annotated_labels in dataset.json" in text for text in record["warnings"])


def test_a_merged_label_that_lacks_one_of_its_classes_is_unknown(raw, source):
    (source / "s0001" / "segmentations" / "liver.nii.gz").unlink()
    other = next(name for name in MASKS if name != "liver")
    rest = [name for name in MASKS if name not in ("liver", other)]
    merged = {"both": ["liver", other]}
    folder = convert_masks(source, classes=rest, merges=merged, allow_missing=True)
    labels = content(folder)["labels"]
    assert content(folder)["annotated_labels"] == {"s0001": [name for name in labels if name in rest]}
    values, _ = load(folder / "labelsTr" / "s0001.nii.gz")
    drawn = {labels[name] for name in rest if MASKS[name].any()}
    assert set(np.unique(values)) == {0, *drawn}
    # Whoever has no label whole has nothing to train with.
    with pytest.raises(HyperSORTError, match=r"s0001.*annotated for none of the labels"):
        convert_masks(source, classes=[], merges=merged, allow_missing=True, dataset_id=292)


def test_bad_cases_are_reported_together(raw, tmp_path, capsys):
    splits = {f"s{number:04d}": "train" for number in range(9)}
    source = make_totalsegmentator(tmp_path / "Totalsegmentator_dataset_v201", splits, MASKS)
    truncate(source / "s0001" / "segmentations" / "liver.nii.gz")
    break_checksum(source / "s0002" / "ct.nii.gz")
    moved = AFFINE.copy()
    moved[1, 3] += 3
    save(source / "s0003" / "segmentations" / "spleen.nii.gz", MASKS["spleen"], moved)
    save(source / "s0004" / "segmentations" / "spleen.nii.gz", MASKS["spleen"] * np.arange(1, 9, dtype=np.uint8))
    (source / "s0005" / "ct.nii.gz").unlink()
    shutil.rmtree(source / "s0006" / "segmentations")
    shutil.rmtree(source / "s0007")
    assert main(["convert", "totalsegmentator", str(source), "-d", "291", "-np", "1"]) == 1
    assert list(raw.iterdir()) == []
    last = [line.strip() for line in capsys.readouterr().err.rstrip().splitlines()[-7:]]
    expected = {
        "s0001": ("s0001/segmentations/liver.nii.gz", "cut short"),
        "s0002": ("s0002/ct.nii.gz", "CRC"),
        "s0003": ("s0003/segmentations/spleen.nii.gz", "lies elsewhere"),
        "s0004": ("s0004/segmentations/spleen.nii.gz", "not a binary mask"),
        "s0005": ("s0005/ct.nii.gz", "masks without an image"),
        "s0006": ("s0006/segmentations", "an image without a label"),
        "s0007": ("s0007/", "listed in meta.csv"),
    }
    for case, (file, reason) in expected.items():
        found = [line for line in last if line.startswith(f"{case}: {file} ")]
        assert len(found) == 1, case
        assert reason in found[0]


def test_masks_off_by_float_noise_are_snapped_to_the_image(raw, source):
    noisy = AFFINE.copy()
    noisy[:3, 3] += 0.004
    save(source / "s0001" / "segmentations" / "liver.nii.gz", MASKS["liver"], noisy)
    folder = convert_masks(source)
    values, affine = load(folder / "labelsTr" / "s0001.nii.gz")
    np.testing.assert_array_equal(affine, AFFINE)
    np.testing.assert_array_equal(values, expected_label())
    record = content(folder, "conversion.json")["cases"]["s0001"]
    assert record["grid_snapped_to_image"] == ["s0001/segmentations/liver.nii.gz"]


def test_directions_that_are_not_orthonormal_are_linked_and_read_by_nnunet(raw, tmp_path):
    from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

    source = make_totalsegmentator(tmp_path / "Totalsegmentator_dataset_v201", SPLITS, MASKS, affine=SHEARED)
    folder = convert_masks(source)
    image = folder / "imagesTr" / "s0000_0000.nii.gz"
    assert os.path.samefile(source / "s0000" / "ct.nii.gz", image)
    reader = NibabelIOWithReorient()
    voxels, image_properties = reader.read_images((str(image),))
    label, label_properties = reader.read_seg(str(folder / "labelsTr" / "s0000.nii.gz"))
    assert voxels.shape == label.shape
    np.testing.assert_allclose(image_properties["spacing"], label_properties["spacing"])
    assert sorted(np.unique(label)) == [0, 1, 2, 3]


@pytest.mark.parametrize("mode", ["full", "quick"])
def test_known_damage_of_release_1_is_left_out_with_a_warning(raw, tmp_path, capsys, mode):
    masks = {"spleen": MASKS["spleen"], "heart_myocardium": MASKS["liver"], "face": box((0, 0, 7), (1, 1, 8))}
    source = make_totalsegmentator(tmp_path / "Totalsegmentator_dataset", {**SPLITS, "s0864": "train"}, masks)
    break_checksum(source / "s0864" / "ct.nii.gz")
    folder = convert_masks(source, check=mode)
    assert "s0864.nii.gz" not in names(folder / "labelsTr")
    assert "warning: s0864: left out, its ct.nii.gz is damaged in release 1.0" in capsys.readouterr().out
    assert content(folder, "conversion.json")["left_out"][0]["case"] == "s0864"
    # The same damage in a case that nobody knows of stops the conversion.
    break_checksum(source / "s0001" / "ct.nii.gz")
    with pytest.raises(HyperSORTError, match="s0001") as caught:
        convert_masks(source, dataset_id=292)
    assert "1 of 5 cases" in str(caught.value)


def test_case_864_of_release_1_is_kept_where_it_is_sound(raw, tmp_path):
    masks = {"heart_myocardium": MASKS["liver"], "face": MASKS["spleen"]}
    folder = convert_masks(make_totalsegmentator(tmp_path / "Totalsegmentator_dataset", {"s0864": "train"}, masks))
    assert names(folder / "labelsTr") == ["s0864.nii.gz"]


def test_known_intensities_of_release_2_0_0_are_warned_of_by_name(raw, tmp_path):
    splits = dict.fromkeys(("s0001", "s0184", "s0864"), "train")
    folder = convert_masks(make_totalsegmentator(tmp_path / "Totalsegmentator_dataset_v2", splits, MASKS))
    warnings = content(folder, "conversion.json")["warnings"]
    assert [text.split(":")[0] for text in warnings if "#193" in text] == ["s0184", "s0864"]
    assert names(folder / "labelsTr") == ["s0001.nii.gz", "s0184.nii.gz", "s0864.nii.gz"]


def test_cases_with_all_masks_empty_are_warned_of_by_name(raw, tmp_path):
    masks = {"lung_left": MASKS["liver"], "vertebrae": MASKS["spleen"]}
    source = make_totalsegmentator(
        tmp_path / "TotalsegmentatorMRI_dataset_v200", {"s0001": "train", "s0026": "train", "s0099": "train"}, masks,
        image="mri.nii.gz",
    )  # fmt: skip
    for structure in masks:
        save(source / "s0099" / "segmentations" / f"{structure}.nii.gz", MASKS["heart"])
    folder = convert_masks(source)
    warnings = content(folder, "conversion.json")["warnings"]
    assert any(
        text.startswith("s0026: all its masks are empty in this release (TotalSegmentator#511)") for text in warnings
    )
    assert any(text.startswith("s0099: all its masks are empty") for text in warnings)
    assert not any(text.startswith("s0001") for text in warnings)
    assert len(names(folder / "labelsTr")) == 3


def test_resampling_moves_image_and_label_together(raw, source):
    folder = convert_masks(source, spacing=read_spacing([3.0]))
    image = nibabel.load(folder / "imagesTr" / "s0000_0000.nii.gz")
    label = nibabel.load(folder / "labelsTr" / "s0000.nii.gz")
    assert image.shape == label.shape == (6, 5, 8)
    np.testing.assert_allclose(image.header.get_zooms(), 3.0)
    np.testing.assert_array_equal(image.affine, label.affine)
    assert image.get_data_dtype() == np.int16
    original = expected_label()
    for index in (1, 2):
        center = np.argwhere(np.asanyarray(label.dataobj) == index).mean(0)
        before = np.argwhere(original == index).mean(0)
        distance = nibabel.affines.apply_affine(label.affine, center) - nibabel.affines.apply_affine(AFFINE, before)
        assert np.abs(distance).max() < 1.5  # half a new voxel


def test_without_meta_csv_everything_is_training(raw, source, capsys):
    (source / "meta.csv").unlink()
    folder = convert_masks(source)
    assert len(names(folder / "imagesTr")) == 4
    assert "meta.csv is not there" in capsys.readouterr().out


def test_case_without_a_row_joins_training_and_is_named(raw, source, capsys):
    shutil.copytree(source / "s0000", source / "s0007")
    folder = convert_masks(source)
    assert "s0007.nii.gz" in names(folder / "labelsTr")
    assert "no split in meta.csv and join training: s0007" in capsys.readouterr().out


def test_mixed_and_foreign_folders_are_refused(raw, source, tmp_path):
    with pytest.raises(HyperSORTError, match="is not a folder"):
        convert_masks(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(HyperSORTError, match="does not look like the unpacked download"):
        convert_masks(tmp_path / "empty")
    save(source / "s0001" / "mri.nii.gz", ct())
    with pytest.raises(HyperSORTError, match="mixes CT"):
        convert_masks(source)


def test_real_masks_give_the_label_map_of_the_project_s_own_tool(raw, tmp_path, shared_data):
    data = shared_data
    example = data / "totalsegmentator_example"
    case = tmp_path / "Totalsegmentator_dataset_v201" / "s0000"
    case.mkdir(parents=True)
    (case / "ct.nii.gz").symlink_to(example / "example_ct_sm.nii.gz")
    (case / "segmentations").symlink_to(example / "example_seg_fast")
    (case.parent / "meta.csv").write_text("image_id;split\ns0000;train\n")
    folder = convert_masks(case.parent)
    assert len(content(folder)["labels"]) == 118
    values, affine = load(folder / "labelsTr" / "s0000.nii.gz")
    reference, reference_affine = load(example / "example_seg_fast.nii.gz")
    np.testing.assert_array_equal(values, reference)
    np.testing.assert_array_equal(affine, reference_affine)
    assert len(np.unique(values)) > 20
