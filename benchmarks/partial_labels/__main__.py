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

from benchmarks.nnunet_runs.queue import Job, run_queue
from benchmarks.nnunet_runs.tables import write_tables
from benchmarks.nnunet_runs.workplace import REPOSITORY, Workplace
from benchmarks.partial_labels.datasets import prepare
from benchmarks.partial_labels.one_run import read_record
from benchmarks.partial_labels.protocol import DRY_RUN, FULL, Protocol, Run, plan_runs
from benchmarks.partial_labels.results import collect, markdown, targets
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json

JSON_NAME = "partial_labels.json"
DOCUMENT_NAME = "partial_labels.md"


def main() -> None:
    """Prepare the data, compute what is missing, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=Path, required=True, help="the Decathlon's Task04_Hippocampus")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made; about 3 GB")
    parser.add_argument("--only", default="*", metavar="GLOB", help="compute only runs whose name matches")
    parser.add_argument("--seeds", type=int, nargs="+", help="other seeds, to choose settings: 10 to 12")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, each with one thread")
    parser.add_argument("--list", action="store_true", help="list the runs and say which are finished, then stop")
    parser.add_argument("--dry-run", action="store_true", help="a few cases and steps, to see that everything works")
    parser.add_argument("--publish", action="store_true", help="also write the results into the repository")
    args = parser.parse_args()
    if args.publish and (args.dry_run or args.seeds):
        parser.error("only seeds 0 to 2 at full length give results to publish")
    protocol = DRY_RUN if args.dry_run else FULL
    try:
        runs = plan_runs(protocol, args.seeds)
        chosen = [run for run in runs if fnmatch(run.name, args.only)]
        workplace = Workplace(args.work)
        if args.list:
            for run in chosen:
                print(f"{'finished' if read_record(workplace, run) else 'missing '} {run.name}")
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
    options = ["--work", str(workplace.folder), *(["--dry-run"] if protocol is DRY_RUN else [])]
    options += ["--seeds", *map(str, args.seeds)] if args.seeds else []
    jobs = [
        Job(
            name,
            (sys.executable, "-m", "benchmarks.partial_labels.one_run", name, *options),
            workplace.environment(name),
            run.epochs,
            run.epochs * protocol.iterations,
        )
        for name, run in missing.items()
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
    places = [(workplace.folder / JSON_NAME, workplace.folder / DOCUMENT_NAME)]
    if publish:
        places.append((REPOSITORY / "benchmarks" / "results" / JSON_NAME, REPOSITORY / "docs" / DOCUMENT_NAME))
    for json_file, document in places:
        write_json(json_file, results)
        write_tables(document, markdown(rows))
        print(f"Results: {json_file}   tables: {document}")


if __name__ == "__main__":
    main()
