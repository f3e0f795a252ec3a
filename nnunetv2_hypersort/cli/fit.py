"""`hypersort fit`: parse, call, print."""

import argparse
import shlex

from nnunetv2_hypersort.cli.common_arguments import add_model_arguments, model_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `hypersort fit`."""
    parser.description = (
        "Fit the latent of new, labelled cases with all weights frozen: which style are they drawn in, how typical is "
        "it, and how much of the error is style. A few cases will do, whole or annotated in part."
    )
    add_model_arguments(parser)
    parser.add_argument("--images", required=True, metavar="IN", help="folder with the images (CASE_0000.nii.gz)")
    parser.add_argument(
        "--labels",
        required=True,
        metavar="LAB",
        help="folder with their labels (CASE.nii.gz), with the model's ignore label where nobody annotated",
    )
    parser.add_argument("--shared", action="store_true", help="one latent for all cases, not one for each")
    parser.add_argument(
        "--partly-annotated",
        action="store_true",
        help="for a model without ignore label: the value above its highest label stands where nobody annotated",
    )
    parser.add_argument(
        "--annotated",
        nargs="+",
        metavar="LABEL",
        help="labels that the cases are annotated for; the model's others are unknown there, not absent",
    )
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="only these cases")
    parser.add_argument(
        "--save-as",
        metavar="NAME",
        help="make the latent a style of the model, for `--latent style:NAME`; with several cases give --shared, too",
    )
    parser.add_argument(
        "--beyond",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="how far the search may leave the range of the training latents, as a share of it (default: %(default)s)",
    )
    parser.add_argument("-o", metavar="FOLDER", help="new folder for fit.json and fit.csv")


def run(args: argparse.Namespace) -> None:
    """Fit the latents and print the table."""
    from nnunetv2_hypersort.fitting.fit import fit_latents

    fit = fit_latents(
        args.model,
        args.images,
        args.labels,
        shared=args.shared,
        partly_annotated=args.partly_annotated,
        annotated=args.annotated,
        case_ids=args.cases,
        **model_options(args),
        beyond=args.beyond,
        save_as=args.save_as,
        output=args.o,
    )
    print(fit.markdown())
    if args.save_as:
        chosen = shlex.quote(f"style:{args.save_as}")
        print(f"\nThe model has the style {args.save_as} now: hypersort predict --latent {chosen} ...")
    if args.o:
        print(f"\nWritten: {args.o}/fit.json, {args.o}/fit.csv")
