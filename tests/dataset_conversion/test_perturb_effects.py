"""What a style or an error did is measured; what can do nothing is refused before anything is written."""

import warnings

import nibabel as nib
import numpy as np
import pytest
from csv_rows import csv_rows
from planting import labels_in, perturbed

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.geometry import Grid
from nnunetv2_hypersort.perturbation.effects import measure_effect
from nnunetv2_hypersort.perturbation.perturb import summary

RAS = Grid.along((1.0, 1.0, 2.0), ("R", "A", "S"))
AS_DRAWN = {"as_drawn": {"proportion": 1}}
HALF = {"as_drawn": {"proportion": 0.5}}


def style(*steps, proportion=0.5):
    return {"styles": {**HALF, "b": {"proportion": proportion, "operations": list(steps)}}}


def replace_labels(path, labels):
    nib.save(nib.Nifti1Image(labels, nib.load(path).affine), path)


# The boxes of `raw_dataset` have voxels of 1 x 1 x 2 mm and neither holes nor anything around them.
@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{"dilate": {"mm": 0.3}}], r"dilate \(mm: 0.3\) changes none \(0.3 mm are less than the voxels' 1 mm\)"),
        ([{"erode": {"mm": 0.9}}], r"erode \(mm: 0.9\) .*0.9 mm are less than the voxels' 1 mm"),
        ([{"offset": {"axis": "inferior-superior", "mm": -0.3}}], r"offset .*0.3 mm are less than the voxels' 2 mm"),
        ([{"cut": {"end": "superior", "mm": 0.9}}], r"cut .*0.9 mm are less than the voxels' 2 mm"),
        (
            [{"rotate_slices": {"axis": "left-right", "degrees": 0.01}}],
            r"rotate_slices .*there is nothing in the labels",
        ),
        ([{"fill_holes": {}}], r"fill_holes changes none \(there is nothing in the labels for it to change\)"),
        ([{"leave_out": {"labels": ["spare"]}}], r"leave_out .*images have no label that it works on"),
        (
            [{"leave_out": {"labels": ["spare"]}}, {"dilate": {"mm": 0.5}}],
            r"leave_out .*no label that it works on\), dilate .*0.5 mm are less",
        ),
        (
            [{"offset": {"axis": "left-right", "mm": 2}}, {"offset": {"axis": "left-right", "mm": -2}}],
            "what one of its operations does, another undoes",
        ),
    ],
)
def test_a_style_that_changes_no_label_is_refused_with_the_reason(raw_dataset, write_dataset_json, steps, said):
    write_dataset_json(raw_dataset, labels={"background": 0, "front": 1, "back": 2, "spare": 3})

    with pytest.raises(HyperSORTError, match=rf"The style 'b' changes the label of none of its 6 cases: .*{said}"):
        perturbed(raw_dataset, style(*steps), all_styles=True)

    assert not raw_dataset.with_name("Dataset902_Styles").exists()


def test_a_style_without_operations_is_legal(raw_dataset):
    rows = perturbed(raw_dataset, {"styles": {**HALF, "as_drawn_too": {"proportion": 0.5}}})

    assert [row.style_voxels for row in rows] == [0] * 12
    assert "labels that the style changed: as_drawn 0 of 6, as_drawn_too 0 of 6" in summary(rows)


def test_an_idle_operation_beside_one_that_works_is_named(raw_dataset):
    with pytest.warns(UserWarning, match=r"^Of the 6 cases of style b, fill_holes changes none \(.*\)\.$"):
        rows = perturbed(raw_dataset, style({"fill_holes": {}}, {"dilate": {"mm": 1}}))

    assert "labels that the style changed: as_drawn 0 of 6, b 6 of 6" in summary(rows)


def test_one_case_with_an_effect_is_enough(raw_dataset):
    # A hole in one case of twelve, all of which are of the style.
    path = raw_dataset / "labelsTr/box_08.nii.gz"
    labels = labels_in(path).copy()
    hole = tuple(np.argwhere(labels == 2).mean(axis=0).astype(int))
    labels[hole] = 0
    replace_labels(path, labels)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = perturbed(raw_dataset, {"styles": {"b": {"proportion": 1, "operations": [{"fill_holes": {}}]}}})

    assert {row.case: row.style_voxels for row in rows if row.style_voxels} == {"box_08": 1}
    assert labels_in(raw_dataset.with_name("Dataset902_Styles") / "labelsTr/box_08.nii.gz")[hole] == 2


