"""`hypersort harmonise`: parse, call, print."""

import argparse

from nnunetv2_hypersort.cli.common_arguments import add_model_arguments, add_processes_argument, model_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.description = (
        "Segment all training cases of a model anew in one style, each by a fold that did not train on it, and write "
        "them as a raw nnU-Net dataset with a table of what changed."
    )
    add_model_arguments(parser, folds="folds that may segment")
    parser.add_argument("--style", required=True, metavar="NAME", help="name of the style (see `hypersort styles`)")
    parser.add_argument("-o", required=True, metavar="DATASET", help="folder to write, named DatasetXXX_Name")
    add_processes_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Write the dataset and print what changed."""
    from nnunetv2_hypersort.evaluation.surface import INSTALL_HINT, is_monai_installed
    from nnunetv2_hypersort.handover.harmonise import CHANGES_FILE, harmonise_labels

    harmonised = harmonise_labels(
        args.model,
        args.style,
        args.o,
        **model_options(args),
        num_processes=args.np,
    )
    print(*harmonised.latents, "", harmonised.markdown, sep="\n")
    if not is_monai_installed():
        print(INSTALL_HINT)
    if harmonised.left_out:
        print(f"Left out, as the model does not know them: {', '.join(harmonised.left_out)}.")
    print(f"\nWritten: {harmonised.folder} (every case and label in {CHANGES_FILE} there)")
