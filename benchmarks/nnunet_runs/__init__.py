"""Many short nnU-Net trainings on few processor cores: folders and commands, one training, a queue of trainings."""
