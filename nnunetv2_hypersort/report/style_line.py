"""Segments a slice that was held out along the line between two styles."""

import time
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.progress import progress_bar
from nnunetv2_hypersort.latents.plane import LatentPlane
from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder, PreprocessedImage, load_preprocessed
from nnunetv2_hypersort.report.content import LineStep, Note, ShownStyle, SlicePicture, StyleLine
from nnunetv2_hypersort.report.slices import CutOut, SliceView, label_fields, prediction_fields

STEPS = 11
_MOST_STYLES = 3
_CANDIDATES = 15


def draw_lines(
    model: ModelFolder,
    styles: Sequence[ShownStyle],
    segmenter: FoldSegmenter,
    plane: LatentPlane,
    *,
    seconds: float,
) -> tuple[list[StyleLine], list[Note]]:
    """Draw the lines between the largest styles of a fold.

    Args:
        model: The model, its preprocessed data at hand.
        styles: The styles, largest first.
        segmenter: Of the fold.
        plane: Where the latents of the fold are shown.
        seconds: A line that was not begun by then is left out.

    Returns:
        The lines, and notes on what is missing.
    """
    fold = segmenter.fold
    here = [style for style in styles if fold.name in style.folds][:_MOST_STYLES]
    if len(here) < 2:
        return [], [Note(f"Fold {fold.name} has fewer than two styles: no slider between styles.")]
    started = time.monotonic()
    try:
        case, image = _typical_case(model, fold.validation_cases or fold.record.case_ids)
    except HyperSORTError as error:
        return [], [Note(f"No slider between styles: {error}")]
    pairs = list(combinations(here, 2))
    lines: list[StyleLine] = []
    with progress_bar(len(pairs) * STEPS, "between styles", unit="prediction") as bar:
        for start, end in pairs:
            if time.monotonic() - started > seconds:
                note = Note(f"The time lasted for {len(lines)} of {len(pairs)} lines between styles.")
                return lines, [note]
            lines.append(_draw_line(model, image, (start, end), segmenter, plane, case, bar.update))
    return lines, []


def _draw_line(
    model: ModelFolder,
    image: PreprocessedImage,
    styles: tuple[ShownStyle, ShownStyle],
    segmenter: FoldSegmenter,
    plane: LatentPlane,
    case: str,
    segmented: Callable[[], object],
) -> StyleLine:
    fold, manager = segmenter.fold, model.planned.label_manager
    start, end = (style.folds[fold.name].coordinates for style in styles)
    latents = [start + (end - start) * share for share in np.linspace(0, 1, STEPS)]

    def segment(latent: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        logits = segmenter.logits(image, latent)
        segmented()
        return logits, np.asarray(manager.convert_logits_to_segmentation(logits))

    first, last = segment(latents[0]), segment(latents[-1])
    different = (first[1] != last[1]).sum((1, 2))
    present = (first[1] > 0).sum((1, 2)) + (last[1] > 0).sum((1, 2))
    number = int(np.argmax(different if different.any() else present))
    view = SliceView.of(image, model.planned)
    volume = float(np.prod(_spacing(model, image))) / 1000
    steps = []
    for step, latent in enumerate(latents):
        logits, segmentation = first if step == 0 else last if step == STEPS - 1 else segment(latent)
        fields = prediction_fields(view.apply(logits[:, number].float().numpy()), bool(manager.has_regions))
        steps.append((fields, float((segmentation > 0).sum()) * volume, plane.project(latent)))
    outlined = label_fields(view.apply(np.asarray(image.segmentation)[number]), tuple(model.labels.values()))
    everything = [*outlined, *(field for fields, _, _ in steps for field in fields)]
    cut = CutOut.around(np.any([field > 0 for field in everything], axis=0), view.spacing)
    grey = view.apply(image.data[0, number])
    width, height = cut.size
    return StyleLine(
        start=styles[0].name,
        end=styles[1].name,
        fold=fold.name,
        case=case,
        held_out=case not in fold.record.case_ids,
        picture=SlicePicture(cut.encode(grey), width, height, cut.path(outlined), None, number),
        steps=tuple(LineStep(cut.path(fields), size, point) for fields, size, point in steps),
    )


def _typical_case(model: ModelFolder, cases: Sequence[str]) -> tuple[str, PreprocessedImage]:
    # The median of foreground among some: neither an empty label nor an unusual size shows a style well.
    foreground: dict[str, int] = {}
    failed = HyperSORTError("There is no case to draw.")
    for case in sorted(cases):
        try:
            foreground[case] = int((np.asarray(load_preprocessed(model, case).segmentation) > 0).sum())
        except HyperSORTError as error:
            failed = error
        if len(foreground) == _CANDIDATES:
            break
    if not foreground:
        raise failed
    chosen = sorted(foreground, key=foreground.__getitem__)[len(foreground) // 2]
    return chosen, load_preprocessed(model, chosen)


def _spacing(model: ModelFolder, image: PreprocessedImage) -> list[float]:
    # A 2d configuration leaves the distance of the slices as it is in the file.
    planned = [float(value) for value in model.planned.configuration_manager.spacing]
    if len(planned) == 3:
        return planned
    forward = model.planned.plans_manager.transpose_forward
    return [float(image.properties["spacing"][forward[0]]), *planned]
