"""nnU-Net's files as they come from anyone: read without running, importing or allocating what they ask for."""
