"""The same file in a second place, at the least cost the file system allows."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_hypersort.files.whole_or_absent import unfinished_path

HARD_LINK, REFLINK, COPY = "hard link", "reflink", "copy"
_FICLONE = 0x40049409  # Linux: share the blocks of another file until one of the two is written to


def place_file(source: Path, target: Path, *, copy: bool = False) -> str:
    """Make `target` the same content as `source`: hard link, else reflink, else copy. Whole or not at all.

    Args:
        source: An existing file; a symbolic link is followed.
        target: The new file; an older one is replaced.
        copy: Never link: reflink or copy, so that later changes to one file do not reach the other.

    Returns:
        How it was done.

    Raises:
        OSError: The folder cannot be written to, or the disk is full.
    """
    source = source.resolve()
    # Only the bytes are flushed: the record that a case is complete is written later, and a journal keeps that order.
    with unfinished_path(target) as temporary:
        if not copy and _hard_link(source, temporary) is None:
            how = HARD_LINK
        elif _reflink(source, temporary):
            how = REFLINK
        else:
            _copy(source, temporary)
            how = COPY
    return how


@dataclass(frozen=True)
class Placing:
    """How files get from one folder to another.

    Attributes:
        how: `HARD_LINK`, `REFLINK` or `COPY`; only the last takes space.
        refused: Why the system refuses hard links, in its own words; empty where it takes them or none was wanted.
    """

    how: str
    refused: str = ""


def try_placing(source: Path, folder: Path, *, copy: bool = False) -> Placing:
    """Try out what `place_file` would do with a file, and leave nothing behind.

    Only the system knows: two folders of one file system may lie in different mounts, a file system may have no links,
    and Linux may refuse links to files of other users (`fs.protected_hardlinks`).

    Args:
        source: An existing file.
        folder: Where it shall go.
        copy: As for `place_file`.

    Raises:
        OSError: The folder cannot be written to.
    """
    source = source.resolve()
    temporary = folder / f".tmp-{os.getpid()}-link"
    try:
        refused = "" if copy else _hard_link(source, temporary)
        if refused is None:
            return Placing(HARD_LINK)
        return Placing(REFLINK if _reflink(source, temporary) else COPY, refused)
    finally:
        temporary.unlink(missing_ok=True)


def _hard_link(source: Path, target: Path) -> str | None:
    # Why the system refuses, in its own words, or None when it is done.
    try:
        os.link(source, target)
    except OSError as error:  # another file system, one without hard links, or a file of another user
        return error.strerror or str(error)
    return None


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb+") as stream:
        os.fsync(stream.fileno())


def _reflink(source: Path, target: Path) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl

    with source.open("rb") as origin, target.open("wb") as clone:
        try:
            fcntl.ioctl(clone.fileno(), _FICLONE, origin.fileno())
        except OSError:  # most file systems cannot
            return False
    return True
