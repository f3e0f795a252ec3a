"""How well a latent that was fitted to a few new cases segments others in their style.

    python -m benchmarks.benchmark_fit MODEL --images imagesTr --labels labels_all_styles --truth styles.csv \
        --output benchmarks/results/fit.json

The labels stand in one folder per style, each with the error-free labels of all cases in that style (`hypersort perturb
--all-styles` writes them); the truth is its styles.csv. The cases that the fold did not train on are shuffled once. The
first ones make as many groups as `--draws`: to each, and to parts of it, a shared latent is fitted from the labels in
each style. All others are segmented with the fitted latent, with the mode, and with the style's own latent: that which
`hypersort styles` gives to the cluster that holds most of its training cases. Dice of a case is the mean over the
labels that are in the reference or in the segmentation.

`1 case, N slices` is one case whose label is the ignore label outside N slices, which are spread evenly over those that
are labelled in any style. Seconds are those of the processor, for everything that `fit_latents` does: with one thread
an upper bound of the time on the clock of an idle machine.
"""

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import SimpleITK
import torch

from benchmarks.style_recovery.style_latents import latents_of_styles
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.fitting.fit import fit_latents
from nnunetv2_hypersort.fitting.new_cases import NewCase, load_new_cases
from nnunetv2_hypersort.images.label_comparison import dice_per_label, mean_dice
from nnunetv2_hypersort.model import FoldSegmenter, ModelFolder


def keep_slices(label_file: Path, output: Path, slices: np.ndarray, ignore_label: int) -> None:
    """Write a label with the ignore label everywhere but in some slices."""
    image = SimpleITK.ReadImage(str(label_file))
    label = SimpleITK.GetArrayFromImage(image)
    sparse = np.full_like(label, ignore_label)
    sparse[slices] = label[slices]
    result = SimpleITK.GetImageFromArray(sparse)
    result.CopyInformation(image)
    SimpleITK.WriteImage(result, str(output))


def slices_through(label_files: Sequence[Path], count: int) -> np.ndarray:
    """Slices spread evenly over those in which any of several labels of a case has foreground."""
    labels = [SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))) for file in label_files]
    labelled = np.flatnonzero(np.any([(label > 0).any((1, 2)) for label in labels], axis=0))
    # Of as many equal parts the middle ones.
    chosen: np.ndarray = labelled[((np.arange(count) + 0.5) / count * len(labelled)).astype(int)]
    return chosen