def test_the_truth_says_what_each_error_did(raw_dataset):
    kinds = [{"shift": {"mm": 40, "axis": "left-right"}}, "empty", {"spill": {"mm": 0.4}}, {"shift": {"mm": 2}}]

    rows = perturbed(raw_dataset, {"styles": AS_DRAWN, "errors": {"rate": 1, "kinds": kinds}})

    target = raw_dataset.with_name("Dataset902_Styles")
    listed = {row["case"]: row for row in csv_rows(target / "styles.csv")}
    seen = set()
    for row in rows:
        drawn, written = (labels_in(folder / f"labelsTr/{row.case}.nii.gz") > 0 for folder in (raw_dataset, target))
        cells = listed[row.case]
        if row.error == "spill":
            expected = ("unchanged", "0.0", "1.0")
        elif not written.any():
            expected = ("emptied", "", "0.0")
        else:
            centres = [np.argwhere(mask).mean(axis=0) * (1, 1, 2) for mask in (drawn, written)]
            moved = np.linalg.norm(centres[1] - centres[0])
            expected = ("changed", str(round(moved, 2)), str(round(written.sum() / drawn.sum(), 4)))
        assert (cells["outcome"], cells["moved_mm"], cells["volume_ratio"]) == expected
        assert cells["style_voxels"] == "0"
        seen.add((row.error, expected[0]))
    assert seen == {("shift", "emptied"), ("empty", "emptied"), ("spill", "unchanged"), ("shift", "changed")}
    emptied = ", ".join(row.case for row in rows if row.error == "shift" and row.outcome == "emptied")
    unchanged = ", ".join(row.case for row in rows if row.error == "spill")
    assert f"the error shift left no label at all in {emptied}" in summary(rows)
    assert f"left the label as it was in {unchanged}" in summary(rows)
    assert "the error empty left" not in summary(rows)


def test_without_an_error_nothing_is_said_of_one(raw_dataset):
    rows = perturbed(raw_dataset, {"styles": AS_DRAWN})

    assert {(row.outcome, row.moved_mm, row.volume_ratio) for row in rows} == {("", None, None)}
    text = (raw_dataset.with_name("Dataset902_Styles") / "styles.csv").read_text()
    assert text.splitlines()[:2] == [
        "case,style,error,donor,dice,outcome,moved_mm,volume_ratio,style_voxels",
        "box_00,as_drawn,none,,1.0,,,,0",
    ]


def test_the_truth_is_told_of_the_files_that_are_there(raw_dataset):
    spec = {"styles": AS_DRAWN, "errors": {"rate": 1, "kinds": [{"shift": {"mm": 3, "axis": "left-right"}}]}}
    perturbed(raw_dataset, spec)
    target = raw_dataset.with_name("Dataset902_Styles")
    # As an older version would have left it, which drew other ways in a plane.
    replace_labels(target / "labelsTr/box_04.nii.gz", labels_in(raw_dataset / "labelsTr/box_04.nii.gz"))
    replace_labels(target / "labelsTr/box_05.nii.gz", np.zeros((16, 18, 10), np.uint8))

    rows = {row.case: row.outcome for row in perturbed(raw_dataset, spec)}

    assert rows.pop("box_04") == "unchanged"
    assert rows.pop("box_05") == "emptied"
    assert set(rows.values()) == {"changed"}


def test_effects_by_hand():
    before = np.zeros((6, 6, 4), np.uint16)
    before[1:3, 1:3, 1] = 1
    after = np.zeros_like(before)
    after[1:3, 1:3, 3] = 1
    after[1:3, 4:6, 3] = 2

    # Two slices of 2 mm up, and with the second label 1.5 mm along the second axis: 4.272 mm.
    effect = measure_effect(before, after, RAS, (1, 2))

    assert (effect.outcome, effect.volume_ratio, effect.dice) == ("changed", 2.0, 0.0)
    assert effect.moved_mm == pytest.approx(np.hypot(4, 1.5))
    assert measure_effect(before, np.zeros_like(before), RAS, (1, 2)).outcome == "emptied"
    nothing = measure_effect(np.zeros_like(before), after, RAS, (1, 2))
    assert (nothing.outcome, nothing.moved_mm, nothing.volume_ratio) == ("changed", None, None)
    same = measure_effect(np.zeros_like(before), np.zeros_like(before), RAS, (1, 2))
    assert (same.outcome, same.dice) == ("unchanged", 1.0)
    # The ignore label, 3 here, is no label that moves.
    ignored = np.where(before == 0, 3, before).astype(np.uint16)
    assert measure_effect(ignored, np.where(ignored == 1, 0, ignored), RAS, (1, 2)).outcome == "emptied"
