"""Draws the worst slice of each case, within a time."""

import shlex
import time
from collections.abc import Sequence

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.progress import tracked
from nnunetv2_hypersort.images.overlap import dice_of_masks
from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder, load_preprocessed
from nnunetv2_hypersort.report.content import Note, ShownStyle, SlicePicture
from nnunetv2_hypersort.report.slices import (
    CutOut,
    SliceView,
    label_fields,
    prediction_fields,
    worst_slice,
)
from nnunetv2_hypersort.report.style_latents import nearest_style_latent


def draw_cases(
    model: ModelFolder,
    cases: Sequence[str],
    styles: Sequence[ShownStyle],
    segmenter: FoldSegmenter | None,
    *,
    seconds: float,
) -> tuple[dict[str, SlicePicture], list[Note]]:
    """Draw the slice of each case where label and prediction differ most.

    Args:
        model: The model, its preprocessed data at hand.
        cases: In the order in which their pictures are made, should the time not last for all.
        styles: The styles, largest first.
        segmenter: Makes the predictions; None draws labels alone.
        seconds: When these are over the rest is shown without predictions, and after as many again not at all.

    Returns:
        The pictures by case, and notes on what is missing.
    """
    started = time.monotonic()
    pictures: dict[str, SlicePicture] = {}
    unreadable: list[tuple[str, str]] = []
    for case in tracked(cases, "worst slices"):
        elapsed = time.monotonic() - started
        if elapsed > 2 * seconds:
            break
        try:
            pictures[case] = _draw_case(model, case, styles, segmenter if elapsed <= seconds else None)
        except HyperSORTError as error:
            unreadable.append((case, str(error)))
    notes = []
    if unreadable:
        notes.append(Note(f"{len(unreadable)} of {len(cases)} cases cannot be shown. The first: {unreadable[0][1]}"))
    without = sum(picture.prediction is None for picture in pictures.values()) if segmenter is not None else 0
    undrawn = len(cases) - len(pictures) - len(unreadable)
    if without or undrawn:
        minutes = f"{seconds / 60:g} minutes"
        notes.append(
            Note(
                f"The time for pictures, {minutes}, lasted for predictions of {len(pictures) - without} of "
                f"{len(cases)} cases; {without} are shown with their label alone, {undrawn} not at all.",
                f"hypersort report {shlex.quote(str(model.path))} --minutes {max(2 * seconds / 60, 10):g}",
            )
        )
    return pictures, notes


def _draw_case(
    model: ModelFolder, case: str, styles: Sequence[ShownStyle], segmenter: FoldSegmenter | None
) -> SlicePicture:
    image = load_preprocessed(model, case)
    manager = model.planned.label_manager
    label = np.asarray(image.segmentation)
    logits = prediction = dice = None
    if segmenter is not None:
        logits = segmenter.logits(image, nearest_style_latent(segmenter.fold, case, styles))
        prediction = np.asarray(manager.convert_logits_to_segmentation(logits)).astype(np.int16)
        # What the case is not annotated for is no difference; the contours show all that is predicted.
        prediction = model.annotated.keep_annotated(case, prediction)
        dice = _dice(label, prediction, manager.ignore_label)
    number = worst_slice(label, prediction, manager.ignore_label)
    view = SliceView.of(image, model.planned)
    shown_label = view.apply(label[number])
    outlined = label_fields(shown_label, tuple(model.labels.values()))
    inside = np.any([field > 0 for field in outlined], axis=0)
    fields = None
    if logits is not None:
        fields = prediction_fields(view.apply(logits[:, number].float().numpy()), bool(manager.has_regions))
        inside |= np.any([field > 0 for field in fields], axis=0) if fields else False
    cut = CutOut.around(inside, view.spacing)
    width, height = cut.size
    return SlicePicture(
        image=cut.encode(view.apply(image.data[0, number])),
        width=width,
        height=height,
        label=cut.path(outlined),
        prediction=None if fields is None else cut.path(fields),
        slice_number=number,
        dice=dice,
    )


def _dice(label: np.ndarray, prediction: np.ndarray, ignore: int | None) -> float:
    counted = label != ignore if ignore is not None else np.ones(label.shape, bool)
    dice = dice_of_masks((label > 0) & counted, (prediction > 0) & counted)
    return 1.0 if np.isnan(dice) else dice
