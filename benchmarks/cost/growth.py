"""What more training cases cost: steps, memory, checkpoints, and what is done once."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cost import memory
from benchmarks.cost.sides import SIDES, build, make_batches, take_step
from benchmarks.cost.size import save
from benchmarks.cost.step_time import take_turns, versus
from benchmarks.nnunet_runs.workplace import Workplace

CASES = (208, 10_000, 100_000)
FEWEST = str(CASES[0])


def measure(workplace: Workplace, *, device: str, repetitions: int, steps: int = 4) -> dict[str, Any]:
    """Compare trainings with few and many cases, on the small plan and noise.

    Args:
        workplace: Holds the preprocessed data set.
        device: `cpu` or `cuda`.
        repetitions: Of the steps, even.
        steps: Steps in a repetition.

    Returns:
        For each number of cases the length of the warm-up, the width of its sketch, bytes of tables and checkpoints,
        and seconds; and the ratio of step times to those with the fewest cases.
    """
    results: dict[str, Any] = {str(count): {} for count in CASES}
    for phase in ("default_gathering", "default"):
        actions: dict[str, Callable[[], None]] = {}
        trainers: dict[str, Any] = {}
        for count in CASES:
            # Ids as long as those of real data sets.
            cases = [f"case_{number:06d}" for number in range(count)]
            trainer = build(workplace, SIDES[phase], device=device, cases=cases)
            found, trainers[str(count)] = results[str(count)], trainer
            if phase == "default_gathering":
                gradients = trainer.hypernetwork.case_gradients
                found["warm_up_steps"] = trainer.schedule.warm_up_steps
                found["visits_per_case_in_warm_up"] = (
                    trainer.schedule.warm_up_steps * trainer.configuration_manager.batch_size / count
                )
                found["sketch"], found["affine_parameters"] = gradients.sums.shape[1], gradients.size
                found["sums_bytes"] = gradients.sums.nbytes + gradients.second_moment.nbytes
            else:
                # Full, as late in a training.
                for epoch in range(64):
                    trainer.table.record_history(epoch)
                found["history_entries"] = len(trainer.table.history)
                found["table_bytes"] = sum(buffer.nbytes for buffer in trainer.table.buffers())
                found["mode_seconds"] = _seconds(lambda trainer=trainer: trainer._fold_record().mode())
            actions[str(count)] = _stepper(trainer, phase, steps)
        seconds = take_turns(actions, repetitions, device)
        for name, found in results.items():
            found[phase] = {clock: versus(taken, name, FEWEST) for clock, taken in seconds.items()}
            found[f"{phase}_checkpoint_bytes"] = save(
                trainers[name], Path(trainers[name].output_folder) / "checkpoint_latest.pth"
            )
            if phase == "default_gathering":
                found["solve_seconds"] = _seconds(trainers[name].hypernetwork.start)
    return results


def measure_memory(workplace: Workplace, *, device: str) -> dict[str, Any]:
    """Peak memory while gradients are gathered, for each number of cases; see `memory.measure`."""
    return {
        str(count): memory.measure(workplace, "default_gathering", plan="small", device=device, case_count=count)
        for count in CASES
    }


def _stepper(trainer: Any, phase: str, steps: int) -> Callable[[], None]:
    batches = make_batches(trainer, steps)

    def run() -> None:
        for batch in batches:
            take_step(trainer, SIDES[phase], batch)

    return run


def _seconds(action: Callable[[], Any]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started
