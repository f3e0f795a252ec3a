"""What HyperSORT costs beside plain nnU-Net: time, memory, parameters, files."""
