"""Runs one job per case in worker processes, with no more cases in memory than there are workers."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from nnunetv2_hypersort.errors import HyperSORTError

Job = TypeVar("Job")
Result = TypeVar("Result")


def count_processes(num_jobs: int, requested: int | None = None) -> int:
    """Choose the number of worker processes.

    Args:
        num_jobs: Number of jobs; more workers than jobs are useless.
        requested: What the user asked for; default: nnU-Net's `nnUNet_def_n_proc`, at most one per CPU core.

    Raises:
        HyperSORTError: Fewer than one process was asked for.
    """
    if requested is None:
        from nnunetv2.configuration import default_num_processes

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        requested = min(default_num_processes, cores)
    if requested < 1:
        raise HyperSORTError(f"-np must be 1 or greater, not {requested}.")
    return min(requested, max(1, num_jobs))


def run_jobs(
    function: Callable[[Job], Result], make_job: Callable[[int], Job], num_jobs: int, *, num_processes: int
) -> Iterator[tuple[int, Result]]:
    """Run `function(make_job(i))` for every i and yield (i, result) as the results come.

    A job is made only when a worker is about to take it, so what earlier results showed can still change it.

    Args:
        function: Module-level function that can be pickled.
        make_job: Makes job i, in this process.
        num_jobs: Number of jobs.
        num_processes: Number of workers; with 1 everything runs in this process.

    Raises:
        HyperSORTError: A worker process died, most likely for want of memory.
    """
    if num_processes == 1:
        for index in range(num_jobs):
            yield index, function(make_job(index))
        return
    # "spawn" as in nnU-Net: a forked child would inherit the locks of PyTorch's threads.
    executor = ProcessPoolExecutor(num_processes, mp_context=get_context("spawn"), initializer=_start_worker)
    waiting: dict[Future[Result], int] = {}
    indices = iter(range(num_jobs))
    try:
        while True:
            for upcoming in islice(indices, num_processes + 1 - len(waiting)):
                waiting[executor.submit(function, make_job(upcoming))] = upcoming
            if not waiting:
                return
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
    except BrokenProcessPool:
        raise HyperSORTError(
            "A worker process was stopped from outside, most likely because memory ran out; use fewer processes (-np)."
        ) from None
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    # Ctrl-C reaches every process of a terminal; the main process alone says so, and ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One core per worker: read by the libraries that are imported from here on.
    os.environ["OMP_NUM_THREADS"] = "1"
