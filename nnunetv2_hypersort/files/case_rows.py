"""A table of the user's with a row per case, as for institutes and scanners."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.tables import read_users_table


@dataclass(frozen=True)
class CaseRows:
    """The rows of known cases.

    Attributes:
        columns: The names of the columns, in their order.
        rows: By case the cells of its row; cases that the table lacks are absent.
    """

    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, str]]

    def column(self, name: str) -> dict[str, str]:
        """By case its cell in a column; cases with an empty cell are absent."""
        return {case: row[name] for case, row in self.rows.items() if row[name]}


def read_case_rows(
    path: str | os.PathLike[str],
    cases: Sequence[str],
    columns: Iterable[str] = (),
    *,
    remedy: str = "mend the table",
) -> CaseRows:
    """Read a table that people made: a column `case`, and others.

    Args:
        path: CSV, separated by commas, semicolons or tabulators.
        cases: The training cases, at least one; rows of others are left out.
        columns: Columns that must be there beside `case`.
        remedy: What to do about a missing column, for the message.

    Raises:
        HyperSORTError: The file cannot be read, lacks a column, has a case twice or without a name, or has no case of
            the training.
    """
    table = read_users_table(path, ("case", *columns), remedy=remedy)
    counts = Counter(row["case"] for row in table.rows)
    if "" in counts:
        raise HyperSORTError(f"{path} has a row without a value in its column `case`; mend the table.")
    if twice := [case for case, count in counts.items() if count > 1]:
        raise HyperSORTError(f"{path} has more than one row for the case {', '.join(twice[:5])}; mend the table.")
    # Blanks around a name are lost in tables that people make.
    known = {**{case.strip(): case for case in cases}, **{case: case for case in cases}}
    rows = {known[row["case"]]: row for row in table.rows if row["case"] in known}
    if not rows:
        raise HyperSORTError(
            f"{path} has no training case of this model in its column `case`; the ids look like {cases[0]}."
        )
    return CaseRows(table.columns, rows)
