"""nnU-Net trainers that learn annotation styles."""

from nnunetv2_hypersort.trainers.hypersort.hypersort_trainer import HyperSORTTrainer

__all__ = ["HyperSORTTrainer"]
