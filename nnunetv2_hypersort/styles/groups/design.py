"""Which cases are compared with which: over subjects, within subjects, or within images."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.errors import HyperSORTError

LEAST_SUBJECTS = 5
"""A group of fewer subjects is left out: hardly any difference would show."""
LEAST_BLOCKS = 6
"""So many images (subjects) that have several groups are needed: with fewer, chance alone gives p > 0.03 at best."""
# Groups vary within images where this share of the cases lies in images that have several groups.
_MOST_CASES = 0.5


class Level(str, Enum):
    """What is exchangeable if the groups are annotated alike."""

    IMAGES = "images"
    """Annotations of one image: the groups are compared on the same images."""
    WITHIN_SUBJECTS = "images of a subject"
    """Images of one subject."""
    SUBJECTS = "subjects"
    """Subjects, with all that they have."""


@dataclass(frozen=True)
class Design:
    """The rows that are compared.

    Attributes:
        level: What is permuted.
        names: The groups, that with the most cases first.
        rows: For each row its cases: one annotation, one image, or all of one subject.
        groups: Shape (rows,): the number of the group of each row.
        blocks: Shape (rows,): rows are compared and permuted within blocks.
        units: Shape (rows,): rows of one unit are held out together.
        left_out: What was left out, in words.
    """

    level: Level
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: NDArray[np.int64]
    blocks: NDArray[np.int64]
    units: NDArray[np.int64]
    left_out: tuple[str, ...] = ()

    def cases_of(self, group: int) -> list[str]:
        """The cases of a group."""
        return [case for cases, number in zip(self.rows, self.groups, strict=True) if number == group for case in cases]

    def only(self, first: int, second: int) -> tuple["Design", NDArray[np.int64]]:
        """The design of two groups alone, the first of them its group 0, and which of the rows it has."""
        kept = np.flatnonzero(np.isin(self.groups, (first, second)))
        if self.level is not Level.SUBJECTS:
            both = {block for block in self.blocks[kept] if len(set(self.groups[kept][self.blocks[kept] == block])) > 1}
            kept = kept[np.isin(self.blocks[kept], list(both))]
        return (
            Design(
                self.level,
                (self.names[first], self.names[second]),
                tuple(self.rows[row] for row in kept),
                (self.groups[kept] == second).astype(np.int64),
                self.blocks[kept],
                self.units[kept],
            ),
            kept,
        )


def make_design(
    column: str, values: Mapping[str, str], images: Mapping[str, Hashable], subjects: Mapping[str, Hashable]
) -> Design:
    """Decide what is compared with what.

    Where most cases lie in images of several groups (several raters drew each image), annotations are compared within
    images; where most lie in subjects of several groups (left and right eye), images within subjects; else subjects.
    Images and subjects with one group alone are then left out, or those with several.

    Args:
        column: Name of the column, for messages.
        values: By case its group; cases without one are absent.
        images: By case its image.
        subjects: By case its subject.

    Raises:
        HyperSORTError: There are no two groups of enough subjects, or too few images (subjects) have several groups.
    """
    counts = Counter(values.values())
    by_image, by_subject = _members(values, images), _members(values, subjects)
    varying = _varying(by_image, values)
    if _share(varying, values) >= _MOST_CASES:
        rows: list[tuple[str, ...]] = [(case,) for cases in varying for case in cases]
        return _blocked(column, Level.IMAGES, rows, values, images, subjects, len(values), counts)
    alike = {
        case: group
        for cases in by_image
        if len({values[case] for case in cases}) == 1
        for case, group in ((case, values[case]) for case in cases)
    }
    varying = _varying(_members(alike, subjects), alike)
    if _share(varying, values) >= _MOST_CASES:
        rows = [tuple(cases) for cases in _members([case for cases in varying for case in cases], images)]
        return _blocked(column, Level.WITHIN_SUBJECTS, rows, values, subjects, subjects, len(values), counts)
    rows = [tuple(cases) for cases in by_subject if len({values[case] for case in cases}) == 1]
    return _over_subjects(column, rows, values, len(values))


def _over_subjects(column: str, rows: Sequence[tuple[str, ...]], values: Mapping[str, str], cases: int) -> Design:
    sizes = Counter(values[row[0]] for row in rows)
    large = {name for name, size in sizes.items() if size >= LEAST_SUBJECTS}
    if len(large) < 2:
        shown = ", ".join(f"{name}: {size}" for name, size in sizes.most_common(8)) + (
            ", ..." if len(sizes) > 8 else ""
        )
        raise HyperSORTError(
            f"The column {column} has {'one group' if len(large) == 1 else 'no group'} of {LEAST_SUBJECTS} or more "
            f"subjects ({shown or 'no subject is in one group alone'}), and two are needed to compare; choose another "
            f"column, or join its values."
        )
    kept = [row for row in rows if values[row[0]] in large]
    few = [f"{name} ({size})" for name, size in sizes.items() if name not in large]
    left_out = []
    if few:
        left_out.append(
            f"groups of fewer than {LEAST_SUBJECTS} subjects: {', '.join(few[:8])}{', ...' * (len(few) > 8)}"
        )
    if mixed := cases - sum(map(len, rows)):
        left_out.append(f"{mixed} cases of subjects that are in several groups")
    numbers = np.arange(len(kept))
    return _design(Level.SUBJECTS, kept, values, np.zeros(len(kept), np.int64), numbers, left_out)


def _blocked(
    column: str,
    level: Level,
    rows: Sequence[tuple[str, ...]],
    values: Mapping[str, str],
    blocks: Mapping[str, Hashable],
    units: Mapping[str, Hashable],
    cases: int,
    counts: Mapping[str, int],
) -> Design:
    of_block: dict[str, set[Hashable]] = defaultdict(set)
    for row in rows:
        of_block[values[row[0]]].add(blocks[row[0]])
    large = {name for name, there in of_block.items() if len(there) >= LEAST_BLOCKS}
    kept = [row for row in rows if values[row[0]] in large]
    several = _varying(_members([row[0] for row in kept], blocks), values)
    what = "images" if level is Level.IMAGES else "subjects"
    if len(several) < LEAST_BLOCKS:
        raise HyperSORTError(
            f"The column {column} varies within {what}, but only {len(several)} of them have two groups that are in "
            f"{LEAST_BLOCKS} or more; choose another column, or join its values."
        )
    inside = {case for cases_of_block in several for case in cases_of_block}
    kept = [row for row in kept if row[0] in inside]
    left_out = []
    if few := sorted(set(counts) - large):
        left_out.append(f"groups in fewer than {LEAST_BLOCKS} {what}: {', '.join(few[:8])}{', ...' * (len(few) > 8)}")
    if rest := cases - sum(map(len, kept)):
        left_out.append(f"{rest} cases in all, as their {what} have one group alone or these groups")
    return _design(
        level,
        kept,
        values,
        _numbers([blocks[row[0]] for row in kept]),
        _numbers([units[row[0]] for row in kept]),
        left_out,
    )


def _design(
    level: Level,
    rows: Sequence[tuple[str, ...]],
    values: Mapping[str, str],
    blocks: NDArray[np.int64],
    units: NDArray[np.int64],
    left_out: Sequence[str],
) -> Design:
    sizes: Counter[str] = Counter()
    for row in rows:
        sizes[values[row[0]]] += len(row)
    names = sorted(sizes, key=lambda name: (-sizes[name], name))
    number = {name: place for place, name in enumerate(names)}
    groups = np.array([number[values[row[0]]] for row in rows], np.int64)
    return Design(level, tuple(names), tuple(rows), groups, blocks, units, tuple(left_out))


def _members(cases: Sequence[str] | Mapping[str, str], of: Mapping[str, Hashable]) -> list[list[str]]:
    found: dict[Hashable, list[str]] = defaultdict(list)
    for case in sorted(cases):
        found[of[case]].append(case)
    return list(found.values())


def _varying(members: Sequence[Sequence[str]], values: Mapping[str, str]) -> list[Sequence[str]]:
    return [cases for cases in members if len({values[case] for case in cases}) > 1]


def _share(members: Sequence[Sequence[str]], values: Mapping[str, str]) -> float:
    return sum(map(len, members)) / max(len(values), 1)


def _numbers(names: Sequence[Hashable]) -> NDArray[np.int64]:
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], np.int64)
