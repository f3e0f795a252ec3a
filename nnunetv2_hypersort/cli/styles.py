"""`hypersort styles`: the annotation styles of a trained model."""

import argparse
import shlex

from nnunetv2_hypersort.cli.common_arguments import add_model_arguments, model_options
from nnunetv2_hypersort.errors import HyperSORTError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.description = (
        "Find the annotation styles of a trained model, match them over its folds and say how they differ. Writes "
        "MODEL/styles.json, and the styles into MODEL/plans.json for predictions with style:NAME."
    )
    add_model_arguments(parser)
    parser.add_argument(
        "--cases",
        type=int,
        default=8,
        metavar="N",
        help="images to segment in each style for the descriptions (default: %(default)s; 0: compare training labels)",
    )
    parser.add_argument(
        "--by",
        nargs="+",
        action="extend",
        metavar="COLUMN",
        help="instead of finding styles, tell whether the labels of known groups of cases (institute, scanner, rater, "
        "year) are annotated differently, and how: columns of cases.csv in the raw dataset, or of --table",
    )
    parser.add_argument("--table", metavar="CSV", help="with --by: a table with a column `case` and others")
    parser.add_argument(
        "--subject",
        metavar="COLUMN",
        help="with --by: the column with the subjects (default: `subject` or `patient` if there is one)",
    )


def run(args: argparse.Namespace) -> None:
    """Find the styles and print them.

    Raises:
        HyperSORTError: See `find_styles` and `compare_groups`; also for a negative number of cases, an unknown device,
            or options of `--by` without it.
    """
    if args.cases < 0:
        raise HyperSORTError(f"--cases is {args.cases}; give 0 or more.")
    if args.by:
        _compare_groups(args)
        return
    if args.table or args.subject:
        raise HyperSORTError("--table and --subject say where the groups of --by are; give --by COLUMN, too.")

    from nnunetv2_hypersort.latents.styles_file import STYLES_FILE
    from nnunetv2_hypersort.styles.finding import find_styles

    found = find_styles(args.model, cases=args.cases, **model_options(args))
    print(found.to_text())
    print(f"\nWritten: {args.model}/{STYLES_FILE}, and the styles in {args.model}/plans.json.")
    if found.styles:
        style = found.styles[0].style
        print(
            f"To predict in a style: hypersort predict -m {shlex.quote(args.model)} -f {' '.join(style.folds)} "
            f"-i IN -o OUT --latent {shlex.quote(f'style:{style.name}')}"
        )


def _compare_groups(args: argparse.Namespace) -> None:
    from nnunetv2_hypersort.nnunet.devices import usable_device
    from nnunetv2_hypersort.styles.groups.finding import GROUPS_FILE, compare_groups

    found = compare_groups(
        args.model,
        args.by,
        table=args.table,
        subject=args.subject,
        folds=args.f,
        checkpoint_name=args.chk,
        cases=args.cases,
        device=usable_device(args.device),
    )
    print(found.to_text())
    print(f"\nWritten: {args.model}/{GROUPS_FILE}")
