"""nnU-Net on cases that are not annotated for the same labels."""
