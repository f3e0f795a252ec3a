"""`hypersort styles --by`: the whole way, and what is refused."""

import json
import shutil

import numpy as np
import pytest

from nnunetv2_hypersort.cli.main import main
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model import ModelFolder, PreprocessedImage, load_preprocessed
from nnunetv2_hypersort.styles.groups.anatomy import Anatomy
from nnunetv2_hypersort.styles.groups.comparison import CasePoints, Verdict
from nnunetv2_hypersort.styles.groups.finding import compare_groups
from nnunetv2_hypersort.styles.groups.image_features import image_features, image_identity

CASES = [f"phantom_{number:03d}" for number in range(10)]
TABLE = "case,site,scanner,age,country,image,mostly\n" + "".join(
    f"{case},{'AB'[row % 2]},{'xy'[row % 2]},{20 + row},DE,image_{row},{'AAAAAAAABB'[row]}\n"
    for row, case in enumerate(CASES)
)


@pytest.fixture
def table(tmp_path):
    """Ten cases of two sites with a scanner each; no two have the same age."""
    (tmp_path / "sites.csv").write_text(TABLE)
    return tmp_path / "sites.csv"


def apart(model):
    """Points far apart between even and odd cases."""
    rng = np.random.default_rng(0)
    return [
        CasePoints(
            fold.name,
            fold.record.case_ids,
            np.array([[20.0 * (int(case[-3:]) % 2), 0.0, 0.0] for case in fold.record.case_ids])
            + rng.normal(size=(len(fold.record.case_ids), 3)),
        )
        for fold in model.folds
    ]


def test_the_command_answers_and_writes_its_own_file(trained_model, table, capsys):
    command = ["styles", str(trained_model), "--by", "site", "scanner", "--table", str(table), "-device", "cpu"]
    assert main([*command, "--cases", "2"]) == 0
    shown = capsys.readouterr().out
    assert "site (and scanner, which groups the cases in the same way): " in shown
    assert "Groups were permuted over 10 subjects." in shown
    assert "The images alone tell the groups with a balanced accuracy of" in shown
    assert "PROVISIONAL" not in shown
    content = json.loads((trained_model / "groups.json").read_text())
    (column,) = content["columns"]
    assert (column["column"], column["same_as"], column["permuted"]) == ("site", ["scanner"], "subjects")
    assert [(group["name"], group["cases"]) for group in column["groups"]] == [("A", CASES[::2]), ("B", CASES[1::2])]
    assert 0 < column["p"] <= column["p_corrected"] <= 1
    assert content["folds"] == ["0", "1"]
    assert not (trained_model / "styles.json").exists()


def test_groups_that_differ_are_described_in_words(trained_model, table):
    found = compare_groups(trained_model, ["site"], table=table, cases=2, progress=False, points=apart)
    (column,) = found.columns
    assert column.comparison.plain.p < 0.02
    assert column.verdict in (Verdict.DIFFERENT, Verdict.IMAGES_DIFFER)
    # The points have three coordinates, the latents that are segmented with two.
    assert {shifts.shape for shifts in column.comparison.shifts.values()} == {(2, 2)}
    assert set(column.words) == {"B"}
    assert f"compared with A, {column.words['B']} (p = " in found.to_text()
    assert found.to_json()["columns"][0]["groups"][1]["compared"]["cases"] <= 2
    assert "segmented in the way of each group (up to 2)" in found.to_text()


def test_cases_of_one_image_are_known_by_the_image_and_by_a_column(trained_model, table):
    # phantom_008 and phantom_009 are said to be one image, of both sites: that leaves four cases of each.
    table.write_text(TABLE.replace("image_9", "image_8"))
    with pytest.raises(HyperSORTError, match=r"The column site has no group of 5 or more subjects \(A: 4, B: 4\)"):
        compare_groups(trained_model, ["site"], table=table, cases=0, progress=False)


def test_subjects_are_taken_from_the_column_that_is_named(trained_model, tmp_path):
    rows = "".join(f"{case},{'AB'[row % 2]},{'p' if row in (0, 2) else case}\n" for row, case in enumerate(CASES))
    (tmp_path / "t.csv").write_text(f"case,site,person\n{rows}")
    # Four subjects of A are left, as two of its cases are one person.
    with pytest.raises(HyperSORTError, match=r"The column site has one group of 5 or more subjects \(B: 5, A: 4\)"):
        compare_groups(trained_model, ["site"], table=tmp_path / "t.csv", subject="person", cases=0, progress=False)


