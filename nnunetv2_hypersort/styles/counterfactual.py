"""The same images segmented in every style, so that styles are compared and not patients."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.orientation import axis_codes
from nnunetv2_hypersort.latents import Style
from nnunetv2_hypersort.model.case_images import CaseImages, evenly_spread
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import PreprocessedImage
from nnunetv2_hypersort.model.segmenter import FoldSegmenter
from nnunetv2_hypersort.model.trained_fold import TrainedFold
from nnunetv2_hypersort.styles.style_contrast import Segmented, StyleContrast, contrast_styles


def contrasts_of_styles(
    model: ModelFolder, images: CaseImages, styles: Sequence[Style], *, cases: int, device: str | torch.device
) -> tuple[dict[tuple[str, str], StyleContrast], dict[tuple[str, str], str]]:
    """Compare each style with each other one that some fold has as well.

    Args:
        model: The model.
        images: Where the images are.
        styles: The styles, with latents of the opened folds.
        cases: How many cases each fold segments: such as it did not train on, as far as there are.
        device: Device of PyTorch.

    Returns:
        For each ordered pair of names the contrast of the first to the second, and the fold that segmented.

    Raises:
        HyperSORTError: No image is there that can be read, or the model is the second stage of a cascade.
    """
    contrasts: dict[tuple[str, str], StyleContrast] = {}
    by_fold: dict[tuple[str, str], str] = {}
    known = {fold.name: [style for style in styles if fold.name in style.folds] for fold in model.folds}
    # One fold has all styles as a rule; further ones segment only what it lacks.
    for fold in sorted(model.folds, key=lambda fold: -len(known[fold.name])):
        pairs = [
            (one.name, two.name)
            for one, two in combinations(known[fold.name], 2)
            if (one.name, two.name) not in by_fold
        ]
        if not pairs:
            continue
        wanted = {name for pair in pairs for name in pair}
        latents = {style.name: style.folds[fold.name].coordinates for style in known[fold.name] if style.name in wanted}
        segmented = _segment(model, fold, images, latents, cases, device)
        for one, two in pairs:
            by_fold[one, two] = by_fold[two, one] = fold.name
            contrasts[one, two] = contrast_styles(one, two, segmented, model.labels)
            contrasts[two, one] = contrast_styles(two, one, segmented, model.labels)
    return contrasts, by_fold


def contrast_of_latents(
    model: ModelFolder,
    fold: TrainedFold,
    images: CaseImages,
    high: Sequence[float],
    low: Sequence[float],
    *,
    cases: int,
    device: str | torch.device,
) -> StyleContrast:
    """Compare what one latent of a fold segments with what another one does.

    Args:
        model: The model.
        fold: The fold of both latents.
        images: Where the images are.
        high: The latent, (dim,) values.
        low: The one it is compared with.
        cases: How many cases are segmented.
        device: Device of PyTorch.

    Raises:
        HyperSORTError: No image is there that can be read, or the model is the second stage of a cascade.
    """
    segmented = _segment(model, fold, images, {"high": high, "low": low}, cases, device)
    return contrast_styles("high", "low", segmented, model.labels)


def _segment(
    model: ModelFolder,
    fold: TrainedFold,
    images: CaseImages,
    latents: Mapping[str, Sequence[float]],
    cases: int,
    device: str | torch.device,
) -> list[Segmented]:
    segmenter = FoldSegmenter(model, fold, device)
    chosen = evenly_spread(sorted(fold.validation_cases), cases)
    trained = [case for case in sorted(fold.record.case_ids) if case not in chosen]
    chosen += evenly_spread(trained, cases - len(chosen))
    spare = [case for case in (*sorted(fold.validation_cases), *trained) if case not in chosen]
    segmented: list[Segmented] = []
    failed: HyperSORTError | None = None
    for case in (*chosen, *spare):
        if len(segmented) == cases:
            break
        try:
            image = images.image(case)
        except HyperSORTError as error:
            failed = error
            continue
        maps = {name: segmenter.segment_preprocessed(image, latent) for name, latent in latents.items()}
        segmented.append(Segmented(maps, *_grid(model, image)))
    if failed is not None and not segmented:
        raise failed
    return segmented


def _grid(model: ModelFolder, image: PreprocessedImage) -> tuple[tuple[float, ...], tuple[str, str, str] | None]:
    # nnU-Net transposes first, then crops and resamples, in 2d configurations only within slices.
    order = model.planned.plans_manager.transpose_forward
    original = [image.properties["spacing"][axis] for axis in order]
    resampled = list(model.planned.configuration_manager.spacing)
    spacing = tuple(float(step) for step in np.array([*original[: len(original) - len(resampled)], *resampled]))
    codes = axis_codes(image.properties)
    return spacing, None if codes is None else (codes[order[0]], codes[order[1]], codes[order[2]])
