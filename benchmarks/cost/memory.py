"""Peak memory of training steps, each side in a process of its own.

python -m benchmarks.cost.memory --work WORK --side default --plan small
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.nnunet_runs.workplace import REPOSITORY, Workplace

STEPS = 3
PROCESSES = 3


def measure(workplace: Workplace, side: str, *, plan: str, device: str, case_count: int = 0) -> dict[str, Any]:
    """Start processes that take a few steps each, and read what they say of their memory.

    Args:
        workplace: Holds the preprocessed data set.
        side: Name of a side.
        plan: `small` or `large`.
        device: `cpu` or `cuda`.
        case_count: Number of made-up training cases; 0 for those of fold 0.

    Returns:
        In bytes, medians over the processes: `peak`, the largest resident size of the process (CUDA: the allocator's
        peak), `before`, the size before the first step, and `steps`, the difference.
    """
    command = [sys.executable, "-m", "benchmarks.cost.memory", "--work", str(workplace.folder), "--side", side]
    command += ["--plan", plan, "--device", device, "--cases", str(case_count)]
    found: list[dict[str, int]] = []
    for _ in range(PROCESSES):
        done = subprocess.run(
            command, cwd=REPOSITORY, env=workplace.environment(), check=True, stdout=subprocess.PIPE, text=True
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return {"processes": PROCESSES, **{key: statistics.median(one[key] for one in found) for key in found[0]}}


def main() -> None:
    """Take the steps of one side in this process and print the figures."""
    import torch

    from benchmarks.cost.sides import SIDES, build, make_batches, take_step

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--side", choices=SIDES, required=True)
    parser.add_argument("--plan", choices=["small", "large"], default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cases", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    side = SIDES[args.side]
    cases = [f"case_{number:06d}" for number in range(args.cases)] or None
    trainer = build(Workplace(args.work), side, plan=args.plan, device=args.device, cases=cases)
    batches = make_batches(trainer, STEPS)
    before = torch.cuda.memory_allocated() if args.device == "cuda" else _resident("VmRSS")
    for batch in batches:
        take_step(trainer, side, batch)
    peak = torch.cuda.max_memory_allocated() if args.device == "cuda" else _resident("VmHWM")
    print(json.dumps({"peak": peak, "before": before, "steps": peak - before}))


def _resident(key: str) -> int:
    # Of this process alone: getrusage() would hand on the peak of the process that started this one.
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    main()
