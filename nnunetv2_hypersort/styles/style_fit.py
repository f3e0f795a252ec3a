"""The labels of cases against what the styles of a fold would draw."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnunetv2_hypersort.styles.label_comparison import compare_label_map
from nnunetv2_hypersort.styles.model_folder import ModelFolder
from nnunetv2_hypersort.styles.preprocessed import PreprocessedImage, load_preprocessed
from nnunetv2_hypersort.styles.segmenter import FoldSegmenter
from nnunetv2_hypersort.styles.trained_fold import TrainedFold


@dataclass(frozen=True)
class StyleFit:
    """How well the style that fits a label best fits it.

    Attributes:
        style: Which of the styles, counted from 0.
        dice: Dice of label and prediction, mean over labels, in [0, 1].
        worst_label: The label with the lowest Dice, and that Dice; None if neither has any label.
        doubtful_mm3: Volume in mm³ in which label and prediction differ.
    """

    style: int
    dice: float
    worst_label: tuple[str, float] | None
    doubtful_mm3: float


def segmenter_without_mirroring(model: ModelFolder, fold: TrainedFold, device: str) -> FoldSegmenter:
    """A segmenter that leaves out nnU-Net's mirroring, which costs up to eight times as much and changes little."""
    return FoldSegmenter(model, replace(fold, mirror_axes=None), device)


def fit_styles(
    model: ModelFolder,
    fold: TrainedFold,
    latents: Sequence[np.ndarray],
    cases: Iterable[str],
    *,
    device: str,
    done: Callable[[], object],
) -> dict[str, StyleFit]:
    """Segment preprocessed cases in every style of a fold and compare them with their labels.

    A case is never segmented with its own latent, which may have fitted an error.

    Args:
        model: The model.
        fold: One of its folds.
        latents: The latent of each style, shape (dim,).
        cases: Cases of the preprocessed data.
        device: Where to predict.
        done: Called after each case.

    Returns:
        The best fit by case. A case all of whose voxels are ignored is missing.

    Raises:
        HyperSORTError: A case cannot be read, or the checkpoint does not fit the plans.
    """
    segmenter = segmenter_without_mirroring(model, fold, device)
    found = {}
    for case in cases:
        image = load_preprocessed(model, case)
        fit = _best_fit(segmenter, image, latents)
        if fit is not None:
            found[case] = fit
        done()
    return found


def _best_fit(segmenter: FoldSegmenter, image: PreprocessedImage, latents: Sequence[np.ndarray]) -> StyleFit | None:
    model, label_map = segmenter.model, image.segmentation
    ignore = model.planned.label_manager.ignore_label
    if label_map is None or (ignore is not None and (label_map == ignore).all()):
        return None
    comparisons = [
        compare_label_map(label_map, segmenter.segment_preprocessed(image, latent), model.labels, ignore)
        for latent in latents
    ]
    style = int(np.argmax([comparison.mean_dice for comparison in comparisons]))
    best = comparisons[style]
    worst = best.worst_label
    return StyleFit(
        style,
        best.mean_dice,
        None if worst is None else (worst, best.dice[worst]),
        int(best.differing.sum()) * _voxel_mm3(image),
    )


def _voxel_mm3(image: PreprocessedImage) -> float:
    # Resampling keeps the extent of the cropped image, whatever the configuration resamples.
    original = image.properties["shape_after_cropping_and_before_resampling"]
    scale = math.prod(original) / math.prod(image.data.shape[1:])
    return float(math.prod(image.properties["spacing"]) * scale)
