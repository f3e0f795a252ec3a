"""What nnU-Net finds through `nnUNet_extTrainer`; see `nnunetv2_hypersort.ext_trainer`."""

from benchmarks.nnunet_runs.plain_trainer import PlainTrainer

__all__ = ["PlainTrainer"]
