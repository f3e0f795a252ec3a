"""HyperSORT for nnU-Net v2: learn from training sets whose labels are not all drawn the same way."""

from nnunetv2_hypersort.moved import find_moved_modules

__version__ = "0.1.0"

find_moved_modules()
