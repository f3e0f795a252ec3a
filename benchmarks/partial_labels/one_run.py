"""Compute one run in a process of its own: train, predict the held-out cases, write the record."""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nnunet_runs.datasets import read_split
from benchmarks.nnunet_runs.predicting import predict_cases
from benchmarks.nnunet_runs.record import read_json
from benchmarks.nnunet_runs.training import train
from benchmarks.nnunet_runs.workplace import CONFIGURATION_3D, Workplace
from benchmarks.partial_labels.protocol import DRY_RUN, FULL, LABELS, Protocol, Run, plan_runs
from benchmarks.style_recovery.protocol import SOURCE_DATASET
from nnunetv2_hypersort.files import write_json, write_text
from nnunetv2_hypersort.images.overlap import compute_dice, count_voxels
from nnunetv2_hypersort.nnunet.raw_dataset import open_dataset, read_labels
from nnunetv2_hypersort.settings import CONFIG_VARIABLE
from nnunetv2_hypersort.trainers.partial_labels.partial_labels_trainer import PartialLabelsSettings


def record_file(workplace: Workplace, run: Run) -> Path:
    """The JSON of a run."""
    return workplace.folder / "runs" / f"{run.name}.json"


def read_record(workplace: Workplace, run: Run) -> dict[str, Any] | None:
    """What a run came to, or None if it is not finished."""
    content: dict[str, Any] | None = read_json(record_file(workplace, run))
    return content


def compute(workplace: Workplace, run: Run, protocol: Protocol) -> None:
    """Compute a run; the environment must be `workplace.environment(run.name)`."""
    config = workplace.folder / "configs" / f"{run.name}.yaml"
    for folder in (config.parent, record_file(workplace, run).parent):
        folder.mkdir(exist_ok=True)
    write_text(config, run.settings_yaml(protocol))
    for variable in (CONFIG_VARIABLE, PartialLabelsSettings.system.variable):
        os.environ[variable] = str(config)
    model_folder, seconds = train(run.dataset, CONFIGURATION_3D, run.method.trainer, fold=run.fold)
    _, cases = read_split(workplace, SOURCE_DATASET)
    output = workplace.folder / "predictions" / run.name
    predict_cases(workplace.raw / SOURCE_DATASET, cases, model_folder, output, fold=run.fold)
    scores = {case: score(workplace, run, case, output) for case in cases}
    write_json(record_file(workplace, run), {"seconds": seconds, "scores": scores})


def score(workplace: Workplace, run: Run, case: str, output: Path) -> dict[str, list[float | None]]:
    """Dice and recall of each label that a run is asked for, in one case, against all that was drawn."""
    raw = open_dataset(workplace.raw / SOURCE_DATASET)
    truth = raw.labels_of(case).labels
    predicted = read_labels(output / f"{case}{raw.file_ending}", raw.content, raw.table).labels
    scores = {}
    for label in run.labels:
        drawn = truth == LABELS[label]
        found = predicted == (1 if run.label else LABELS[label])
        counts = count_voxels(drawn, found, num_voxels=drawn.size)
        dice = float(compute_dice(counts.tp, counts.reference, counts.prediction))
        recall = counts.tp / counts.reference if counts.reference else None
        scores[label] = [None if np.isnan(dice) else dice, recall]
    return scores


def main() -> None:
    """Find the run by its name and compute it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args()
    protocol = DRY_RUN if args.dry_run else FULL
    runs = {run.name: run for run in plan_runs(protocol, args.seeds)}
    compute(Workplace(args.work), runs[args.name], protocol)


if __name__ == "__main__":
    main()
