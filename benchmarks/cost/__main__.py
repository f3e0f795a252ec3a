"""What HyperSORT costs beside stock nnU-Net, in one command.

    python -m benchmarks.cost --work WORK [--task TASK04_FOLDER] [--only steps memory] [--publish]

Run it from the root of the repository, on a machine that does nothing else. Both trainers are built as `nnUNetv2_train`
builds them, on the same plan, and given the same batches, in turn. WORK is a work folder of `benchmarks.style_recovery`
or of `benchmarks/hippocampus.sh`; with --task (the Decathlon's Task04_Hippocampus) it is made. Each measurement is
written to WORK/cost.json when it is finished and replaces an older one there; with --publish all of them go into the
repository. With `--device cuda` nnU-Net's usual plan is measured, too, with AMP and torch.compile as nnU-Net has them.
"""

import argparse
import os
import sys

# Before numpy and torch. Threads that wait for each other are the largest noise on a shared machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.cost import growth, help_start, low_rank_forms, memory, size, step_time
from benchmarks.cost.sides import LARGE_FEATURES
from benchmarks.cost.tables import markdown
from benchmarks.nnunet_runs.tables import write_tables
from benchmarks.nnunet_runs.workplace import PLANS, REPOSITORY, Workplace
from benchmarks.style_recovery.datasets import prepare
from benchmarks.style_recovery.protocol import FULL, MIXTURES, SOURCE_DATASET
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json

RESULTS = "cost.json"
STEP_SIDES = ("default_warm_up", "default_gathering", "default")
GENERATOR_SIDES = ("default", "default_one_by_one", "low_rank", "basis", "published")
LARGE_SIDES = ("default_gathering", "default", "low_rank")


def main() -> None:
    """Measure what is asked for, write figures and tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="holds nnUNet_preprocessed; gets everything made")
    parser.add_argument("--task", type=Path, help="the Decathlon's Task04_Hippocampus, to make the data set")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--repetitions", type=int, default=24, help="of timed steps, even (default: 24)")
    parser.add_argument("--only", nargs="+", choices=_measurements(None, None), help="some measurements")
    parser.add_argument("--publish", action="store_true", help="also write the results into the repository")
    args = parser.parse_args()
    if args.repetitions < 8 or args.repetitions % 2:
        parser.error("--repetitions must be even, and at least 8: four blocks have quartiles")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    workplace = Workplace(args.work)
    try:
        _prepare(workplace, args.task)
        for name, measure in _measurements(workplace, args).items():
            if args.only is None or name in args.only:
                _record(workplace, args.device, name, measure())
    except HyperSORTError as error:
        sys.exit(f"Error: {error}")
    finally:
        for folder in workplace.results.glob("cost_*"):
            shutil.rmtree(folder)
    results = _read(workplace)
    print(markdown(results))
    if args.publish:
        write_json(REPOSITORY / "benchmarks" / "results" / RESULTS, results)
        write_tables(REPOSITORY / "docs" / "cost.md", markdown(results))


def _measurements(workplace: Any, args: Any) -> dict[str, Callable[[], dict[str, Any]]]:
    plans = ("small", "large")

    def steps() -> dict[str, Any]:
        common = {"device": args.device, "repetitions": args.repetitions}
        found = {f"{args.device}_small plan": step_time.measure(workplace, plan="small", names=STEP_SIDES, **common)}
        if args.device == "cuda":
            found["cuda_large plan"] = step_time.measure(workplace, plan="large", names=LARGE_SIDES, **common)
        return found

    def generators() -> dict[str, Any]:
        return {
            f"{args.device}_small plan": step_time.measure(
                workplace,
                plan="small",
                names=GENERATOR_SIDES,
                device=args.device,
                repetitions=args.repetitions,
                batches=2,
            )
        }

    def memories() -> dict[str, Any]:
        names = ("plain", "default_gathering", "default", "sgd")
        return {
            f"{args.device}_{plan} plan": {
                name: memory.measure(workplace, name, plan=plan, device=args.device) for name in names
            }
            for plan in plans
        }

    return {
        "parameters": lambda: {
            "large": size.count_parameters(LARGE_FEATURES),
            "small": size.count_parameters(size.SMALL_FEATURES),
        },
        "steps": steps,
        "generators": generators,
        "memory": memories,
        "checkpoints": lambda: {
            plan: size.measure_checkpoints(workplace, plan=plan, device=args.device) for plan in plans
        },
        "growth": lambda: growth.measure(workplace, device=args.device, repetitions=args.repetitions),
        "growth_memory": lambda: growth.measure_memory(workplace, device=args.device),
        "low_rank_forms": lambda: low_rank_forms.measure(device=args.device, repetitions=args.repetitions),
        "help": lambda: help_start.measure(args.repetitions),
    }


def _prepare(workplace: Workplace, task: Path | None) -> None:
    if (workplace.preprocessed / SOURCE_DATASET / f"{PLANS}.json").exists():
        return
    if task is None:
        raise HyperSORTError(f"{workplace.preprocessed} holds no {SOURCE_DATASET}; name its source with --task.")
    clean = next(mixture for mixture in MIXTURES if mixture.spec is None)
    prepare(workplace, task.resolve(), clean, FULL.seeds[0], FULL)


def _record(workplace: Workplace, device: str, name: str, found: dict[str, Any]) -> None:
    results = _read(workplace)
    kept = results.get(name, {}) if name in ("steps", "generators", "memory") else {}
    results[name] = {**kept, **found}
    results["machine"] = {
        **results.get("machine", {}),
        "processor": platform.machine(),
        "torch": torch.__version__,
        **({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {}),
    }
    write_json(workplace.folder / RESULTS, results)


def _read(workplace: Workplace) -> dict[str, Any]:
    path = workplace.folder / RESULTS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


if __name__ == "__main__":
    main()
