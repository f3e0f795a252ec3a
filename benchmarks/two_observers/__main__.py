"""Do latents separate the two observers of CHASE_DB1? In one command.

    python -m benchmarks.two_observers --chase CHASE_FOLDER --work WORK [--config YAML] [--only GLOB] [--jobs 2]

Run it from the root of the repository. Every run is a process of its own with one thread; `--jobs` of them run at once.
What is finished is kept, and a training that was stopped goes on: just give the same command again. Tables and JSON are
written to WORK after all runs, and with `--publish` into the repository.
"""

import argparse
import os
import sys
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

# Before numpy: the trainings need all cores, and the matrices here are small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.nnunet_runs.campaign import campaign_arguments, own_process, write_results
from benchmarks.nnunet_runs.queue import run_queue
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.two_observers.datasets import prepare
from benchmarks.two_observers.figure import draw_latents
from benchmarks.two_observers.one_run import read_training
from benchmarks.two_observers.protocol import DRY_RUN, FULL, plan_runs
from benchmarks.two_observers.results import collect
from benchmarks.two_observers.tables import markdown
from nnunetv2_hypersort.errors import HyperSORTError

NAME = "two_observers"


def main() -> None:
    """Prepare the data, compute what is missing, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chase", type=Path, required=True, help="folder of CHASE_DB1 with images, labels_1stHO, ...")
    args = campaign_arguments(parser)
    protocol = DRY_RUN if args.dry_run else FULL
    chase = args.chase.resolve()
    try:
        runs = plan_runs(protocol, args.config)
        chosen = [run for run in runs if fnmatch(run.name, args.only)]
        workplace = Workplace(args.work)
        with workplace.locked() as lock:
            workplace.claim(protocol)
            for run in chosen:
                prepare(workplace, chase, run, protocol)
            missing = [run for run in chosen if read_training(workplace, run) is None]
            module, same = "benchmarks.two_observers.one_run", {"config": args.config, "dry_run": args.dry_run}
            jobs = [own_process(module, run, run.epochs * run.iterations, workplace, **same) for run in missing]
            print(f"{len(jobs)} runs to compute, {len(chosen) - len(jobs)} finished", flush=True)
            try:
                if jobs:
                    run_queue(jobs, workers=args.jobs, logs=workplace.logs, keep_open=(lock,))
            finally:
                results = collect(workplace, chase, runs, protocol)
                draw = partial(draw_latents, workplace, runs)
                write_results(workplace, NAME, results, markdown(results), publish=args.publish, draw=draw)
    except HyperSORTError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
