"""The suite of unseen styles, one half of it, in one command.

    python -m benchmarks.unseen_styles --half choosing --data DATA --work WORK [--config YAML] [--only GLOB]

Run it from the root of the repository. DATA is the folder of the public data sets. Every run is a process of its own
with one thread, of at most twenty minutes; `--jobs` of them run at once, longest first. What is finished is kept, and a
training that was stopped goes on: just give the same command again. Another `--config` in the same WORK computes only
the runs with latents anew. Tables and JSON are written to WORK after all runs, and with `--publish` into the
repository.

Methods are chosen on the choosing half. Every command that looks at the testing half appends the commit and the date to
`benchmarks/results/openings_of_the_testing_half.csv`, and is refused where the working tree differs from its commit.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

# Before numpy: the trainings need all cores, and the matrices here are small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tqdm import tqdm

from benchmarks.nnunet_runs.campaign import campaign_arguments, own_process, print_runs, write_results
from benchmarks.nnunet_runs.queue import run_queue
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.unseen_styles.datasets import prepare
from benchmarks.unseen_styles.mixtures import Half
from benchmarks.unseen_styles.one_run import read_record
from benchmarks.unseen_styles.openings import count_openings, open_testing_half
from benchmarks.unseen_styles.protocol import DRY_RUN, FULL, Protocol, Run, plan_runs
from benchmarks.unseen_styles.results import collect
from benchmarks.unseen_styles.tables import markdown
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.settings import load_settings

NAME = "unseen_styles"


def main() -> None:
    """Prepare the data, compute what is missing, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", type=Half, choices=list(Half), required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--seeds", type=int, nargs="+", help="only these seeds of the runs with latents")
    parser.add_argument("--prepare", action="store_true", help="only make the datasets")
    args = campaign_arguments(parser)
    protocol = DRY_RUN if args.dry_run else FULL
    try:
        runs = plan_runs(args.half, protocol, args.config, args.seeds)
        chosen = [run for run in runs if fnmatch(run.name, args.only)]
        workplace = Workplace(args.work)
        if args.list:
            print_runs(chosen, lambda run: read_record(workplace, run) is not None)
            return
        with workplace.locked() as lock:
            workplace.claim(protocol)
            if args.half is Half.TESTING:
                open_testing_half(f"{'prepare' if args.prepare else 'run'} {args.only}, settings {args.config}")
            needed = list(dict.fromkeys((run.mixture, run.mixture.draw(run.seed)) for run in chosen))
            for mixture, draw in tqdm(needed, desc="datasets", disable=not sys.stderr.isatty()):
                prepare(workplace, args.data.resolve(), mixture, draw, protocol.images)
                print(mixture.dataset(draw), flush=True)
            if args.prepare:
                return
            try:
                _compute(workplace, chosen, args.half, protocol, args.config, args.jobs, lock)
            finally:
                # What is there is worth a table, also after a failed run or an interruption.
                _write(workplace, runs, args.half, args.config, publish=args.publish)
    except HyperSORTError as error:
        sys.exit(f"Error: {error}")


def _compute(
    workplace: Workplace, runs: Sequence[Run], half: Half, protocol: Protocol, config: str, workers: int, lock: int
) -> None:
    missing = [run for run in runs if read_record(workplace, run) is None]
    module, dry_run, options = "benchmarks.unseen_styles.one_run", protocol is DRY_RUN, ("--half", half.value)
    jobs = [
        own_process(module, run, run.epochs * run.iterations, workplace, config, dry_run=dry_run, options=options)
        for run in missing
    ]
    print(f"{len(jobs)} runs to compute, {len(runs) - len(missing)} finished", flush=True)
    if jobs:
        run_queue(jobs, workers=workers, logs=workplace.logs, keep_open=(lock,))


def _write(workplace: Workplace, runs: Sequence[Run], half: Half, config: str, *, publish: bool) -> None:
    results: dict[str, Any] = {
        "half": half.value,
        "openings": count_openings(),
        "settings": {key: value for key, value in load_settings(config).to_dict().items() if key != "training"},
        "mixtures": collect(workplace, runs),
    }
    write_results(workplace, f"{NAME}_{half.value}", results, markdown(results), publish=publish)


if __name__ == "__main__":
    main()
