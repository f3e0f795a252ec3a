"""`hypersort evaluate` as a user meets it: files in, tables, JSON and figures out, one sentence per bad file."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from csv_rows import csv_rows
from evaluation_helpers import make_box, write_dataset_json, write_nifti

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.evaluation import Evaluation, Presence, evaluate_folders

LABELS = {"background": 0, "liver": 1, "spleen": 2}
SHAPE = (12, 14, 16)
SPACING = (2.0, 1.0, 1.0)
NORMAL = make_box(SHAPE, (1, 7), (1, 7), (1, 7)) + make_box(SHAPE, (8, 11), (9, 12), (9, 12), value=2)
SHIFTED = np.roll(NORMAL, 1, 2)
NO_SPLEEN = NORMAL * (NORMAL == 1).astype(np.uint8)

Folders = Callable[..., tuple[Path, Path, Path]]


def run(reference: Path, prediction: Path, dataset_json: Path, *more: object, output: Path | None = None) -> int:
    """Run the command, by default with the folder `out` beside dataset.json."""
    files = (
        "-ref",
        reference,
        "-pred",
        prediction,
        "-djfile",
        dataset_json,
        "-o",
        output or dataset_json.parent / "out",
    )
    return main(["evaluate", *map(str, (*files, *more)), "-np", "1"])


def evaluate(reference: Path, prediction: Path, dataset_json: Path, output: str = "out", **options: Any) -> Evaluation:
    """Call the function, without figures unless they are asked for."""
    options = {"num_processes": 1, "figures": False, "progress": False, **options}
    return evaluate_folders(reference, [prediction], dataset_json, dataset_json.parent / output, **options)


def test_one_method_from_files_to_tables(folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = {"a": NORMAL, "b": NORMAL, "c": NO_SPLEEN, "d": NO_SPLEEN}
    predictions = {"a": NORMAL, "b": NO_SPLEEN, "c": NORMAL, "d": NO_SPLEEN}
    assert run(*folders(references, predictions, LABELS, SPACING)) == 0

    rows = csv_rows(tmp_path / "out" / "metrics.csv")
    assert list(rows[0])[:9] == ["method", "case", "subject", "label", "DSC", "HD95", "NSD", "ASD", "VS"]
    assert len(rows) == 4 * 2
    by_key = {(row["case"], row["label"]): row for row in rows}
    diagonal = np.sqrt(24**2 + 14**2 + 16**2)
    assert [float(by_key["a", "spleen"][m]) for m in ("DSC", "HD95", "NSD", "ASD", "VS")] == [1, 0, 1, 0, 1]
    for case, presence in (("b", "missed"), ("c", "false_positive")):
        row = by_key[case, "spleen"]
        assert row["presence"] == presence
        assert [float(row[m]) for m in ("DSC", "NSD", "VS")] == [0, 0, 0]
        assert float(row["HD95"]) == float(row["ASD"]) == pytest.approx(diagonal)
    assert [by_key["d", "spleen"][m] for m in ("DSC", "HD95", "NSD", "ASD", "VS")] == [""] * 5
    assert by_key["d", "spleen"]["presence"] == "absent"
    assert float(by_key["a", "spleen"]["reference_volume_mm3"]) == 27 * 2

    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    spleen = summary["hypersort"]["results"]["pred"]["labels"]["spleen"]
    assert spleen["cases"] == {"both": 1, "missed": 1, "false_positive": 1, "absent": 1}
    assert spleen["DSC"]["mean"] == pytest.approx(1 / 3)
    assert spleen["DSC"]["num_subjects"] == 3
    assert spleen["HD95"]["mean"] == pytest.approx(diagonal * 2 / 3)
    mean = summary["hypersort"]["results"]["pred"]["mean"]
    assert mean["DSC"]["mean"] == pytest.approx((1 + 1 / 3) / 2)
    low, high = mean["DSC"]["ci95"]
    assert low < mean["DSC"]["mean"] < high

    printed = capsys.readouterr().out
    assert "| spleen" in printed
    assert "| **mean**" in printed
    assert "In one label map only: 2 of 8 (methods x cases x labels), 1 missed and 1 false positive;" in printed
    assert "In neither label map (absent): 1 of 8 " in printed
    assert (tmp_path / "out" / "table.md").read_text() in printed
    for name in ("box_plot_DSC", "box_plot_HD95", "box_plot_NSD", "box_plot_ASD", "box_plot_VS", "worst_cases_pred"):
        assert (tmp_path / "out" / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert not list((tmp_path / "out").rglob(".tmp*"))


def test_subjects_groups_and_two_methods(folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [f"case{i}" for i in range(6)]
    reference, first, dataset_json = folders(dict.fromkeys(cases, NORMAL), dict.fromkeys(cases, SHIFTED), LABELS)
    _, second, _ = folders({}, dict.fromkeys(cases, NORMAL), LABELS, name="better")
    subjects = tmp_path / "subjects.csv"
    subjects.write_text("\ufeffcase,subject,site\n" + "".join(f"case{i},s{i // 2},x\n" for i in range(6)))
    more = ("-pred", second, "--subjects", subjects, "--groups", "soft=liver,spleen", "--resamples", 50)
    assert run(reference, first, dataset_json, *more) == 0

    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["hypersort"]
    assert summary["methods"] == ["pred", "better"]
    assert (summary["num_cases"], summary["num_subjects"]) == (6, 3)
    assert summary["groups"] == {"soft": ["liver", "spleen"]}
    assert summary["num_resamples"] == 50
    liver_dice, spleen_dice = 2 * 180 / 432, 2 * 18 / 54
    group = summary["results"]["pred"]["groups"]["soft"]["DSC"]
    assert group["mean"] == pytest.approx((liver_dice + spleen_dice) / 2)
    assert group["num_subjects"] == 3
    (difference,) = [entry for entry in summary["comparisons"] if entry["row"] == "spleen" and entry["metric"] == "DSC"]
    assert (difference["first"], difference["second"]) == ("pred", "better")
    assert difference["second_minus_first"]["mean"] == pytest.approx(1 - spleen_dice)
    ranks = {(entry["method"], entry["metric"]): entry["rank"] for entry in summary["ranks"] if entry["kind"] == "mean"}
    assert ranks["better", "DSC"] == ranks["better", "HD95"] == 1
    assert ranks["pred", "DSC"] == 2
    assert "better - pred" in capsys.readouterr().out

    rows = csv_rows(tmp_path / "out" / "metrics.csv")
    assert {row["subject"] for row in rows} == {"s0", "s1", "s2"}
    groups = csv_rows(tmp_path / "out" / "metrics_groups.csv")
    assert len(groups) == 12
    assert float(groups[0]["DSC"]) == pytest.approx((liver_dice + spleen_dice) / 2)
    assert (tmp_path / "out" / "figures" / "difference_better_minus_pred.png").is_file()
    for method in ("pred", "better"):
        assert "foreground_mean" in json.loads((tmp_path / "out" / f"summary_{method}.json").read_text())


def test_workers_give_the_same_numbers(folders: Folders, tmp_path: Path) -> None:
    cases = [f"case{i}" for i in range(4)]
    predictions = dict(zip(cases, [SHIFTED, NORMAL, NO_SPLEEN, SHIFTED], strict=True))
    files = folders(dict.fromkeys(cases, NORMAL), predictions, LABELS)
    results = [evaluate(*files, f"out{n}", num_processes=n) for n in (1, 2)]
    np.testing.assert_array_equal(results[0].table.values, results[1].table.values)
    for name in ("metrics.csv", "table.md"):
        assert (tmp_path / "out1" / name).read_text() == (tmp_path / "out2" / name).read_text()


def test_size_groups_come_from_the_data_by_name(folders: Folders, tmp_path: Path) -> None:
    # The label values are in no order of size.
    array = make_box(SHAPE, (0, 9), (0, 9), (0, 9), value=3)
    array += make_box(SHAPE, (9, 10), (0, 1), (0, 2), value=1) + make_box(SHAPE, (10, 12), (9, 12), (9, 12), value=2)
    labels = {"background": 0, "tiny": 1, "middling": 2, "huge": 3}
    result = evaluate(*folders({"a": array}, {"a": array}, labels))
    assert result.groups == {"small": ["tiny"], "medium": ["middling"], "large": ["huge"]}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["hypersort"]["groups"] == result.groups


def test_cases_in_one_folder_only_are_an_error_that_lists_them(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, prediction, dataset_json = folders(
        {"a": NORMAL, "b": NORMAL, "only_ref": NORMAL}, {"a": NORMAL, "b": SHIFTED, "only_pred": NORMAL}, LABELS
    )
    assert run(reference, prediction, dataset_json) == 1
    message = capsys.readouterr().err
    assert f"{reference} lacks 1 of 4 cases: only_pred" in message
    assert f"{prediction} lacks 1 of 4 cases: only_ref" in message
    assert "--allow-missing" in message
    assert not (tmp_path / "out").exists()

    result = evaluate(reference, prediction, dataset_json, allow_missing=True, figures=True)
    table = result.table
    assert table.cases == ("a", "b", "only_pred", "only_ref")
    assert list(table.presence[0, 2]) == [Presence.FALSE_POSITIVE] * 2
    assert list(table.presence[0, 3]) == [Presence.MISSED] * 2
    assert (table.values[0, 2:, :, 0] == 0).all()
    assert "Counted as empty (--allow-missing): 2 missing files" in result.markdown
    per_case = json.loads((tmp_path / "out" / "summary.json").read_text())["metric_per_case"]
    assert per_case[2]["reference_file"] is None
    assert per_case[3]["prediction_file"] is None

    result = evaluate(reference, prediction, dataset_json, "common", common_cases=True)
    assert result.table.cases == ("a", "b")
    assert "only_pred, only_ref" in result.markdown


def test_every_bad_file_gets_its_sentence_and_nothing_is_written(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["fine", "grid", "spacing", "values", "fraction", "truncated", "negative"]
    reference, prediction, dataset_json = folders(dict.fromkeys(names, NORMAL), {"fine": NORMAL}, LABELS)
    write_nifti(prediction / "grid.nii.gz", NORMAL[:-1])
    write_nifti(prediction / "spacing.nii.gz", NORMAL, (1.0, 1.0, 1.5))
    write_nifti(prediction / "values.nii.gz", np.where(NORMAL == 2, 7, NORMAL).astype(np.uint8))
    write_nifti(prediction / "fraction.nii.gz", (NORMAL * 0.9).astype(np.float32))
    write_nifti(prediction / "negative.nii.gz", NORMAL.astype(np.int16) * -1)
    noisy = np.random.default_rng(0).integers(0, 3, SHAPE, dtype=np.uint8)
    content = write_nifti(prediction / "truncated.nii.gz", noisy).read_bytes()
    (prediction / "truncated.nii.gz").write_bytes(content[: len(content) // 2])
    output = tmp_path / "out"
    output.mkdir()
    (output / "summary.json").write_text("an earlier result")
    assert run(reference, prediction, dataset_json) == 1
    message = capsys.readouterr().err
    assert "6 problems" in message
    for name, words in (
        ("grid", "11 x 14 x 16 voxels instead of 12 x 14 x 16"),
        ("spacing", "a spacing of 1 x 1 x 1.5 mm instead of 1 x 1 x 1 mm"),
        ("values", "holds the value 7, which dataset.json does not know"),
        ("fraction", "holds values that are no whole numbers, such as 0.9"),
        ("negative", "holds the values -2, -1, which dataset.json does not know"),
        ("truncated", "is truncated or no readable label file"),
    ):
        lines = [line for line in message.splitlines() if f"{name}.nii.gz" in line and words in line]
        assert len(lines) == 1, name
    assert "fine.nii.gz" not in message
    assert [path.name for path in output.iterdir()] == ["summary.json"]
    assert (output / "summary.json").read_text() == "an earlier result"


def test_float_label_file_of_whole_numbers_is_used_and_named(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*folders({"a": NORMAL.astype(np.float32)}, {"a": NORMAL}, LABELS)) == 0
    assert f"{tmp_path / 'ref' / 'a.nii.gz'} stores its labels as floating point" in capsys.readouterr().out


def test_unusable_folders_are_explained(folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference, prediction, dataset_json = folders({"a": NORMAL}, {"a": NORMAL}, LABELS)
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    other.mkdir()
    (other / "a.mha").write_bytes(b"")
    common = ["-djfile", dataset_json, "-o", tmp_path / "out"]
    for arguments, words in (
        (["-ref", reference, "-pred", empty], [f"{empty} holds no files", ".nii.gz"]),
        (["-ref", reference, "-pred", other], [f"{other} holds only files ending in .mha"]),
        (["-ref", empty, "-pred", tmp_path / "nowhere"], [f"{empty} holds no files", "nowhere is not a folder"]),
        (["-ref", reference, "-pred", prediction, prediction], ["same prediction folder is given twice"]),
        (["-ref", reference], ["-pred"]),
        (["-ref", reference, "-pred", prediction, "-np", "0"], ["-np must be 1 or greater"]),
        (["-ref", reference, "-pred", prediction, "--resamples", "0"], ["--resamples must be"]),
        (["-ref", reference, "-pred", prediction, "--nsd-tolerance", "-1"], ["--nsd-tolerance: a tolerance must be"]),
        (["-ref", reference, "-pred", prediction, "--groups", "x=livr"], ['did you mean "liver"?']),
        (["-ref", reference, "-pred", prediction, "--allow-missing", "--common-cases"], ["exclude each other"]),
        (["-ref", reference, "-pred", prediction, "--estimate-tolerance", reference, prediction], ["takes the place"]),
    ):
        assert main(["evaluate", *map(str, [*arguments, *common])]) == 1
        message = capsys.readouterr().err
        assert all(word in message for word in words), message
        assert "Traceback" not in message
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_written_is_refused(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, prediction, dataset_json = folders({"a": NORMAL}, {"a": NORMAL}, LABELS)
    assert run(reference, prediction, dataset_json, output=dataset_json) == 1
    assert "cannot be made a folder" in capsys.readouterr().err
    (tmp_path / "out" / "metrics.csv").mkdir(parents=True)
    assert run(reference, prediction, dataset_json) == 1
    message = capsys.readouterr().err
    assert f"cannot be written to {tmp_path / 'out'}" in message
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["metrics.csv"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "name,subject\na,s\n",
            "has no column `case`, only name, subject; give a CSV file with the columns case,subject",
        ),
        ("case,subject\na,s\n", "gives no subject for 1 cases: b"),
        ("case,subject\na,s\na,t\nb,s\n", 'line 3: case a already has the subject "s"'),
        ("case,subject\na,\nb,s\n", "line 2: the case or the subject is empty"),
        ("case;subject\na;s\n", "gives no subject for 1 cases: b"),
        ("", "it is empty"),
    ],
)
def test_unusable_subjects_are_explained(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    path = tmp_path / "cases.csv"
    path.write_text(text)
    cases = {"a": NORMAL, "b": NORMAL}
    assert run(*folders(cases, cases, LABELS), "--subjects", path) == 1
    message = capsys.readouterr().err
    assert words in message
    assert str(path) in message


def test_folders_of_the_same_name_become_different_methods(folders: Folders, tmp_path: Path) -> None:
    reference, _, dataset_json = folders({"a": NORMAL}, {"a": NORMAL}, LABELS)
    predictions = [tmp_path / fold / "validation" for fold in ("fold_0", "fold_1")]
    for prediction in predictions:
        write_nifti(prediction / "a.nii.gz", NORMAL)
    result = evaluate_folders(reference, predictions, dataset_json, tmp_path / "out", num_processes=1, progress=False)
    assert result.table.methods == ("fold_0/validation", "fold_1/validation")
    assert (tmp_path / "out" / "summary_fold_0__validation.json").is_file()
    assert (tmp_path / "out" / "figures" / "worst_cases_fold_1__validation.png").is_file()


def test_without_monai_the_overlap_metrics_remain(
    folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name == "monai" or name.startswith("monai.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "monai", None)
    reference, prediction, dataset_json = folders({"a": NORMAL, "b": NORMAL}, {"a": SHIFTED, "b": NO_SPLEEN}, LABELS)
    assert run(reference, prediction, dataset_json) == 0
    printed = capsys.readouterr().out
    assert "pip install 'nnunetv2-hypersort[metrics]'" in printed
    assert "image diagonal" not in printed
    for row in csv_rows(tmp_path / "out" / "metrics.csv"):
        assert "" not in (row["DSC"], row["VS"])
        assert row["HD95"] == row["NSD"] == row["ASD"] == ""
    assert not (tmp_path / "out" / "figures" / "box_plot_HD95.png").exists()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["hypersort"]
    assert summary["results"]["pred"]["mean"]["HD95"]["mean"] is None
    assert any("[metrics]" in note for note in summary["notes"])
    annotators = ["--estimate-tolerance", reference, prediction, "-djfile", dataset_json, "-o", tmp_path / "t"]
    assert main(["evaluate", *map(str, annotators)]) == 1
    assert "pip install 'nnunetv2-hypersort[metrics]'" in capsys.readouterr().err


def test_regions_and_ignore_label_from_files(folders: Folders, tmp_path: Path) -> None:
    labels = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    reference = make_box(SHAPE, (1, 7), (1, 7), (1, 7)) + make_box(SHAPE, (2, 4), (2, 4), (2, 4))
    reference[10:] = 3
    prediction = np.where(reference == 2, 1, reference).astype(np.uint8)
    prediction[10:] = 1
    table = evaluate(*folders({"a": reference}, {"a": prediction}, labels)).table
    assert table.structures == ("whole", "core")
    np.testing.assert_array_equal(table.values[0, 0, 0], [1, 0, 1, 0, 1])
    assert table.presence[0, 0, 1] is Presence.MISSED
    per_case = json.loads((tmp_path / "out" / "summary.json").read_text())["metric_per_case"][0]["metrics"]
    assert set(per_case) == {"(1, 2)", "(2,)"}


def test_images_are_laid_below_the_contours(folders: Folders, tmp_path: Path) -> None:
    files = folders({"a": NORMAL}, {"a": SHIFTED}, LABELS)
    write_nifti(tmp_path / "images" / "a_0000.nii.gz", np.random.default_rng(0).normal(size=SHAPE).astype(np.float32))
    pictures = []
    for options in ([], ["--images", tmp_path / "images"]):
        output = tmp_path / f"out{len(options)}"
        assert run(*files, *options, output=output) == 0
        pictures.append((output / "figures" / "worst_cases_pred.png").read_bytes())
    assert pictures[0] != pictures[1]


def test_images_that_do_not_fit_are_named(folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_nifti(tmp_path / "images" / "b_0000.nii.gz", NORMAL[:5])
    cases = {"a": NORMAL, "b": NORMAL}
    assert run(*folders(cases, cases, LABELS), "--images", tmp_path / "images") == 1
    message = capsys.readouterr().err
    assert "a_0000.nii.gz does not exist" in message
    assert "b_0000.nii.gz has 5 x 14 x 16 voxels instead of 12 x 14 x 16" in message
    assert not (tmp_path / "out").exists()


def test_dataset_of_pictures(tmp_path: Path) -> None:
    import SimpleITK

    dataset_json = write_dataset_json(tmp_path / "dataset.json", LABELS, file_ending=".png")
    for folder in ("ref", "pred"):
        (tmp_path / folder).mkdir()
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(NORMAL[4]), str(tmp_path / folder / "a.png"))
    result = evaluate(tmp_path / "ref", tmp_path / "pred", dataset_json, figures=True)
    np.testing.assert_array_equal(result.table.values[0, 0, 0], [1, 0, 1, 0, 1])
    assert "read mm as pixels" in result.markdown
