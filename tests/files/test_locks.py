import errno
import os
import signal
import subprocess
import sys

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.locks import locked

HOLD = """
import sys
from nnunetv2_hypersort.files.locks import locked
with locked(sys.argv[1], doing="hypersort styles"):
    print("held", flush=True)
    sys.stdin.read()
"""
COUNT = """
import sys
from pathlib import Path
from nnunetv2_hypersort.files.locks import locked
counter = Path(sys.argv[1])
for _ in range(200):
    with locked(counter, wait=60):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "plans.json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_who_holds_it(tmp_path, holder):
    with (
        pytest.raises(HyperSORTError, match=rf"plans\.json is in use by .*hypersort styles, process {holder.pid} on "),
        locked(tmp_path / "plans.json"),
    ):
        pass
    with (
        pytest.raises(HyperSORTError, match=r"^the id is in use$"),
        locked(tmp_path / "plans.json", taken="the id is in use"),
    ):
        pass
    with locked(tmp_path / "dataset.json") as held:
        assert held


def test_the_lock_of_a_killed_process_is_free(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock-plans.json").exists()
    with locked(tmp_path / "plans.json"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_it_waits_for_the_holder_to_end(tmp_path, holder):
    with pytest.raises(HyperSORTError), locked(tmp_path / "plans.json", wait=0.2):
        pass
    holder.stdin.close()
    with locked(tmp_path / "plans.json", wait=60):
        pass


def test_read_change_write_of_three_processes_loses_nothing(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, counter]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert counter.read_text() == "600"
    assert [path.name for path in tmp_path.iterdir()] == ["counter"]


def test_an_error_in_the_block_frees_it(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "x"):
        1 / 0  # noqa: B018
    with locked(tmp_path / "x"):
        pass


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    with pytest.raises(HyperSORTError, match=r"missing.x cannot be written"), locked(tmp_path / "missing" / "x"):
        pass


def test_a_file_system_without_locks_is_worked_on_without(tmp_path, monkeypatch):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path / "x") as held:
        assert not held
    assert list(tmp_path.iterdir()) == []
