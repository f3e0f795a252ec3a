"""nnU-Net trainers with settings and safe checkpoints, and the one that learns annotation styles."""

from nnunetv2_hypersort.trainers.base.base_trainer import BaseTrainer
from nnunetv2_hypersort.trainers.hypersort.hypersort_trainer import HyperSORTTrainer

__all__ = ["BaseTrainer", "HyperSORTTrainer"]
