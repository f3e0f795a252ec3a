"""The styles that every verb shows: those that `hypersort styles` wrote, or those it would find in the latents."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_hypersort.latents import FoldRecord, Style, StyleBook
from nnunetv2_hypersort.latents.styles_file import StylesFile
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.styles.grouping import group_styles


@dataclass(frozen=True)
class StylesOfFold:
    """The styles that one fold knows.

    Attributes:
        names: Their names; empty for a fold that the book does not serve, whose own clusters these are.
        latents: Shape (styles, dim).
        numbers: The number of the style of each case, counted from 0; cases of no style are absent.
    """

    names: tuple[str, ...]
    latents: np.ndarray
    numbers: Mapping[str, int]


def known_styles(model: ModelFolder) -> tuple[StylesFile, list[str]]:
    """The styles of a model for all that it writes.

    Args:
        model: The model.

    Returns:
        What `hypersort styles` wrote, if that serves one of the opened folds; else the styles that it would find in
        the latents, each at its medoid, with the fitted styles of the book. And notes on what is not as it should be.

    Raises:
        HyperSORTError: `styles.json` is damaged, or `plans.json` states other styles.
    """
    written = model.styles
    found = [style for style in written.book.styles if style.origin == "clusters"]
    served = [fold.record for fold in model.folds if any(style.serves(fold.record) for style in found)]
    if served:
        return written, _notes(model, written, served)
    again = f"run `hypersort styles {shlex.quote(str(model.path))}`"
    why = (
        f"The styles in {model.path} were found in other checkpoints than these; {again} again."
        if found
        else f"The styles of this model are not known yet; {again} first."
    )
    placed = [fold.record for fold in model.folds if fold.progress.has_places]
    if not placed:
        return StylesFile(), [why]
    fitted = [style for style in written.book.styles if style.origin == "fitted"]
    return _grouped(placed, fitted), [f"{why} Until then the latents are grouped as it would do it, undescribed."]


def _grouped(records: Sequence[FoldRecord], fitted: Sequence[Style]) -> StylesFile:
    grouping = group_styles(records, taken=[style.name for style in fitted])
    of_fold = {one.fold: one for one in grouping.clusters}
    sizes = {
        (style.name, fold): len(of_fold[fold].cases_of(place.cluster))
        for style in grouping.styles
        for fold, place in style.folds.items()
        if place.cluster is not None
    }
    without_style = frozenset((*grouping.outliers, *grouping.undecided))
    return StylesFile(StyleBook((*grouping.styles, *fitted)), sizes=sizes, without_style=without_style)


def _notes(model: ModelFolder, written: StylesFile, served: Sequence[FoldRecord]) -> list[str]:
    notes = []
    again = f"run `hypersort styles {shlex.quote(str(model.path))}` again"
    names = {record.fold for record in served}
    if without := [fold.name for fold in model.folds if fold.name not in names]:
        notes.append(f"The styles are not known in fold {', '.join(without)}; {again}.")
    places = [style.folds[r.fold] for style in written.book.styles for r in served if style.serves(r)]
    if any(place.identity.version == 1 for place in places):
        notes.append(
            f"The styles were written by a version that did not state which weights they were found in; they are "
            f"taken, as cases and latents agree. To have the weights compared as well, {again}."
        )
    if written.provisional:
        listed = "; ".join(f"fold {fold}: {words}" for fold, words in written.provisional.items())
        notes.append(f"The styles are provisional, found at {listed}.")
    return notes


def styles_of_fold(book: StyleBook, record: FoldRecord) -> StylesOfFold:
    """The styles of clusters that serve a fold, or the clusters of its own where none does.

    Args:
        book: What `known_styles` gave.
        record: The fold, whose latents have places.
    """
    serving = [style for style in book.styles if style.origin == "clusters" and style.serves(record)]
    names = tuple(style.name for style in serving)
    if not serving:
        serving = list(group_styles([record]).styles)
    dim = record.latents.shape[1]
    latents = np.array([style.folds[record.fold].coordinates for style in serving]).reshape(len(serving), dim)
    number = {style.name: row for row, style in enumerate(serving)}
    members = StyleBook(tuple(serving)).style_of_cases() if serving else {}
    return StylesOfFold(names, latents, {case: number[name] for case, name in members.items()})
