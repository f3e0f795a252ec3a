"""Reads what is known of the cases: styles, ranking, and a table of the user's with columns to colour by."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.case_rows import read_case_rows
from nnunetv2_hypersort.latents import Style
from nnunetv2_hypersort.latents.styles_file import StylesFile
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.ranking.ranking_table import RankedCase, read_ranking
from nnunetv2_hypersort.report.content import Column, Note, ShownStyle, StylePoint
from nnunetv2_hypersort.styles.known_styles import known_styles

# Of the ranking: columns of the table of cases anyway, and what is the same for all cases.
_NO_COLOURS = ("case", "quality", "style", "folds", "reason", "held_out", "loss", "dice", "provisional")


def shown_styles(model: ModelFolder) -> tuple[tuple[ShownStyle, ...], list[Note]]:
    """The styles of a model, with their places in those folds whose checkpoints they were found in.

    Returns:
        The styles, and notes on what is missing.

    Raises:
        HyperSORTError: See `known_styles`.
    """
    written, texts = known_styles(model)
    notes = [Note(text) for text in texts]
    command = f"hypersort styles {shlex.quote(str(model.path))}"
    styles = [_shown(style, written, model) for style in written.book.styles]
    found = [style for style in styles if not style.fitted]
    if found and not texts and not any(style.description for style in found):
        notes.append(Note("The styles have no description.", command))
    outdated = {
        fold.name
        for fold in model.folds
        for style in written.book.styles
        if fold.name in style.folds and not style.serves(fold.record)
    }
    if outdated:
        which = ", ".join(sorted(outdated))
        notes.append(Note(f"Styles found in another checkpoint of fold {which} are not shown there.", command))
    return tuple(styles), notes


def shown_ranking(model_folder: Path) -> tuple[Mapping[str, RankedCase], list[Column], list[Note]]:
    """The ranking of the cases that `hypersort rank` wrote.

    Returns:
        The ranking by case, its further columns (to colour by), and notes on what is missing.

    Raises:
        HyperSORTError: The file is damaged.
    """
    command = f"hypersort rank {shlex.quote(str(model_folder))}"
    table = read_ranking(model_folder)
    if table is None:
        text = "The cases are not ranked yet: the table is in the order of their loss."
        return {}, [], [Note(text, command)]
    provisional = next((case.provisional for case in table.cases.values() if case.provisional), None)
    notes = [Note(f"The ranking is provisional, of {provisional}.", command)]
    return table.cases, _columns(table.columns, _NO_COLOURS, in_table=False), notes if provisional else []


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
    table = read_case_rows(path, cases)
    cells = {name: table.column(name) for name in table.columns}
    columns = _columns(cells, ("case",), in_table=True)
    if not columns:
        raise HyperSORTError(f"{path} has no column beside `case` with a value; add one to colour by.")
    missing = len(cases) - len(table.rows)
    return columns, [Note(f"{missing} of {len(cases)} training cases are not in {path.name}.")] if missing else []


def _shown(style: Style, written: StylesFile, model: ModelFolder) -> ShownStyle:
    points = {}
    for fold in model.folds:
        if style.serves(fold.record):
            there = style.folds[fold.name]
            size = written.sizes.get((style.name, fold.name))
            points[fold.name] = StylePoint(np.array(there.coordinates), there.case_id, size)
    description = written.descriptions.get(style.name, "")
    return ShownStyle(style.name, style.cases, description, points, style.origin == "fitted")


def _columns(cells: Mapping[str, Mapping[str, str]], leave_out: Collection[str], *, in_table: bool) -> list[Column]:
    wanted = {name: values for name, values in cells.items() if name and name not in leave_out and values}
    return [Column(name, values, in_table) for name, values in wanted.items()]
