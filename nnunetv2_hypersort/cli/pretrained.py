"""`hypersort pretrained`: start a training from trained weights."""

import argparse
import shlex


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.description = (
        "Write weights of another training in the form that `nnUNetv2_train -pretrained_weights` takes, for all folds "
        "of a dataset. Weights of plain nnU-Net become the style at the origin; of a HyperSORT training the generator "
        "is taken over, too. Latents and segmentation heads are new. Settings are those the training will have "
        "(HYPERSORT_CONFIG)."
    )
    parser.add_argument("source", metavar="CHECKPOINT", help="checkpoint of plain nnU-Net or of a HyperSORT trainer")
    parser.add_argument("-d", metavar="DATASET", required=True, help="name or id of the dataset to be trained")
    parser.add_argument("-c", metavar="CONFIGURATION", required=True, help="configuration, such as 3d_fullres")
    parser.add_argument("-o", metavar="FILE", required=True, help="file to write, such as pretrained.pth")
    parser.add_argument("-tr", default="HyperSORTTrainer", help="trainer to be used (default: %(default)s)")
    parser.add_argument("-p", default="nnUNetPlans", help="plans identifier (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Write the weights and say how to train with them.

    Raises:
        HyperSORTError: See `write_pretrained_weights`.
    """
    import os

    from nnunetv2_hypersort.nnunet.discovery import TRAINER_VARIABLE, with_our_trainers
    from nnunetv2_hypersort.trainers.hypersort.pretrained import write_pretrained_weights

    os.environ[TRAINER_VARIABLE] = with_our_trainers(os.environ.get(TRAINER_VARIABLE, ""))
    new = write_pretrained_weights(
        args.source, args.o, dataset=args.d, configuration=args.c, plans=args.p, trainer=args.tr
    )
    kept_new = sorted(name.removeprefix("primary.") for name in new if name.startswith("primary."))
    print(f"New, as in nnU-Net: latents and {', '.join(kept_new)}.")
    options = ["-tr", args.tr, "-p", args.p, "-pretrained_weights", args.o]
    print(shlex.join(["nnUNetv2_train", args.d, args.c, "FOLD", *options]))
