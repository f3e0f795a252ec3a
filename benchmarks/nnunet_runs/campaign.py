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


def campaign_arguments(parser: argparse.ArgumentParser, *, has_config: bool = True) -> argparse.Namespace:
    """Add the options of a campaign to its own, and parse; a config that is a file is given with its whole path.

    Args:
        parser: Has the campaign's own options.
        has_config: Whether the settings of HyperSORT can be chosen.
    """
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made; about 2 GB")
    if has_config:
        _add_config(parser, default="default")
    parser.add_argument("--only", default="*", metavar="GLOB", help="compute only runs whose name matches")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, each with one thread")
    parser.add_argument("--list", action="store_true", help="list the runs and say which are finished, then stop")
    parser.add_argument("--dry-run", action="store_true", help="a few cases and steps, to see that everything works")
    parser.add_argument("--publish", action="store_true", help="also write the results into the repository")
    args = parser.parse_args()
    if args.publish and args.dry_run:
        parser.error("--dry-run gives no results to publish")
    if has_config and Path(args.config).is_file():
        args.config = str(Path(args.config).resolve())
    return args


def own_process(
    module: str,
    run: Any,
    steps: int,
    workplace: Workplace,
    config: str | None = None,
    *,
    dry_run: bool,
    options: Iterable[str] = (),
) -> Job:
    """The job that computes a run by `python -m MODULE NAME ...`; the module calls `compute_named`.

    Args:
        module: Such as `benchmarks.style_recovery.one_run`.
        run: Has a name and a number of epochs.
        steps: Training steps of all epochs.
        workplace: Where.
        config: The settings of HyperSORT; None where they cannot be chosen.
        dry_run: Whether it is a run of `--dry-run`.
        options: Further words of the command line.
    """
    command = (sys.executable, "-m", module, run.name, "--work", str(workplace.folder), *options)
    command += () if config is None else ("--config", config)
    command += ("--dry-run",) if dry_run else ()
    return Job(run.name, command, workplace.environment(run.name), run.epochs, steps)


def compute_named(
    description: str | None,
    plan: Callable[[Any], Iterable[Any]],
    compute: Callable[[Workplace, Any], None],
    *,
    add_options: Callable[[argparse.ArgumentParser], object] | None = None,
) -> None:
    """Compute the run that the command line of this process names, out of those that `plan` makes of the arguments.

    Args:
        description: For `--help`.
        plan: Makes the runs of the arguments.
        compute: Computes a run.
        add_options: Adds options to the parser beside those of any campaign.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name")
    parser.add_argument("--work", type=Path, required=True)
    _add_config(parser)
    parser.add_argument("--dry-run", action="store_true")
    if add_options is not None:
        add_options(parser)
    args = parser.parse_args()
    runs = {run.name: run for run in plan(args)}
    compute(Workplace(args.work), runs[args.name])


def _add_config(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument("--config", default=default, help="settings of HyperSORT: a YAML file or a shipped config")


def print_runs(runs: Iterable[Any], is_finished: Callable[[Any], bool]) -> None:
    """List runs by name, and say which are finished."""
    for run in runs:
        print(f"{'finished' if is_finished(run) else 'missing '} {run.name}")


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
