"""`hypersort export`: parse, call, print."""

import argparse
import shlex

from nnunetv2_hypersort.cli.common_arguments import add_model_arguments, add_processes_argument, model_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.description = (
        "Write one style of a model as a trained model of plain nnU-Net, which predicts with it without this package, "
        "to the last voxel as `hypersort predict --latent style:NAME` does."
    )
    add_model_arguments(parser)
    parser.add_argument("--style", required=True, metavar="NAME", help="name of the style (see `hypersort styles`)")
    parser.add_argument(
        "-o", required=True, metavar="RESULTS_ROOT", help="folder that takes the part of nnUNet_results"
    )
    add_processes_argument(parser)
    parser.add_argument(
        "--no-validation", action="store_true", help="do not segment the validation cases of each fold with the style"
    )


def run(args: argparse.Namespace) -> None:
    """Export the style and say how to use it."""
    from nnunetv2_hypersort.handover.export import export_style

    exported = export_style(
        args.model,
        args.style,
        args.o,
        **model_options(args),
        validate=not args.no_validation,
        num_processes=args.np,
    )
    for latent in exported.latents:
        dice = exported.dice.get(latent.fold)
        print(latent if dice is None else f"{latent}; Dice with labels of all styles {dice:.4f}")
    folds = " ".join(latent.fold for latent in exported.latents)
    print(
        f"\nWritten: {exported.folder}\n\nWith plain nnU-Net, and nnUNet_results={shlex.quote(args.o)}:\n"
        f"  nnUNetv2_predict {exported.flags} -f {folds} -i IN -o OUT\n"
        f"  nnUNetv2_export_model_to_zip {exported.flags} -f {folds} -o MODEL.zip\n"
        f"In 3D Slicer's nnU-Net extension choose the folder that was written."
    )
    for obstacle in exported.obstacles:
        print(f"Mind: {obstacle}")
