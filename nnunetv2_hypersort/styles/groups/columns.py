"""Columns of a table that group the cases of a model."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.case_rows import CaseRows, read_case_rows
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.styles.groups.design import LEAST_SUBJECTS

CASES_FILE = "cases.csv"
"""The table that `hypersort convert` writes into a raw dataset."""
_SUBJECT_COLUMNS = ("subject", "patient")
_IMAGE_COLUMN = "image"


@dataclass(frozen=True)
class GroupColumns:
    """The columns that were asked for.

    Attributes:
        path: The table.
        columns: By name, in the order of the question, the value of each case that has one. Of columns that group the
            cases in the same way there is only the first.
        same: By the name of such a first column the others.
        subjects: By case its subject; None where the table has none.
        images: By case its image; None where the table has no column `image`.
    """

    path: Path
    columns: Mapping[str, Mapping[str, str]]
    same: Mapping[str, tuple[str, ...]]
    subjects: Mapping[str, str] | None
    images: Mapping[str, str] | None


def read_group_columns(
    model: ModelFolder,
    cases: Sequence[str],
    by: Sequence[str],
    *,
    table: str | os.PathLike[str] | None = None,
    subject: str | None = None,
) -> GroupColumns:
    """Read the columns that group the cases.

    Args:
        model: The model.
        cases: Its training cases.
        by: Names of columns.
        table: The table; None takes `cases.csv` of the raw dataset.
        subject: The column with the subjects; None takes `subject` or `patient` where there is one.

    Raises:
        HyperSORTError: There is no such table or column, or a column makes no groups: one value, or one per case.
    """
    path = _table(model) if table is None else Path(table)
    wanted = list(dict.fromkeys(by))
    asked = [*wanted, *([] if subject is None else [subject])]
    rows = read_case_rows(path, cases, asked, remedy="choose one of these with --by, --subject or --table")
    subject = subject or next((name for name in _SUBJECT_COLUMNS if name in rows.columns), None)
    columns: dict[str, dict[str, str]] = {}
    same: dict[str, tuple[str, ...]] = {}
    parts: dict[frozenset[frozenset[str]], str] = {}
    for name in wanted:
        values = _checked(name, rows, path)
        members: dict[str, set[str]] = {}
        for case, value in values.items():
            members.setdefault(value, set()).add(case)
        first = parts.setdefault(frozenset(map(frozenset, members.values())), name)
        if first == name:
            columns[name], same[name] = values, ()
        else:
            same[first] = (*same[first], name)
    return GroupColumns(
        path,
        columns,
        same,
        None if subject is None else rows.column(subject),
        rows.column(_IMAGE_COLUMN) if _IMAGE_COLUMN in rows.columns else None,
    )


def _table(model: ModelFolder) -> Path:
    raw = model.raw_folder()
    if raw is not None and (raw / CASES_FILE).is_file():
        return raw / CASES_FILE
    where = f"{raw} has no {CASES_FILE}" if raw else f"The raw data of {model.dataset_name} are gone (nnUNet_raw)"
    raise HyperSORTError(f"{where}; give a table with a column `case` and columns to group by with --table.")


def _checked(name: str, rows: CaseRows, path: Path) -> dict[str, str]:
    values = rows.column(name)
    distinct = sorted(set(values.values()))
    if not distinct:
        raise HyperSORTError(f"The column {name} of {path} has no value for any training case; fill it in.")
    if len(distinct) == 1:
        raise HyperSORTError(
            f"The column {name} of {path} has one value only ({distinct[0]}, {len(values)} cases), and two groups are "
            f"needed to compare; choose another column."
        )
    if len(distinct) == len(values):
        raise HyperSORTError(
            f"The column {name} of {path} has another value for each of its {len(values)} cases, so there are no "
            f"groups; choose another column, or make groups of its values."
        )
    sizes = Counter(values.values()).most_common()
    if sizes[1][1] < LEAST_SUBJECTS:
        shown = ", ".join(f"{value}: {size}" for value, size in sizes[:8]) + (", ..." if len(sizes) > 8 else "")
        raise HyperSORTError(
            f"The column {name} of {path} has fewer than two groups of {LEAST_SUBJECTS} or more training cases "
            f"({shown}); choose another column, or join its values."
        )
    return values
