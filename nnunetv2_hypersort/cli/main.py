"""Entry point of `hypersort`: finds the verb, imports its module, runs it."""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence

from nnunetv2_hypersort import __version__
from nnunetv2_hypersort.cli.spellings import as_declared
from nnunetv2_hypersort.errors import HyperSORTError

# verb -> what it does. The module nnunetv2_hypersort.cli.<verb> has `add_arguments(parser)` and `run(args)`, and is
# imported only when its verb is called, so that `hypersort --help` does not wait for torch.
VERBS = {
    "convert": "turn an AMOS22 or TotalSegmentator download into an nnU-Net raw dataset",
    "perturb": "plant annotation styles and errors in the labels of an nnU-Net raw dataset",
    "pretrained": "start a training from trained weights, of plain nnU-Net or of HyperSORT",
    "predict": "predict with nnU-Net and a chosen latent",
    "styles": "find the annotation styles of a trained model, matched over folds and described in words",
    "fit": "fit the latent of new cases to their labels, with all weights frozen",
    "export": "write one style of a model as plain nnU-Net, for use without this package",
    "harmonise": "segment all training cases anew in one style, as a raw dataset",
    "rank": "rank the training cases by the quality of their labels, worst first",
    "evaluate": "DSC, HD95, NSD, ASD and volume similarity with intervals over subjects",
    "report": "one HTML file that shows the latents, styles and cases of a trained model",
    "demo": "the whole job on a small generated data set, with a picture at the end",
    "env": "print the line that makes nnU-Net find the HyperSORT trainers",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hypersort` with `arguments` (default: those of the process) and return the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="hypersort",
        description="nnU-Net v2 for training sets whose labels are not all drawn the same way.",
    )
    parser.add_argument("--version", action="version", version=f"nnunetv2-hypersort {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    for verb, summary in VERBS.items():
        subparser = verbs.add_parser(
            verb, help=summary, description=summary[0].upper() + summary[1:] + ".", allow_abbrev=False
        )
        if verb == called:
            module = importlib.import_module(f"nnunetv2_hypersort.cli.{verb}")
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    args = parser.parse_args(as_declared(arguments, parser))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files may hold bytes that are no text; they are shown as escapes.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough, such as `head`. What Python still holds for it must go somewhere at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except HyperSORTError as error:
        print(f"hypersort {args.verb}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # A full disk, a folder that cannot be written: the system's own sentence names the file.
        print(f"hypersort {args.verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"hypersort {args.verb}: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
