"""Tables for people: Markdown, and plain columns of the terminal."""

from collections.abc import Sequence


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, aligned: bool = True) -> str:
    """A Markdown table, without a line break at its end.

    Args:
        header: Titles of the columns.
        rows: Cells; each row as long as the header.
        aligned: Pad cells, so that the text is readable as it stands.
    """
    lines = [[printable(cell).replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) if aligned else 1 for column in zip(*lines, strict=True)]
    padded = [[cell.ljust(width if aligned else 0) for cell, width in zip(line, widths, strict=True)] for line in lines]
    text = [f"| {' | '.join(line)} |" for line in padded]
    text.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(text)


def plain_columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equal length as columns, two blanks apart, without a line break at the end."""
    lines = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def printable(text: str) -> str:
    """The text with escapes for what would break a line or a terminal, as a file name may hold it (`\\r`, U+2028)."""
    return "".join(
        character if character.isprintable() or character == "\xa0" else ascii(character)[1:-1] for character in text
    )
