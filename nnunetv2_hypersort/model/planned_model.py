"""What nnU-Net planned for a trained model, and the network it describes."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import LabelManager, determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.trainers.hypersort import variants
from nnunetv2_hypersort.trainers.hypersort.hypersort_trainer import HyperSORTTrainer
from nnunetv2_hypersort.trainers.hypersort.planned_network import PlannedHyperNetwork
from nnunetv2_hypersort.trainers.hypersort.weight_translator import for_training


@dataclass(frozen=True)
class PlannedModel:
    """Plans, dataset and configuration of a trained model.

    Attributes:
        plans: Content of the model's `plans.json`.
        dataset_json: Content of the model's `dataset.json`.
        configuration: Such as `3d_fullres`.
        trainer_name: Class name of the trainer.
    """

    plans: dict[str, Any]
    dataset_json: dict[str, Any]
    configuration: str
    trainer_name: str

    @cached_property
    def plans_manager(self) -> PlansManager:
        """nnU-Net's view of the plans."""
        return PlansManager(deepcopy(self.plans))

    @cached_property
    def configuration_manager(self) -> ConfigurationManager:
        """nnU-Net's view of the configuration."""
        return self.plans_manager.get_configuration(self.configuration)

    @cached_property
    def label_manager(self) -> LabelManager:
        """nnU-Net's view of the labels."""
        return self.plans_manager.get_label_manager(self.dataset_json)

    @property
    def is_of_nnunets_own_trainer(self) -> bool:
        """Whether the trainer is one that nnU-Net ships."""
        module: str = _find_trainer(self.trainer_name).__module__
        return module.partition(".")[0] == "nnunetv2"

    def build_predicting_network(self) -> nn.Module:
        """The network that nnU-Net's predictor would build: the planned one, on the CPU, with weights as initialised.

        Raises:
            HyperSORTError: The plans hold no HyperSORT settings, or the trainer is not found.
        """
        network: nn.Module = _find_trainer(self.trainer_name).build_network_architecture(*self._architecture)
        return network

    def build_network(self) -> PlannedHyperNetwork:
        """The network of the training, on the CPU, with weights as initialised.

        Raises:
            HyperSORTError: The plans hold no HyperSORT settings, the trainer is not found, or it builds a network that
                is not HyperSORT's.
        """
        return for_training(self.build_predicting_network(), *self._architecture)

    @property
    def _architecture(self) -> tuple[Any, ...]:
        """What `build_network_architecture` takes, without deep supervision."""
        return (
            PlansManager(deepcopy(self.plans)),
            self.configuration_manager,
            determine_num_input_channels(self.plans_manager, self.configuration_manager, self.dataset_json),
            self.label_manager.num_segmentation_heads,
            False,
        )

    def build_loss(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """The trainer's loss of one output at full resolution, without deep supervision; takes output and target.

        Raises:
            HyperSORTError: The trainer is not found.
        """
        # All that nnU-Net's method asks of a trainer; a real one would make folders and log files.
        trainer = SimpleNamespace(
            label_manager=self.label_manager,
            configuration_manager=self.configuration_manager,
            is_ddp=False,
            enable_deep_supervision=False,
            _do_i_compile=lambda: False,
        )
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
        loss = _find_trainer(self.trainer_name)._build_loss(trainer)
        return loss


def _find_trainer(name: str) -> Any:
    # nnU-Net's search imports every trainer it ships and takes seconds: only for subclasses that users wrote.
    ours = getattr(variants, name, None)
    if isinstance(ours, type) and issubclass(ours, HyperSORTTrainer):
        return ours
    try:
        return recursive_find_trainer_class_by_name(name)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise HyperSORTError(
            f"nnU-Net does not find the trainer {name} of this model; set nnUNet_extTrainer to the folder that has it."
        ) from error
