"""Figures: names in them are text, and their files are whole or absent."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nnunetv2_hypersort.files.text_tables import printable
from nnunetv2_hypersort.files.whole_or_absent import atomic_path

_LONGEST = 60
_END = 15


@contextmanager
def names_are_text(*, default_style: bool = False) -> Iterator[None]:
    r"""Draw figures in which names are text: `$`, `_`, `^` and `\` stand for themselves, never for a formula.

    Args:
        default_style: Also set matplotlib's own style: nnU-Net's logger sets seaborn's, and fonts of 2.5 times the
            size, for the whole process.
    """
    from matplotlib import style

    text: dict[str, Any] = {"text.parse_math": False, "text.usetex": False}
    with style.context(["default", text] if default_style else [text]):
        yield


def as_label(name: str) -> str:
    """A name as it fits into a figure: one line of at most 60 characters, the middle of longer ones left out.

    Matplotlib leaves out what begins with an underscore from a legend; a blank before it helps.
    """
    line = printable(re.sub(r"\s+|[\x00-\x1f\x7f-\x9f]+", " ", name).strip())
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST - _END - 1]}\N{HORIZONTAL ELLIPSIS}{line[-_END:]}"
    return f" {line}" if line.startswith("_") else line


def save_figure(figure: Any, path: str | os.PathLike[str], *, dpi: int) -> None:
    """Write a figure, whole or not at all; call it within `names_are_text`, as ticks are made only now.

    Args:
        figure: A matplotlib figure.
        path: The file; its ending chooses the format.
        dpi: Dots per inch.

    Raises:
        OSError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
