"""The same file in a second place, at the least cost the file system allows."""

import os
import shutil
import sys
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
        if not copy and _hard_link(source, temporary):
            how = HARD_LINK
        elif _reflink(source, temporary):
            how = REFLINK
        else:
            _copy(source, temporary)
            how = COPY
    return how


def can_hard_link(source: Path, folder: Path) -> bool:
    """Whether a hard link from `folder` to `source` is possible, judged by their file systems."""
    return source.exists() and source.stat().st_dev == folder.stat().st_dev


def _hard_link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another file system, one without hard links, or a file of another user
        return False
    return True


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
