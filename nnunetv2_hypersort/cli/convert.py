"""`hypersort convert`: a published data set becomes an nnU-Net raw dataset."""

import argparse

from nnunetv2_hypersort.dataset_conversion import amos22, totalsegmentator

DATASETS = {
    "amos22": (amos22, "AMOS22, abdominal CT and MRI (Zenodo 7262581, 7155725)"),
    "totalsegmentator": (totalsegmentator, "TotalSegmentator CT v1, v2, v3 and MRI"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one subcommand per data set."""
    datasets = parser.add_subparsers(dest="dataset", metavar="DATASET", required=True)
    for name, (module, summary) in DATASETS.items():
        module.add_arguments(datasets.add_parser(name, help=summary, description=f"Convert {summary}."))


def run(args: argparse.Namespace) -> None:
    """Convert the data set that was named."""
    DATASETS[args.dataset][0].run(args)
