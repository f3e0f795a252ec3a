"""Names of styles that stay when styles are found again."""

import itertools
import string
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

# A style with more than half of the cases in common can have them with one only.
_SAME_STYLE = 0.5


def name_styles(
    styles: Sequence[Collection[str]], earlier: Mapping[str, Collection[str]], taken: Collection[str] = ()
) -> list[str]:
    """Name styles `style_a`, `style_b` and so on, in their order.

    Args:
        styles: The cases of each style.
        earlier: The cases of styles named before; a style that has most of its cases in common with one of them
            keeps that name, so that what users wrote down stays true when a fold more is trained.
        taken: Names that other styles have.

    Returns:
        A name for each.
    """
    names: list[str | None] = [None] * len(styles)
    known = [name for name in earlier if name not in taken]
    overlap = np.array([[_overlap(cases, earlier[name]) for name in known] for cases in styles])
    for row, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True) if known and styles else ():
        if overlap[row, column] > _SAME_STYLE:
            names[row] = known[column]
    # A name of before is not given to another style: what users wrote down would silently mean that one.
    free = (name for name in _names() if name not in earlier and name not in taken)
    return [name or next(free) for name in names]


def _overlap(cases: Collection[str], others: Collection[str]) -> float:
    either = set(cases) | set(others)
    return len(set(cases) & set(others)) / len(either) if either else 0.0


def _names() -> Iterator[str]:
    yield from (f"style_{letter}" for letter in string.ascii_lowercase)
    yield from (f"style_{number}" for number in itertools.count(27))
