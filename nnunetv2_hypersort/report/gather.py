"""Gathers what the report shows of a model."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents.plane import LatentPlane
from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder, TrainedFold
from nnunetv2_hypersort.report.content import (
    Note,
    ReportContent,
    ShownFold,
    SlicePicture,
    StyleLine,
)
from nnunetv2_hypersort.report.examples import examples_of
from nnunetv2_hypersort.report.pictures import draw_cases
from nnunetv2_hypersort.report.style_line import draw_lines
from nnunetv2_hypersort.report.tables import read_columns, shown_ranking, shown_styles


def gather(model: ModelFolder, *, columns_file: Path | None, minutes: float, device: str) -> ReportContent:
    """Read, and where there are preprocessed data predict and draw, all that the report shows.

    Args:
        model: The model.
        columns_file: A table with a column `case`, to colour by; or None.
        minutes: Time for pictures with predictions, see `draw_cases`; 0 makes none.
        device: `cpu`, `cuda` or another device of PyTorch.

    Raises:
        HyperSORTError: A table or the styles are damaged.
    """
    styles, notes = shown_styles(model)
    ranking, columns, more = shown_ranking(model.path)
    notes += [
        Note(f"The latents of fold {fold.name} mean nothing yet: it is at {fold.progress}.")
        for fold in model.folds
        if not fold.progress.has_places
    ]
    notes += more
    content = ReportContent(
        dataset=model.dataset_name,
        training=f"{model.configuration}, {model.planned.trainer_name}",
        cases=tuple(sorted({case for fold in model.folds for case in fold.record.case_ids}.union(ranking))),
        folds=tuple(_shown_fold(fold) for fold in model.folds),
        styles=styles,
        ranking=ranking,
        provisional=model.provisional,
    )
    loss = content.loss_of()
    cases = sorted(content.cases, key=lambda case: (_quality(content, case), -loss.get(case, math.inf), case))
    if columns_file is not None:
        own, more = read_columns(columns_file, cases)
        columns, notes = [*own, *columns], notes + more
    pictures, lines, fold, more = _draw(model, content, cases, minutes=minutes, device=device)
    return replace(
        content,
        cases=tuple(cases),
        columns=tuple(columns),
        pictures=pictures,
        prediction_fold=fold,
        lines=tuple(lines),
        notes=tuple(notes + more),
    )


def _draw(
    model: ModelFolder, content: ReportContent, cases: Sequence[str], *, minutes: float, device: str
) -> tuple[dict[str, SlicePicture], list[StyleLine], str, list[Note]]:
    if minutes == 0:
        command = f"hypersort report {shlex.quote(str(model.path))} --minutes 10"
        return {}, [], "", [Note("No time was given for pictures: no slices and no slider between styles.", command)]
    if model.preprocessed_cases_folder() is None:
        note = Note(
            f"The preprocessed data of {model.dataset_name} are gone, or nnUNet_preprocessed does not name their "
            f"folder: no slices and no slider between styles.",
            shlex.join(
                [
                    *("nnUNetv2_preprocess", "-d", model.dataset_name),
                    *("-plans_name", str(model.plans["plans_name"]), "-c", model.configuration),
                ]
            ),
        )
        return {}, [], "", [note]
    notes: list[Note] = []
    lines: list[StyleLine] = []
    seconds = 60 * minutes
    segmenter = None
    # Without mirroring the contours look the same, and there is time for up to eight times as many.
    fold = replace(_fold_to_segment(model, content), mirror_axes=None)
    try:
        segmenter = FoldSegmenter(model, fold, device)
    except HyperSORTError as error:
        notes.append(Note(f"Predictions cannot be shown: {error}"))
    if segmenter is not None and content.styles:
        plane = next(shown.plane for shown in content.folds if shown.name == fold.name)
        lines, notes = draw_lines(model, content.styles, segmenter, plane, seconds=seconds / 3)
    first = [case for style in content.styles for case in examples_of(content, style)]
    order = list(dict.fromkeys((*first, *cases)))
    pictures, more = draw_cases(model, order, content.styles, segmenter, seconds=seconds)
    return pictures, lines, "" if segmenter is None else segmenter.fold.name, notes + more


def _fold_to_segment(model: ModelFolder, content: ReportContent) -> TrainedFold:
    # The first of those that know most styles.
    return max(model.folds, key=lambda fold: sum(fold.name in style.folds for style in content.styles))


def _quality(content: ReportContent, case: str) -> float:
    ranked = content.ranking.get(case)
    return math.inf if ranked is None or math.isnan(ranked.quality) else ranked.quality


def _shown_fold(fold: TrainedFold) -> ShownFold:
    record = fold.record
    return ShownFold(
        fold.name,
        fold.epoch,
        record.case_ids,
        record.latents,
        fold.losses,
        fold.history,
        fold.history_epochs,
        LatentPlane.through(record.latents),
    )
