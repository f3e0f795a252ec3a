"""NSD tolerances from a file and from two annotators."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluation_helpers import make_box, write_nifti

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.evaluation.tolerance import read_tolerances

LABELS = {"background": 0, "point": 1, "plate": 2, "rare": 3}
SHAPE = (12, 12, 30)
SPACING = (4.0, 1.0, 0.5)
Folders = Callable[..., tuple[Path, Path, Path]]


def draw(point: int, plate: int) -> np.ndarray:
    """A single voxel at x = `point`, and a plate of one voxel in z at z = `plate` through the whole image."""
    array = make_box(SHAPE, (0, 1), (3, 4), (point, point + 1), value=1)
    return array + make_box(SHAPE, (plate, plate + 1), (0, 12), (0, 30), value=2)


def test_tolerance_is_the_mean_distance_pooled_within_subjects(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Points differ by 2, 4 and 10 voxels of 0.5 mm; plates by 1, 1 and 2 voxels of 4 mm.
    first = {"a": draw(5, 6), "b": draw(5, 6), "c": draw(5, 6)}
    second = {"a": draw(7, 7), "b": draw(9, 5), "c": draw(15, 8)}
    reference, prediction, dataset_json = folders(first, second, LABELS, SPACING)
    arguments = ["--estimate-tolerance", reference, prediction, "-djfile", dataset_json, "-np", 1]
    assert main(["evaluate", *map(str, arguments), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "| point " in printed
    assert "No case has rare in both folders" in printed
    tolerances = json.loads((tmp_path / "out" / "nsd_tolerance.json").read_text())
    assert tolerances == pytest.approx({"point": (1 + 2 + 5) / 3, "plate": (4 + 4 + 8) / 3})

    # Cases a and b of one subject: pooled, then the mean over the two subjects.
    subjects = tmp_path / "subjects.csv"
    subjects.write_text("case,subject\na,one\nb,one\nc,two\n")
    arguments += ["--subjects", subjects]
    assert main(["evaluate", *map(str, arguments), "-o", str(tmp_path / "pooled")]) == 0
    tolerances = json.loads((tmp_path / "pooled" / "nsd_tolerance.json").read_text())
    assert tolerances == pytest.approx({"point": ((1 + 2) / 2 + 5) / 2, "plate": (4 + 8) / 2})


def test_estimated_file_is_what_evaluate_takes(folders: Folders, tmp_path: Path) -> None:
    labels = {name: value for name, value in LABELS.items() if name != "rare"}
    reference, prediction, dataset_json = folders({"a": draw(5, 6)}, {"a": draw(7, 7)}, labels, SPACING)
    common = ["-djfile", dataset_json, "-np", 1, "-o", tmp_path / "out"]
    assert main(["evaluate", *map(str, ["--estimate-tolerance", reference, prediction, *common])]) == 0
    path = tmp_path / "out" / "nsd_tolerance.json"
    arguments = ["-ref", reference, "-pred", prediction, "--nsd-tolerance-file", path, "--no-figures"]
    assert main(["evaluate", *map(str, [*arguments, *common])]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["hypersort"]
    assert summary["nsd_tolerance_mm"] == {"point": 1.0, "plate": 4.0}
    assert summary["results"]["pred"]["labels"]["point"]["NSD"]["mean"] == pytest.approx(1.0)


def test_bad_annotations_are_all_named_and_the_file_is_kept(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, prediction, dataset_json = folders(
        {"a": draw(5, 6), "b": draw(5, 6)}, {"a": draw(5, 6) * 3, "b": draw(5, 6)}, LABELS
    )
    write_nifti(prediction / "b.nii.gz", draw(5, 6)[:-1])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "nsd_tolerance.json").write_text("{}")
    arguments = ["--estimate-tolerance", reference, prediction, "-djfile", dataset_json, "-np", 1]
    assert main(["evaluate", *map(str, arguments), "-o", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert "2 problems" in message
    assert "holds the value 6" in message
    assert "11 x 12 x 30 voxels instead of 12 x 12 x 30" in message
    assert (tmp_path / "out" / "nsd_tolerance.json").read_text() == "{}"


def test_annotators_without_a_common_label_are_an_error(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = np.zeros(SHAPE, np.uint8)
    reference, prediction, dataset_json = folders({"a": draw(5, 6)}, {"a": empty}, LABELS)
    arguments = ["--estimate-tolerance", reference, prediction, "-djfile", dataset_json, "-np", 1]
    assert main(["evaluate", *map(str, arguments), "-o", str(tmp_path / "out")]) == 1
    assert "No label is in both" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "must hold names and tolerances"),
        ('{"a": 1}', "has no tolerance for b"),
        ('{"a": 1, "b": -1}', '"b": a tolerance must be a number of millimetres'),
        ('{"a": 1, "b": "2"}', '"b": a tolerance must be'),
        ('{"a": 1, "b": NaN}', '"b": a tolerance must be'),
        ('{"a": 1, "b": true}', '"b": a tolerance must be'),
    ],
)
def test_unusable_tolerance_files_are_explained(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "tolerance.json"
    path.write_text(text)
    with pytest.raises(HyperSORTError) as caught:
        read_tolerances(path, ["a", "b"])
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_tolerance_file_may_hold_more_than_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "tolerance.json"
    path.write_text('{"c": 9, "b": 2.5, "a": 0}')
    assert read_tolerances(path, ["a", "b"]) == [0.0, 2.5]
    with pytest.raises(HyperSORTError, match="does not exist"):
        read_tolerances(tmp_path / "none.json", ["a"])
