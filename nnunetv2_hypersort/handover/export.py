"""Hand over one style of a model as plain nnU-Net, which runs without this package."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_hypersort import __version__
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.claiming import claimed_folder
from nnunetv2_hypersort.files.links import place_file
from nnunetv2_hypersort.handover.account import latent_account
from nnunetv2_hypersort.handover.plain_model import (
    PLAIN_TRAINER,
    build_plain_network,
    draw_progress,
    plain_plans,
    write_plain_checkpoint,
)
from nnunetv2_hypersort.handover.slicer import slicer_obstacles
from nnunetv2_hypersort.handover.style_validation import cases_to_validate, validate_fold, write_no_validation
from nnunetv2_hypersort.latents import ChosenLatent, LatentChoice, choose_latents
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.training_data import TrainingData

RECORD_FILE = "hypersort_export.json"
CHECKPOINT_FILE = "checkpoint_final.pth"
FINGERPRINT_FILE = "dataset_fingerprint.json"
PROGRESS_FILE = "progress.png"


@dataclass(frozen=True)
class ExportedStyle:
    """A style as plain nnU-Net.

    Attributes:
        folder: The trained-model folder that was written, `ROOT/DatasetXXX_Name/nnUNetTrainer__PLANS__CONFIGURATION`.
        dataset_name: Such as `Dataset004_Hippocampus`.
        plans_name: The plans name of its own.
        configuration: Such as `3d_fullres`.
        latents: The latent of each fold.
        dice: For each fold the mean foreground Dice of its validation cases, labels of all styles, in [0, 1]; empty
            without validation.
        obstacles: What keeps 3D Slicer's nnU-Net extension from running it, one sentence each.
    """

    folder: Path
    dataset_name: str
    plans_name: str
    configuration: str
    latents: tuple[ChosenLatent, ...]
    dice: dict[str, float]
    obstacles: tuple[str, ...]

    @property
    def flags(self) -> str:
        """The flags that choose this model in nnU-Net's commands, besides the folds."""
        return shlex.join(["-d", self.dataset_name, "-c", self.configuration, "-p", self.plans_name])


def export_style(
    model_folder: str | os.PathLike[str],
    style: str,
    results_root: str | os.PathLike[str],
    *,
    folds: Sequence[int | str] | None = None,
    checkpoint_name: str = CHECKPOINT_FILE,
    device: str = "cpu",
    validate: bool = True,
    num_processes: int | None = None,
    progress: bool = True,
) -> ExportedStyle:
    """Write the networks of one style as a trained model of plain nnU-Net.

    The folder appears under its name when all of it is there. Until then it is `.unfinished-...` beside it, and the
    same call goes on where an interrupted one stopped.

    Args:
        model_folder: nnU-Net's trained-model folder, the one that holds `fold_0`.
        style: Name of the style.
        results_root: Folder that takes the part of nnUNet_results; made if need be.
        folds: Fold numbers, or `all`; None takes all that are trained.
        checkpoint_name: File name of the checkpoint in each fold folder.
        device: Where the validation runs: `cpu`, `cuda` or another device of PyTorch.
        validate: Whether to segment the validation cases of each fold with the style and compare them with their
            labels, as they are, for `validation/summary.json`.
        num_processes: Worker processes of the comparison.
        progress: Whether to show progress bars on standard error.

    Returns:
        What was written.

    Raises:
        HyperSORTError: The folder is not that of a trained model, a fold is not finished or has not placed its latents
            yet, the style is unknown, not in all of the folds or of other checkpoints, the output exists, the trainer
            builds another network than plain nnU-Net, or data that the validation needs are gone.
        OSError: The output cannot be written.
    """
    model = ModelFolder.open(model_folder, folds=folds, checkpoint_name=checkpoint_name)
    model.refuse_folds_without_places()
    choice = LatentChoice.parse(f"style:{style}")
    latents = choose_latents(choice, [fold.record for fold in model.folds], model.book)
    plans = plain_plans(model.plans, style)
    name = f"{PLAIN_TRAINER}__{plans['plans_name']}__{model.configuration}"
    target = Path(results_root) / model.dataset_name / name
    _refuse_existing(target)
    build_plain_network(model.planned)
    data = _data_for_validation(model) if validate else None
    fingerprint = _find_fingerprint(model)
    unfinished = target.with_name(f".unfinished-{name}")
    description = _describe(model, style, latents, validate)
    with claimed_folder(unfinished, RECORD_FILE, description, of="model, style or folds"):
        _refuse_existing(target)  # another process may have finished it since
        write_json(unfinished / "plans.json", plans)
        write_json(unfinished / "dataset.json", model.dataset_json)
        place_file(fingerprint, unfinished / FINGERPRINT_FILE, copy=True)
        dice = {}
        for fold, latent in zip(model.folds, latents, strict=True):
            folder = unfinished / f"fold_{fold.name}"
            validation = folder / "validation"
            validation.mkdir(parents=True, exist_ok=True)
            logged = write_plain_checkpoint(fold, latent, plans, folder / CHECKPOINT_FILE)
            if (fold.folder / PROGRESS_FILE).is_file():
                place_file(fold.folder / PROGRESS_FILE, folder / PROGRESS_FILE, copy=True)
            else:
                draw_progress(logged, folder)
            if data is None or not cases_to_validate(fold):
                write_no_validation(validation)
            else:
                dice[fold.name] = validate_fold(
                    fold, latent, data, validation, device=device, num_processes=num_processes, progress=progress
                )
        unfinished.rename(target)
    return ExportedStyle(
        target,
        model.dataset_name,
        plans["plans_name"],
        model.configuration,
        tuple(latents),
        dice,
        tuple(slicer_obstacles(model.dataset_json, [fold.name for fold in model.folds])),
    )


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise HyperSORTError(f"{target} exists already; move it away or choose another folder.")


def _data_for_validation(model: ModelFolder) -> TrainingData:
    data = TrainingData.find(model)
    data.check_labels(case_id for fold in model.folds for case_id in cases_to_validate(fold))
    return data


def _find_fingerprint(model: ModelFolder) -> Path:
    folders = (model.path, model.preprocessed_folder())
    for folder in folders:
        if folder is not None and (folder / FINGERPRINT_FILE).is_file():
            return folder / FINGERPRINT_FILE
    raise HyperSORTError(
        f"There is no {FINGERPRINT_FILE} in {' or '.join(str(folder) for folder in folders if folder)}, which belongs "
        f"to a model of nnU-Net; put it back, or run nnUNetv2_extract_fingerprint again."
    )


def _describe(model: ModelFolder, style: str, latents: Sequence[ChosenLatent], validate: bool) -> dict[str, Any]:
    return {
        "written_by": f"nnunetv2-hypersort {__version__}",
        "dataset": model.dataset_name,
        "model": model.path.resolve().name,
        "style": style,
        "validated": validate,
        "folds": {
            fold.name: {**latent_account(fold, latent), "epochs": fold.epoch}
            for fold, latent in zip(model.folds, latents, strict=True)
        },
    }
