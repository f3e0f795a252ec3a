"""Files that are either whole or absent: write beside the target, flush, rename."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `target` to write to, and move it onto `target` when the block ends without an error.

    The temporary name ends in the name of the target, so libraries that choose a format by the file ending work, and it
    is always the same, so what a killed process left is overwritten by the next write. A reader sees the old file or
    the new one, never a part; if the block raises, the old file stays as it was.

    Args:
        target: The file to be written. Its folder must exist.

    Yields:
        The path to write to.

    Raises:
        OSError: The folder is missing or read-only, or the disk is full.
    """
    target = Path(target)
    temporary = target.with_name(f".tmp-{target.name}")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        _flush(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `target` as UTF-8, whole or not at all.

    Names of files may hold bytes that are no UTF-8 (`os.fsdecode`); they come out as they went in.
    """
    with atomic_path(target) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def write_json(target: str | os.PathLike[str], content: Any) -> None:
    """Write `content` to `target` as indented JSON, whole or not at all."""
    write_text(target, json.dumps(content, indent=4) + "\n")


def _flush(path: Path) -> None:
    # Directories can be opened for flushing on POSIX only; on Windows the rename alone has to do.
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
