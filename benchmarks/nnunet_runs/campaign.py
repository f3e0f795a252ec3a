"""What the commands of all campaigns share: their options, a process for each run, and where results go."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.nnunet_runs.queue import Job
from benchmarks.nnunet_runs.tables import write_tables
from benchmarks.nnunet_runs.workplace import REPOSITORY, Workplace
from nnunetv2_hypersort.files import write_json


def campaign_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Add the options of a campaign to its own, and parse; a config that is a file is given with its whole path."""
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made; about 2 GB")
    parser.add_argument("--config", default="default", help="settings of HyperSORT: a YAML file or a shipped config")
    parser.add_argument("--only", default="*", metavar="GLOB", help="compute only runs whose name matches")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, each with one thread")
    parser.add_argument("--dry-run", action="store_true", help="a few cases and steps, to see that everything works")
    parser.add_argument("--publish", action="store_true", help="also write the results into the repository")
    args = parser.parse_args()
    if args.publish and args.dry_run:
        parser.error("--dry-run gives no results to publish")
    if Path(args.config).is_file():
        args.config = str(Path(args.config).resolve())
    return args


def own_process(module: str, run: Any, steps: int, workplace: Workplace, config: str, *, dry_run: bool) -> Job:
    """The job that computes a run by `python -m MODULE NAME ...`; the module calls `compute_named`.

    Args:
        module: Such as `benchmarks.style_recovery.one_run`.
        run: Has a name and a number of epochs.
        steps: Training steps of all epochs.
        workplace: Where.
        config: The settings of HyperSORT.
        dry_run: Whether it is a run of `--dry-run`.
    """
    options = ["--work", str(workplace.folder), "--config", config, *(["--dry-run"] if dry_run else [])]
    command = (sys.executable, "-m", module, run.name, *options)
    return Job(run.name, command, workplace.environment(run.name), run.epochs, steps)


def compute_named(
    description: str | None, plan: Callable[[Any], Iterable[Any]], compute: Callable[[Workplace, Any], None]
) -> None:
    """Compute the run that the command line of this process names, out of those that `plan` makes of the arguments."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args()
    runs = {run.name: run for run in plan(args)}
    compute(Workplace(args.work), runs[args.name])


def write_results(
    workplace: Workplace,
    name: str,
    results: Any,
    tables: str,
    *,
    publish: bool,
    draw: Callable[[Path], object] | None = None,
) -> None:
    """Write results, tables (Markdown) and a figure into the work folder; published ones also into the repository."""
    folders = [(workplace.folder, workplace.folder)]
    if publish:
        folders.append((REPOSITORY / "benchmarks" / "results", REPOSITORY / "docs"))
    for numbers, docs in folders:
        said = f"Results: {numbers / name}.json   tables: {docs / name}.md"
        write_json(numbers / f"{name}.json", results)
        write_tables(docs / f"{name}.md", tables)
        if draw is not None:
            draw(docs / f"{name}.png")
            said += f"   figure: {docs / name}.png"
        print(said)
