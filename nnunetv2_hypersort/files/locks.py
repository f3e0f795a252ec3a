"""One process at a time: a lock that the system takes back when its holder dies."""

import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError

_POLL = 0.02  # seconds between two attempts
_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def locked(
    target: str | os.PathLike[str], *, wait: float = 0.0, doing: str | None = None, taken: str | None = None
) -> Iterator[bool]:
    """Keep other processes that lock the same target out while the block runs.

    The lock is a file `.lock-NAME` beside the target, which need not exist; it is removed at the end. If the process
    dies, the system takes the lock back, whatever is left of the file. File systems without locks are worked on without
    one. Not reentrant: a block that locks the same target again waits for itself.

    Args:
        target: The file or folder that is to be changed. The folder it lies in must exist.
        wait: Seconds to wait for another process that holds the lock; 0 refuses at once.
        doing: What the holder does, told to others; default: the command that is running.
        taken: What to say when another process holds the lock; default: which process, and to wait for it.

    Yields:
        Whether there is a lock: False on a file system without locks.

    Raises:
        HyperSORTError: Another process holds the lock, and still does after the wait; or the folder cannot be written
            to.
    """
    target = Path(os.path.abspath(target))
    path = target.with_name(f".lock-{target.name}")
    descriptor, held = _acquire(path, target, time.monotonic() + wait, taken)
    try:
        _write(descriptor, f"{doing or _command()}, process {os.getpid()} on {socket.gethostname()}")
        yield held
    finally:
        _release(descriptor, path)


def _acquire(path: Path, target: Path, end: float, taken: str | None) -> tuple[int, bool]:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise HyperSORTError(
                f"{target} cannot be written, as {target.parent} cannot be written to ({error.strerror}); "
                "make the folder writable or choose another."
            ) from error
        try:
            held = _try_lock(descriptor)
        except OSError as error:
            if error.errno in _NO_LOCKS_HERE:
                return descriptor, False
            os.close(descriptor)
            raise
        # The holder before us may have removed the file between our opening and our locking it: then what we hold is
        # not what the next process will find.
        if held and _is_same_file(descriptor, path):
            return descriptor, True
        holder = "" if held else _read(descriptor)
        os.close(descriptor)
        if not held and time.monotonic() >= end:
            raise HyperSORTError(
                taken
                or f"{target} is in use by another command ({holder or 'it has not said which'}); "
                "wait until that has ended, then run this one again."
            )
        time.sleep(0 if held else _POLL)


if os.name == "nt":  # pragma: no cover  # tests run on Linux
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        # Far behind the text, which others may read meanwhile.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        except OSError:
            return False
        return True

    def _is_same_file(descriptor: int, path: Path) -> bool:
        return True  # an open file cannot be removed

    def _release(descriptor: int, path: Path) -> None:
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _is_same_file(descriptor: int, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), path.stat())
        except FileNotFoundError:
            return False

    def _release(descriptor: int, path: Path) -> None:
        # Removed while the lock is held, so that nobody's lock but ours is removed.
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _write(descriptor: int, text: str) -> None:
    with suppress(OSError):  # a full disk: the lock holds without its description
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text.encode("utf-8", "surrogateescape"))


def _read(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 1000).decode("utf-8", "replace")


def _command() -> str:
    return " ".join([Path(sys.argv[0]).name or "python", *sys.argv[1:2]])
