"""Verbs killed with SIGKILL at any moment and in the midst of writes; run again, they leave what one run leaves."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.fault_campaign.verbs import (
    CRASHED,
    KILLED,
    VERBS,
    Inputs,
    differences,
    digest,
    finish,
    fresh_place,
    run,
    start,
    undisturbed,
)

Rename = Callable[[str, str], None]
MOMENTS = ("any moment", "half a file", "before a rename", "after a rename")


@dataclass
class VerbKillCounts:
    """What became of verbs that were killed.

    Attributes:
        kills: How many were killed, by verb and moment.
        missed: How many were done before the moment came.
        failures: What went wrong, in words; empty if nothing is ever lost.
    """

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: int = 0
    failures: list[str] = field(default_factory=list)


def kill_verbs(
    count: int, inputs: Inputs, place: Path, *, seed: int = 0, verbs: tuple[str, ...] = tuple(VERBS)
) -> VerbKillCounts:
    """Kill each verb, run it again, and compare what it leaves with what an undisturbed run leaves.

    Args:
        count: Kills per verb.
        inputs: What they work on.
        place: Folder for what they write; made anew.
        seed: Of the moments.
        verbs: Some of `VERBS`.
    """
    draw = random.Random(seed)
    counts = VerbKillCounts()
    for verb in verbs:
        wanted, seconds = undisturbed(verb, inputs, place)
        renames = _count_renames(verb, inputs, place)
        for number in range(count):
            moment = MOMENTS[number % len(MOMENTS)]
            fresh_place(inputs, place)
            if _run_until_killed(
                verb, inputs, place, moment, draw.uniform(0, seconds), draw.randint(1, renames), draw.random()
            ):
                counts.kills[verb, moment] += 1
            else:
                counts.missed += 1
            again = run(verb, inputs, place)
            where = f"{verb}, kill {number + 1} ({moment})"
            if again.kind == CRASHED:
                counts.failures.append(f"{where}: crashed when it was run again: {again.errors[-500:]}")
            if different := differences(wanted, digest(place)):
                counts.failures.append(
                    f"{where}: {again.kind} when it was run again; {different}; {again.errors[-300:]}"
                )
    return counts


def _run_until_killed(
    verb: str, inputs: Inputs, place: Path, moment: str, delay: float, chosen: int, share: float
) -> bool:
    if moment == MOMENTS[0]:
        process, log = start(verb, inputs, place)
        time.sleep(delay)
        os.kill(process, signal.SIGKILL)
    else:
        process, log = start(verb, inputs, place, lambda: _arm(moment, chosen, share))
    return finish(process, log).kind == KILLED


def _count_renames(verb: str, inputs: Inputs, place: Path) -> int:
    reading, writing = os.pipe()

    def count() -> None:
        _wrap_renames(lambda rename, source, target: (os.write(writing, b"."), rename(source, target)))

    finish(*start(verb, inputs, fresh_place(inputs, place), count))
    os.close(writing)
    with open(reading, "rb") as stream:
        return len(stream.read())


def _arm(moment: str, chosen: int, share: float) -> None:
    """Let this process kill itself around its `chosen`th rename, by which every file and folder gets its name."""
    seen = 0

    def rename_or_die(rename: Rename, source: str, target: str) -> None:
        nonlocal seen
        seen += 1
        if seen == chosen and moment == "half a file":
            _cut(Path(source), share)
        if seen == chosen and moment != "after a rename":
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)
        if seen == chosen:
            os.kill(os.getpid(), signal.SIGKILL)

    _wrap_renames(rename_or_die)


def _wrap_renames(wrapper: Callable[[Rename, str, str], Any]) -> None:
    # The kills are in this process alone: the wrapped functions keep only the two arguments that our writers give.
    os.replace, os.rename = partial(wrapper, os.replace), partial(wrapper, os.rename)  # type: ignore[assignment]


def _cut(path: Path, share: float) -> None:
    # Not what is linked: that would cut the original.
    if path.is_file() and path.stat().st_nlink == 1:
        os.truncate(path, int(share * path.stat().st_size))
