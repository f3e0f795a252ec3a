"""Two processes of one verb at once: one does its work, the other one too or it is refused; the result is as of one."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fault_campaign.verbs import (
    CRASHED,
    DONE,
    REFUSED,
    VERBS,
    Inputs,
    differences,
    digest,
    finish,
    fresh_place,
    start,
    undisturbed,
)


@dataclass
class TwinCounts:
    """What became of pairs of processes.

    Attributes:
        outcomes: By verb and `done and done` or `done and refused`.
        failures: What went wrong, in words; empty if nothing did.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def run_twins(count: int, inputs: Inputs, place: Path, verbs: tuple[str, ...] = tuple(VERBS)) -> TwinCounts:
    """Run pairs of each verb.

    Args:
        count: Pairs per verb.
        inputs: What they work on.
        place: Folder for what they write; made anew.
        verbs: Some of `VERBS`.
    """
    counts = TwinCounts()
    for verb in verbs:
        wanted, _ = undisturbed(verb, inputs, place)
        for number in range(count):
            fresh_place(inputs, place)
            reading, writing = os.pipe()

            def wait_for_the_other(reading: int = reading, writing: int = writing) -> None:
                os.close(writing)
                os.read(reading, 1)  # ends when the last writer is gone

            processes = [start(verb, inputs, place, wait_for_the_other) for _ in range(2)]
            os.close(writing)
            os.close(reading)
            twins = [finish(*process) for process in processes]
            kinds = sorted(twin.kind for twin in twins)
            counts.outcomes[verb, " and ".join(kinds)] += 1
            where = f"{verb}, pair {number + 1}"
            if CRASHED in kinds or DONE not in kinds:
                counts.failures.append(f"{where}: {' and '.join(kinds)}: {' | '.join(t.errors[-500:] for t in twins)}")
            for twin in twins:
                if twin.kind == REFUSED and f"hypersort {verb}: " not in twin.errors:
                    counts.failures.append(f"{where}: refused without a sentence: {twin.errors[-500:]}")
            if different := differences(wanted, digest(place)):
                counts.failures.append(f"{where}: {different}")
    return counts
