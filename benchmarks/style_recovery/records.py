"""Where the records of a run are; each is written when it is complete."""

from pathlib import Path

from benchmarks.nnunet_runs.record import TrainingRecord, read_json
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery.protocol import Run


def training_file(workplace: Workplace, run: Run) -> Path:
    """The JSON of a run's training."""
    return workplace.folder / "runs" / f"{run.name}.json"


def held_out_file(workplace: Workplace, run: Run) -> Path:
    """The JSON of what a run predicted.

    `{latent: {style: {case: [DSC, HD95, NSD]}}}`, or `{"softmin": {case: score}}` of a part of the cross-fit.
    """
    return workplace.folder / "held_out" / f"{run.name}.json"


def ranking_file(workplace: Workplace, run: Run) -> Path:
    """The JSON of how far out `hypersort rank` finds the training cases of a HyperSORT run: `{case: outlyingness}`."""
    return workplace.folder / "rankings" / f"{run.name}.json"


def latents_file(workplace: Workplace, run: Run) -> Path:
    """The JSON of the latents that predict the styles with the model of a run: `{style: latent}`."""
    return workplace.folder / "style_latents" / f"{run.name}.json"


def read_training(workplace: Workplace, run: Run) -> TrainingRecord | None:
    """The record of a run's training, or None if it is not finished."""
    content = read_json(training_file(workplace, run))
    return None if content is None else TrainingRecord.from_json(content)
