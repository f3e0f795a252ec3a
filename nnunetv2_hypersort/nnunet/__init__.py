"""What nnU-Net keeps on disk: plans, checkpoints, raw and preprocessed data sets."""