def score(segmenter: FoldSegmenter, cases: Sequence[NewCase], latent: np.ndarray) -> list[float]:
    """Mean Dice over labels of each case, segmented with a latent."""
    return [
        mean_dice(dice_per_label(segmenter.segment_image(case.image, latent), case.reference, segmenter.model.labels))
        for case in cases
    ]


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Fit, segment and score everything."""
    model = ModelFolder.open(args.model, folds=[args.fold])
    fold = model.fold(args.fold)
    segmenter = FoldSegmenter(model, fold)
    truth = pd.read_csv(args.truth, index_col="case")
    right = truth.loc[truth["error"] == "none", "style"].to_dict()
    ending = model.dataset_json["file_ending"]
    ignore_label = max(model.planned.label_manager.all_labels) + 1
    held_out = list(np.random.default_rng(args.seed).permutation(sorted(fold.validation_cases)))
    size = max(args.counts, default=1)
    groups = [held_out[start : start + size] for start in range(0, args.draws * size, size)]
    others = held_out[args.draws * size :][: args.test_cases]
    fits: list[dict[str, Any]] = []
    references: dict[str, dict[str, float]] = {}
    result = {
        "fold": args.fold,
        "epochs": fold.epoch,
        "test_cases": len(others),
        "draws": args.draws,
        "styles": references,
        "fits": fits,
    }
    folders = sorted(path for path in args.labels.iterdir() if path.is_dir())
    for folder in folders:
        style = folder.name
        if args.styles and style not in args.styles:
            continue
        cases = load_new_cases(model.planned, args.images, folder, others)
        latent = latents_of_styles(model, fold, right, [style])[style]
        if latent is None:
            raise SystemExit(f"No cluster of fold {fold.name} holds cases of the style {style}.")
        own = score(segmenter, cases, latent)
        mode = score(segmenter, cases, fold.record.mode()[1])
        references[style] = {"own_latent": float(np.mean(own)), "mode": float(np.mean(mode))}
        for draw, group in enumerate(groups):
            for count in (0, *args.counts):
                start = time.process_time()
                if count:
                    what, chosen, labels = f"{count} cases" if count > 1 else "1 case", group[:count], folder
                else:
                    what, chosen, labels = f"1 case, {args.slices} slices", group[:1], args.scratch
                    name = f"{chosen[0]}{ending}"
                    slices = slices_through([there / name for there in folders], args.slices)
                    keep_slices(folder / name, labels / name, slices, ignore_label)
                (fitted,) = fit_latents(
                    args.model,
                    args.images,
                    labels,
                    shared=True,
                    partly_annotated=not count,
                    case_ids=chosen,
                    folds=[args.fold],
                ).latents
                seconds = time.process_time() - start
                dice = score(segmenter, cases, np.asarray(fitted.coordinates))
                fits.append(
                    {
                        "style": style,
                        "fitted_to": what,
                        "cases": chosen,
                        "coordinates": fitted.coordinates,
                        "typicality": fitted.typicality,
                        "seconds": seconds,
                        "dice": float(np.mean(dice)),
                        "minus_own_latent": float(np.mean(np.subtract(dice, own))),
                    }
                )
                print(
                    style,
                    what,
                    draw,
                    {key: fits[-1][key] for key in ("dice", "minus_own_latent", "seconds")},
                    flush=True,
                )
        # After each style: nothing is lost if this is stopped.
        write_json(args.output, result)
    return result


def table(result: dict[str, Any]) -> str:
    """The result as Markdown: the mean over draws, and the worst and best draw."""
    fits = pd.DataFrame(result["fits"])
    lines = [
        "| style | fitted to | Dice at mode | style's own latent | fitted | fitted - own (lowest to highest draw) | s |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    for (style, what), rows in fits.groupby(["style", "fitted_to"], sort=False):
        there, difference = result["styles"][style], rows["minus_own_latent"]
        lines.append(
            f"| {style} | {what} | {there['mode']:.3f} | {there['own_latent']:.3f} | {rows['dice'].mean():.3f} | "
            f"{difference.mean():+.3f} ({difference.min():+.3f} to {difference.max():+.3f}) | "
            f"{rows['seconds'].mean():.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse, run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="trained-model folder, the one that holds fold_0")
    parser.add_argument("--images", type=Path, required=True, help="folder with the images of the held-out cases")
    parser.add_argument("--labels", type=Path, required=True, help="folder with a folder of labels per style")
    parser.add_argument("--truth", type=Path, required=True, help="styles.csv: case, style and error of training cases")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--styles", nargs="+", help="only these (default: all)")
    parser.add_argument("--counts", type=int, nargs="*", default=[1, 3, 5], help="numbers of new cases")
    parser.add_argument("--slices", type=int, default=3, help="annotated slices in the partly annotated case")
    parser.add_argument("--draws", type=int, default=4, help="groups of new cases")
    parser.add_argument("--test-cases", type=int, default=None, help="at most so many (default: all others)")
    parser.add_argument("--seed", type=int, default=0, help="of the shuffling")
    parser.add_argument("--output", type=Path, required=True, help="JSON file")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    # A label folder of all cases is meant here.
    warnings.filterwarnings("ignore", message=".*has no image for the labels")
    with tempfile.TemporaryDirectory() as scratch:
        args.scratch = Path(scratch)
        result = run(args)
    print(table(result))


if __name__ == "__main__":
    main()
