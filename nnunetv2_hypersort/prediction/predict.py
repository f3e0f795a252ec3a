"""Predict with a chosen latent, from Python."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.latents import LATENT_VARIABLE, ChosenLatent, LatentChoice
from nnunetv2_hypersort.nnunet.checkpoints import only_weights_are_loaded
from nnunetv2_hypersort.nnunet.discovery import TRAINER_VARIABLE, with_our_trainers
from nnunetv2_hypersort.prediction.checks import latents_of_prediction, refuse_other_latents


@contextmanager
def latent_for_prediction(latent: str) -> Iterator[None]:
    """Let nnU-Net predict with `latent` and find the HyperSORT trainers, for the length of a `with` block.

    Args:
        latent: `mode`, `style:NAME`, `case:ID`, `cluster:K` or coordinates `x,y`.

    Raises:
        HyperSORTError: The latent cannot be read.
    """
    changed = {
        LATENT_VARIABLE: str(LatentChoice.parse(latent)),
        TRAINER_VARIABLE: with_our_trainers(os.environ.get(TRAINER_VARIABLE, "")),
    }
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def predict_from_model_folder(
    model_folder: str | os.PathLike[str],
    images: str | os.PathLike[str] | list[list[str]],
    output_folder: str | os.PathLike[str],
    *,
    latent: str = "mode",
    folds: Sequence[int | str] = (0,),
    checkpoint_name: str = "checkpoint_final.pth",
    continue_prediction: bool = False,
    device: str = "cuda",
    predictor_options: dict[str, Any] | None = None,
    trusted_packages: Sequence[str] = (),
    **prediction_options: Any,
) -> list[ChosenLatent]:
    """Segment images with nnU-Net and the network of one latent.

    Args:
        model_folder: nnU-Net's trained-model folder, the one that holds `fold_0`.
        images: Folder with nnU-Net's file names (`case_0000.nii.gz`), or one list of channel files per case.
        output_folder: Where the segmentations go; its `plans.json` states the latent of each fold.
        latent: `mode`, `style:NAME`, `case:ID`, `cluster:K` or coordinates `x,y`.
        folds: The folds that predict together; fold numbers, or `all`.
        checkpoint_name: File name of the checkpoint in each fold folder.
        continue_prediction: Leave cases alone that are already segmented.
        device: `cuda`, `cpu` or `mps`.
        predictor_options: Keywords of nnU-Net's `nnUNetPredictor`, such as `use_mirroring`.
        trusted_packages: Packages whose classes the plans may name as network and layers (see `ModelFolder.open`).
        **prediction_options: Keywords of `nnUNetPredictor.predict_from_files`, such as `save_probabilities`.

    Returns:
        The latent of each fold.

    Raises:
        HyperSORTError: A checkpoint is missing or of another trainer, the latent cannot be had in one of the folds,
            or the prediction to be continued was begun with another latent.
    """
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    source = images if isinstance(images, list) else os.fspath(images)
    # Around the checks, too: the trainer of the model is looked up there.
    with latent_for_prediction(latent):
        chosen = latents_of_prediction(
            Path(model_folder),
            folds,
            LatentChoice.parse(latent),
            checkpoint_name=checkpoint_name,
            trusted_packages=trusted_packages,
        )
        if continue_prediction:
            refuse_other_latents(Path(output_folder), chosen)
        predictor = nnUNetPredictor(device=torch.device(device), **(predictor_options or {}))
        with only_weights_are_loaded():
            predictor.initialize_from_trained_model_folder(os.fspath(model_folder), tuple(folds), checkpoint_name)
        predictor.predict_from_files(
            source, os.fspath(output_folder), overwrite=not continue_prediction, **prediction_options
        )
    return chosen
