"""Locks between processes."""

import errno
import os
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from nnunetv2_hypersort import locks
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.locks import exclusive

HOLD = (
    "import pathlib, sys\n"
    "from nnunetv2_hypersort.locks import exclusive\n"
    "with exclusive(pathlib.Path(sys.argv[1]), 'taken'):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def test_one_at_a_time_and_nothing_left_behind(tmp_path):
    path = tmp_path / "a.lock"
    with exclusive(path, "taken") as held:
        assert held
        with pytest.raises(HyperSORTError, match="taken"), exclusive(path, "taken"):
            pass
        with exclusive(tmp_path / "b.lock", "taken"):
            pass
    assert list(tmp_path.iterdir()) == []
    with exclusive(path, "taken"):
        pass


def test_a_killed_process_holds_nothing(tmp_path):
    path = tmp_path / "a.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(HyperSORTError, match="taken"), exclusive(path, "taken"):
            pass
    finally:
        holder.kill()
        holder.communicate()
    assert path.exists()
    with exclusive(path, "taken") as held:
        assert held
    assert not path.exists()


def test_a_file_removed_between_opening_and_locking_is_not_the_lock(tmp_path, monkeypatch):
    """The holder ends in the moment in which another has opened the file: the next to come must still be refused."""
    path, original = tmp_path / "a.lock", locks._lock
    removed = []

    def remove_first(descriptor):
        if not removed:
            removed.append(path)
            path.unlink()
        return original(descriptor)

    monkeypatch.setattr(locks, "_lock", remove_first)
    with exclusive(path, "taken"):
        assert path.exists()
        with pytest.raises(HyperSORTError, match="taken"), exclusive(path, "taken"):
            pass


def test_many_threads_never_hold_it_together(tmp_path):
    path, inside, worst, wins = tmp_path / "a.lock", [], [], []

    def work():
        for _ in range(300):
            with suppress(HyperSORTError), exclusive(path, "taken"):
                inside.append(1)
                worst.append(len(inside))
                wins.append(1)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wins
    assert max(worst) == 1


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(locks, "_lock", refuse)
    with exclusive(tmp_path / "a.lock", "taken") as held:
        assert not held
