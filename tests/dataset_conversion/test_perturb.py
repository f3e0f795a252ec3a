"""Whole datasets: exact quotas, truth in styles.csv, the same bytes however the work was done, nothing overwritten."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import nibabel as nib
import numpy as np
import planting
import pytest
import SimpleITK as sitk  # noqa: N813
from csv_rows import csv_rows
from planting import files_of, labels_in

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.perturbation import perturb
from nnunetv2_hypersort.perturbation.perturb import perturb_dataset, summary

SPEC = {
    "styles": {
        "as_drawn": {"proportion": 0.5},
        "to_the_right": {"proportion": 0.3, "operations": [{"offset": {"axis": "left-right", "mm": 2}}]},
        "front_only": {"proportion": 0.2, "operations": [{"leave_out": {"labels": ["back"]}}]},
    },
    "errors": {
        "rate": 0.25,
        "kinds": ["empty", "other_case", {"spill": {"mm": 2}}],
    },
}


def perturbed(source, destination, content=SPEC, **options):
    return planting.perturbed(source, content, destination, **options)


def test_truth_is_written_and_labels_follow_it(raw_dataset, tmp_path):
    target = tmp_path / "Dataset902_Styles"

    rows = perturbed(raw_dataset, target, seed=7, all_styles=True)

    listed = csv_rows(target / "styles.csv")
    assert [row["case"] for row in listed] == [f"box_{number:02d}" for number in range(12)]
    assert [(row["case"], row["style"], row["error"]) for row in listed] == [
        (row.case, row.style, row.error) for row in rows
    ]
    assert Counter(row.style for row in rows) == {"as_drawn": 6, "to_the_right": 4, "front_only": 2}
    assert Counter(row.error for row in rows) == {"none": 9, "empty": 1, "other_case": 1, "spill": 1}
    for row in rows:
        drawn = labels_in(raw_dataset / "labelsTr" / f"{row.case}.nii.gz")
        # Stored with the first axis towards the left: right is where its index falls.
        expected = {
            "as_drawn": drawn,
            "to_the_right": np.roll(drawn, -2, axis=0),
            "front_only": np.where(drawn == 1, 1, 0),
        }
        for style, labels in expected.items():
            assert np.array_equal(labels_in(target / "labels_all_styles" / style / f"{row.case}.nii.gz"), labels)
        written = labels_in(target / "labelsTr" / f"{row.case}.nii.gz")
        assert np.array_equal(written, expected[row.style]) == (row.error == "none")
        assert (row.dice == 1) == (row.error == "none")
        if row.error == "empty":
            assert not written.any()
            assert row.dice == 0
        assert bool(row.donor) == (row.error == "other_case")


def test_geometry_images_and_test_split_come_along(raw_dataset, tmp_path):
    target = tmp_path / "Dataset902_Styles"

    perturbed(raw_dataset, target)

    before, after = (nib.load(folder / "labelsTr/box_03.nii.gz") for folder in (raw_dataset, target))
    assert np.allclose(before.affine, after.affine)
    assert before.shape == after.shape
    for image in ("imagesTr/box_03_0000.nii.gz", "imagesTs/box_99_0000.nii.gz"):
        assert os.path.samefile(raw_dataset / image, target / image)
    described = json.loads((target / "dataset.json").read_text())
    assert described["labels"] == {"background": 0, "front": 1, "back": 2}
    assert described["name"] == "Styles"
    assert not (target / "labels_all_styles").exists()


def test_images_are_copied_where_they_cannot_be_linked(raw_dataset, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("not on this file system")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "Dataset902_Styles"

    perturbed(raw_dataset, target)

    image = "imagesTr/box_03_0000.nii.gz"
    assert (target / image).read_bytes() == (raw_dataset / image).read_bytes()
    assert not os.path.samefile(raw_dataset / image, target / image)


def test_same_seed_same_bytes_with_any_number_of_processes(raw_dataset, tmp_path):
    first, second, third = (tmp_path / part / "Dataset902_Styles" for part in "abc")

    perturbed(raw_dataset, first, seed=7, all_styles=True)
    perturbed(raw_dataset, second, seed=7, all_styles=True, processes=2)
    perturbed(raw_dataset, third, seed=8, all_styles=True)

    assert files_of(first) == files_of(second)
    assert files_of(first)["styles.csv"] != files_of(third)["styles.csv"]


def test_interrupted_work_is_taken_up_and_ends_in_the_same_bytes(raw_dataset, tmp_path, monkeypatch):
    whole, stopped = (tmp_path / part / "Dataset902_Styles" for part in "ab")
    perturbed(raw_dataset, whole, seed=7)
    work = perturb._perturb_case

    def interrupted(job, assignment):
        if assignment.case == "box_05":
            raise KeyboardInterrupt
        return work(job, assignment)

    monkeypatch.setattr(perturb, "_perturb_case", interrupted)
    with pytest.raises(KeyboardInterrupt):
        perturbed(raw_dataset, stopped, seed=7)
    assert not (stopped / "styles.csv").exists()
    done = {path: path.stat().st_mtime_ns for path in (stopped / "labelsTr").iterdir()}
    assert len(done) == 5

    monkeypatch.undo()
    perturbed(raw_dataset, stopped, seed=7)

    assert files_of(stopped) == files_of(whole)
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_all_styles_can_be_asked_for_later(raw_dataset, tmp_path):
    at_once, later = (tmp_path / part / "Dataset902_Styles" for part in "ab")
    perturbed(raw_dataset, at_once, all_styles=True)

    perturbed(raw_dataset, later)
    perturbed(raw_dataset, later, all_styles=True)

    assert files_of(later) == files_of(at_once)


def test_nothing_that_is_there_is_overwritten(raw_dataset, tmp_path):
    target = tmp_path / "Dataset902_Styles"
    perturbed(raw_dataset, target, seed=7)
    before = files_of(target)

    with pytest.raises(HyperSORTError, match="another source, spec or seed"):
        perturbed(raw_dataset, target, seed=8)
    with pytest.raises(HyperSORTError, match="another source, spec or seed"):
        perturbed(raw_dataset, target, {**SPEC, "errors": None}, seed=7)
    assert files_of(target) == before
    foreign = tmp_path / "Dataset903_Mine"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(HyperSORTError, match="not empty"):
        perturbed(raw_dataset, foreign)
    with pytest.raises(HyperSORTError, match="lie in each other"):
        perturbed(raw_dataset, raw_dataset)
    with pytest.raises(HyperSORTError, match="DatasetXXX_Name"):
        perturbed(raw_dataset, tmp_path / "styles")
    with pytest.raises(HyperSORTError, match="Dataset902_Styles for the number of Dataset902_Others"):
        perturbed(raw_dataset, tmp_path / "Dataset902_Others")


def test_bad_datasets_are_refused_by_name(raw_dataset, tmp_path):
    target = tmp_path / "Dataset902_Styles"
    with pytest.raises(HyperSORTError, match=r"dataset\.json does not exist"):
        perturbed(tmp_path / "Dataset999_Missing", target)
    spec = {"styles": {"a": {"proportion": 1, "operations": [{"leave_out": {"labels": ["left_part"]}}]}}}
    with pytest.raises(HyperSORTError, match="'left_part'"):
        perturbed(raw_dataset, target, spec)
    (raw_dataset / "labelsTr/box_02.nii.gz").unlink()
    with pytest.raises(HyperSORTError, match=r"box_02\.nii\.gz does not exist"):
        perturbed(raw_dataset, target)
    assert not target.exists()


@pytest.mark.parametrize(
    ("value", "message"), [(7, "holds the value 7"), (1.5, "holds values that are no whole numbers, such as 1.5")]
)
def test_a_label_file_with_an_unknown_value_is_named(raw_dataset, tmp_path, value, message):
    path = raw_dataset / "labelsTr/box_02.nii.gz"
    image = nib.load(path)
    labels = image.get_fdata()
    labels[0, 0, 0] = value
    nib.save(nib.Nifti1Image(labels.astype(np.float32), image.affine), path)

    with pytest.raises(HyperSORTError, match=rf"box_02\.nii\.gz {message}"):
        perturbed(raw_dataset, tmp_path / "Dataset902_Styles")


def test_the_ignore_label_stays_where_it_is_in_every_style_and_error(raw_dataset, tmp_path, write_dataset_json):
    write_dataset_json(raw_dataset, labels={"background": 0, "front": 1, "back": 2, "ignore": 3})
    for path in (raw_dataset / "labelsTr").iterdir():
        image = nib.load(path)
        labels = np.asanyarray(image.dataobj).copy()
        labels[7, 8:11, :] = 3
        nib.save(nib.Nifti1Image(labels, image.affine), path)
    target = tmp_path / "Dataset902_Styles"

    perturbed(raw_dataset, target, all_styles=True)

    for path in [*(target / "labelsTr").iterdir(), *(target / "labels_all_styles").glob("*/*")]:
        assert np.array_equal(labels_in(path) == 3, labels_in(raw_dataset / "labelsTr" / path.name) == 3)


def test_a_dataset_that_lists_its_files_is_written_in_the_standard_layout(raw_dataset, tmp_path, write_dataset_json):
    listed = {
        f"box_{number:02d}": {
            "images": [f"elsewhere/scan{number}.nii.gz"],
            "label": f"labelsTr/box_{number:02d}.nii.gz",
        }
        for number in range(12)
    }
    (raw_dataset / "elsewhere").mkdir()
    for number in range(12):
        (raw_dataset / f"imagesTr/box_{number:02d}_0000.nii.gz").rename(raw_dataset / f"elsewhere/scan{number}.nii.gz")
    write_dataset_json(raw_dataset, dataset=listed)
    target = tmp_path / "Dataset902_Styles"

    perturbed(raw_dataset, target)

    assert "dataset" not in json.loads((target / "dataset.json").read_text())
    assert os.path.samefile(raw_dataset / "elsewhere/scan4.nii.gz", target / "imagesTr/box_04_0000.nii.gz")


def test_two_dimensional_images_without_orientation(tmp_path, write_dataset_json):
    source = tmp_path / "Dataset901_Plates"
    for name in ("imagesTr", "labelsTr"):
        (source / name).mkdir(parents=True)
    plate = np.zeros((20, 24), dtype=np.uint8)
    plate[5:10, 6:12] = 1
    for number in range(4):
        sitk.WriteImage(sitk.GetImageFromArray(plate * 100), str(source / f"imagesTr/plate_{number}_0000.png"))
        sitk.WriteImage(sitk.GetImageFromArray(plate), str(source / f"labelsTr/plate_{number}.png"))
    write_dataset_json(source, labels={"background": 0, "plate": 1}, file_ending=".png")
    target = tmp_path / "Dataset902_Styles"
    steps = [
        {"offset": {"axis": "left-right", "mm": -3}},
        {"offset": {"axis": "posterior-anterior", "mm": -1}},
        {"dilate": {"mm": 1}},
    ]

    perturbed(source, target, {"styles": {"moved": {"proportion": 1, "operations": steps}}})

    # Columns run to the left and rows to the posterior, as in DICOM and ITK.
    expected = np.zeros_like(plate)
    expected[6:11, 8:16] = 1
    expected[5:12, 9:15] = 1
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(target / "labelsTr/plate_2.png")))
    assert np.array_equal(written, expected)


def test_an_error_without_effect_is_reported(raw_dataset, tmp_path):
    spec = {
        "styles": {"nothing": {"proportion": 1, "operations": [{"leave_out": {"labels": ["front", "back"]}}]}},
        "errors": {"rate": 0.1, "kinds": ["empty"]},
    }
    rows = perturbed(raw_dataset, tmp_path / "Dataset902_Styles", spec)

    (wrong,) = (row.case for row in rows if row.error != "none")
    assert f"left the label as it was in {wrong}" in summary(rows)


def test_command_line(raw_dataset, tmp_path, capsys):
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(SPEC))
    one, two = (tmp_path / part / "Dataset902_Styles" for part in "ab")
    options = ["--spec", str(spec), "--seed", "7", "--all-styles", "--processes", "1"]

    assert main(["perturb", str(raw_dataset), str(one), *options]) == 0
    assert "as_drawn 6, front_only 2, to_the_right 4" in capsys.readouterr().out
    subprocess.run(
        [sys.executable, "-m", "nnunetv2_hypersort.cli.main", "perturb", str(raw_dataset), str(two), *options],
        check=True,
        capture_output=True,
    )
    assert files_of(one) == files_of(two)
    assert main(["perturb", str(raw_dataset), str(one), "--spec", "nowhere.yaml"]) == 1
    assert "nowhere.yaml does not exist" in capsys.readouterr().err


def test_nnunet_accepts_the_result_on_real_data(shared_data, tmp_path, write_dataset_json):
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    task = shared_data / "Task04_Hippocampus"
    source = tmp_path / "Dataset004_Hippocampus"
    for name in ("imagesTr", "labelsTr"):
        (source / name).mkdir(parents=True)
    for path in sorted(task.glob("labelsTr/hippocampus_*.nii.gz"))[:10]:
        shutil.copy(path, source / "labelsTr" / path.name)
        shutil.copy(task / "imagesTr" / path.name, source / "imagesTr" / path.name.replace(".nii", "_0000.nii"))
    write_dataset_json(source, labels={"background": 0, "Anterior": 1, "Posterior": 2}, numTraining=10)
    target = tmp_path / "Dataset902_Styles"

    rows = perturb_dataset(
        source, target, "perturb_hippocampus_turn", seed=7, all_styles=True, processes=1, progress=False
    )

    assert sorted(Counter(row.style for row in rows).values()) == [2, 3, 5]
    verify_dataset_integrity(str(target), num_processes=1)
    straight, one, other = (
        labels_in(target / "labels_all_styles" / style / "hippocampus_001.nii.gz") > 0
        for style in ("as_drawn", "turned_anticlockwise", "turned_clockwise")
    )
    # Turned, not resized: volumes agree to a few per cent, the outlines do not.
    assert one.sum() == pytest.approx(straight.sum(), rel=0.05)
    assert other.sum() == pytest.approx(straight.sum(), rel=0.05)
    assert (one & other).sum() < 0.85 * straight.sum()
