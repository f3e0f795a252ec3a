"""The whole job on a small generated data set."""
