"""Finding the files of a download: folders one level deeper than told, litter of other systems, tables."""

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError

SUFFIX = ".nii.gz"


def find_root(source: Path, is_root: Callable[[Path], bool], expected: str) -> Path:
    """Return `source`, or the folder up to two levels below it, that `is_root` accepts.

    Archives unpack with or without a folder of their own, sometimes twice.

    Raises:
        HyperSORTError: `source` is no folder, or none fits; the message says what was `expected`.
    """
    if not source.is_dir():
        raise HyperSORTError(f"{source} is not a folder; give the folder of the unpacked download")
    level = [source]
    for _ in range(3):
        fitting = [folder for folder in level if is_root(folder)]
        if len(fitting) == 1:
            return fitting[0].resolve()
        if fitting:
            listing = ", ".join(str(folder) for folder in fitting)
            raise HyperSORTError(f"{source} holds several downloads ({listing}); give one of them")
        level = [child for folder in level for child in visible(folder) if child.is_dir()]
    raise HyperSORTError(f"{source} does not look like the unpacked download: {expected}")


def visible(folder: Path) -> list[Path]:
    """Return the entries of a folder in order, without hidden ones (`._*` files are litter of macOS)."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def volumes(folder: Path) -> dict[str, Path]:
    """Return name without ending -> path of the gzipped NIfTI files in a folder."""
    return {path.name.removesuffix(SUFFIX): path for path in visible(folder) if path.name.endswith(SUFFIX)}


def read_table(path: Path, key: str, separator: str) -> dict[str, dict[str, str]]:
    """Read a CSV file into a row for each value of its key column.

    Where a key occurs more than once with different values, those values are left empty: nobody knows which is right.
    Columns with dates of birth are dropped.

    Args:
        path: The file; UTF-8, with or without a byte order mark.
        key: The column that names the row.
        separator: What stands between columns.

    Raises:
        HyperSORTError: The key column is missing.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        reader = csv.DictReader(stream, delimiter=separator)
        if key not in (reader.fieldnames or ()):
            raise HyperSORTError(f"{path} has no column {key!r} (it has {', '.join(reader.fieldnames or ['none'])})")
        rows: dict[str, dict[str, str]] = {}
        for row in reader:
            name = (row[key] or "").strip()
            if name:
                content = clean_row(row, without=(key,))
                rows[name] = _agreed(rows[name], content) if name in rows else content
    return rows


def clean_row(row: Mapping[str | None, str | list[str] | None], without: Iterable[str] = ()) -> dict[str, str]:
    """Return a table row with plain column names, without dates of birth and without surplus fields."""
    return {
        plain_name(column): value.strip()
        for column, value in row.items()
        if column and isinstance(value, str) and column not in without and "birth" not in column.casefold()
    }


def plain_name(column: str) -> str:
    """Return a column name in small letters, digits and underscores."""
    return re.sub(r"\W+", "_", column.casefold().replace("'", "").replace("’", "")).strip("_")


def _agreed(first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
    return {column: value if second.get(column) == value else "" for column, value in first.items()}
