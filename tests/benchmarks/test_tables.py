"""Generated tables leave the text around them alone."""

from pathlib import Path

import pytest

from benchmarks.nnunet_runs.tables import BEGIN, END, format_table, write_tables
from nnunetv2_hypersort.errors import HyperSORTError


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    for text in ("new", "newer"):
        write_tables(document, text)
        assert document.read_text() == f"Before.\n{BEGIN}\n\n{text}\n{END}\nAfter.\n"


def test_a_document_without_markers_is_refused_and_kept(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("By hand.\n")
    with pytest.raises(HyperSORTError, match="tables: begin"):
        write_tables(document, "new")
    assert document.read_text() == "By hand.\n"


def test_a_new_document_holds_the_tables(tmp_path: Path) -> None:
    write_tables(tmp_path / "page.md", format_table(("a", "b"), [(1, 2)]))
    assert "| a | b |\n|---|---|\n| 1 | 2 |" in (tmp_path / "page.md").read_text()
