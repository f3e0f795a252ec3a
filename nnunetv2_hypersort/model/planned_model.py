"""What nnU-Net planned for a trained model, and the network it describes."""

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nnunetv2.utilities.label_handling.label_handling import LabelManager, determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.trainers.base.loss_of_trainer import Loss, loss_at_full_resolution
from nnunetv2_hypersort.trainers.hypersort.planned_network import PlannedHyperNetwork
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

    def build_network(self) -> PlannedHyperNetwork:
        """The planned network, on the CPU, with weights as initialised; it loads and saves weights as they are.

        Raises:
            HyperSORTError: The plans hold no HyperSORT settings, or the trainer is not found.
        """
        network = find_trainer(self.trainer_name).build_network_architecture(
            PlansManager(deepcopy(self.plans)),
            self.configuration_manager,
            determine_num_input_channels(self.plans_manager, self.configuration_manager, self.dataset_json),
            self.label_manager.num_segmentation_heads,
            enable_deep_supervision=False,
        )
        if not isinstance(network, PlannedHyperNetwork):
            raise HyperSORTError(f"The trainer {self.trainer_name} does not build a HyperSORT network.")
        network.for_prediction = False
        return network

    def build_loss(self) -> Loss:
        """The trainer's loss of one output at full resolution, without deep supervision; takes output and target.

        Raises:
            HyperSORTError: The trainer is not found, or its loss depends on more than `loss_at_full_resolution` gives.
        """
        return loss_at_full_resolution(
            find_trainer(self.trainer_name), self.plans_manager, self.configuration, self.dataset_json
        )
