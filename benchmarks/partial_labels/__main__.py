"""The benchmark of partly annotated labels on MSD hippocampus, in one command.

    python -m benchmarks.partial_labels --task TASK04_FOLDER --work WORK [--only GLOB] [--jobs 2]

Run it from the root of the repository. Every run is a process of its own with one thread; `--jobs` of them run at once,
longest first. What is finished is kept, and a training that was stopped goes on from its last checkpoint: just give the
same command again. Settings are chosen with `--seeds 10 11 12`, in a WORK of their own; the tables are of seeds 0 to 2.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

# Before numpy: the trainings need all cores, and the matrices here are small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tqdm import tqdm

from benchmarks.nnunet_runs.campaign import campaign_arguments, own_process, print_runs, write_results
from benchmarks.nnunet_runs.queue import run_queue
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.partial_labels.datasets import prepare
from benchmarks.partial_labels.one_run import read_record
from benchmarks.partial_labels.protocol import DRY_RUN, FULL, Protocol, Run, plan_runs
from benchmarks.partial_labels.results import collect, markdown, targets
from nnunetv2_hypersort.errors import HyperSORTError

NAME = "partial_labels"


def main() -> None:
    """Prepare the data, compute what is missing, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=Path, required=True, help="the Decathlon's Task04_Hippocampus")
    parser.add_argument("--seeds", type=int, nargs="+", help="other seeds, to choose settings: 10 to 12")
    args = campaign_arguments(parser, has_config=False)
    if args.publish and args.seeds:
        parser.error("only seeds 0 to 2 give results to publish")
    protocol = DRY_RUN if args.dry_run else FULL
    try:
        runs = plan_runs(protocol, args.seeds)
        chosen = [run for run in runs if fnmatch(run.name, args.only)]
        workplace = Workplace(args.work)
        if args.list:
            print_runs(chosen, lambda run: read_record(workplace, run) is not None)
            return
        with workplace.locked() as lock:
            workplace.claim(protocol)
            for run in tqdm(_one_per_dataset(chosen), desc="datasets", disable=not sys.stderr.isatty()):
                prepare(workplace, args.task.resolve(), run, protocol)
            try:
                _compute(workplace, chosen, protocol, args, lock)
            finally:
                # What is there is worth a table, also after a failed run or an interruption.
                _write(workplace, runs, protocol, args.seeds or protocol.seeds, publish=args.publish)
    except (HyperSORTError, ValueError) as error:
        sys.exit(f"Error: {error}")


def _one_per_dataset(runs: Sequence[Run]) -> list[Run]:
    return list({run.dataset: run for run in runs}.values())


def _compute(
    workplace: Workplace, runs: Sequence[Run], protocol: Protocol, args: argparse.Namespace, lock: int
) -> None:
    missing = {run.name: run for run in runs if read_record(workplace, run) is None}
    module, options = "benchmarks.partial_labels.one_run", ["--seeds", *map(str, args.seeds)] if args.seeds else []
    jobs = [
        own_process(module, run, run.epochs * protocol.iterations, workplace, dry_run=args.dry_run, options=options)
        for run in missing.values()
    ]
    print(f"{len(jobs)} runs to compute, {len(runs) - len(missing)} finished", flush=True)
    if jobs:
        run_queue(jobs, workers=args.jobs, logs=workplace.logs, keep_open=(lock,), describe=lambda _: "done")


def _write(
    workplace: Workplace, runs: Sequence[Run], protocol: Protocol, seeds: Sequence[int], *, publish: bool
) -> None:
    records = {run: record for run in runs if (record := read_record(workplace, run)) is not None}
    rows = collect(records, protocol, seeds)
    results = {
        "protocol": vars(protocol),
        "rows": rows,
        "targets": targets(rows),
        "seconds": {run.name: record["seconds"] for run, record in records.items()},
    }
    write_results(workplace, NAME, results, markdown(rows), publish=publish)


if __name__ == "__main__":
    main()
