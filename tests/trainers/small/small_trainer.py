"""A whole trainer: nnU-Net's plain network and label smoothing as a setting."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper

from nnunetv2_hypersort.settings import System, SystemSettings, checks
from nnunetv2_hypersort.trainers import BaseTrainer


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """How hard the labels are.

    Attributes:
        label_smoothing: Share of the cross-entropy's target that goes to all classes alike.
    """

    label_smoothing: float = field(default=0.1, metadata=checks.number(0, 1))


@dataclass(frozen=True, kw_only=True)
class SmoothSettings(SystemSettings):
    """Settings of a training with smoothed labels."""

    system: ClassVar[System] = System("Smooth", section="smooth", variable="SMOOTH_CONFIG")
    loss: LossSettings = field(default_factory=LossSettings)


class SmoothTrainer(BaseTrainer):
    """nnU-Net with smoothed labels in the cross-entropy."""

    settings: SmoothSettings
    settings_kind = SmoothSettings

    def _build_loss(self) -> Any:
        loss = super()._build_loss()
        plain = loss.loss if isinstance(loss, DeepSupervisionWrapper) else loss
        plain.ce.label_smoothing = self.settings.loss.label_smoothing
        return loss
