"""nnU-Net's plain network on cases that are not annotated for the same labels."""

from dataclasses import dataclass
from typing import ClassVar

from nnunetv2_hypersort.settings import System, SystemSettings
from nnunetv2_hypersort.trainers.base.base_trainer import BaseTrainer


@dataclass(frozen=True, kw_only=True)
class PartialLabelsSettings(SystemSettings):
    """Settings of a training on partly annotated cases: those of any training."""

    system: ClassVar[System] = System("PartialLabels", section="partial_labels", variable="PARTIAL_LABELS_CONFIG")


class PartialLabelsTrainer(BaseTrainer):
    """nnU-Net with the marginal loss: what a case is not annotated for is unknown there, not background.

    `annotated_labels` in dataset.json says what a case is annotated for. All of it comes with `BaseTrainer`; network,
    planning and prediction are nnU-Net's. Without `annotated_labels` this is nnU-Net, to the last bit.
    """

    settings: PartialLabelsSettings
    settings_kind = PartialLabelsSettings
