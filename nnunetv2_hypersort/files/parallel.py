"""A function applied to many cases in parallel, with a progress bar."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from nnunetv2_hypersort.errors import HyperSORTError

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_processes() -> int:
    """Return the number of processors this process may use, at most 8 (nnU-Net's own default)."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, available)


def map_cases(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    lost: Callable[[Item], Result],
    processes: int,
    description: str,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order in which they are finished.

    Args:
        function: A function of a module (it is sent to other processes).
        items: What to apply it to.
        lost: What to yield instead for an item that ends its process (memory ran out, a library crashed) even when
            nothing else is worked on.
        processes: Number of processes; 1 works within this one.
        description: What the progress bar says.

    Raises:
        HyperSORTError: No other process can be started.
    """
    with tqdm(total=len(items), desc=description, unit="case", disable=not items) as bar:
        for result in _map(function, items, lost, processes):
            yield result
            bar.update()


def _map(
    function: Callable[[Item], Result], items: Sequence[Item], lost: Callable[[Item], Result], processes: int
) -> Iterator[Result]:
    if processes <= 1 or len(items) <= 1:
        yield from map(function, items)
        return
    waiting = deque(items)
    while waiting:
        suspects: list[Item] = []
        yield from _until_one_dies(function, waiting, suspects, min(processes, len(waiting)))
        if suspects:
            _require_processes()
        for item in suspects:
            # All that were worked on when a process died come again, each alone: then the guilty one is known.
            again: list[Item] = []
            yield from _until_one_dies(function, deque([item]), again, 1)
            if again:
                yield lost(item)


def _until_one_dies(
    function: Callable[[Item], Result], waiting: deque[Item], suspects: list[Item], processes: int
) -> Iterator[Result]:
    # "spawn", as in nnU-Net: a fork after libraries have started threads can hang.
    executor = ProcessPoolExecutor(
        max_workers=processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    running: dict[Future[Result], Item] = {}
    try:
        while running or (waiting and not suspects):
            while waiting and not suspects and len(running) < processes:
                item = waiting.popleft()
                try:
                    running[executor.submit(function, item)] = item
                except BrokenProcessPool:
                    suspects.append(item)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                item = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    suspects.append(item)
                    continue
                yield result
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _require_processes() -> None:
    died: list[int] = []
    list(_until_one_dies(abs, deque([0]), died, 1))
    if died:
        raise HyperSORTError(
            "worker processes end as soon as they are started, most likely because memory ran out (or, from Python, "
            'because the call is not under `if __name__ == "__main__":`); what is finished is kept: run the same '
            "command with -np 1"
        )
