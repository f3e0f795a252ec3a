"""Names of files that are being written, and what killed processes left of them."""

import hashlib
import os
import re
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path

_PREFIX = ".tmp-"
_PATTERN = re.compile(r"\.tmp-([0-9a-f]{6})-(\d+)-[0-9a-f]{8}-")
# A name may have 255 bytes, a character up to 4.
_LONGEST_TAIL = 55
_DAY = 24 * 3600.0
_NAMES_PER_WRITE = 100

_writes_before_next_look: dict[str, int] = {}


def temporary_name(name: str) -> str:
    """A name for a file that is to become `name`, of this call alone, with the same ending."""
    return f"{_PREFIX}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}-{name[-_LONGEST_TAIL:]}"


def remove_leftovers(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote a file.

    A process of this machine is dead if there is none of its number; a file of another machine, as on a file server, is
    left over if nothing was written to it for a day. In a folder of N files every (N / 100)th write looks for them, so
    that filling it does not take the square of N.
    """
    key = os.path.abspath(folder)
    if _writes_before_next_look.get(key, 0):
        _writes_before_next_look[key] -= 1
        return
    with suppress(OSError):
        names = os.listdir(key)
        _writes_before_next_look[key] = len(names) // _NAMES_PER_WRITE
        for name in names:
            if name.startswith(_PREFIX) and _is_left_over(Path(key, name)):
                Path(key, name).unlink()


def _is_left_over(path: Path) -> bool:
    match = _PATTERN.match(path.name)
    if match and match[1] == _machine():
        return not _is_alive(int(match[2]))
    return time.time() - path.stat().st_mtime > _DAY


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # there `os.kill` ends the process instead of asking for it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _machine() -> str:
    """Where a process number means the same process: the host, and on Linux the container in it."""
    with suppress(OSError):
        return _digest(f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}")
    return _digest(socket.gethostname())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]
