"""`hypersort harmonise`: parse, call, print."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.description = (
        "Segment all training cases of a model anew in one style, each by a fold that did not train on it, and write "
        "them as a raw nnU-Net dataset with a table of what changed."
    )
    parser.add_argument("model", metavar="MODEL", help="trained-model folder, the one that holds fold_0")
    parser.add_argument("--style", required=True, metavar="NAME", help="name of the style (see `hypersort styles`)")
    parser.add_argument("-o", required=True, metavar="DATASET", help="folder to write, named DatasetXXX_Name")
    parser.add_argument("-f", nargs="+", metavar="FOLD", help="folds that may segment (default: all that are trained)")
    parser.add_argument(
        "-chk", metavar="FILE", default="checkpoint_final.pth", help="checkpoint file name (default: %(default)s)"
    )
    parser.add_argument("-device", metavar="DEVICE", help="cpu, cuda or mps (default: cuda if there is one)")
    parser.add_argument(
        "-np", metavar="N", type=int, help="worker processes (default: nnUNet_def_n_proc, at most one per CPU core)"
    )


def run(args: argparse.Namespace) -> None:
    """Write the dataset and print what changed."""
    from nnunetv2_hypersort.devices import usable_device
    from nnunetv2_hypersort.evaluation.surface import INSTALL_HINT, is_monai_installed
    from nnunetv2_hypersort.styles.harmonise import CHANGES_FILE, harmonise_labels

    harmonised = harmonise_labels(
        args.model,
        args.style,
        args.o,
        folds=args.f,
        checkpoint_name=args.chk,
        device=usable_device(args.device),
        num_processes=args.np,
    )
    print(*harmonised.latents, "", harmonised.markdown, sep="\n")
    if not is_monai_installed():
        print(INSTALL_HINT)
    if harmonised.left_out:
        print(f"Left out, as the model does not know them: {', '.join(harmonised.left_out)}.")
    print(f"\nWritten: {harmonised.folder} (every case and label in {CHANGES_FILE} there)")
