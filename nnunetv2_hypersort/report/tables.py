"""Reads what other commands and the user know of the cases: styles, ranking, and a table of columns to colour by."""

import csv
import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import Style
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.report.content import Column, Note, Ranked, ShownStyle, StylePoint

STYLES_FILE = "styles.json"
RANKING_FILE = "case_ranking.csv"
_SHOWN_ANYWAY = ("case", "quality", "style", "folds", "reason", "held_out", "loss", "dice")


def read_styles(model: ModelFolder) -> tuple[tuple[ShownStyle, ...], list[Note]]:
    """The styles of a model, from its plans and, for the descriptions, `styles.json`.

    Returns:
        The styles, and notes on what is missing.

    Raises:
        HyperSORTError: `styles.json` or the styles in the plans are damaged.
    """
    command = f"hypersort styles {shlex.quote(str(model.path))}"
    path = model.path / STYLES_FILE
    book = model.book
    entries = _read_entries(path)
    if not book.styles and not entries:
        return (), [Note("The styles of this model are not known yet: no style colours, cards and slider.", command)]
    notes = []
    if not entries:
        notes.append(Note(f"There is no {STYLES_FILE}: the styles have no description.", command))
    try:
        described = {
            str(entry["name"]): (
                tuple(str(case) for case in entry.get("cases") or ()),
                str(entry.get("description") or ""),
                _points(entry.get("folds") or {}),
            )
            for entry in entries
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged_styles(path, f"{type(error).__name__}: {error}") from error
    styles = []
    outdated: set[str] = set()
    for name in (*described, *(name for name in book.names if name not in described)):
        ours = book.find(name) if name in book.names else None
        cases, description, points = described.get(name, ((), "", {}))
        folds, foreign = _of_these_checkpoints(model, ours, points)
        outdated.update(foreign)
        fitted = ours is not None and ours.origin == "fitted"
        styles.append(ShownStyle(name, cases or (ours.cases if ours else ()), description, folds, fitted))
    if outdated:
        which = ", ".join(sorted(outdated))
        notes.append(
            Note(f"The styles were found in another checkpoint of fold {which} and are not drawn there.", command)
        )
    styles.sort(key=lambda style: (style.fitted, -len(style.cases)))
    return tuple(styles), notes


def read_ranking(model: ModelFolder) -> tuple[dict[str, Ranked], list[Column], list[Note]]:
    """The ranking of the cases that `hypersort rank` wrote.

    Returns:
        The ranking by case, its further columns (to colour by), and notes on what is missing.

    Raises:
        HyperSORTError: The file is damaged.
    """
    path = model.path / RANKING_FILE
    command = f"hypersort rank {shlex.quote(str(model.path))}"
    if not path.is_file():
        return {}, [], [Note("The cases are not ranked yet: the table is in the order of their loss.", command)]
    header, rows = _read_rows(path, f"run `{command}` again")
    if "quality" not in header:
        raise HyperSORTError(f"{path} has no column `quality`; run `{command}` again.")
    ranking = {
        row["case"]: Ranked(
            _quality(row.get("quality", ""), path, command),
            row.get("reason", ""),
            row.get("folds", ""),
            row.get("style", ""),
        )
        for row in rows
    }
    return ranking, _columns(header, rows, leave_out=_SHOWN_ANYWAY, in_table=False), []


def read_columns(path: Path, cases: Sequence[str]) -> tuple[list[Column], list[Note]]:
    """A table of the user's: a column `case`, and columns to colour by, such as the institute or the scanner.

    Args:
        path: CSV, separated by commas, semicolons or tabulators.
        cases: The training cases.

    Returns:
        The columns, and notes on what is missing.

    Raises:
        HyperSORTError: The file cannot be read, has no column `case`, a case stands there twice, or it has no case of
            this model.
    """
    header, rows = _read_rows(path, "mend the table")
    known = set(cases)
    rows = [row for row in rows if row["case"] in known]
    if not rows:
        raise HyperSORTError(
            f"{path} has no training case of this model in its column `case`; the ids look like {cases[0]}."
        )
    columns = _columns(header, rows, leave_out=("case",), in_table=True)
    if not columns:
        raise HyperSORTError(f"{path} has no column beside `case` with a value; add one to colour by.")
    missing = len(known) - len(rows)
    return columns, [Note(f"{missing} of {len(known)} training cases are not in {path.name}.")] if missing else []


def _read_entries(path: Path) -> list[Any]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["styles"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged_styles(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(entries, list):
        raise _damaged_styles(path, "its `styles` are no list")
    return entries


def _damaged_styles(path: Path, why: str) -> HyperSORTError:
    command = f"hypersort styles {shlex.quote(str(path.parent))}"
    return HyperSORTError(f"{path} is damaged ({why}); run `{command}` again.")


def _points(folds: dict[str, Any]) -> dict[str, tuple[StylePoint, str]]:
    return {
        str(fold): (
            StylePoint(
                np.array([float(value) for value in there["coordinates"]]), there.get("medoid"), there.get("size")
            ),
            str(there["fingerprint"]),
        )
        for fold, there in folds.items()
    }


def _of_these_checkpoints(
    model: ModelFolder, style: Style | None, points: dict[str, tuple[StylePoint, str]]
) -> tuple[dict[str, StylePoint], list[str]]:
    kept, foreign = {}, []
    for fold in model.folds:
        record = fold.record
        point, fingerprint = points.get(fold.name, (None, ""))
        if style is not None and style.serves(record):
            there = style.folds[fold.name]
            size = point.size if point else None
            kept[fold.name] = StylePoint(np.array(there.coordinates), there.case_id, size)
        elif (
            point is not None
            and fingerprint == record.fingerprint
            and point.coordinates.shape == record.latents.shape[1:]
        ):
            kept[fold.name] = point
        elif point is not None or (style is not None and fold.name in style.folds):
            foreign.append(fold.name)
    return kept, foreign


def _read_rows(path: Path, remedy: str) -> tuple[list[str], list[dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        lines = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
        header = [name.strip() for name in next(lines, [])]
        rows = [dict(zip(header, (cell.strip() for cell in line), strict=False)) for line in lines if any(line)]
    except (OSError, ValueError, csv.Error) as error:
        raise HyperSORTError(f"{path} cannot be read as a table ({error}); {remedy}.") from error
    if "case" not in header:
        raise HyperSORTError(f"{path} has no column `case`, only {', '.join(header) or 'nothing'}; {remedy}.")
    names = [row.get("case", "") for row in rows]
    if "" in names:
        raise HyperSORTError(f"{path} has a row without a value in its column `case`; {remedy}.")
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise HyperSORTError(f"{path} has more than one row for the case {', '.join(twice[:5])}; {remedy}.")
    return header, rows


def _columns(
    header: Sequence[str], rows: Sequence[dict[str, str]], *, leave_out: Sequence[str], in_table: bool
) -> list[Column]:
    columns = []
    for name in dict.fromkeys(header):
        values = {row["case"]: row[name] for row in rows if row.get(name)}
        if name and name not in leave_out and values:
            columns.append(Column(name, values, in_table))
    return columns


def _quality(text: str, path: Path, command: str) -> float:
    if not text:
        return math.nan
    try:
        quality = float(text)
    except ValueError:
        quality = math.inf
    if math.isnan(quality):
        return math.nan
    if not 0 <= quality <= 1:
        raise HyperSORTError(f"{path} has the quality {text!r}, which is not in [0, 1]; run `{command}` again.")
    return quality
