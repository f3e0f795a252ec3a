"""Predictions with nnU-Net's predictor, in this process."""

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from nnunetv2_hypersort.nnunet.raw_dataset import open_dataset
from nnunetv2_hypersort.prediction import latent_for_prediction


def predict_cases(
    raw: Path,
    cases: Sequence[str],
    model_folder: Path,
    output: Path,
    *,
    fold: int,
    latent: str | None = None,
    save_probabilities: bool = False,
) -> None:
    """Segment cases of a raw dataset.

    With a latent this is what `hypersort predict --latent` runs; only the worker processes are left out, which take
    longer to start than small images to segment.

    Args:
        raw: The raw dataset.
        cases: The cases.
        model_folder: nnU-Net's trained-model folder.
        output: Folder for the segmentations; what it holds is removed first.
        fold: The fold.
        latent: As `--latent`; None for a network without latents.
        save_probabilities: Also write the probabilities, as nnU-Net does.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    dataset = open_dataset(raw)
    images = [[str(image) for image in dataset.cases[case].images] for case in cases]
    with latent_for_prediction(latent) if latent is not None else nullcontext():
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(str(model_folder), (fold,))
        predictor.predict_from_files_sequential(images, str(output), save_probabilities=save_probabilities)
