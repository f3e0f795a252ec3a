"""Tables as CSV files: one way to write a cell, one way to read it back."""

import csv
import dataclasses
import io
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.whole_or_absent import write_text

Formatter = Callable[[float], str]
_SEPARATORS = ",;\t"


@dataclass(frozen=True)
class Table:
    """A table as it stands in a file.

    Attributes:
        columns: The names in its first line.
        rows: Column -> text of the cell, for each row; an absent cell is empty.
    """

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


def write_table(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    rows: Iterable[Sequence[Any] | Mapping[str, Any] | Any],
    *,
    number: Formatter = str,
) -> None:
    """Write a table as CSV (UTF-8, commas, `\\n`), whole or not at all.

    Args:
        path: The file.
        columns: Names of the columns.
        rows: Each a sequence in the order of the columns, or a mapping or dataclass with (at least) these names.
        number: How a float is written. None and not-a-number are left empty.

    Raises:
        OSError: The file cannot be written.
    """
    write_text(path, format_table(columns, rows, number=number))


def format_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any] | Mapping[str, Any] | Any], *, number: Formatter = str
) -> str:
    """The text that `write_table` writes."""
    lines = [columns, *(_in_order(row, columns) for row in rows)]
    return "".join(",".join(_cell(value, number) for value in line) + "\n" for line in lines)


def read_table(path: str | os.PathLike[str], columns: Iterable[str] = (), *, remedy: str = "write it again") -> Table:
    """Read a table that `write_table` wrote: every cell comes back as it was, line breaks and outer blanks included.

    A table that was opened and saved by a spreadsheet (byte order mark, semicolons or tabulators) is read as well.
    Lines without any text are left out, and so are cells beyond the last column.

    Args:
        path: The file.
        columns: Columns that must be there.
        remedy: What to do about a damaged table, for the message, such as "run `hypersort rank MODEL` again".

    Raises:
        HyperSORTError: The file is missing, cannot be read, is not UTF-8, has no header, lacks a column, or has one of
            them twice.
    """
    # Names of files may hold bytes that are no UTF-8; cases come back as they went in, other cells hold text.
    table = _parse(path, _text(path, remedy, "surrogateescape"), remedy)
    for line, row in enumerate(table.rows, start=2):
        for column, cell in row.items():
            if column != "case" and not _is_text(cell):
                raise _unreadable(path, f"row {line}, column `{column}`: not UTF-8", remedy)
    return _with_columns(path, table, columns, remedy)


def read_users_table(
    path: str | os.PathLike[str], columns: Iterable[str] = (), *, remedy: str = "mend the table", errors: str = "strict"
) -> Table:
    """Read a table that people made: as `read_table`, but without blanks around names and cells.

    Args:
        path: The file; columns are separated by commas, semicolons or tabulators.
        columns: Columns that must be there.
        remedy: What to do about a damaged table, for the message.
        errors: What to do with bytes that are no UTF-8, as in `bytes.decode`.

    Raises:
        HyperSORTError: As `read_table`.
    """
    table = _parse(path, _text(path, remedy, errors), remedy)
    stripped = Table(
        tuple(name.strip() for name in table.columns),
        tuple({name.strip(): cell.strip() for name, cell in row.items()} for row in table.rows),
    )
    return _with_columns(path, stripped, columns, remedy)


def _in_order(row: Any, columns: Sequence[str]) -> Sequence[Any]:
    if isinstance(row, Mapping):
        return [row[column] for column in columns]
    if dataclasses.is_dataclass(row):
        return [getattr(row, column) for column in columns]
    return list(row)


def _cell(value: Any, number: Formatter) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = number(value) if isinstance(value, float) else str(value)
    # Python's own writer, pandas' too, leaves a carriage return bare where lines end in "\n", and readers end a row
    # there.
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


def _text(path: str | os.PathLike[str], remedy: str, errors: str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig", errors)
    except FileNotFoundError:
        raise HyperSORTError(f"{path} does not exist; {remedy}.") from None
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"not UTF-8: byte {error.start} is {error.object[error.start]:#04x}", remedy) from None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), remedy) from error


def _parse(path: str | os.PathLike[str], text: str, remedy: str) -> Table:
    separator = max(_SEPARATORS, key=text.partition("\n")[0].count)
    try:
        # Not `splitlines`, which ends lines at characters that may stand in a cell, such as U+2028.
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if any(line)]
    except csv.Error as error:
        raise _unreadable(path, str(error), remedy) from error
    if not lines:
        raise _unreadable(path, "it is empty", remedy)
    header, *rows = lines
    return Table(
        tuple(header),
        tuple(dict(zip(header, [*row, *[""] * (len(header) - len(row))], strict=False)) for row in rows),
    )


def _with_columns(path: str | os.PathLike[str], table: Table, columns: Iterable[str], remedy: str) -> Table:
    wanted = list(columns)
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        named = " and ".join(f"`{column}`" for column in missing)
        raise HyperSORTError(f"{path} has no column {named}, only {', '.join(table.columns)}; {remedy}.")
    twice = [column for column in wanted if table.columns.count(column) > 1]
    if twice:
        raise HyperSORTError(f"{path} has the column `{twice[0]}` more than once; {remedy}.")
    return table


def _is_text(cell: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in cell)


def _unreadable(path: str | os.PathLike[str], why: str, remedy: str) -> HyperSORTError:
    return HyperSORTError(f"{path} cannot be read as a table ({why}); {remedy}.")
