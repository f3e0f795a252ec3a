"""A queue of runs: each a process of its own, several at a time, longest first, with the time that is left."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from nnunetv2_hypersort.errors import HyperSORTError

_END_OF_EPOCH = re.compile(rb"Epoch time:")
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Job:
    """One run to be computed by a process of its own.

    Attributes:
        name: Its name; also that of its log.
        command: Program and arguments.
        environment: Environment of the process.
        epochs: Number of epochs it trains.
        steps: Training steps of all epochs: how long it takes, relative to others.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    epochs: int
    steps: int


def order(jobs: Sequence[Job]) -> list[Job]:
    """The order in which jobs start: longest first, so that no long one is left alone at the end."""
    return sorted(jobs, key=lambda job: -job.steps)


def run_queue(
    jobs: Sequence[Job],
    *,
    workers: int,
    logs: Path,
    keep_open: Sequence[int] = (),
    describe: Callable[[Job], str] = lambda _: "",
) -> None:
    """Run jobs, `workers` at a time; a job that fails does not keep the others from running.

    Every job that ends prints one line: its number, name, minutes, what `describe` says of it, and the minutes that
    are left for all of them together.

    Args:
        jobs: In any order.
        workers: How many run at once.
        logs: Folder for what they print, `NAME.log`.
        keep_open: Descriptors that the processes inherit.
        describe: What to print about a finished job.

    Raises:
        HyperSORTError: Some jobs failed; their logs are named.
    """
    waiting, running, failed = order(jobs), list[_Running](), list[Path]()
    total, done, ended, started = sum(job.steps for job in jobs), 0, 0, time.monotonic()
    # In a terminal the bar moves; in a log file it would only take up room.
    with tqdm(total=total, unit="step", disable=not sys.stderr.isatty(), smoothing=0.02) as bar:
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    running.append(_Running(waiting.pop(0), logs, keep_open))
                time.sleep(_POLL_SECONDS)
                for run in list(running):
                    status = run.process.poll()
                    advance = run.advance(ended=status is not None)
                    done += advance
                    bar.update(advance)
                    if status is None:
                        continue
                    running.remove(run)
                    ended += 1
                    if status:
                        failed.append(run.log)
                    now = time.monotonic()
                    what = f"failed, see {run.log}" if status else describe(run.job)
                    left = (now - started) * (total - done) / done / 60
                    tqdm.write(
                        f"[{ended}/{len(jobs)}] {run.job.name}: {(now - run.started) / 60:.1f} min; {what}"
                        f"; {left:.0f} min left"
                    )
        finally:
            for run in running:
                run.stop()
    if failed:
        raise HyperSORTError(
            f"{len(failed)} of {len(jobs)} runs failed; what they said is at the end of "
            f"{', '.join(map(str, failed))}. The same command again repeats only these."
        )


class _Running:
    """A job that runs, and how far it is by the epochs that nnU-Net has announced."""

    def __init__(self, job: Job, logs: Path, keep_open: Sequence[int]) -> None:
        self.job = job
        self.log = logs / f"{job.name}.log"
        self.started = time.monotonic()
        self._counted = 0
        with self.log.open("ab") as stream:
            self._offset = stream.tell()
            self.process = subprocess.Popen(
                job.command, env=job.environment, stdout=stream, stderr=subprocess.STDOUT, pass_fds=keep_open
            )

    def advance(self, *, ended: bool) -> int:
        """The steps done since the last call."""
        with self.log.open("rb") as stream:
            stream.seek(self._offset)
            epochs = len(_END_OF_EPOCH.findall(stream.read()))
        steps = self.job.steps if ended else min(self.job.steps, epochs * self.job.steps // self.job.epochs)
        advance, self._counted = steps - self._counted, steps
        return advance

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
