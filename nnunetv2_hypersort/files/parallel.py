"""A function applied to many cases in parallel, with a progress bar."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
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
    function: Callable[[Item], Result], items: Sequence[Item], *, processes: int, description: str
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order in which they are finished.

    Args:
        function: A function of a module (it is sent to other processes).
        items: What to apply it to.
        processes: Number of processes; 1 works within this one.
        description: What the progress bar says.

    Raises:
        HyperSORTError: A process died, as when memory runs out.
    """
    with tqdm(total=len(items), desc=description, unit="case", disable=not items) as bar:
        if processes <= 1 or len(items) <= 1:
            for item in items:
                yield function(item)
                bar.update()
            return
        # "spawn", as in nnU-Net: a fork after libraries have started threads can hang.
        executor = ProcessPoolExecutor(
            max_workers=min(processes, len(items)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=signal.signal,
            initargs=(signal.SIGINT, signal.SIG_IGN),
        )
        try:
            for future in as_completed([executor.submit(function, item) for item in items]):
                yield future.result()
                bar.update()
        except BrokenProcessPool:
            raise HyperSORTError(
                "a worker process was ended from outside, most likely because memory ran out; what is finished is "
                f"kept: run the same command with fewer processes than -np {processes}"
            ) from None
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
