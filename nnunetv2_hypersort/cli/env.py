"""`hypersort env`: the line that makes nnU-Net find the HyperSORT trainers."""

import argparse
import os
import shlex
from pathlib import Path

VARIABLE = "nnUNet_extTrainer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.description = (
        f"Print the line that adds HyperSORT's trainers to {VARIABLE}, keeping what the variable holds. "
        f'Use it as `eval "$(hypersort env)"`, or put what it prints beside the three variables of nnU-Net.'
    )


def run(args: argparse.Namespace) -> None:
    """Print the line."""
    print(f"export {VARIABLE}={shlex.quote(extended(os.environ.get(VARIABLE, '')))}")


def extended(present: str) -> str:
    """The value of nnUNet_extTrainer with our folder in it; `present` is its value so far."""
    folder = str(Path(__file__).resolve().parents[1] / "ext_trainer")
    folders = [entry for entry in present.split(os.pathsep) if entry]
    return os.pathsep.join(folders if folder in folders else [*folders, folder])
