"""What the report reads: the ranking, and the user's table."""

from pathlib import Path

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.report.content import Column
from nnunetv2_hypersort.report.tables import read_columns, shown_ranking

CASES = ("liver_1", "liver_2", "liver_3")


def write(folder: Path, text: str, name: str = "table.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_of_the_user(tmp_path: Path, separator: str) -> None:
    text = "\ufeffcase,institute,age\nliver_1,Ulm,50\nliver_3,,61\nother,Bonn,3\n".replace(",", separator)
    columns, notes = read_columns(write(tmp_path, text), CASES)
    assert columns == [Column("institute", {"liver_1": "Ulm"}), Column("age", {"liver_1": "50", "liver_3": "61"})]
    assert [note.text for note in notes] == ["1 of 3 training cases are not in table.csv."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,institute\nliver_1,Ulm\n", "has no column `case`, only id, institute"),
        ("case,institute\nliver_1,Ulm\nliver_1,Bonn\n", "more than one row for the case liver_1"),
        (
            "case,institute\nkidney,Ulm\n",
            "no training case of this model in its column `case`; the ids look like",
        ),
        ("case\nliver_1\n", "has no column beside `case`"),
        ("", "cannot be read as a table .*empty"),
        ("institute,case\nUlm,liver_1\nBonn\n", "a row without a value in its column `case`"),
    ],
)
def test_a_table_that_cannot_colour_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HyperSORTError, match=message):
        read_columns(write(tmp_path, text), CASES)


def test_many_numbers_are_a_scale_and_few_are_categories() -> None:
    ages = Column("age", {f"case_{age}": str(age) for age in range(20, 30)})
    assert ages.numbers() == {f"case_{age}": float(age) for age in range(20, 30)}
    assert Column("tesla", {f"case_{row}": "1.5" if row % 2 else "3" for row in range(10)}).numbers() is None
    assert Column("name", {f"case_{row}": f"name {row}" for row in range(10)}).numbers() is None


def test_the_ranking_with_its_further_columns(tmp_path: Path) -> None:
    text = 'case,quality,style,folds,reason,voxels\nliver_2,0.1,A,0 1,"isolated, and lossy",44\nliver_1,,,0,,\n'
    write(tmp_path, text, "case_ranking.csv")
    ranking, columns, notes = shown_ranking(tmp_path)
    assert (ranking["liver_2"].quality, ranking["liver_2"].reason) == (0.1, "isolated, and lossy")
    assert ranking["liver_1"].quality != ranking["liver_1"].quality
    assert columns == [Column("voxels", {"liver_2": "44"}, in_table=False)]
    assert notes == []


@pytest.mark.parametrize(
    ("quality", "said"),
    [
        ("1.2", r"quality '1\.2', which is not in \[0, 1\]"),
        ("-0.1", r"quality '-0\.1', which is not in \[0, 1\]"),
        ("1e400", r"quality '1e400', which is not in \[0, 1\]"),
        ("bad", "'bad' in its column `quality`, which is no number"),
    ],
)
def test_a_quality_that_is_none_is_refused(tmp_path: Path, quality: str, said: str) -> None:
    write(tmp_path, f"case,quality\nliver_1,{quality}\n", "case_ranking.csv")
    with pytest.raises(HyperSORTError, match=rf"{said}; run `hypersort rank"):
        shown_ranking(tmp_path)


def test_without_a_ranking_the_command_is_named(tmp_path: Path) -> None:
    ranking, _, notes = shown_ranking(tmp_path)
    assert ranking == {}
    assert [note.command for note in notes] == [f"hypersort rank {tmp_path}"]
