"""Progress on standard error: a bar in a terminal, now and then a line in a log."""

import sys
from collections.abc import Collection, Iterator
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 10.0
_LINE = "{desc}{n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}{postfix}]"


def progress_bar(total: int, description: str = "", *, unit: str = "case", shown: bool = True) -> "tqdm[Any]":
    """A bar to be advanced by `update()` and closed, as by `with`.

    Where standard error is no terminal, it writes a line every ten seconds and at the end, without carriage returns and
    other control characters.

    Args:
        total: Number of steps.
        description: What stands before it.
        unit: What is counted.
        shown: Whether to show it at all.
    """
    shown = shown and total > 0
    if sys.stderr.isatty():
        return tqdm(total=total, desc=description or None, unit=unit, disable=not shown)
    return tqdm(
        total=total,
        desc=f"{description}: " if description else None,
        unit=unit,
        disable=not shown,
        file=_Lines(sys.stderr),
        bar_format=_LINE,
        mininterval=_SECONDS_BETWEEN_LINES,
    )


def tracked(
    items: Collection[Item], description: str = "", *, unit: str = "case", shown: bool = True
) -> Iterator[Item]:
    """Yield the items one after the other, with a `progress_bar`."""
    with progress_bar(len(items), description, unit=unit, shown=shown) as bar:
        for item in items:
            yield item
            bar.update()


class _Lines:
    """What tqdm draws over and over at the same place, as lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = ""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line and line != self._last:
            self._stream.write(f"{line}\n")
            self._last = line

    def flush(self) -> None:
        self._stream.flush()
