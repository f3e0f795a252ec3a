"""The settings of a training: one typed object, YAML in, plans out, validated once."""

from nnunetv2_hypersort.settings.hypersort import (
    CONFIG_VARIABLE,
    GeneratorKind,
    HypernetworkSettings,
    HyperSORTTrainingSettings,
    LatentSettings,
    LatentStart,
    Settings,
    load_settings,
)
from nnunetv2_hypersort.settings.loading import System, shipped_configs
from nnunetv2_hypersort.settings.system import SystemSettings
from nnunetv2_hypersort.settings.training import LrSchedule, OptimizerKind, TrainingSettings

__all__ = [
    "CONFIG_VARIABLE",
    "GeneratorKind",
    "HyperSORTTrainingSettings",
    "HypernetworkSettings",
    "LatentSettings",
    "LatentStart",
    "LrSchedule",
    "OptimizerKind",
    "Settings",
    "System",
    "SystemSettings",
    "TrainingSettings",
    "load_settings",
    "shipped_configs",
]
