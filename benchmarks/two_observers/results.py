"""All numbers of the check with two observers, from the runs that are finished."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import io
from sklearn.metrics import adjusted_rand_score

from benchmarks.nnunet_runs.record import TrainingRecord
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery.clusters import NOISE
from benchmarks.two_observers import features
from benchmarks.two_observers.datasets import Drawing, read_drawings, read_image, read_labels
from benchmarks.two_observers.one_run import read_training
from benchmarks.two_observers.permutation import (
    paired_test,
    share_in_common_direction,
    share_within_pairs,
    unpaired_test,
)
from benchmarks.two_observers.protocol import FIRST, SECOND, Protocol, Run
from nnunetv2_hypersort.styles.clustering import find_clusters

Content = dict[str, Any]
Reals = NDArray[np.floating[Any]]
CORRELATIONS_SHOWN = 8


def collect(workplace: Workplace, chase: Path, runs: Sequence[Run], protocol: Protocol) -> Content:
    """Everything the tables say, as JSON types."""
    measure = _Measured(chase)
    settings = {key: value for key, value in runs[0].settings.items() if key != "training"}
    content: Content = {
        "protocol": {**vars(protocol), "seeds": list(protocol.seeds)},
        "settings": settings,
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "runs": [],
    }
    for run in runs:
        record = read_training(workplace, run)
        if record is None:
            continue
        drawings = read_drawings(workplace, run)
        cases = [drawings[case] for case in record.cases]
        found = _paired(record, cases, run, measure) if run.design.is_paired else _unpaired(record, cases, run, measure)
        content["runs"].append(
            {
                "design": run.design.value,
                "seed": run.seed,
                "minutes": record.seconds / 60,
                "cases": len(cases),
                "visits": float(record.history_visits[-1]),
                "spread": float(record.latents.std(0).mean()),
                **_clusters(record.latents, [drawing.observer for drawing in cases]),
                **found,
            }
        )
    agreement = [measure.agreement(image) for image in measure.images]
    content["dice_of_observers"] = {"mean": float(np.mean(agreement)), "images": len(agreement)}
    return _rounded(content)


class _Measured:
    """Features of images and masks, each measured once."""

    def __init__(self, chase: Path) -> None:
        self._chase = chase
        self.images = sorted(path.stem.removeprefix("Image_") for path in (chase / "images").glob("Image_*.jpg"))
        self.mask: Callable[[str, str], dict[str, float]] = lru_cache(None)(self._mask)
        self.image: Callable[[str], dict[str, float]] = lru_cache(None)(self._image)
        self.agreement: Callable[[str], float] = lru_cache(None)(self._agreement)

    def _mask(self, image: str, observer: str) -> dict[str, float]:
        return features.mask_features(read_labels(self._chase, image, observer))

    def _image(self, image: str) -> dict[str, float]:
        inside = io.imread(self._chase / "fov_masks" / f"mask_{image}.png") > 0
        found = features.image_features(read_image(self._chase, image), inside)
        return {**found, "right_eye": float(image.endswith("R")), "observers_agree": self.agreement(image)}

    def _agreement(self, image: str) -> float:
        return features.dice(read_labels(self._chase, image, FIRST), read_labels(self._chase, image, SECOND))


def _clusters(latents: Reals, observers: Sequence[str]) -> Content:
    clusters = find_clusters(latents).labels
    alone = clusters == NOISE
    parts = np.where(alone, clusters.max() + 1 + np.cumsum(alone), clusters)
    return {
        "clusters": len(set(clusters.tolist()) - {NOISE}),
        "noise": int(alone.sum()),
        "ari_of_observers": float(adjusted_rand_score(observers, parts)),
    }


def _paired(record: TrainingRecord, cases: Sequence[Drawing], run: Run, measure: _Measured) -> Content:
    rows = {(drawing.image, drawing.observer): row for row, drawing in enumerate(cases)}
    images = sorted({drawing.image for drawing in cases})
    first, second = (
        np.stack([record.latents[rows[image, observer]] for image in images]) for observer in run.design.drawn_by
    )
    children = [image[:-1] for image in images]
    differences = second - first
    components, shares = features.principal_components(np.concatenate([first, second]))
    halves = components[: len(images)], components[len(images) :]
    losses = [np.asarray([record.losses[rows[image, who]] for image in images]) for who in run.design.drawn_by]
    masks = [_columns([measure.mask(image, who) for image in images]) for who in run.design.drawn_by]
    of_images = _columns([measure.image(image) for image in images])
    means = {name: (masks[0][name] + masks[1][name]) / 2 for name in masks[0]}
    between = {**of_images, **means, "loss": (losses[0] + losses[1]) / 2}
    within = {
        name: np.log(masks[1][name] / masks[0][name])
        for name in masks[0]
        if (masks[0][name] > 0).all() and (masks[1][name] > 0).all()
    }
    within["loss"] = losses[1] - losses[0]
    return {
        "test_pairs": asdict(paired_test(differences, images)),
        "test_children": asdict(paired_test(differences, children)),
        "share_in_common_direction": share_in_common_direction(differences, children),
        "share_within_pairs": share_within_pairs(first, second),
        "component_shares": shares,
        "between_images": features.correlations(_axes((halves[0] + halves[1]) / 2), between)[:CORRELATIONS_SHOWN],
        "within_pairs": features.correlations(_axes(halves[1] - halves[0]), within)[:CORRELATIONS_SHOWN],
    }


def _unpaired(record: TrainingRecord, cases: Sequence[Drawing], run: Run, measure: _Measured) -> Content:
    is_second = np.asarray([drawing.observer == run.design.drawn_by[1] for drawing in cases])
    components, shares = features.principal_components(record.latents)
    described = [{**measure.image(case.image), **measure.mask(case.image, case.observer)} for case in cases]
    known = {**_columns(described), "loss": record.losses, "second_observer": is_second.astype(float)}
    return {
        "test_cases": asdict(unpaired_test(record.latents, is_second)),
        "component_shares": shares,
        "between_images": features.correlations(_axes(components), known)[:CORRELATIONS_SHOWN],
    }


def _axes(components: Reals) -> dict[str, Reals]:
    return {f"component {index + 1}": components[:, index] for index in range(min(2, components.shape[1]))}


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Reals]:
    return {name: np.asarray([row[name] for row in rows]) for name in rows[0]}


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_rounded(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if np.isfinite(value) else None
    return value
