"""`hypersort perturb`: plant annotation styles and errors in a raw nnU-Net dataset."""

import argparse
from pathlib import Path

from nnunetv2_hypersort.cli.common_arguments import add_processes_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `hypersort perturb`."""
    parser.add_argument("source", type=Path, metavar="SRC", help="raw nnU-Net dataset folder (DatasetXXX_Name)")
    parser.add_argument("destination", type=Path, metavar="DST", help="folder to write, named DatasetXXX_Name")
    parser.add_argument(
        "--spec",
        required=True,
        help="YAML file with styles and errors, or the name of a shipped one (perturb_hippocampus)",
    )
    parser.add_argument("--seed", type=int, default=0, help="chooses cases and the errors' particulars (default: 0)")
    parser.add_argument(
        "--all-styles",
        action="store_true",
        help="also write every case in every style, without errors, to DST/labels_all_styles/<style>/",
    )
    add_processes_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Plant styles and errors, and print how many of each."""
    from nnunetv2_hypersort.errors import HyperSORTError
    from nnunetv2_hypersort.perturbation.perturb import perturb_dataset, summary

    if args.np is not None and args.np < 1:
        raise HyperSORTError(f"-np is {args.np}; it must be 1 or more.")
    rows = perturb_dataset(
        args.source,
        args.destination,
        args.spec,
        seed=args.seed,
        all_styles=args.all_styles,
        processes=args.np,
    )
    print(summary(rows))
    print(f"truth: {args.destination / 'styles.csv'}")
