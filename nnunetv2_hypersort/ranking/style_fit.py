"""The labels of cases against what the styles of a fold would segment."""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.label_comparison import compare_label_map
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import PreprocessedImage, load_preprocessed
from nnunetv2_hypersort.model.segmenter import FoldSegmenter
from nnunetv2_hypersort.model.trained_fold import TrainedFold
from nnunetv2_hypersort.ranking.quality import agreement_per_label, mean_agreement


@dataclass(frozen=True)
class StyleFit:
    """How well a label agrees with the prediction in the style that fits it best.

    Attributes:
        style: Which of the styles, counted from 0.
        agreement: In [0, 1], see `agreement_per_label`; mean over labels.
        worst_label: The label with the lowest agreement, and that agreement; None if neither has any label.
        doubtful_mm3: Volume in mm³ in which label and prediction differ.
    """

    style: int
    agreement: float
    worst_label: tuple[str, float] | None
    doubtful_mm3: float


def segmenter_without_mirroring(model: ModelFolder, fold: TrainedFold, device: str) -> FoldSegmenter:
    """A segmenter that leaves out nnU-Net's mirroring, which costs up to eight times as much."""
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
        The best fit by case. A case without a label, all of whose voxels are ignored, or that cannot be read (with
        a warning), is missing.

    Raises:
        HyperSORTError: The checkpoint does not fit the plans.
    """
    segmenter = segmenter_without_mirroring(model, fold, device)
    found = []
    volumes = []
    for case in cases:
        try:
            compared = _volumes(segmenter, case, load_preprocessed(model, case), latents)
        except HyperSORTError as error:
            # One damaged file must not cost the predictions of all other cases.
            warnings.warn(f"{error} It is ranked without a prediction.", stacklevel=2)
            compared = None
        if compared is not None:
            found.append(case)
            volumes.append(compared)
        done()
    if not found:
        return {}
    shared, drawn, predicted, differing = (np.stack(parts) for parts in zip(*volumes, strict=True))
    per_label = agreement_per_label(shared, drawn[:, 0], predicted)
    overall = mean_agreement(per_label)
    best = overall.argmax(1)
    return {
        case: StyleFit(
            int(best[row]),
            float(overall[row, best[row]]),
            _worst(list(model.labels), per_label[row, best[row]]),
            float(differing[row, best[row]]),
        )
        for row, case in enumerate(found)
    }


def _volumes(
    segmenter: FoldSegmenter, case: str, image: PreprocessedImage, latents: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...] | None:
    model, label_map = segmenter.model, image.segmentation
    ignore = model.planned.label_manager.ignore_label
    if label_map is None or (ignore is not None and (label_map == ignore).all()):
        return None
    known = model.annotated.targets_of(case)
    styles = [
        compare_label_map(label_map, segmenter.segment_preprocessed(image, latent), known.values(), ignore)
        for latent in latents
    ]
    # Labels that the case is not annotated for are neither right nor wrong.
    places = [name in known for name in model.labels]
    parts = (
        [*(_spread(part, places) for part in (style.shared, style.drawn, style.predicted)), style.differing.sum()]
        for style in styles
    )
    voxel = _voxel_mm3(image)
    return tuple(np.stack(part) * voxel for part in zip(*parts, strict=True))


def _spread(known: np.ndarray, places: Sequence[bool]) -> np.ndarray:
    """Volumes of the known labels among those of all labels, not-a-number elsewhere."""
    every = np.full(len(places), np.nan)
    every[np.asarray(places)] = known
    return every


def _worst(names: Sequence[str], agreement: np.ndarray) -> tuple[str, float] | None:
    if np.isnan(agreement).all():
        return None
    worst = int(np.nanargmin(agreement))
    return names[worst], float(agreement[worst])


def _voxel_mm3(image: PreprocessedImage) -> float:
    # Resampling keeps the extent of the cropped image, whatever the configuration resamples.
    original = image.properties["shape_after_cropping_and_before_resampling"]
    scale = math.prod(original) / math.prod(image.data.shape[1:])
    return float(math.prod(image.properties["spacing"]) * scale)
