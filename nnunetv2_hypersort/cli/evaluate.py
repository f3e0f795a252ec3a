"""`hypersort evaluate`: parse, call, print."""

import argparse

from nnunetv2_hypersort.cli.common_arguments import add_processes_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `hypersort evaluate`."""
    parser.add_argument("-ref", metavar="FOLDER", help="folder with the reference label maps, such as labelsTs")
    parser.add_argument(
        "-pred",
        metavar="FOLDER",
        nargs="+",
        action="extend",
        help="folder with predictions, once per method; several are compared, case by case",
    )
    parser.add_argument(
        "--estimate-tolerance",
        metavar=("A", "B"),
        nargs=2,
        help="instead of evaluating, estimate NSD tolerances from the label maps of two annotators in folders A and B, "
        "and write them to nsd_tolerance.json in the folder given with -o",
    )
    parser.add_argument("-djfile", metavar="FILE", required=True, help="dataset.json of the data set")
    parser.add_argument("-o", metavar="FOLDER", required=True, help="folder for the results")
    parser.add_argument(
        "--subjects",
        metavar="FILE",
        help="CSV file with the columns case,subject; intervals are over subjects (default: every case is a subject)",
    )
    parser.add_argument(
        "--groups",
        metavar="GROUP=LABEL,LABEL",
        nargs="+",
        action="extend",
        help="organ groups by label name (default: small, medium and large, the terciles of the median volume)",
    )
    tolerance = parser.add_mutually_exclusive_group()
    tolerance.add_argument(
        "--nsd-tolerance", metavar="MM", type=float, default=2.0, help="tolerance of NSD in mm (default: 2)"
    )
    tolerance.add_argument(
        "--nsd-tolerance-file", metavar="FILE", help='JSON file with a tolerance in mm per label, {"liver": 2.5, ...}'
    )
    parser.add_argument("--allow-missing", action="store_true", help="count cases that a folder lacks as empty there")
    parser.add_argument(
        "--common-cases",
        action="store_true",
        help="evaluate only the cases that every folder has, such as those of one validation fold",
    )
    parser.add_argument(
        "--images", metavar="FOLDER", help="images (CASE_0000) to lay below the contours of worst cases"
    )
    parser.add_argument("--no-figures", action="store_true", help="write no figures")
    parser.add_argument("--resamples", metavar="N", type=int, default=1000, help="bootstrap resamples (default: 1000)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the bootstrap (default: 0)")
    add_processes_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Evaluate, or estimate tolerances, and print the result."""
    from nnunetv2_hypersort.errors import HyperSORTError

    if args.estimate_tolerance:
        if args.ref or args.pred:
            raise HyperSORTError("--estimate-tolerance A B takes the place of -ref and -pred; leave those out.")
        _estimate(args)
    elif not args.ref or not args.pred:
        raise HyperSORTError("give the references with -ref and the predictions with -pred (see --help).")
    else:
        _evaluate(args)


def _evaluate(args: argparse.Namespace) -> None:
    from nnunetv2_hypersort.evaluation import evaluate_folders
    from nnunetv2_hypersort.evaluation.groups import parse_groups

    result = evaluate_folders(
        args.ref,
        args.pred,
        args.djfile,
        args.o,
        subjects_csv=args.subjects,
        groups=parse_groups(args.groups) if args.groups else None,
        nsd_tolerance=args.nsd_tolerance,
        nsd_tolerance_file=args.nsd_tolerance_file,
        allow_missing=args.allow_missing,
        common_cases=args.common_cases,
        num_resamples=args.resamples,
        seed=args.seed,
        num_processes=args.np,
        figures=not args.no_figures,
        images_folder=args.images,
    )
    print(result.markdown)
    print("Written:", *(f"  {path}" for path in result.files), sep="\n")


def _estimate(args: argparse.Namespace) -> None:
    from nnunetv2_hypersort.evaluation import estimate_tolerance_of_annotators
    from nnunetv2_hypersort.files.text_tables import markdown_table

    first, second = args.estimate_tolerance
    tolerances, without, target = estimate_tolerance_of_annotators(
        first,
        second,
        args.djfile,
        args.o,
        subjects_csv=args.subjects,
        common_cases=args.common_cases,
        num_processes=args.np,
    )
    rows = [(name, f"{value:.3f}") for name, value in tolerances.items()]
    print(markdown_table(("label", "tolerance (mm)"), rows))
    if without:
        print(f"\nNo case has {', '.join(without)} in both folders: add a tolerance by hand before you use the file.")
    print(f"\nWritten:\n  {target}")
