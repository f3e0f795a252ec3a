"""Compute one run in a process of its own: train, predict the held-out cases, write the records."""

import os
import shutil

from benchmarks.nnunet_runs.campaign import compute_named
from benchmarks.nnunet_runs.datasets import read_split
from benchmarks.nnunet_runs.record import TrainingRecord, read_json
from benchmarks.nnunet_runs.training import train
from benchmarks.nnunet_runs.workplace import CONFIGURATION_3D, Workplace
from benchmarks.style_recovery import held_out
from benchmarks.style_recovery.datasets import mirror_axes, parts_name, read_truth
from benchmarks.style_recovery.protocol import DRY_RUN, FULL, Method, Run, plan_runs, settings_yaml
from benchmarks.style_recovery.records import held_out_file, latents_file, ranking_file, read_training, training_file
from benchmarks.style_recovery.style_latents import NO_LATENT, choose_style_latents, read_style_latents
from nnunetv2_hypersort.files import write_json, write_text
from nnunetv2_hypersort.ranking.rank import rank_cases
from nnunetv2_hypersort.settings import CONFIG_VARIABLE

SOFTMIN = "softmin"


def is_finished(workplace: Workplace, run: Run) -> bool:
    """Whether nothing is left to compute for a run."""
    record = read_training(workplace, run)
    if record is None:
        return False
    if _is_ranked(run) and not ranking_file(workplace, run).exists():
        return False
    predicted = set(read_json(held_out_file(workplace, run)) or {})
    if run.method is Method.CROSS_FIT:
        return SOFTMIN in predicted
    latents = read_style_latents(workplace, run)
    return latents is not None and set(latents.values()) <= predicted


def _is_ranked(run: Run) -> bool:
    return run.method is Method.HYPERSORT and run.mixture.spec is not None


def compute(workplace: Workplace, run: Run) -> None:
    """Compute what is left of a run; the environment must be `workplace.environment(run.name)`."""
    dataset = parts_name(run.dataset) if run.uses_parts else run.dataset
    config = workplace.folder / "configs" / f"{run.name}.yaml"
    config.parent.mkdir(exist_ok=True)
    axes = None if run.method.mirrors_always else mirror_axes(workplace, run.mixture)
    write_text(config, settings_yaml(run, axes))
    os.environ[CONFIG_VARIABLE] = str(config)
    trainer = "HyperSORTTrainer" if run.method.has_latents else "PlainTrainer"
    model_folder, seconds = train(dataset, CONFIGURATION_3D, trainer, fold=run.fold)
    record = read_training(workplace, run)
    if record is None:
        record = TrainingRecord.from_fold(
            model_folder / f"fold_{run.fold}", has_latents=run.method.has_latents, seconds=seconds, epochs=run.epochs
        )
        training_file(workplace, run).parent.mkdir(exist_ok=True)
        write_json(training_file(workplace, run), record.to_json())

    ranking = ranking_file(workplace, run)
    if _is_ranked(run) and not ranking.exists():
        ranking.parent.mkdir(exist_ok=True)
        found = rank_cases(model_folder, folds=(run.fold,), progress=False).cases
        write_json(ranking, {case.case: case.outlyingness for case in found})

    file = held_out_file(workplace, run)
    file.parent.mkdir(exist_ok=True)
    _, cases = read_split(workplace, dataset, run.fold)
    predictions = workplace.folder / "predictions" / run.name
    if run.method is Method.CROSS_FIT:
        held_out.predict(workplace, run, model_folder, cases, predictions, latent=None, save_probabilities=True)
        write_json(file, {SOFTMIN: held_out.score_labels_by_softmin(workplace, run, predictions, cases)})
        # Probabilities are large and needed no more.
        shutil.rmtree(predictions)
        return
    done = read_json(file) or {}
    latents = read_style_latents(workplace, run)
    if latents is None:
        latents = choose_style_latents(model_folder, run, read_truth(workplace, run))
        latents_file(workplace, run).parent.mkdir(exist_ok=True)
        write_json(latents_file(workplace, run), latents)
    for latent in dict.fromkeys(latents.values()):
        if latent in done:
            continue
        output = predictions / latent.replace(":", "_")
        asked = None if latent == NO_LATENT else latent
        held_out.predict(workplace, run, model_folder, cases, output, latent=asked)
        done[latent] = held_out.score(workplace, run, output, cases)
        write_json(file, done)


if __name__ == "__main__":
    compute_named(__doc__, lambda args: plan_runs(DRY_RUN if args.dry_run else FULL, args.config), compute)
