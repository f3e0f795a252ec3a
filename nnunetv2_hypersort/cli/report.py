"""`hypersort report`: parse, call, print."""

import argparse

from nnunetv2_hypersort.cli.common_arguments import add_model_arguments, model_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `hypersort report`."""
    add_model_arguments(parser)
    parser.add_argument("-o", metavar="FILE", help="HTML file (default: MODEL/report.html); an earlier one is replaced")
    parser.add_argument(
        "--metadata",
        metavar="CSV",
        help="table with a column `case` and columns to colour the cases by, such as institute or scanner",
    )
    parser.add_argument(
        "--minutes",
        metavar="N",
        type=float,
        default=10.0,
        help="time for predictions; afterwards cases are shown with their label alone, 0 makes no slices (default: 10)",
    )


def run(args: argparse.Namespace) -> None:
    """Write the report and say what could not be shown."""
    from nnunetv2_hypersort.report import write_report

    files, notes = write_report(
        args.model,
        args.o,
        metadata=args.metadata,
        minutes=args.minutes,
        **model_options(args),
    )
    for note in notes:
        print(f"Note: {note.text}" + (f"\n      Run: {note.command}" if note.command else ""))
    print("Written:", *(f"  {path}" for path in files), sep="\n")
