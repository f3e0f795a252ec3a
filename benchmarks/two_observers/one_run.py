"""Train one run in a process of its own and write its record."""

import os
from pathlib import Path

from benchmarks.nnunet_runs.campaign import compute_named
from benchmarks.nnunet_runs.record import TrainingRecord, read_json
from benchmarks.nnunet_runs.training import train
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.two_observers.datasets import CONFIGURATION
from benchmarks.two_observers.protocol import DRY_RUN, FULL, Run, plan_runs
from nnunetv2_hypersort.files import write_json, write_text
from nnunetv2_hypersort.settings import CONFIG_VARIABLE


def training_file(workplace: Workplace, run: Run) -> Path:
    """The JSON of a run's training."""
    return workplace.folder / "runs" / f"{run.name}.json"


def read_training(workplace: Workplace, run: Run) -> TrainingRecord | None:
    """The record of a run's training, or None if it is not finished."""
    content = read_json(training_file(workplace, run))
    return None if content is None else TrainingRecord.from_json(content)


def compute(workplace: Workplace, run: Run) -> None:
    """Compute what is left of a run; the environment must be `workplace.environment(run.name)`."""
    config = workplace.folder / "configs" / f"{run.name}.yaml"
    for folder in (config.parent, training_file(workplace, run).parent):
        folder.mkdir(exist_ok=True)
    write_text(config, run.settings_yaml)
    os.environ[CONFIG_VARIABLE] = str(config)
    model_folder, seconds = train(run.dataset, CONFIGURATION, "HyperSORTTrainer")
    record = TrainingRecord.from_fold(model_folder / "fold_0", has_latents=True, seconds=seconds, epochs=run.epochs)
    write_json(training_file(workplace, run), record.to_json())


if __name__ == "__main__":
    compute_named(__doc__, lambda args: plan_runs(DRY_RUN if args.dry_run else FULL, args.config), compute)
