"""What changed between two label maps, against numbers worked out by hand."""

import numpy as np
import pytest
import SimpleITK
from csv_rows import csv_rows

from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.handover.label_changes import compare_labels, summarise_changes, write_changes
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.reading import reader_for

LABELS = LabelTable({"background": 0, "one": 1, "two": 2})


@pytest.fixture
def changes(tmp_path):
    def write(name, *boxes):
        voxels = np.zeros((8, 8, 8), np.uint8)
        for value, box in boxes:
            voxels[box] = value
        image = SimpleITK.GetImageFromArray(voxels)
        image.SetSpacing((1.0, 2.0, 3.0))
        SimpleITK.WriteImage(image, str(tmp_path / name))
        return tmp_path / name

    # Four slices along the axis of 3 mm become five; the second label appears in one case and is in none of the other.
    cube, taller = np.s_[1:5, 2:4, 2:4], np.s_[1:6, 2:4, 2:4]
    cases = [
        Case("grown", write("a.nii.gz", (1, cube)), (write("b.nii.gz", (1, taller)),)),
        Case("new", write("c.nii.gz", (1, cube)), (write("d.nii.gz", (1, cube), (2, np.s_[7:, :1, :1])),)),
    ]
    return compare_labels(
        cases,
        {"grown": "0", "new": "1"},
        LABELS,
        reader_for({"file_ending": ".nii.gz"}),
        num_processes=1,
        progress=False,
    )


def test_volumes_overlap_and_distance(changes):
    by_key = {(change.case, change.label): change for change in changes}
    grown = by_key["grown", "one"]
    assert (grown.volume_before, grown.volume_after) == (16 * 6, 20 * 6)
    assert grown.dice == pytest.approx(2 * 16 / 36, abs=1e-4)
    # The four voxels of the new slice are 3 mm away from the old surface: a fifth of the new one's surface voxels.
    assert grown.hd95 == 3
    assert grown.fold == "0"
    same = by_key["new", "one"]
    assert (same.dice, same.hd95, same.volume_after) == (1, 0, 96)
    assert by_key["new", "two"].dice == 0
    assert np.isnan(by_key["grown", "two"].dice)


def test_the_table_starts_with_what_changed_most(changes, tmp_path):
    assert [(change.case, change.label) for change in changes] == [
        ("new", "two"),
        ("grown", "one"),
        ("new", "one"),
        ("grown", "two"),
    ]
    write_changes(tmp_path / "changes.csv", changes)
    rows = csv_rows(tmp_path / "changes.csv")
    assert list(rows[0]) == ["case", "fold", "label", "volume_before", "volume_after", "dice", "hd95"]
    assert (rows[3]["dice"], rows[3]["hd95"]) == ("", "")
    text = summarise_changes(changes)
    # Ratios 1.25 and 1; Dice 0.8889 and 1; HD95 3 and 0. The second label was nowhere before, so it has no ratio.
    assert "| one | 2 | +12.5% | 0.9444 | 1.50 |" in text
    assert "| two | 2 |  | 0.0000 |" in text
    assert "Changed most: new two (Dice 0.000), grown one (Dice 0.889)" in text
