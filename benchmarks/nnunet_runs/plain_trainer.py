"""Stock nnU-Net, trained as long as HyperSORT is in a benchmark: the baseline."""

from dataclasses import dataclass
from typing import ClassVar

from nnunetv2_hypersort.settings import CONFIG_VARIABLE, Settings, System, SystemSettings, TrainingSettings
from nnunetv2_hypersort.trainers.base.case_losses import CaseLossTrainer

KEPT = ("num_epochs", "num_iterations_per_epoch", "num_val_iterations_per_epoch", "save_every", "mirror_axes", "seed")


@dataclass(frozen=True, kw_only=True)
class PlainSettings(SystemSettings):
    """Length, mirroring and seed of the settings of a HyperSORT training; all else is stock nnU-Net's."""

    system: ClassVar[System] = System("Plain nnU-Net", section="plain", variable=CONFIG_VARIABLE)

    @classmethod
    def from_dict(cls, content: object, *, source: str) -> "PlainSettings":
        """Take what is kept of HyperSORT's settings; see `Settings.from_dict`."""
        asked = Settings.from_dict(content, source=source).training
        return cls(training=TrainingSettings(**{name: getattr(asked, name) for name in KEPT}))


class PlainTrainer(CaseLossTrainer):
    """Stock nnU-Net with the length, mirroring and seeds that `training` in HYPERSORT_CONFIG says, and nothing else.

    Beside it keeps, as HyperSORT does, a running mean of the loss of each training case.
    """

    settings_kind: ClassVar[type[SystemSettings]] = PlainSettings
