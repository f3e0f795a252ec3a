"""Predict with a chosen latent, from Python."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import LATENT_VARIABLE, ChosenLatent, LatentChoice
from nnunetv2_hypersort.nnunet.devices import usable_device
from nnunetv2_hypersort.nnunet.discovery import TRAINER_VARIABLE, with_our_trainers
from nnunetv2_hypersort.prediction.images import cases_to_predict
from nnunetv2_hypersort.prediction.predicting_model import PredictingModel


@contextmanager
def latent_for_prediction(latent: str) -> Iterator[None]:
    """Let a predictor of your own, or nnU-Net's commands, predict with `latent`, for the length of a `with` block.

    For code that calls `nnUNetPredictor.initialize_from_trained_model_folder` itself: sets HYPERSORT_LATENT, and lets
    nnU-Net find the HyperSORT trainers. `predict_from_model_folder` needs neither.

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

    Nothing outside the output folder is changed: no variable of the environment, no setting of PyTorch.

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
        **prediction_options: Keywords of `nnUNetPredictor.predict_from_files`, such as `save_probabilities`. With
            neither worker processes for preprocessing nor for export all is done in this one.

    Returns:
        The latent of each fold.

    Raises:
        HyperSORTError: A checkpoint is missing or of another trainer, the latent cannot be had in one of the folds,
            there are no images, the device cannot be used, or the output folder holds segmentations that were made
            with something else.
    """
    model = PredictingModel.open(
        Path(model_folder),
        folds,
        LatentChoice.parse(latent),
        checkpoint_name=checkpoint_name,
        trusted_packages=trusted_packages,
    )
    output, ending = Path(output_folder), str(model.planned.dataset_json.get("file_ending"))
    _refuse_missing_stage(model, prediction_options.get("folder_with_segs_from_prev_stage"))
    cases = cases_to_predict(images, ending)
    part = slice(prediction_options.get("part_id", 0), None, prediction_options.get("num_parts", 1))
    if continue_prediction:
        model.identity.refuse_other(output)
    model.identity.refuse_mixture(output, cases[part], ending)
    usable_device(device)
    for chosen in model.latents:
        print(f"HyperSORT: {chosen}")
    with _torch_as_it_was():
        predictor = model.predictor(device, **(predictor_options or {}))
        source = images if isinstance(images, list) else os.fspath(images)
        _predict(predictor, source, output, overwrite=not continue_prediction, **prediction_options)
    return list(model.latents)


def _predict(predictor: Any, source: Any, output: Path, **options: Any) -> None:
    workers = [options.get(f"num_processes_{part}") for part in ("preprocessing", "segmentation_export")]
    if workers != [0, 0]:
        predictor.predict_from_files(source, str(output), **options)
        return
    if options.get("num_parts", 1) > 1:
        raise HyperSORTError(
            "Without worker processes nnU-Net predicts all parts at once; give some, or leave the parts out."
        )
    output.mkdir(parents=True, exist_ok=True)
    known = ("save_probabilities", "overwrite", "folder_with_segs_from_prev_stage")
    predictor.predict_from_files_sequential(
        source, str(output), **{name: options[name] for name in known if name in options}
    )


def _refuse_missing_stage(model: PredictingModel, previous: object) -> None:
    stage = model.planned.configuration_manager.previous_stage_name
    if stage is not None and previous is None:
        raise HyperSORTError(
            f"{model.planned.configuration} is the second stage of a cascade and needs the segmentations of {stage}; "
            f"predict with that first, and give its folder with `-prev_stage_predictions`."
        )


@contextmanager
def _torch_as_it_was() -> Iterator[None]:
    # nnU-Net's predictor sets these for the whole process, and a network is made with random numbers.
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark
