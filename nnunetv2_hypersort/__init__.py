"""HyperSORT for nnU-Net v2: learn from training sets whose labels are not all drawn the same way."""

__version__ = "0.1.0"
