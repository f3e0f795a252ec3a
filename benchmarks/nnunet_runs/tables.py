"""Generated tables in a document that is otherwise written by hand."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_text
from nnunetv2_hypersort.files.text_tables import markdown_table

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def format_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    return markdown_table(header, [[str(cell) for cell in row] for row in rows], aligned=False) + "\n"


def write_tables(document: Path, markdown: str) -> None:
    """Replace what stands between the markers of a document; one that is not there is made of the tables alone.

    Raises:
        HyperSORTError: The document lacks a marker.
    """
    text = document.read_text(encoding="utf-8") if document.exists() else f"{BEGIN}\n{END}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise HyperSORTError(f"{document} needs the lines {BEGIN} and {END}; the tables go between them.")
    write_text(document, f"{before}{BEGIN}\n\n{markdown}\n{END}{after}")
