"""The latent that predicts each planted style: that of the tools, for the cluster that holds most of its cases."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.nnunet_runs.record import read_json
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery.clusters import clusters_of_styles
from benchmarks.style_recovery.datasets import Truth
from benchmarks.style_recovery.protocol import Run
from benchmarks.style_recovery.records import latents_file
from nnunetv2_hypersort.latents import LatentChoice
from nnunetv2_hypersort.model import ModelFolder, TrainedFold
from nnunetv2_hypersort.styles.clustering import FoldClusters
from nnunetv2_hypersort.styles.style_latent import style_latent

NO_LATENT = "none"
MODE = "mode"


def read_style_latents(workplace: Workplace, run: Run) -> dict[str, str] | None:
    """The latent that predicts each style, as `--latent` takes it; None if they are not chosen yet.

    For a network without latents it is `none`.
    """
    if not run.method.has_latents:
        return dict.fromkeys(run.mixture.styles, NO_LATENT)
    chosen: dict[str, str] | None = read_json(latents_file(workplace, run))
    return chosen


def choose_style_latents(model_folder: Path, run: Run, truth: Mapping[str, Truth]) -> dict[str, str]:
    """Choose the latents of a trained model.

    Args:
        model_folder: nnU-Net's trained-model folder.
        run: The run that trained it.
        truth: What was planted in each case, which says only which cluster is which style.
    """
    if not run.method.has_latents:
        return dict.fromkeys(run.mixture.styles, NO_LATENT)
    model = ModelFolder.open(model_folder, folds=(run.fold,))
    (fold,) = model.folds
    right = {case: one.style for case, one in truth.items() if not one.is_wrong}
    latents = latents_of_styles(model, fold, right, run.mixture.styles)
    return {style: MODE if latent is None else _text(latent) for style, latent in latents.items()}


def latents_of_styles(
    model: ModelFolder, fold: TrainedFold, right: Mapping[str, str], wanted: Sequence[str]
) -> dict[str, np.ndarray | None]:
    """The latent that the tools give to the cluster that holds most cases of each style.

    Args:
        model: The model.
        fold: One of its folds.
        right: The planted style of each case without planted error.
        wanted: Names of the styles.

    Returns:
        For each style a latent, shape (dim,), or None where none of its cases is in a cluster.
    """
    found = FoldClusters.find(fold.record)
    numbers = clusters_of_styles(
        np.asarray(list(found.clusters.values())),
        [right.get(case, "") for case in found.clusters],
        np.asarray([case in right for case in found.clusters]),
        wanted,
    )
    return {
        style: None if number is None else style_latent(model, fold, found, number) for style, number in numbers.items()
    }


def _text(latent: np.ndarray) -> str:
    return str(LatentChoice(coordinates=tuple(float(value) for value in latent)))
