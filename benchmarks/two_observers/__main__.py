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
from pathlib import Path

# Before numpy: the trainings need all cores, and the matrices here are small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.nnunet_runs.queue import Job, run_queue
from benchmarks.nnunet_runs.tables import write_tables
from benchmarks.nnunet_runs.workplace import REPOSITORY, Workplace
from benchmarks.two_observers.datasets import prepare
from benchmarks.two_observers.figure import draw_latents
from benchmarks.two_observers.one_run import read_training
from benchmarks.two_observers.protocol import DRY_RUN, FULL, plan_runs
from benchmarks.two_observers.results import collect
from benchmarks.two_observers.tables import markdown
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json

NAME = "two_observers"


def main() -> None:
    """Prepare the data, compute what is missing, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chase", type=Path, required=True, help="folder of CHASE_DB1 with images, labels_1stHO, ...")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made")
    parser.add_argument("--config", default="default", help="settings of HyperSORT: a YAML file or a shipped config")
    parser.add_argument("--only", default="*", metavar="GLOB", help="compute only runs whose name matches")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, each with one thread")
    parser.add_argument("--dry-run", action="store_true", help="a few images and steps, to see that everything works")
    parser.add_argument("--publish", action="store_true", help="also write the results into the repository")
    args = parser.parse_args()
    if args.publish and args.dry_run:
        parser.error("--dry-run gives no results to publish")
    protocol = DRY_RUN if args.dry_run else FULL
    config = str(Path(args.config).resolve()) if Path(args.config).is_file() else args.config
    options = ["--work", str(args.work.resolve()), "--config", config, *(["--dry-run"] if args.dry_run else [])]
    chase = args.chase.resolve()
    try:
        runs = plan_runs(protocol, config)
        chosen = [run for run in runs if fnmatch(run.name, args.only)]
        workplace = Workplace(args.work)
        with workplace.locked() as lock:
            workplace.claim(protocol)
            for run in chosen:
                prepare(workplace, chase, run, protocol)
            missing = [run for run in chosen if read_training(workplace, run) is None]
            jobs = [
                Job(
                    run.name,
                    (sys.executable, "-m", "benchmarks.two_observers.one_run", run.name, *options),
                    workplace.environment(run.name),
                    run.epochs,
                    run.epochs * run.iterations,
                )
                for run in missing
            ]
            print(f"{len(jobs)} runs to compute, {len(chosen) - len(jobs)} finished", flush=True)
            try:
                if jobs:
                    run_queue(jobs, workers=args.jobs, logs=workplace.logs, keep_open=(lock,))
            finally:
                results = collect(workplace, chase, runs, protocol)
                tables = markdown(results)
                places = [tuple(workplace.folder / f"{NAME}{ending}" for ending in (".json", ".md", ".png"))]
                if args.publish:
                    docs = REPOSITORY / "docs"
                    json_file = REPOSITORY / "benchmarks" / "results" / f"{NAME}.json"
                    places.append((json_file, docs / f"{NAME}.md", docs / f"{NAME}.png"))
                for json_file, document, figure in places:
                    write_json(json_file, results)
                    write_tables(document, tables)
                    draw_latents(workplace, runs, figure)
                    print(f"Results: {json_file}   tables: {document}   figure: {figure}")
    except HyperSORTError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
