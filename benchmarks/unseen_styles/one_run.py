"""Compute one run in a process of its own: train, predict what it held out, write its record."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nnunet_runs.campaign import compute_named
from benchmarks.nnunet_runs.datasets import read_split
from benchmarks.nnunet_runs.predicting import predict_cases
from benchmarks.nnunet_runs.record import TrainingRecord, as_json, read_json
from benchmarks.nnunet_runs.training import train
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery.softmin import softmin_score
from benchmarks.unseen_styles.datasets import labels_in_style, read_truth
from benchmarks.unseen_styles.mixtures import Half
from benchmarks.unseen_styles.protocol import DRY_RUN, FULL, Method, Run, plan_runs
from benchmarks.unseen_styles.seen import Seen, features_of
from nnunetv2_hypersort.files import write_json, write_text
from nnunetv2_hypersort.images.label_comparison import dice_per_label, mean_dice
from nnunetv2_hypersort.images.label_residuals import label_residuals
from nnunetv2_hypersort.latents import LatentChoice
from nnunetv2_hypersort.nnunet.raw_dataset import open_dataset, read_labels
from nnunetv2_hypersort.ranking.rank import rank_cases
from nnunetv2_hypersort.settings import CONFIG_VARIABLE

Content = dict[str, Any]


def record_file(workplace: Workplace, run: Run) -> Path:
    """The JSON of a finished run."""
    return workplace.folder / "runs" / f"{run.name}.json"


def read_record(workplace: Workplace, run: Run) -> Content | None:
    """What is known of a run, or None if it is not finished."""
    content: Content | None = read_json(record_file(workplace, run))
    return content


def compute(workplace: Workplace, run: Run) -> None:
    """Compute a run; the environment must be `workplace.environment(run.name)`."""
    config = workplace.folder / "configs" / f"{run.name}.yaml"
    for folder in (config.parent, record_file(workplace, run).parent):
        folder.mkdir(exist_ok=True)
    write_text(config, run.settings_yaml)
    os.environ[CONFIG_VARIABLE] = str(config)
    trainer = "HyperSORTTrainer" if run.has_latents else "PlainTrainer"
    configuration = run.mixture.source.plan.configuration
    model_folder, seconds = train(run.trained_on, configuration, trainer, fold=run.fold)
    content: Content = {"minutes": seconds / 60}
    if run.method is Method.HYPERSORT:
        content |= _of_latents(workplace, run, model_folder, seconds)
    elif run.method is Method.CROSS_FIT:
        content["cases"] = _residuals(workplace, run, model_folder)
    else:
        content["held_out"] = {run.part: _held_out(workplace, run, model_folder, run.part, None)}
    write_json(record_file(workplace, run), content)


def _of_latents(workplace: Workplace, run: Run, model_folder: Path, seconds: float) -> Content:
    record = TrainingRecord.from_fold(
        model_folder / f"fold_{run.fold}", has_latents=True, seconds=seconds, epochs=run.epochs
    )
    seen = features_of(model_folder, run.fold)
    ranking = rank_cases(model_folder, folds=(run.fold,), progress=False)
    means = mean_latents(seen, workplace, run)
    return {
        "record": record.to_json(),
        "seen": {name: np.asarray(value).tolist() for name, value in vars(seen).items()},
        "ranking": as_json([asdict(case) for case in ranking.cases]),
        "flagged": [case.case for case in ranking.flagged],
        "held_out": {style: _held_out(workplace, run, model_folder, style, latent) for style, latent in means.items()},
    }


def mean_latents(seen: Seen, workplace: Workplace, run: Run) -> dict[str, str]:
    """For each style the mean latent of its right training cases, as `--latent` takes it."""
    truth = read_truth(workplace, run.dataset)
    found = {}
    for style in run.mixture.styles:
        own = [not truth[case].wrong and truth[case].style == style for case in seen.cases]
        if any(own):
            mean = seen.latents[np.asarray(own)].mean(0)
            found[style] = str(LatentChoice(coordinates=tuple(map(float, mean))))
    return found


def _held_out(workplace: Workplace, run: Run, model_folder: Path, style: str, latent: str | None) -> Content:
    """Of each held-out image the Dice of its prediction with its labels in a style, and the voxels predicted."""
    truth = read_truth(workplace, run.dataset)
    _, cases = read_split(workplace, run.trained_on, run.fold)
    # Of several annotations of one image the first: the image is the same.
    by_image = {truth[case].image: case for case in reversed(cases)}
    raw = open_dataset(workplace.raw / run.dataset)
    output = workplace.folder / "predictions" / run.name
    predict_cases(raw.folder, list(by_image.values()), model_folder, output, fold=run.fold, latent=latent)
    found = {}
    for image, case in by_image.items():
        drawn = labels_in_style(workplace, run.dataset, style) / f"{image}{raw.file_ending}"
        label, predicted = (
            read_labels(path, raw.content, raw.table).labels for path in (drawn, output / f"{case}{raw.file_ending}")
        )
        dice = mean_dice(dice_per_label(predicted, label, raw.table.targets, raw.table.ignore_label))
        found[image] = {"dice": None if np.isnan(dice) else dice, "voxels": int(np.count_nonzero(predicted))}
    shutil.rmtree(output)
    return found


def _residuals(workplace: Workplace, run: Run, model_folder: Path) -> Content:
    _, cases = read_split(workplace, run.trained_on, run.fold)
    raw = open_dataset(workplace.raw / run.dataset)
    output = workplace.folder / "predictions" / run.name
    predict_cases(raw.folder, cases, model_folder, output, fold=run.fold, save_probabilities=True)
    found = {}
    for case in cases:
        file = raw.labels_of(case)
        predicted = read_labels(output / f"{case}{raw.file_ending}", raw.content, raw.table).labels
        dice = mean_dice(dice_per_label(predicted, file.labels, raw.table.targets, raw.table.ignore_label))
        found[case] = {
            "residuals": label_residuals(
                file.labels, predicted, file.grid.spacing, raw.table.targets, raw.table.ignore_label
            ),
            # Where neither has a label they agree.
            "dice": 1.0 if np.isnan(dice) else dice,
            "softmin": softmin_score(file.labels, np.load(output / f"{case}.npz")["probabilities"]),
        }
    # Probabilities are large and needed no more.
    shutil.rmtree(output)
    return found


def main() -> None:
    """Find the run by its name and compute it."""
    compute_named(
        __doc__,
        lambda args: plan_runs(args.half, DRY_RUN if args.dry_run else FULL, args.config),
        compute,
        add_options=lambda parser: parser.add_argument("--half", type=Half, required=True),
    )


if __name__ == "__main__":
    main()
