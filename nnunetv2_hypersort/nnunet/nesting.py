"""Content of files that is nested deeper, or unfolds to more, than that of nnU-Net's files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError

DEEPEST = 40
"""Levels of containers in each other; nnU-Net's plans have about 7, a checkpoint 10."""


def refuse_nested(content: Any, *, source: object, most: int) -> None:
    """Raise if content is nested too deeply for recursive code, holds itself, or unfolds to too much.

    A pickle may hold one list in many places; it counts in each of them, as it does where content is compared or
    written.

    Args:
        content: Mappings, lists, tuples and sets; all else is one value, a text as many as it has characters.
        source: The file; named in errors.
        most: How many values the content may unfold to.

    Raises:
        HyperSORTError: It does not keep to that.
    """
    _Measuring(str(source), most).measure(content)


@dataclass
class _Measuring:
    source: str
    most: int
    # Size and height of what was measured, by identity.
    known: dict[int, tuple[int, int]] = field(default_factory=dict)
    above: set[int] = field(default_factory=set)

    def measure(self, content: Any) -> tuple[int, int]:
        """How many values content unfolds to, and how many levels it has."""
        if isinstance(content, Mapping):
            children: list[Any] = [*content.keys(), *content.values()]
        elif isinstance(content, list | tuple | set | frozenset):
            children = list(content)
        else:
            return (len(content) if isinstance(content, str | bytes) else 1), 0
        here = id(content)
        if here not in self.known:
            self._refuse_below(here in self.above, 1)
            self.above.add(here)
            measured = [self.measure(child) for child in children]
            self.above.remove(here)
            self.known[here] = (
                1 + sum(size for size, _ in measured),
                1 + max((height for _, height in measured), default=0),
            )
        size, height = self.known[here]
        self._refuse_below(False, height)
        if size > self.most:
            raise HyperSORTError(
                f"{self.source} unfolds to more than a file of its size holds; restore it, or take it from a source "
                f"you trust."
            )
        return size, height

    def _refuse_below(self, holds_itself: bool, height: int) -> None:
        if holds_itself or len(self.above) + height > DEEPEST:
            raise HyperSORTError(
                f"{self.source} is nested deeper than {DEEPEST} levels, as no file of nnU-Net is; restore it, or take "
                f"it from a source you trust."
            )
