"""`hypersort evaluate` on files that only nnU-Net's own reading gets right, with numbers worked out by other means."""

import json
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from csv_rows import csv_rows
from evaluation_helpers import make_box, write_dataset_json, write_nifti
from matplotlib.text import Text
from PIL import Image

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.evaluation import compute_case_scores
from nnunetv2_hypersort.evaluation.box_plots import draw_box_plot
from nnunetv2_hypersort.evaluation.score_table import ScoreTable
from nnunetv2_hypersort.files.figures import as_label, names_are_text
from nnunetv2_hypersort.images.labels import LabelTable


def run(folder: Path, *arguments: object) -> int:
    given = {"-ref": "ref", "-pred": "pred", "-djfile": "dataset.json", "-o": "out"}
    options = [text for option, name in given.items() for text in (option, str(folder / name))]
    return main(["evaluate", *options, "-np", "1", *map(str, arguments)])


def folders(folder: Path, *names: str) -> list[Path]:
    made = [folder / name for name in names]
    for path in made:
        path.mkdir()
    return made


def rows(folder: Path) -> list[dict[str, str]]:
    return csv_rows(folder / "out" / "metrics.csv")


def test_millimetres_are_nnunets_where_a_header_disagrees_with_itself(tmp_path: Path) -> None:
    # As ACDC has them: the sform says 1 mm, qform and pixdim 1.32 x 1.32 x 10 mm.
    reference = make_box((6, 20, 20), (1, 4), (4, 12), (5, 14))
    prediction = make_box((6, 20, 20), (2, 5), (4, 12), (5, 14))
    for path, array in zip(folders(tmp_path, "ref", "pred"), (reference, prediction), strict=True):
        image = nibabel.Nifti1Image(array.T, None)
        image.set_qform(np.diag([1.32, 1.32, 10, 1]), 1)
        image.set_sform(np.eye(4), 1)
        nibabel.save(image, path / "c.nii.gz")
    write_dataset_json(tmp_path / "dataset.json", {"background": 0, "heart": 1})
    assert run(tmp_path, "--no-figures") == 0
    table = LabelTable({"background": 0, "heart": 1})
    (expected,) = compute_case_scores(reference, prediction, labels=table, spacing=(10.0, 1.32, 1.32))
    (row,) = rows(tmp_path)
    assert float(row["HD95"]) == pytest.approx(10)
    assert [float(row[name]) for name in ("DSC", "HD95", "NSD", "ASD", "VS")] == pytest.approx(
        expected.values, abs=1e-4
    )
    assert float(row["reference_volume_mm3"]) == pytest.approx(3 * 8 * 9 * 1.32**2 * 10, rel=1e-5)
    notes = json.loads((tmp_path / "out" / "summary.json").read_text())["hypersort"]["notes"]
    (named,) = [note for note in notes if "disagree" in note]
    assert "sform 1 x 1 x 1" in named
    assert "1.32 x 1.32 x 10" in named
    assert f"The same holds for {tmp_path / 'pred' / 'c.nii.gz'}." in named


def test_a_consistent_prediction_of_an_inconsistent_reference_is_on_its_grid(tmp_path: Path) -> None:
    # What nnU-Net writes for the image above: ITK's geometry, in sform and qform alike.
    array = make_box((6, 20, 20), (1, 4), (4, 12), (5, 14))
    reference, prediction = folders(tmp_path, "ref", "pred")
    image = nibabel.Nifti1Image(array.T, None)
    image.set_qform(np.diag([1.32, 1.32, 10, 1]), 1)
    image.set_sform(np.eye(4), 1)
    nibabel.save(image, reference / "c.nii.gz")
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    found, properties = SimpleITKIO().read_seg(str(reference / "c.nii.gz"))
    SimpleITKIO().write_seg(found[0], str(prediction / "c.nii.gz"), properties)
    write_dataset_json(tmp_path / "dataset.json", {"background": 0, "heart": 1})
    assert run(tmp_path, "--no-figures") == 0
    assert float(rows(tmp_path)[0]["HD95"]) == 0


def test_colour_images_lie_below_the_contours(tmp_path: Path) -> None:
    reference, prediction, images = folders(tmp_path, "ref", "pred", "images")
    labels = make_box((40, 50), (10, 20), (10, 30))
    Image.fromarray(labels).save(reference / "c.png")
    Image.fromarray(np.roll(labels, 1, 0)).save(prediction / "c.png")
    write_dataset_json(tmp_path / "dataset.json", {"background": 0, "vessel": 1}, file_ending=".png")
    pictures = []
    for colour in (0, 200):
        scan = np.zeros((40, 50, 3), np.uint8)
        scan[:, 25:, 1] = colour
        Image.fromarray(scan).save(images / "c_0000.png")
        assert run(tmp_path, "--images", images) == 0
        pictures.append((tmp_path / "out" / "figures" / "worst_cases_pred.png").read_bytes())
    assert pictures[0] != pictures[1]
    assert float(rows(tmp_path)[0]["DSC"]) == 0.9
    Image.fromarray(np.zeros((40, 51, 3), np.uint8)).save(images / "c_0000.png")
    assert run(tmp_path, "--images", images) == 1


