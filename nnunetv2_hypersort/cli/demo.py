"""`hypersort demo`: the whole job on a small generated data set."""

import argparse
from pathlib import Path

from nnunetv2_hypersort.cli.common_arguments import add_device_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("-o", type=Path, default=Path("hypersort_demo"), help="folder (default: %(default)s)")
    add_device_argument(parser)
    parser.add_argument("--seed", type=int, default=0, help="of data and training (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Run the demo."""
    from nnunetv2_hypersort.demo.run import run_demo

    run_demo(args.o.resolve(), seed=args.seed, device=args.device)
