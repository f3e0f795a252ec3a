"""A trained model, ready to predict with one latent in each fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import ChosenLatent, FoldRecord, LatentChoice, choose_latents
from nnunetv2_hypersort.latents.prediction_identity import PredictionIdentity
from nnunetv2_hypersort.latents.styles_file import read_styles
from nnunetv2_hypersort.model.planned_model import PlannedModel
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.nnunet.checksum import refuse_changed_weights
from nnunetv2_hypersort.nnunet.components import refuse_foreign_components
from nnunetv2_hypersort.nnunet.planned_size import refuse_larger_network
from nnunetv2_hypersort.nnunet.plans import read_dataset_json, read_plans, refuse_other_plans
from nnunetv2_hypersort.trainers.hypersort.plain_weights import are_of_training, plain_weights
from nnunetv2_hypersort.trainers.hypersort.planned_network import settings_of_training
from nnunetv2_hypersort.trainers.hypersort.weight_translator import warn_of_modes
from nnunetv2_hypersort.trainers.lookup import find_trainer


@dataclass(frozen=True)
class PredictingModel:
    """The folds of a model that predict together, each read once.

    Attributes:
        planned: Plans, dataset and configuration.
        latents: One for each fold; without coordinates if the trainer learns no latents.
        identity: What a prediction of it depends on.
        mirror_axes: Axes of nnU-Net's test-time augmentation.
        weights: The trained weights of each fold, in the memory of the file.
    """

    planned: PlannedModel
    latents: tuple[ChosenLatent, ...]
    identity: PredictionIdentity
    mirror_axes: tuple[int, ...] | None
    weights: tuple[Mapping[str, Any], ...] = field(repr=False)

    @classmethod
    def open(
        cls,
        model_folder: Path,
        folds: Sequence[int | str],
        choice: LatentChoice,
        *,
        checkpoint_name: str,
        trusted_packages: Sequence[str] = (),
    ) -> "PredictingModel":
        """Open a model, and find the latent that each fold will predict with.

        Args:
            model_folder: nnU-Net's trained-model folder, the one that holds `fold_0`.
            folds: Fold numbers, or `all`.
            choice: The chosen latent.
            checkpoint_name: File name of the checkpoint in each fold folder.
            trusted_packages: See `ModelFolder.open`.

        Raises:
            HyperSORTError: A checkpoint is missing, cannot be read, was changed, or is of another trainer or another
                training than the rest of the folder, a name in one of the files is a path or not one of a network or of
                a part of nnU-Net, or the latent cannot be had in one of the folds.
        """
        plans_file = model_folder / "plans.json"
        plans, dataset_json = read_plans(plans_file), read_dataset_json(model_folder / "dataset.json")
        checkpoints = {}
        for fold in folds:
            path = _checkpoint(model_folder, fold, checkpoint_name)
            checkpoints[path] = read_checkpoint(path)
            refuse_other_plans(
                plans,
                dataset_json,
                checkpoints[path]["init_args"],
                source=str(path),
                trusted_packages=trusted_packages,
            )
        planned, mirror_axes = _planned(plans, dataset_json, checkpoints)
        refuse_foreign_components(plans, planned.configuration, source=plans_file)
        for path, content in checkpoints.items():
            refuse_larger_network(plans, dataset_json, planned.configuration, content["network_weights"], source=path)
        find_trainer(planned.trainer_name)
        weights = {path: content["network_weights"] for path, content in checkpoints.items()}
        if _learns_no_latents(planned, weights):
            latents = _no_latents(list(weights), choice)
        else:
            records = [FoldRecord.from_checkpoint(content, source=str(path)) for path, content in checkpoints.items()]
            latents = choose_latents(choice, records, read_styles(model_folder).book)
            if choice == LatentChoice():
                warn_of_modes(latents)
        digests = [refuse_changed_weights(state, source=str(path)) for path, state in weights.items()]
        configuration = planned.configuration_manager.configuration
        identity = PredictionIdentity.of(choice, latents, digests, plans, configuration, dataset_json)
        return cls(planned, tuple(latents), identity, mirror_axes, tuple(weights.values()))

    def predictor(self, device: str, **options: Any) -> nnUNetPredictor:
        """nnU-Net's predictor with the planned network and, for each fold, the weights of its latent.

        Args:
            device: `cpu`, `cuda` or `mps`.
            **options: Keywords of `nnUNetPredictor`.

        Raises:
            HyperSORTError: Weights do not fit the network that the plans describe.
        """
        planned, network = self.planned, self.planned.build_predicting_network()
        self.identity.state_in(planned.plans_manager.plans)
        parameters = [
            plain_weights(
                network,
                settings_of_training(planned.plans),
                state,
                latent.coordinates,
                source=f"the checkpoint of fold {latent.fold}",
            )
            if are_of_training(state)
            else state
            for state, latent in zip(self.weights, self.latents, strict=True)
        ]
        network.load_state_dict(parameters[0])
        predictor = nnUNetPredictor(device=torch.device(device), **options)
        predictor.manual_initialization(
            network,
            planned.plans_manager,
            planned.configuration_manager,
            parameters,
            planned.dataset_json,
            planned.trainer_name,
            self.mirror_axes,
        )
        return predictor


def _checkpoint(model_folder: Path, fold: int | str, checkpoint_name: str) -> Path:
    path = model_folder / f"fold_{fold}" / checkpoint_name
    if not path.is_file():
        there = sorted(
            entry.parent.name.removeprefix("fold_") for entry in model_folder.glob(f"fold_*/{checkpoint_name}")
        )
        raise HyperSORTError(
            f"There is no {path}. Folds of this model with a {checkpoint_name}: {', '.join(there) or 'none'}; choose "
            f"them with `-f`, or another checkpoint with `-chk`."
        )
    return path


def _planned(
    plans: dict[str, Any], dataset_json: dict[str, Any], checkpoints: Mapping[Path, Mapping[str, Any]]
) -> tuple[PlannedModel, tuple[int, ...] | None]:
    trainings = {
        (content["init_args"].get("configuration"), content["trainer_name"]): path
        for path, content in checkpoints.items()
    }
    if len(trainings) != 1:
        listed = "; ".join(f"{path}: {configuration}, {name}" for (configuration, name), path in trainings.items())
        raise HyperSORTError(
            f"The folds are of different trainings ({listed}); choose with `-f` those that belong together."
            if trainings
            else "No fold was chosen; give one or more with `-f`."
        )
    ((configuration, trainer_name),) = trainings
    # As nnU-Net does: the first fold speaks for all.
    axes = next(iter(checkpoints.values())).get("inference_allowed_mirroring_axes")
    planned = PlannedModel(plans, dataset_json, str(configuration), trainer_name)
    return planned, None if axes is None else tuple(int(axis) for axis in axes)


def _learns_no_latents(planned: PlannedModel, weights: Mapping[Path, Mapping[str, Any]]) -> bool:
    # Models of nnU-Net's own trainers are for its own command: without a word nobody would miss the latents.
    return not any(map(are_of_training, weights.values())) and not planned.is_of_nnunets_own_trainer


def _no_latents(paths: Sequence[Path], choice: LatentChoice) -> list[ChosenLatent]:
    if choice != LatentChoice():
        raise HyperSORTError(f"The model of {paths[0]} has no latents, so it cannot predict with {choice}.")
    return [ChosenLatent(path.parent.name.removeprefix("fold_"), np.zeros(0), "no latents") for path in paths]
