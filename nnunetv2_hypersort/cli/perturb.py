"""`hypersort perturb`: plant annotation styles and errors in a raw nnU-Net dataset."""

import argparse
from pathlib import Path


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
    parser.add_argument(
        "--processes", type=int, help="worker processes (default: nnUNet_def_n_proc, at most one per processor)"
    )


def run(args: argparse.Namespace) -> None:
    """Plant styles and errors, and print how many of each."""
    from nnunetv2_hypersort.errors import HyperSORTError
    from nnunetv2_hypersort.perturbation.perturb import perturb_dataset, summary

    if args.processes is not None and args.processes < 1:
        raise HyperSORTError(f"--processes is {args.processes}; it must be 1 or more.")
    rows = perturb_dataset(
        args.source,
        args.destination,
        args.spec,
        seed=args.seed,
        all_styles=args.all_styles,
        processes=args.processes,
    )
    print(summary(rows))
    print(f"truth: {args.destination / 'styles.csv'}")
