"""Finding the files of a download: folders one level deeper than told, litter of other systems, tables."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.tables import read_users_table

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


def look_alikes(folder: Path, stem: str) -> list[Path]:
    """Return files that may be `stem`.nii.gz under another name: other capitals, another ending, nnU-Net's `_0000`."""
    pattern = re.compile(re.escape(stem) + r"(_0000)?( ?\(\d+\))?\.[a-z][\w.]*", re.IGNORECASE)
    return [path for path in visible(folder) if path.name != stem + SUFFIX and pattern.fullmatch(path.name)]


def missing_file(folder: Path, stem: str, what: str, otherwise: str) -> tuple[str, str]:
    """Return reason and remedy for a missing `stem`.nii.gz, with the file that is there in its place if there is one.

    Args:
        folder: Where the file should be.
        stem: Its name without the ending.
        what: What to say where nothing like it is there.
        otherwise: What to do then.
    """
    alike = look_alikes(folder, stem)
    if not alike:
        return what, otherwise
    name, wanted = alike[0].name, stem + SUFFIX
    if name.casefold().endswith(SUFFIX):
        remedy = f"rename it to {wanted}"
    elif name.casefold().endswith(".nii"):
        remedy = f"compress it with gzip and name it {wanted}"
    else:
        remedy = f"save it as {wanted} (gzipped NIfTI)"
    return f"is missing, but {name} is there", f"{remedy}, or leave the case out with --skip-bad"


@dataclass(frozen=True)
class Table:
    """A CSV file.

    Attributes:
        rows: Value of the key column -> column -> value. Where a key has several rows with different values, those
            values are empty: nobody knows which is right.
        repeated: The keys with several rows.
    """

    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()


def read_table(path: Path, key: str, identify: Callable[[str], str] = str) -> Table:
    """Read a CSV file into a row for each value of its key column.

    Columns with dates of birth are dropped.

    Args:
        path: The file; see `read_users_table`.
        key: The column that names the row.
        identify: What makes of the text in the key column the name of a row, where cases are called otherwise.

    Raises:
        HyperSORTError: The key column is missing, or the file cannot be read.
    """
    table = read_users_table(path, (key,), remedy="unpack or download it again", errors="replace")
    kept = [column for column in table.columns if column and column != key and "birth" not in column.casefold()]
    rows: dict[str, dict[str, str]] = {}
    repeated = set()
    for row in table.rows:
        name, content = identify(row[key]), {plain_name(column): row[column] for column in kept}
        if name in rows:
            repeated.add(name)
            content = _agreed(rows[name], content)
        if name:
            rows[name] = content
    return Table(rows, frozenset(repeated))


def plain_name(column: str) -> str:
    """Return a column name in small letters, digits and underscores."""
    return re.sub(r"\W+", "_", column.casefold().replace("'", "").replace("’", "")).strip("_")


def _agreed(first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
    return {column: value if second.get(column) == value else "" for column, value in first.items()}
