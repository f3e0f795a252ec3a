"""`hypersort rank`: parse, call, print."""

import argparse

from nnunetv2_hypersort.cli.common_arguments import add_model_arguments

_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.description = (
        "Rank the training cases of a model by the quality of their labels, worst first, with the reasons, and write "
        "case_ranking.csv into the model folder."
    )
    add_model_arguments(parser, folds="folds to look at")
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument(
        "--precision",
        metavar="P",
        type=float,
        help="flag as many labels as keep this share of them wrong, as far as can be expected (default: 0.8)",
    )
    limit.add_argument(
        "--threshold",
        metavar="Q",
        type=float,
        help="flag labels of a lower quality instead; 0.5 is 3.5 robust standard deviations worse than usual",
    )
    parser.add_argument(
        "--ignore-mask",
        metavar="DATASET",
        help="also write the raw dataset anew to this folder (DatasetXXX_Name), with the doubtful voxels of flagged "
        "labels ignored",
    )
    parser.add_argument(
        "--exclude", metavar="FILE", help="also write nnU-Net's splits without the flagged cases in any training"
    )
    parser.add_argument(
        "--no-predictions",
        action="store_true",
        help="rank by loss and latents alone: seconds, but misses errors that predictions show",
    )


def run(args: argparse.Namespace) -> None:
    """Rank and print the flagged cases."""
    from nnunetv2_hypersort.nnunet.devices import usable_device
    from nnunetv2_hypersort.ranking.rank import rank_cases
    from nnunetv2_hypersort.ranking.wrong_labels import PRECISION

    ranking = rank_cases(
        args.model,
        folds=args.f,
        checkpoint_name=args.chk,
        precision=PRECISION if args.precision is None else args.precision,
        threshold=args.threshold,
        ignore_mask=args.ignore_mask,
        exclude=args.exclude,
        predict=not args.no_predictions,
        device=usable_device(args.device),
    )
    for fold, words in ranking.provisional.items():
        print(f"PROVISIONAL: fold {fold} is at {words}.")
    flagged = ranking.flagged
    for case in flagged[:_SHOWN]:
        print(f"{case.quality:7.2g}  {case.case}  {case.style or '-'}  {case.reason}")
    if len(flagged) > _SHOWN:
        print(f"... and {len(flagged) - _SHOWN} more")
    print(ranking.flags)
    for note in ranking.notes:
        print(f"Note: {note}")
    written = [str(ranking.file), *(path for path in (args.ignore_mask, args.exclude) if path)]
    print(f"Written: {', '.join(written)}")
