"""`hypersort predict`: nnU-Net's prediction with a chosen latent."""

import argparse
import os
import sys
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError

# argparse would read nnU-Net's `-device cpu` as our `-d evice`, so its flags with one dash are declared here.
PASSED_ON = ("-device", "-step_size", "-npp", "-nps", "-prev_stage_predictions", "-num_parts", "-part_id")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line: our flags, and those of nnU-Net's that we have to know."""
    parser.description = (
        "Predict with nnU-Net and the network of one latent. Takes all flags of nnUNetv2_predict (with -d and -c) or "
        "of nnUNetv2_predict_from_modelfolder (with -m); see their help for what is not listed here."
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
        help="`mode` (densest training latent; over folds the largest style), `style:NAME`, `case:ID`, `cluster:K` or "
        "coordinates `x,y` (both of one fold); overrides HYPERSORT_LATENT (write --latent=-0.1,0.2 if the first "
        "coordinate is negative)",
    )
    parser.add_argument(
        "--continue_prediction", "--c", action="store_true", help="leave cases alone that are already segmented"
    )
    for flag in PASSED_ON:
        parser.add_argument(flag, metavar="X", help="as in nnU-Net")
    parser.set_defaults(passed_on=[])


def run(args: argparse.Namespace) -> None:
    """Check the latent, then hand over to nnU-Net's own command.

    Raises:
        HyperSORTError: See `predict_from_model_folder`; also without -c beside -d.
    """
    if args.d and not args.c:
        raise HyperSORTError("With -d also give the configuration, such as `-c 3d_fullres`.")
    if args.m and (args.num_parts or args.part_id):
        raise HyperSORTError("nnU-Net takes -num_parts and -part_id only with -d, not with -m.")

    from nnunetv2.inference import predict_from_raw_data as nnunet

    from nnunetv2_hypersort.latents import LATENT_VARIABLE, LatentChoice
    from nnunetv2_hypersort.nnunet.checkpoints import only_weights_are_loaded
    from nnunetv2_hypersort.prediction.checks import latents_of_prediction, refuse_other_latents
    from nnunetv2_hypersort.prediction.predict import latent_for_prediction

    latent = args.latent or os.environ.get(LATENT_VARIABLE) or "mode"
    try:
        model_folder = Path(args.m or nnunet.get_output_folder(args.d, args.tr, args.p, args.c))
    except (RuntimeError, ValueError, TypeError) as error:
        # nnU-Net's look-up of datasets by id fails in all these ways.
        raise HyperSORTError(
            f"No trained model was found for dataset {args.d}: {' '.join(str(error).split())} Check the id and the "
            f"variable nnUNet_results, or name the folder of the model with -m."
        ) from error
    if not model_folder.is_dir():
        raise HyperSORTError(f"There is no trained model in {model_folder}; check the model, trainer and plans names.")
    chosen = latents_of_prediction(model_folder, args.f, LatentChoice.parse(latent), checkpoint_name=args.chk)
    if args.continue_prediction:
        refuse_other_latents(Path(args.o), chosen)

    model = ["-m", args.m] if args.m else ["-d", args.d, "-c", args.c, "-tr", args.tr, "-p", args.p]
    entry_point = nnunet.predict_entry_point_modelfolder if args.m else nnunet.predict_entry_point
    continuing = ["--continue_prediction"] if args.continue_prediction else []
    given = [(flag, getattr(args, flag.removeprefix("-"))) for flag in PASSED_ON]
    flags = [part for flag, value in given if value is not None for part in (flag, value)]
    own = ["-i", args.i, "-o", args.o, "-f", *args.f, "-chk", args.chk]
    sys.argv = ["hypersort predict", *model, *own, *continuing, *flags, *args.passed_on]
    with latent_for_prediction(latent), only_weights_are_loaded():
        entry_point()
