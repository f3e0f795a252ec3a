"""`hypersort env`: the line that makes nnU-Net find the HyperSORT trainers."""

import argparse
import os
import shlex

from nnunetv2_hypersort.nnunet.discovery import TRAINER_VARIABLE, with_our_trainers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.description = (
        f"Print the line that adds HyperSORT's trainers to {TRAINER_VARIABLE}, keeping what the variable holds. "
        f'Use it as `eval "$(hypersort env)"`, or put what it prints beside the three variables of nnU-Net.'
    )


def run(args: argparse.Namespace) -> None:
    """Print the line."""
    print(f"export {TRAINER_VARIABLE}={shlex.quote(with_our_trainers(os.environ.get(TRAINER_VARIABLE, '')))}")
