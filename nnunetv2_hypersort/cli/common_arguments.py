"""Arguments that several commands take."""

import argparse
from typing import Any


def add_model_arguments(parser: argparse.ArgumentParser, *, folds: str = "folds") -> None:
    """Declare MODEL, -f, -chk and -device.

    Args:
        parser: Takes them as `model`, `f`, `chk` and `device`.
        folds: What the folds are for, in the help of -f.
    """
    parser.add_argument("model", metavar="MODEL", help="trained-model folder, the one that holds fold_0")
    parser.add_argument("-f", nargs="+", metavar="FOLD", help=f"{folds} (default: all that are trained)")
    parser.add_argument(
        "-chk", metavar="FILE", default="checkpoint_final.pth", help="checkpoint file name (default: %(default)s)"
    )
    add_device_argument(parser)


def model_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_model_arguments` took, but for the model, as functions of this package are given it.

    Raises:
        HyperSORTError: The device cannot be used.
    """
    from nnunetv2_hypersort.nnunet.devices import usable_device

    return {"folds": args.f, "checkpoint_name": args.chk, "device": usable_device(args.device)}


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Declare -device as `device`."""
    parser.add_argument("-device", metavar="DEVICE", help="cpu, cuda or mps (default: cuda if there is one)")


def add_processes_argument(parser: argparse.ArgumentParser) -> None:
    """Declare -np, the number of worker processes, as `np`."""
    parser.add_argument(
        "-np", metavar="N", type=int, help="worker processes (default: nnUNet_def_n_proc, at most one per CPU core)"
    )
