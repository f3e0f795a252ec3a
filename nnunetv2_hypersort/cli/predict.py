"""`hypersort predict`: nnU-Net's prediction with a chosen latent."""

import argparse
import os
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line: nnU-Net's flags of both its commands, with its defaults, and our own."""
    parser.description = (
        "Predict with nnU-Net and the network of one latent. Takes the flags of nnUNetv2_predict (with -d and -c) and "
        "of nnUNetv2_predict_from_modelfolder (with -m)."
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("-d", metavar="DATASET", help="dataset name or id of the trained model")
    model.add_argument("-m", metavar="MODEL", help="trained-model folder, the one that holds fold_0")
    parser.add_argument("-c", metavar="CONFIGURATION", help="nnU-Net configuration (with -d)")
    parser.add_argument("-tr", default="HyperSORTTrainer", help="trainer of the model (with -d; default: %(default)s)")
    parser.add_argument("-p", default="nnUNetPlans", help="plans identifier (with -d; default: %(default)s)")
    parser.add_argument("-i", required=True, metavar="IN", help="folder with the images")
    parser.add_argument("-o", required=True, metavar="OUT", help="folder for the segmentations")
    parser.add_argument("-f", nargs="+", default=["0", "1", "2", "3", "4"], help="folds (default: 0 1 2 3 4)")
    parser.add_argument("-chk", default="checkpoint_final.pth", help="checkpoint file name (default: %(default)s)")
    parser.add_argument(
        "--latent",
        help="`mode` (the largest style that all folds share, once styles were found; else the densest training "
        "latent), `style:NAME`, `case:ID`, `cluster:K` or coordinates `x,y` (both of one fold); overrides "
        "HYPERSORT_LATENT (write --latent=-0.1,0.2 if the first coordinate is negative)",
    )
    parser.add_argument(
        "--continue_prediction", "--c", action="store_true", help="leave cases alone that are already segmented"
    )
    parser.add_argument("-device", default="cuda", help="cuda, cpu or mps (default: %(default)s)")
    parser.add_argument(
        "-step_size", type=float, default=0.5, help="step of the sliding window, in patches (default: %(default)s)"
    )
    parser.add_argument("--disable_tta", action="store_true", help="do not average over mirrored images")
    parser.add_argument("--save_probabilities", action="store_true", help="also write probabilities, for ensembles")
    parser.add_argument(
        "-prev_stage_predictions", metavar="FOLDER", help="segmentations of the first stage, for a cascade's second"
    )
    for flag, variable, purpose in (("-npp", "nnUNet_npp", "preprocessing"), ("-nps", "nnUNet_nps", "export")):
        parser.add_argument(
            flag, type=int, default=_from_environment(variable, 3), help=f"processes for {purpose} (default: 3)"
        )
    parser.add_argument("-num_parts", type=int, default=1, help="number of calls that share the cases (with -d)")
    parser.add_argument("-part_id", type=int, default=0, help="which of them this one is, from 0 on (with -d)")
    parser.add_argument("--not_on_device", action="store_true", help="keep results off the GPU, for large images")
    parser.add_argument("--disable_progress_bar", action="store_true", help="no progress bar")
    parser.add_argument("--verbose", action="store_true", help="print more")


def run(args: argparse.Namespace) -> None:
    """Predict.

    Raises:
        HyperSORTError: See `predict_from_model_folder`; also without -c beside -d, or with a part that is none.
    """
    if args.d and not args.c:
        raise HyperSORTError("With -d also give the configuration, such as `-c 3d_fullres`.")
    if args.m and (args.num_parts != 1 or args.part_id):
        raise HyperSORTError("nnU-Net takes -num_parts and -part_id only with -d, not with -m.")
    if not 0 <= args.part_id < args.num_parts:
        raise HyperSORTError(f"-part_id {args.part_id} is none of {args.num_parts} parts; count them from 0 on.")
    model_folder = _model_folder(args)

    from nnunetv2_hypersort.latents import LATENT_VARIABLE
    from nnunetv2_hypersort.prediction import predict_from_model_folder

    predict_from_model_folder(
        model_folder,
        args.i,
        args.o,
        latent=args.latent or os.environ.get(LATENT_VARIABLE) or "mode",
        folds=args.f,
        checkpoint_name=args.chk,
        continue_prediction=args.continue_prediction,
        device=args.device,
        predictor_options={
            "tile_step_size": args.step_size,
            "use_mirroring": not args.disable_tta,
            "perform_everything_on_device": not args.not_on_device,
            "verbose": args.verbose,
            "verbose_preprocessing": args.verbose,
            "allow_tqdm": not args.disable_progress_bar,
        },
        save_probabilities=args.save_probabilities,
        num_processes_preprocessing=args.npp,
        num_processes_segmentation_export=args.nps,
        folder_with_segs_from_prev_stage=args.prev_stage_predictions,
        num_parts=args.num_parts,
        part_id=args.part_id,
    )


def _model_folder(args: argparse.Namespace) -> Path:
    from nnunetv2.utilities.file_path_utilities import get_output_folder

    try:
        model_folder = Path(args.m or get_output_folder(args.d, args.tr, args.p, args.c))
    except (RuntimeError, ValueError, TypeError) as error:
        # nnU-Net's look-up of datasets by id fails in all these ways.
        raise HyperSORTError(
            f"No trained model was found for dataset {args.d}: {' '.join(str(error).split())} Check the id and the "
            f"variable nnUNet_results, or name the folder of the model with -m."
        ) from error
    if not model_folder.is_dir():
        raise HyperSORTError(f"There is no trained model in {model_folder}; check the model, trainer and plans names.")
    return model_folder


def _from_environment(variable: str, default: int) -> int:
    """A number of processes as nnU-Net reads it: what the variable says, if that is a number."""
    try:
        return int(os.environ.get(variable) or default)
    except ValueError:
        return default
