"""The queue of runs, and the lock of the folder they work in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.nnunet_runs.queue import Job, order, run_queue
from benchmarks.nnunet_runs.workplace import Workplace
from nnunetv2_hypersort.errors import HyperSORTError


def job(name: str, code: str, steps: int = 1) -> Job:
    return Job(name, (sys.executable, "-c", code), dict(os.environ), 1, steps)


def test_the_longest_run_starts_first() -> None:
    jobs = [job("short", "", 1), job("long", "", 9), job("middle", "", 5)]
    assert [each.name for each in order(jobs)] == ["long", "middle", "short"]


def test_every_run_is_done_and_logged_and_prints_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job(f"run{number}", f"print('Epoch time: 1 s, {number}')") for number in range(3)]
    run_queue(jobs, workers=2, logs=tmp_path, describe=lambda each: f"seen {each.name}")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert printed[-1].startswith("[3/3]")
    assert "0 min left" in printed[-1]
    for number in range(3):
        assert (tmp_path / f"run{number}.log").read_text() == f"Epoch time: 1 s, {number}\n"
        assert sum(f"seen run{number}" in line for line in printed) == 1


def test_a_run_that_fails_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    jobs = [job("bad", "raise SystemExit('out of luck')", 2), job("good", "print('done')")]
    with pytest.raises(HyperSORTError, match=r"1 of 2 runs failed.*bad\.log"):
        run_queue(jobs, workers=1, logs=tmp_path)
    assert "out of luck" in (tmp_path / "bad.log").read_text()
    assert (tmp_path / "good.log").read_text() == "done\n"


def test_an_interrupted_queue_leaves_no_run_behind(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    code = f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); print('Epoch time:'); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        run_queue([job("quick", ""), job("slow", code, 2)], workers=2, logs=tmp_path, describe=_interrupt(marker))
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)


def _interrupt(marker: Path):
    def describe(_job: Job) -> str:
        # Called when the quick run has ended; the slow one is to have begun.
        while not (marker.exists() and marker.read_text()):
            pass
        raise KeyboardInterrupt

    return describe


def test_a_folder_serves_one_campaign_at_a_time(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    with workplace.locked(), pytest.raises(HyperSORTError, match="works in"), Workplace(tmp_path).locked():
        pass
    with workplace.locked():
        pass


def test_a_run_that_outlives_its_campaign_keeps_the_folder(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    with workplace.locked() as lock:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
    with pytest.raises(HyperSORTError, match="works in"), workplace.locked():
        pass
    child.communicate(b"\n")
    with workplace.locked():
        pass