def test_without_images_the_labels_are_not_blamed(trained_model, table, tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "gone"))
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "gone"))
    plain = table.with_name("plain.csv")
    plain.write_text("\n".join(",".join(line.split(",")[:2]) for line in TABLE.splitlines()))
    found = compare_groups(trained_model, ["site"], table=plain, cases=2, progress=False, points=apart)
    assert found.columns[0].verdict is Verdict.IMAGES_UNKNOWN
    assert "LABELS OR IMAGES DIFFER" in found.to_text()
    assert "The images cannot be had" in found.to_text()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            ["sitee"],
            "has no column `sitee`, only case, site, scanner, age, country, image, mostly; choose one of these",
        ),
        (["site", "age"], r"age of .* has another value for each of its 10 cases"),
        (["country"], r"country of .* has one value only \(DE, 10 cases\)"),
        (["mostly"], r"mostly of .* has fewer than two groups of 5 or more training cases \(A: 8, B: 2\)"),
        (["image"], r"image of .* has another value for each of its 10 cases"),
    ],
)
def test_columns_that_make_no_groups_are_refused_before_any_work(trained_model, table, columns, said):
    with pytest.raises(HyperSORTError, match=said):
        compare_groups(trained_model, columns, table=table, progress=False)
    assert not (trained_model / "groups.json").exists()


def test_the_table_of_the_raw_dataset_is_taken_where_there_is_one(trained_model, tmp_path, monkeypatch, capsys):
    raw = ModelFolder.open(trained_model).raw_folder()
    assert main(["styles", str(trained_model), "--by", "site", "-device", "cpu"]) == 1
    assert f"{raw} has no cases.csv; give a table" in capsys.readouterr().err
    shutil.copytree(raw, tmp_path / "raw" / raw.name)
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    # One case is not there, and one has no value.
    lines = TABLE.splitlines()
    kept = "\n".join(",".join(line.split(",")[:2]) for line in lines[:9]) + "\nphantom_008,\nphantom_009,B\nother,A\n"
    (tmp_path / "raw" / raw.name / "cases.csv").write_text(kept.replace("phantom_009,B", "x,A"))
    with pytest.raises(HyperSORTError, match=r"fewer than two groups of 5 or more training cases \(A: 4, B: 4\)"):
        compare_groups(trained_model, ["site"], progress=False)
    (tmp_path / "raw" / raw.name / "cases.csv").write_text(kept.replace("phantom_008,", "phantom_008,A"))
    found = compare_groups(trained_model, ["site"], cases=0, progress=False)
    assert found.columns[0].without_value == 0
    assert main(["styles", str(trained_model), "--table", "t.csv"]) == 1
    assert "give --by COLUMN, too" in capsys.readouterr().err


def image(data) -> PreprocessedImage:
    side = data.shape[1:]
    shapes = {"shape_before_cropping": side, "shape_after_cropping_and_before_resampling": side}
    return PreprocessedImage(np.asarray(data, np.float32), None, {"spacing": [1.0, 1.0, 2.0], **shapes})


def test_what_an_image_is_like():
    rng = np.random.default_rng(0)
    fine = rng.normal(size=(1, 12, 10, 8))
    left = fine + np.linspace(5, 0, 12)[None, :, None, None]
    coarse = np.rint(4 * fine) / 4
    of_fine, of_left, of_coarse = (image_features(image(data)) for data in (fine, left, coarse))
    assert set(of_fine) == set(of_left) == set(of_coarse)
    assert all(np.isfinite(list(of_fine.values())))
    assert of_left["channel_0_bright_0"] < of_fine["channel_0_bright_0"] < of_left["channel_0_dark_0"]
    assert of_coarse["channel_0_distinct"] < of_fine["channel_0_distinct"] - 2
    assert of_fine["channel_0_noise"] > 0.5
    assert of_fine["shape_0"] == pytest.approx(np.log(12))
    assert image_features(image(fine), raw=np.rint(100 * fine))["file_0_whole_numbers"] == 1
    # One slice, of one value.
    flat = image_features(image(np.zeros((3, 1, 9, 9))))
    assert all(np.isfinite(list(flat.values())))
    assert image_identity(image(fine)) == image_identity(image(fine.copy())) != image_identity(image(left))


def test_outlines_are_of_the_fold_that_held_the_case_out(trained_model):
    model = ModelFolder.open(trained_model)
    anatomy = Anatomy(model, "cpu")
    measured = {
        case: anatomy.measure(case, load_preprocessed(model, case), case) for case in ("phantom_000", "phantom_004")
    }
    assert anatomy.fold_of == {"phantom_000": "0", "phantom_004": "0"}
    assert (anatomy.is_held_out("phantom_000"), anatomy.is_held_out("phantom_004")) == (True, False)
    assert set(measured["phantom_000"]) == set(measured["phantom_004"])
    assert {"outline_liver_volume", "outline_all_centre_2"} <= set(measured["phantom_000"])
