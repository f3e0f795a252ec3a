"""What is in an image, as one and the same network would outline it: size and place of each label.

A large organ is no difference of annotation. The outlines are those of a latent in the middle of all styles, by a fold
that did not train on the case wherever there is one: it cannot know how the label was drawn.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import PreprocessedImage
from nnunetv2_hypersort.model.segmenter import FoldSegmenter
from nnunetv2_hypersort.model.trained_fold import TrainedFold

_MOST_LABELS = 8
# The folds have different middles; among so many cases what is usual in each can be told.
_LEAST_CASES = 10


class Anatomy:
    """Outlines images with the folds of a model.

    Args:
        model: The model.
        device: Where to predict.

    Attributes:
        fold_of: By case the fold that outlined it.

    Raises:
        HyperSORTError: The model is the second stage of a cascade, or a checkpoint does not fit the plans.
    """

    def __init__(self, model: ModelFolder, device: str) -> None:
        self.model = model
        self.fold_of: dict[str, str] = {}
        # Mirroring changes little here, and takes up to eight times as long.
        self._segmenters = {
            fold.name: FoldSegmenter(model, replace(fold, mirror_axes=None), device) for fold in model.folds
        }
        self._measured: dict[str, tuple[str, dict[str, float]]] = {}
        self._middles = {fold.name: _middle(fold) for fold in model.folds}

    def is_held_out(self, case: str) -> bool:
        """Whether the fold that outlined a case did not train on it."""
        return case in self.model.fold(self.fold_of[case]).validation_cases

    def measure(self, case: str, image: PreprocessedImage, identity: str) -> dict[str, float]:
        """Size, place, extent and raggedness of each label.

        Args:
            case: The case.
            image: Its image.
            identity: That of the image; annotations of one image have one outline.

        Returns:
            By name, the same for all cases; not-a-number of a label that is not there.
        """
        if identity not in self._measured:
            fold = next((one for one in self.model.folds if case in one.validation_cases), self.model.folds[0])
            found = self._segmenters[fold.name].segment_preprocessed(image, self._middles[fold.name])
            labels = {"all": tuple(_values(self.model.labels.values())), **self.model.labels}
            measured = {
                f"outline_{name}_{key}": value
                for name, values in list(labels.items())[: _MOST_LABELS + 1]
                for key, value in _measures(np.isin(found, values)).items()
            }
            self._measured[identity] = fold.name, measured
        self.fold_of[case], measured = self._measured[identity]
        return measured


def within_folds(features: dict[str, dict[str, float]], fold_of: dict[str, str]) -> dict[str, dict[str, float]]:
    """Measures of each case less what is usual among the cases that the same fold outlined."""
    usual: dict[str, dict[str, float]] = {}
    for fold in set(fold_of.values()):
        cases = [case for case in features if fold_of.get(case) == fold]
        if len(cases) >= _LEAST_CASES:
            names = features[cases[0]]
            usual[fold] = {name: _median([features[case][name] for case in cases]) for name in names}
    return {
        case: {name: value - usual.get(fold_of[case], {}).get(name, 0.0) for name, value in measures.items()}
        for case, measures in features.items()
    }


def anatomy_or_none(model: ModelFolder, device: str) -> tuple[Anatomy | None, str]:
    """An `Anatomy`, or why there can be none, in a sentence."""
    try:
        return Anatomy(model, device), ""
    except HyperSORTError as error:
        return None, f"The images could not be outlined: {error}"


def _middle(fold: TrainedFold) -> np.ndarray:
    record = fold.record
    return np.asarray(np.median(record.latents[record.visits > 0], axis=0))


def _values(targets: Iterable[int | tuple[int, ...]]) -> Iterable[int]:
    for target in targets:
        yield from target if isinstance(target, tuple) else (target,)


def _measures(mask: np.ndarray) -> dict[str, float]:
    volume = int(mask.sum())
    found = {"volume": math.log(volume + 1), "border": math.nan}
    places = np.nonzero(mask)
    for axis, side in enumerate(mask.shape):
        if side > 1:
            found[f"centre_{axis}"] = float(places[axis].mean() / side) if volume else math.nan
            found[f"spread_{axis}"] = math.log(float(places[axis].std()) + 1) if volume else math.nan
    if volume:
        axes = [axis for axis, side in enumerate(mask.shape) if side > 1]
        crossings = sum(int((np.diff(mask.astype(np.int8), axis=axis) != 0).sum()) for axis in axes)
        found["border"] = math.log(crossings + 1) - (len(axes) - 1) / max(len(axes), 1) * math.log(volume)
    return found


def _median(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else 0.0
