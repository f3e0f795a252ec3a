"""The benchmark of style recovery on MSD hippocampus, in one command.

    python -m benchmarks.style_recovery --task TASK04_FOLDER --work WORK [--config YAML] [--only GLOB] [--jobs 2]

Run it from the root of the repository. Every run is a process of its own with one thread; `--jobs` of them run at once,
longest first. What is finished is kept and not computed again, and a training that was stopped goes on from its last
checkpoint: just give the same command again. Another `--config` in the same WORK computes only the runs with latents
anew. Tables and JSON are written to WORK after all runs, and with `--publish` into the repository. A change of the code
does not make finished runs outdated: for that, take a new WORK or delete their files in WORK/runs, WORK/held_out and
WORK/nnUNet_results.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

# Before numpy: the trainings need all cores, and the matrices here are small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tqdm import tqdm

from benchmarks.nnunet_runs.campaign import campaign_arguments, own_process, print_runs, write_results
from benchmarks.nnunet_runs.queue import Job, run_queue
from benchmarks.nnunet_runs.workplace import REPOSITORY, Workplace
from benchmarks.style_recovery.clusters import agreement
from benchmarks.style_recovery.datasets import needed_datasets, prepare, read_truth
from benchmarks.style_recovery.figure import draw_trajectories
from benchmarks.style_recovery.one_run import is_finished
from benchmarks.style_recovery.protocol import DRY_RUN, FULL, MIXTURES, SOURCE_DATASET, Protocol, Run, plan_runs
from benchmarks.style_recovery.records import read_training
from benchmarks.style_recovery.results import collect, mask_statistics_file
from benchmarks.style_recovery.tables import markdown
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.styles.clustering import find_clusters

NAME = "style_recovery"


def main() -> None:
    """Prepare the data, compute what is missing, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=Path, required=True, help="the Decathlon's Task04_Hippocampus")
    args = campaign_arguments(parser)
    protocol = DRY_RUN if args.dry_run else FULL
    runs = plan_runs(protocol, args.config)
    chosen = [run for run in runs if fnmatch(run.name, args.only)]
    workplace = Workplace(args.work)
    if args.list:
        print_runs(chosen, partial(is_finished, workplace))
        return
    try:
        with workplace.locked() as lock:
            workplace.claim(protocol)
            for mixture, seed in tqdm(needed_datasets(chosen), desc="datasets", disable=not sys.stderr.isatty()):
                prepare(workplace, args.task.resolve(), mixture, seed, protocol)
            try:
                _compute(workplace, chosen, protocol, args.config, args.jobs, lock)
            finally:
                # What is there is worth a table, also after a failed run or an interruption.
                _write(workplace, runs, protocol, publish=args.publish)
    except HyperSORTError as error:
        sys.exit(f"Error: {error}")


def _compute(
    workplace: Workplace, runs: Sequence[Run], protocol: Protocol, config: str, workers: int, lock: int
) -> None:
    missing = {run.name: run for run in runs if not is_finished(workplace, run)}
    module, dry_run = "benchmarks.style_recovery.one_run", protocol is DRY_RUN
    jobs = [
        own_process(module, run, run.epochs * protocol.iterations, workplace, config, dry_run=dry_run)
        for run in missing.values()
    ]
    jobs += _mask_statistics_jobs(workplace, runs, protocol)

    def describe(job: Job) -> str:
        run = missing.get(job.name)
        record = read_training(workplace, run) if run and run.method.has_latents else None
        if run is None or record is None:
            return "done"
        truth = [read_truth(workplace, run)[case] for case in record.cases]
        right = [not case.is_wrong for case in truth]
        ari, _ = agreement(find_clusters(record.latents).labels, [case.style for case in truth], right)
        return f"ARI {ari:.3f}"

    print(f"{len(jobs)} runs to compute, {len(runs) - len(missing)} finished", flush=True)
    if jobs:
        (workplace.folder / "runs").mkdir(exist_ok=True)
        run_queue(jobs, workers=workers, logs=workplace.logs, keep_open=(lock,), describe=describe)


def _mask_statistics_jobs(workplace: Workplace, runs: Sequence[Run], protocol: Protocol) -> list[Job]:
    jobs = []
    for mixture in MIXTURES:
        file = mask_statistics_file(workplace, mixture)
        if mixture.spec is None or file.exists() or all(run.mixture != mixture for run in runs):
            continue
        script = str(REPOSITORY / "benchmarks" / "mask_statistics.py")
        command = (sys.executable, script, str(workplace.raw / SOURCE_DATASET), "--spec", mixture.spec)
        command += ("--json", str(file), "--seeds", *map(str, protocol.seeds))
        # As long as so many steps of a training.
        jobs.append(Job(file.stem, command, workplace.environment(), 1, 500 if protocol is FULL else 1))
    return jobs


def _write(workplace: Workplace, runs: Sequence[Run], protocol: Protocol, *, publish: bool) -> None:
    results = collect(workplace, runs, protocol)
    draw = partial(draw_trajectories, workplace, runs, results)
    write_results(workplace, NAME, results, markdown(results), publish=publish, draw=draw)


if __name__ == "__main__":
    main()
