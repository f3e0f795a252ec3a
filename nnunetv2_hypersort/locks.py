"""A lock between processes, which the system lifts when its process ends, however it ends."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError

_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


@contextmanager
def exclusive(path: Path, taken: str) -> Iterator[bool]:
    """Hold a lock for the length of a block, without waiting for it.

    The lock is the system's, on an open file: one that a killed process held is free at once. The file itself is
    removed at the end of the block; one that a killed process left behind does no harm.

    Args:
        path: The file that stands for what is locked; its folder must exist.
        taken: What to say when another process (or another block of this one) holds the lock.

    Yields:
        Whether there is a lock: False on the rare file systems that have none.

    Raises:
        HyperSORTError: The lock is held, with the text `taken`.
        OSError: The file cannot be made.
    """
    descriptor, held = _acquire(path)
    if descriptor is None:
        raise HyperSORTError(taken)
    try:
        yield held
    finally:
        # Removed while it is still locked: who opens the name from here on gets a file of their own.
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _acquire(path: Path) -> tuple[int | None, bool]:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            free = _lock(descriptor)
            if free and _is_named(descriptor, path):
                return descriptor, True
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return descriptor, False
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not free:
            return None, False
        # Otherwise its holder removed the file after we had opened it: lock the one that has the name now.


def _lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_named(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
