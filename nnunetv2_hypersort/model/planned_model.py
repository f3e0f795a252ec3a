"""What nnU-Net planned for a trained model, and the network it describes."""

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nnunetv2.utilities.label_handling.label_handling import LabelManager, determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from nnunetv2_hypersort.trainers.base.annotation.batch_annotation import BatchAnnotation
from nnunetv2_hypersort.trainers.base.loss_of_trainer import Loss, loss_at_full_resolution
from nnunetv2_hypersort.trainers.hypersort.planned_network import PlannedHyperNetwork
from nnunetv2_hypersort.trainers.hypersort.weight_translator import for_training
from nnunetv2_hypersort.trainers.lookup import find_trainer


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
        module: str = find_trainer(self.trainer_name).__module__
        return module.partition(".")[0] == "nnunetv2"

    def build_predicting_network(self) -> nn.Module:
        """The network that nnU-Net's predictor would build: the planned one, on the CPU, with weights as initialised.

        Raises:
            HyperSORTError: The plans hold no HyperSORT settings, or the trainer is not found.
        """
        network: nn.Module = find_trainer(self.trainer_name).build_network_architecture(*self._architecture)
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

    def build_loss(self, annotation: BatchAnnotation | None = None) -> Loss:
        """The trainer's loss of one output at full resolution, without deep supervision; takes output and target.

        Args:
            annotation: Tells what the cases are annotated for that the loss will see; None where all are fully.

        Raises:
            HyperSORTError: The trainer is not found, or its loss depends on more than `loss_at_full_resolution` gives.
        """
        return loss_at_full_resolution(
            find_trainer(self.trainer_name), self.plans_manager, self.configuration, self.dataset_json, annotation
        )
