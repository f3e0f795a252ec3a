"""Runs one job per case in worker processes, with no more cases in memory than there are workers."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.progress import progress_bar

Job = TypeVar("Job")
Result = TypeVar("Result")
_ENDED = "the process that worked on it was ended from outside, most likely because memory ran out"


def default_processes() -> int:
    """nnU-Net's `nnUNet_def_n_proc` (8 if it is not set), at most one per CPU core that this process may use."""
    from nnunetv2.configuration import default_num_processes

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(int(default_num_processes), cores))


def count_processes(num_jobs: int, requested: int | None = None) -> int:
    """Choose the number of worker processes.

    Args:
        num_jobs: Number of jobs; more workers than jobs are useless.
        requested: What the user asked for; default: `default_processes`.

    Raises:
        HyperSORTError: Fewer than one process was asked for.
    """
    if requested is None:
        requested = default_processes()
    if requested < 1:
        raise HyperSORTError(f"-np must be 1 or greater, not {requested}.")
    return min(requested, max(1, num_jobs))


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    total: int,
    name: Callable[[Job], str],
    processes: int,
    description: str = "",
    progress: bool = True,
    failed: Callable[[Job, str], Result] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Run a function on every job and yield (number of the job, result) as the results come.

    A job is taken from `jobs` only when a worker is about to work on it, so what earlier results showed can still
    change it. A job whose process dies is tried once more when no other is running, as memory may then suffice.

    Args:
        function: Function of a module (it is sent to other processes). What it writes must bear being written twice.
        jobs: The jobs; they can be pickled.
        total: Their number.
        name: What a job is called in messages, such as its case.
        processes: Number of workers; with 1 everything runs in this process.
        description: What stands before the progress bar.
        progress: Whether to show one on standard error.
        failed: Gives the result of a job that ended its process or raised what nobody expected, from the job and the
            reason; None raises.

    Raises:
        HyperSORTError: A job ended its process or raised something unexpected (the message names it); or no process can
            be started. What the function raises as HyperSORTError or OSError is passed on as it is.
    """
    processes = min(processes, max(1, total))
    attempts = _in_this_process(function, jobs) if processes == 1 else _in_processes(function, jobs, processes)
    with progress_bar(total, description, shown=progress) as bar:
        for number, job, attempt in attempts:
            try:
                result = attempt()
            except (HyperSORTError, OSError):
                raise
            except Exception as error:
                reason = _ENDED if isinstance(error, BrokenProcessPool) else f"{type(error).__name__}: {error}"
                if failed is None:
                    advice = f"; use fewer processes than -np {processes}" if reason is _ENDED and processes > 1 else ""
                    raise HyperSORTError(f"{name(job)}: {reason}{advice}.") from error
                result = failed(job, reason)
            yield number, result
            bar.update()


_Attempt = tuple[int, Job, Callable[[], Result]]


def _in_this_process(function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[_Attempt[Job, Result]]:
    for number, job in enumerate(jobs):
        yield number, job, lambda job=job: function(job)  # type: ignore[misc]


def _in_processes(
    function: Callable[[Job], Result], jobs: Iterable[Job], processes: int
) -> Iterator[_Attempt[Job, Result]]:
    # One executor per process: where one dies, it is known on what it worked, and the others go on.
    idle = [_start() for _ in range(processes)]
    running: dict[Future[Result], tuple[int, Job, ProcessPoolExecutor]] = {}
    died: list[tuple[int, Job]] = []
    numbered = enumerate(jobs)
    try:
        while True:
            while idle and (upcoming := next(numbered, None)):
                executor = idle.pop()
                running[_submit(executor, function, upcoming[1])] = (*upcoming, executor)
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number, job, executor = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    died.append((number, job))
                    executor.shutdown()
                    idle.append(_start_once_more())
                    continue
                idle.append(executor)
                yield number, job, future.result
        for number, job in died:
            future = _submit(idle[-1], function, job)
            if isinstance(future.exception(), BrokenProcessPool):
                idle.append(_start_once_more())
            yield number, job, future.result
    finally:
        for executor in (*idle, *(executor for _, _, executor in running.values())):
            executor.shutdown(wait=True, cancel_futures=True)


def _start() -> ProcessPoolExecutor:
    # "spawn" as in nnU-Net: a forked child would inherit the locks of threads that PyTorch or a notebook started.
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_prepare_worker)


def _start_once_more() -> ProcessPoolExecutor:
    executor = _start()
    try:
        _submit(executor, abs, 0).result()
    except BrokenProcessPool:
        raise HyperSORTError(
            "Worker processes end as soon as they are started, most likely because memory ran out (or, from Python, "
            'because the call is not under `if __name__ == "__main__":`); use one process (-np 1).'
        ) from None
    return executor


def _submit(executor: ProcessPoolExecutor, function: Callable[[Job], Result], job: Job) -> Future[Result]:
    with _interrupts_held_back():
        return executor.submit(function, job)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    # A new process inherits what is held back, until it knows how to end without a traceback. In this process that is
    # not enough: the signal can reach another thread, and Python then interrupts the main one between starting a worker
    # and telling it what it is.
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _prepare_worker() -> None:
    # Ctrl-C reaches every process of a terminal: workers end at once, and the main process alone says so.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # One core per worker: read by the libraries that are imported from here on.
    os.environ["OMP_NUM_THREADS"] = "1"
