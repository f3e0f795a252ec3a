import csv
from dataclasses import dataclass

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.tables import format_table, read_table, read_users_table, write_table

AWKWARD = [
    "a\u2028b",
    "a\u0085b",
    "a\rb",
    "a\r\nb",
    'say "liver"',
    "a,b",
    " outer ",
    "\t",
    "a;b",
    "'",
    "a\x0cb",
    "#",
    "NA",
    "",
]


def test_every_cell_comes_back_as_it_was(tmp_path):
    rows = [(f"case_{number}", cell) for number, cell in enumerate(AWKWARD)]
    write_table(tmp_path / "t.csv", ("case", "note"), rows)
    table = read_table(tmp_path / "t.csv", ("case", "note"))
    assert [(row["case"], row["note"]) for row in table.rows] == rows


def test_other_readers_see_the_same_cells(tmp_path):
    rows = [(f"case_{number}", cell) for number, cell in enumerate(AWKWARD)]
    write_table(tmp_path / "t.csv", ("case", "note"), rows)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as stream:
        assert [tuple(row) for row in csv.reader(stream)][1:] == rows
    frame = pd.read_csv(tmp_path / "t.csv", keep_default_na=False, dtype=str)
    assert list(frame.itertuples(index=False, name=None)) == rows


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=5))
def test_any_text_comes_back(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    # A lone surrogate stands for a byte of a file name; alone, others are no text at all.
    cells = [(a, b) for a, b in cells if not any("\ud800" <= c <= "\udfff" for c in a + b)]
    write_table(path, ("case", "note"), cells)
    assert [(row["case"], row["note"]) for row in read_table(path).rows] == cells


def test_plain_tables_are_the_bytes_that_pythons_writer_gives(tmp_path):
    rows = [("case_1", "two, parts", 'a "quoted" word', ""), ("case_2", "line\nbreak", "ü", "3")]
    with (tmp_path / "python.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("case", "a", "b", "c"), *rows])
    write_table(tmp_path / "ours.csv", ("case", "a", "b", "c"), rows)
    assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "python.csv").read_bytes()


def test_rows_are_sequences_mappings_or_dataclasses():
    @dataclass
    class Row:
        case: str
        value: float
        other: int = 0

    text = format_table(
        ("case", "value"),
        [("a", 0.5), {"case": "b", "value": float("nan"), "more": 1}, Row("c", 1 / 3), ("d", None)],
        number="{:.3g}".format,
    )
    assert text == "case,value\na,0.5\nb,\nc,0.333\nd,\n"


def test_names_of_files_that_are_no_utf8_come_back(tmp_path):
    case = b"case_\xff".decode("utf-8", "surrogateescape")
    write_table(tmp_path / "t.csv", ("case", "style"), [(case, "a")])
    assert (tmp_path / "t.csv").read_bytes() == b"case,style\ncase_\xff,a\n"
    assert read_table(tmp_path / "t.csv").rows[0]["case"] == case


@pytest.mark.parametrize("read", [read_table, read_users_table])
def test_text_in_another_encoding_is_refused_in_a_sentence(tmp_path, read):
    (tmp_path / "t.csv").write_bytes("case,style\na,größer\n".encode("latin-1"))
    with pytest.raises(HyperSORTError, match=r"t\.csv cannot be read as a table \(.*not UTF-8.*; run it again\."):
        read(tmp_path / "t.csv", remedy="run it again")


@pytest.mark.parametrize("read", [read_table, read_users_table])
def test_what_is_missing_is_named(tmp_path, read):
    with pytest.raises(HyperSORTError, match=r"t\.csv does not exist; mend it\."):
        read(tmp_path / "t.csv", remedy="mend it")
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(HyperSORTError, match="it is empty"):
        read(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("id,style\n1,a\n")
    with pytest.raises(HyperSORTError, match=r"no column `case` and `fold`, only id, style; mend it\."):
        read(tmp_path / "t.csv", ("case", "style", "fold"), remedy="mend it")
    (tmp_path / "t.csv").write_text("case,case\n1,a\n")
    with pytest.raises(HyperSORTError, match="column `case` more than once"):
        read(tmp_path / "t.csv", ("case",))
    with pytest.raises(HyperSORTError, match="cannot be read as a table"):
        read(tmp_path)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_that_a_spreadsheet_saved(tmp_path, separator):
    lines = [("case", " site "), ("a", " north "), ("", ""), ("b",), ("c", "x", "beyond")]
    text = "\r\n".join(separator.join(line) for line in lines) + "\r\n"
    (tmp_path / "t.csv").write_bytes(text.encode("utf-8-sig"))
    table = read_users_table(tmp_path / "t.csv", ("case", "site"))
    assert table.columns == ("case", "site")
    assert [tuple(row.values()) for row in table.rows] == [("a", "north"), ("b", ""), ("c", "x")]
    kept = read_table(tmp_path / "t.csv", ("case",))
    assert [row[" site "] for row in kept.rows] == [" north ", "", "x"]


def test_only_what_is_no_number_is_left_empty():
    assert format_table(("case", "z"), [("a", float("inf")), ("b", float("nan"))]) == "case,z\na,inf\nb,\n"