def test_spacing_files_of_tiff_stacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference, prediction, images = folders(tmp_path, "ref", "pred", "images")
    labels = make_box((9, 40, 50), (2, 6), (10, 20), (10, 30))
    tifffile.imwrite(reference / "c.tif", labels)
    tifffile.imwrite(prediction / "c.tif", np.roll(labels, 1, 1))
    tifffile.imwrite(images / "c_0000.tif", labels * 100)
    write_dataset_json(tmp_path / "dataset.json", {"background": 0, "vessel": 1}, file_ending=".tif")
    for folder in (prediction, images):
        (folder / "c.json").write_text('{"spacing": [1, 0.5, 0.5]}')
    assert run(tmp_path, "--images", images) == 1
    assert f"c.json is missing beside {reference / 'c.tif'}" in capsys.readouterr().err
    assert run(tmp_path) == 1
    problem = capsys.readouterr().err
    assert f"c.json is missing beside {reference / 'c.tif'}" in problem
    assert "labelsTr" in problem
    (reference / "c.json").write_text('{"spacing": [1, 0.5, 0.5]}')
    assert run(tmp_path, "--images", images) == 0
    assert float(rows(tmp_path)[0]["HD95"]) == 0.5
    (images / "c.json").unlink()
    assert run(tmp_path, "--images", images) == 1
    assert f"c.json is missing beside {images / 'c_0000.tif'}" in capsys.readouterr().err


def test_memory_does_not_grow_with_label_values() -> None:
    array = make_box((24, 20, 8), (4, 12), (4, 12), (1, 5))
    peaks, results = [], []
    for value in (7, 20_000_000, 2**40):
        labels = LabelTable({"background": 0, "liver": value})
        reference = array.astype(np.int64) * value
        tracemalloc.start()
        results.append(compute_case_scores(reference, np.roll(reference, 1, 0), labels=labels, spacing=(1, 1, 1)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert results[1] == results[0]
    assert results[2] == results[0]
    assert max(peaks[1:]) < peaks[0] + 1_000_000


def test_large_label_values_from_files(tmp_path: Path) -> None:
    array = make_box((8, 20, 24), (1, 5), (4, 12), (4, 12)).astype(np.int32) * 20_000_000
    array[:, 16:] = 2
    for path in folders(tmp_path, "ref", "pred"):
        write_nifti(path / "c.nii.gz", array)
    write_dataset_json(tmp_path / "dataset.json", {"background": 0, "liver": 20_000_000, "spleen": 2})
    assert run(tmp_path, "--no-figures") == 0
    assert [float(row["DSC"]) for row in rows(tmp_path)] == [1, 1]
    write_nifti(tmp_path / "pred" / "c.nii.gz", array + 1)
    assert run(tmp_path, "--no-figures") == 1


ODD_NAMES = ["T$_2$", "a $x_{ b$", "_begins", "back\\slash \\frac", "x" * 300, "two\nlines", "100 %"]
TWO_ODD = LabelTable({"background": 0, **dict(zip(ODD_NAMES, (1, 2), strict=False))})


def test_names_in_figures_are_text(tmp_path: Path) -> None:
    labels = {"background": 0, **{name: value for value, name in enumerate(ODD_NAMES, start=1)}}
    array = make_box((8, 20, 24), (1, 5), (4, 12), (4, 12))
    for value in range(2, len(labels)):
        array[:, 14, 2 * value : 2 * value + 2] = value
    for folder in folders(tmp_path, "ref", "pred", "other $_{"):
        write_nifti(folder / "c $a_{b.nii.gz", np.roll(array, 1, 0) if folder.name != "ref" else array)
    write_dataset_json(tmp_path / "dataset.json", labels)
    assert run(tmp_path, "-pred", tmp_path / "other $_{") == 0
    assert len(list((tmp_path / "out" / "figures").glob("*.png"))) == 5 + 1 + 2


def test_what_stands_in_a_figure_is_the_name(tmp_path: Path) -> None:
    scores = [
        compute_case_scores(np.eye(4, dtype=int), np.eye(4, dtype=int), labels=TWO_ODD, spacing=(1, 1), surfaces=False)
    ]
    table = ScoreTable.from_scores([scores], methods=["a"], cases=["c"], subjects=["c"], structures=TWO_ODD.names)
    with names_are_text():
        figure = draw_box_plot(table, "DSC")
        assert figure is not None
        figure.savefig(tmp_path / "figure.png")
    shown = [text for text in figure.findobj(Text) if text.get_text() == ODD_NAMES[0]]
    assert shown
    assert not any(text.get_parse_math() for text in shown)


def test_names_as_labels() -> None:
    assert as_label("liver") == "liver"
    assert as_label("a  b\nc\x00") == "a b c"
    assert not as_label("_begins").startswith("_")
    long = as_label("left " + "x" * 300 + " right")
    assert len(long) == 60
    assert long.startswith("left xxx")
    assert long.endswith("x right")
