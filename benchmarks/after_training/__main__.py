"""What the tools that work with styles find on the models of the benchmark of style recovery, in one command.

    python -m benchmarks.after_training --work WORK [--jobs 2] [--only folds|cleaning|measures] [--publish]

WORK is that of `python -m benchmarks.style_recovery`, whose runs of mixture_1 (HyperSORT and plain nnU-Net) must be
finished. The other four folds of the first HyperSORT training are trained, styles and ranking are taken from all five;
and each of those runs is trained again without the cases that `hypersort rank` flags in it. What is finished is kept.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# Before numpy and torch: on networks this small a second thread only waits.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.after_training import cleaned, five_folds, measures
from benchmarks.after_training.harmonised import harmonised
from benchmarks.after_training.tables import markdown
from benchmarks.nnunet_runs.campaign import write_results
from benchmarks.nnunet_runs.queue import Job, run_queue
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery.one_run import is_finished
from benchmarks.style_recovery.protocol import Method
from benchmarks.style_recovery.results import as_json
from nnunetv2_hypersort.errors import HyperSORTError

NAME = "working_with_styles"


def main() -> None:
    """Train what is missing, measure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="that of benchmarks.style_recovery")
    parser.add_argument("--config", default="default", help="settings of HyperSORT, as given there")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once, each with one thread")
    parser.add_argument("--seeds", type=int, nargs="+", help="train again without flagged cases for these only")
    parser.add_argument("--only", choices=("folds", "cleaning", "measures"), help="only a part")
    parser.add_argument("--publish", action="store_true", help="also write the results into the repository")
    args = parser.parse_args()
    workplace = Workplace(args.work)
    # Where the tools look for images, labels and splits.
    os.environ.update(workplace.environment())
    try:
        missing = [run.name for run in cleaned.cleaned_runs(args.config) if not is_finished(workplace, run)]
        if missing:
            raise HyperSORTError(f"{', '.join(missing)} must be finished first: run benchmarks.style_recovery there.")
        with workplace.locked() as lock:
            jobs = _folds(workplace, args.config) if args.only in (None, "folds") else []
            jobs += _cleaned(workplace, args.config, args.seeds) if args.only in (None, "cleaning") else []
            if jobs:
                run_queue(jobs, workers=args.jobs, logs=workplace.logs, keep_open=(lock,))
            if args.only in (None, "measures"):
                _measure(workplace, args.config, publish=args.publish)
    except HyperSORTError as error:
        sys.exit(f"Error: {error}")


def _folds(workplace: Workplace, config: str) -> list[Job]:
    five_folds.gather_first_fold(workplace, five_folds.first_run(config))
    environment = workplace.environment(five_folds.FIVE_FOLDS)
    return [
        _job(fold.name, "five_folds", [str(fold.fold)], environment, fold.run.epochs, workplace, config)
        for fold in five_folds.folds(config)
        if not five_folds.is_finished(workplace, fold)
    ]


def _cleaned(workplace: Workplace, config: str, seeds: Sequence[int] | None) -> list[Job]:
    runs = cleaned.cleaned_runs(config)
    flagged_by = {run.seed: run for run in runs if run.method is Method.HYPERSORT}
    jobs = []
    for run in runs:
        if (seeds is None or run.seed in seeds) and not cleaned.scores_file(workplace, run).exists():
            # Plain nnU-Net is cleaned by the ranking of HyperSORT: both leave out the same cases.
            cleaned.prepare(workplace, run, measures.flag(workplace, flagged_by[run.seed]))
            name = cleaned.run_name(run)
            jobs.append(_job(name, "cleaned", [run.name], workplace.environment(name), run.epochs, workplace, config))
    return jobs


def _job(
    name: str,
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    epochs: int,
    workplace: Workplace,
    config: str,
) -> Job:
    command = (sys.executable, "-m", f"benchmarks.after_training.{module}", *arguments)
    return Job(name, (*command, "--work", str(workplace.folder), "--config", config), environment, epochs, epochs)


def _measure(workplace: Workplace, config: str, *, publish: bool) -> None:
    found = measures.find_styles_of_five_folds(workplace, config)
    results = as_json(
        {
            "styles": measures.styles_over_folds(workplace, config, found),
            "ranking": measures.ranking_over_folds(workplace, config),
            "harmonised": harmonised(workplace, config, found),
            "left_out": measures.left_out(workplace, config),
            "cleaning": measures.cleaning(workplace, config),
        }
    )
    write_results(workplace, NAME, results, markdown(results), publish=publish)


if __name__ == "__main__":
    main()
