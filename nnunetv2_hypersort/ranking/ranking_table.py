"""The ranking of the training cases as a table."""

import math
import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_text
from nnunetv2_hypersort.files.tables import format_table, read_table

RANKING_FILE = "case_ranking.csv"
_YES_NO = {True: "yes", False: "no"}


@dataclass(frozen=True)
class RankedCase:
    """One training case of the dataset. Numbers are not-a-number, and left empty in the table, where unknown.

    Attributes:
        case: Case identifier.
        quality: Label quality in [0, 1], lower = worse.
        style: Name of its annotation style; empty for a case of no style.
        folds: The folds that trained on it and were looked at.
        reason: What is unusual about it, in words; empty if nothing is.
        flagged: Whether the label is taken for wrong; None where that was not decided.
        wrong_probability: That it is wrong, in [0, 1], by the mixture of usual and wrong labels.
        held_out: The folds that did not train on it and whose prediction was compared with its label.
        outlyingness: Mean of the three below, which gives the quality; higher = worse.
        loss: Running mean of the training loss (Dice + cross-entropy), mean over folds.
        agreement: Of its label with the prediction in the style that fits best, in [0, 1] (Dice of the labels that were
            drawn), mean over labels and folds.
        doubtful_mm3: Volume in mm³ in which the two differ, mean over folds.
        loss_z: Outlyingness of the loss, in robust standard deviations above what is usual in its style.
        isolation_z: The same of the isolation of its latent.
        disagreement_z: The same of 1 - agreement.
        provisional: How far the folds had come, where that is not the end of their training.
    """

    case: str
    quality: float
    style: str
    folds: tuple[str, ...]
    reason: str
    flagged: bool | None = None
    wrong_probability: float = math.nan
    held_out: tuple[str, ...] = ()
    outlyingness: float = math.nan
    loss: float = math.nan
    agreement: float = math.nan
    doubtful_mm3: float = math.nan
    loss_z: float = math.nan
    isolation_z: float = math.nan
    disagreement_z: float = math.nan
    provisional: str = ""


def write_ranking(path: str | os.PathLike[str], cases: Sequence[RankedCase]) -> None:
    """Write the table, one row per case in the order given, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    write_text(path, format_ranking(cases))


def format_ranking(cases: Sequence[RankedCase]) -> str:
    """The text of that table."""
    columns = list(RankedCase.__dataclass_fields__)
    if not any(case.provisional for case in cases):
        columns.remove("provisional")
    rows = [[_as_cell(getattr(case, column)) for column in columns] for case in cases]
    return format_table(columns, rows, number="{:.5g}".format)


@dataclass(frozen=True)
class RankingTable:
    """The table, read back.

    Attributes:
        cases: By their identifiers, in the order of the table.
        columns: The text of all cells: by column and case; empty cells are absent.
    """

    cases: Mapping[str, RankedCase]
    columns: Mapping[str, Mapping[str, str]]


def read_ranking(model_folder: str | os.PathLike[str]) -> RankingTable | None:
    """Read the table that `hypersort rank` wrote into a model folder, or None if there is none.

    Raises:
        HyperSORTError: The table is damaged.
    """
    path = Path(model_folder) / RANKING_FILE
    if not path.exists():
        return None
    remedy = f"run `hypersort rank {shlex.quote(str(model_folder))}` again"
    table = read_table(path, ("case", "quality"), remedy=remedy)
    counts = Counter(row["case"] for row in table.rows)
    if "" in counts:
        raise HyperSORTError(f"{path} has a row without a value in its column `case`; {remedy}.")
    if twice := [case for case, count in counts.items() if count > 1]:
        raise HyperSORTError(f"{path} has more than one row for the case {', '.join(twice[:5])}; {remedy}.")
    return RankingTable(
        {row["case"]: _from_cells(row, path, remedy) for row in table.rows},
        {column: {row["case"]: row[column] for row in table.rows if row[column]} for column in table.columns},
    )


def _from_cells(row: Mapping[str, str], path: Path, remedy: str) -> RankedCase:
    values: dict[str, Any] = {}
    for field in fields(RankedCase):
        cell = row.get(field.name, "")
        if field.type in (float, "float"):
            values[field.name] = _number(cell, field.name, path, remedy)
        elif field.name in ("folds", "held_out"):
            values[field.name] = tuple(cell.split())
        elif field.name == "flagged":
            values[field.name] = _is_flagged(cell, path, remedy)
        else:
            values[field.name] = cell
    case = RankedCase(**values)
    for name in ("quality", "wrong_probability"):
        value = getattr(case, name)
        if not math.isnan(value) and not 0 <= value <= 1:
            raise HyperSORTError(f"{path} has the {name} {row[name]!r}, which is not in [0, 1]; {remedy}.")
    return case


def _is_flagged(cell: str, path: Path, remedy: str) -> bool | None:
    # Tables of before have no such column.
    if cell not in ("", *_YES_NO.values()):
        raise HyperSORTError(f"{path} has {cell!r} in its column `flagged`, which is neither yes nor no; {remedy}.")
    return {text: flagged for flagged, text in _YES_NO.items()}.get(cell)


def _number(cell: str, column: str, path: Path, remedy: str) -> float:
    try:
        return float(cell) if cell else math.nan
    except ValueError:
        raise HyperSORTError(f"{path} has {cell!r} in its column `{column}`, which is no number; {remedy}.") from None


def _as_cell(value: str | float | bool | tuple[str, ...] | None) -> str | float | None:
    if isinstance(value, bool):
        return _YES_NO[value]
    return " ".join(value) if isinstance(value, tuple) else value
