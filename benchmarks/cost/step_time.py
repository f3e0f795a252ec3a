"""Seconds of a training step, all sides in turn on the same batches."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.benchmark_prediction_cost import compare
from benchmarks.cost.sides import PLAIN, SIDES, build, make_batches, real_batches, take_step
from benchmarks.nnunet_runs.workplace import Workplace


def measure(
    workplace: Workplace, *, plan: str, device: str, repetitions: int, names: Sequence[str], batches: int = 8
) -> dict[str, Any]:
    """Time the training steps of some sides beside stock nnU-Net's.

    Args:
        workplace: Holds the preprocessed data set.
        plan: `small` (batches of nnU-Net's data loader) or `large` (batches of noise).
        device: `cpu` or `cuda`.
        repetitions: Of all batches, even, after one that does not count.
        names: Sides beside `plain`.
        batches: Number of batches, the same for all sides.
    """
    sides = [PLAIN, *(SIDES[name] for name in names)]
    trainers = {side.name: build(workplace, side, plan=plan, device=device) for side in sides}
    plain = trainers[PLAIN.name]
    sampled = real_batches(plain, batches) if plan == "small" else make_batches(trainers[names[0]], batches)

    def run(name: str) -> None:
        for batch in sampled:
            take_step(trainers[name], SIDES[name], batch)

    seconds = take_turns({side.name: lambda name=side.name: run(name) for side in sides}, repetitions, device)
    parts = {
        clock: {name: [value / batches for value in values] for name, values in taken.items()}
        for clock, taken in seconds.items()
    }
    return {
        "plan": plan,
        "device": device,
        "threads": torch.get_num_threads(),
        "repetitions": repetitions,
        "load": os.getloadavg()[0],
        "steps_per_repetition": batches,
        "sides": {name: {clock: versus(taken, name) for clock, taken in parts.items()} for name in names},
        "plain": {clock: statistics.median(taken[PLAIN.name]) for clock, taken in parts.items()},
    }


def take_turns(
    actions: dict[str, Callable[[], None]], repetitions: int, device: str
) -> dict[str, dict[str, list[float]]]:
    """Run all actions in turn, forwards and backwards, and time each; the first round does not count.

    Returns:
        `wall` and `processor` seconds by action and repetition. Processor seconds are those of all threads.
    """
    taken: dict[str, dict[str, list[float]]] = {
        clock: {name: [] for name in actions} for clock in ("wall", "processor")
    }
    for repetition in range(-1, repetitions):
        for name in actions if repetition % 2 else reversed(actions):
            _wait(device)
            started, used = time.perf_counter(), time.process_time()
            actions[name]()
            _wait(device)
            if repetition >= 0:
                taken["wall"][name].append(time.perf_counter() - started)
                taken["processor"][name].append(time.process_time() - used)
    return taken


def versus(seconds: dict[str, list[float]], name: str, baseline: str = PLAIN.name) -> dict[str, Any]:
    """Median of one side, and its ratio to the baseline in blocks of two repetitions."""
    return compare({"plain": seconds[baseline], "hypersort": seconds[name]})


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
