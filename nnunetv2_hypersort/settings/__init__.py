"""The settings of a HyperSORT training: one typed object, YAML in, plans out, validated once."""

from nnunetv2_hypersort.settings.loading import CONFIG_VARIABLE, load_settings, shipped_configs
from nnunetv2_hypersort.settings.schema import (
    GeneratorKind,
    HypernetworkSettings,
    LatentSettings,
    LatentStart,
    LrSchedule,
    OptimizerKind,
    Settings,
    TrainingSettings,
)

__all__ = [
    "CONFIG_VARIABLE",
    "GeneratorKind",
    "HypernetworkSettings",
    "LatentSettings",
    "LatentStart",
    "LrSchedule",
    "OptimizerKind",
    "Settings",
    "TrainingSettings",
    "load_settings",
    "shipped_configs",
]
