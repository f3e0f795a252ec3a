import os
import signal
import subprocess
import sys
import time

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.workers import count_processes, default_processes, run_jobs


def square(number):
    return number * number


def work(task):
    kind, folder = task
    if kind == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "dies once" and not (folder / "died").exists():
        (folder / "died").touch()
        os._exit(1)
    if kind == "raises":
        raise ZeroDivisionError("no number")
    if kind == "refuses":
        raise HyperSORTError("case_7 is no image; mend it.")
    return kind


def _run(kinds, folder, **options):
    tasks = [(kind, folder) for kind in kinds]
    options = {"total": len(tasks), "name": lambda task: f"case {task[0]}", "processes": 2, "progress": False} | options
    return dict(run_jobs(work, tasks, **options))


@pytest.mark.parametrize("processes", [1, 3])
def test_every_job_gives_its_result(processes):
    results = run_jobs(square, range(7), total=7, name=str, processes=processes, progress=False)
    assert dict(results) == {number: number**2 for number in range(7)}


def test_a_job_that_kills_its_process_is_named_and_the_others_are_done(tmp_path):
    kinds = ["a", "dies", "b", "dies once", "c"]
    results = _run(kinds, tmp_path, failed=lambda task, reason: f"{task[0]}: {reason}")
    assert {number: result for number, result in results.items() if number != 1} == {
        0: "a",
        2: "b",
        3: "dies once",
        4: "c",
    }
    assert results[1].startswith("dies: the process that worked on it was ended from outside")
    with pytest.raises(
        HyperSORTError, match=r"case dies: the process .* memory ran out; use fewer processes than -np 2"
    ):
        _run(kinds, tmp_path)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_unexpected_error_is_a_sentence_with_the_name_of_the_job(tmp_path, processes):
    with pytest.raises(HyperSORTError, match="case raises: ZeroDivisionError: no number"):
        _run(["a", "raises"], tmp_path, processes=processes)
    results = _run(["a", "raises"], tmp_path, processes=processes, failed=lambda task, reason: reason)
    assert results == {0: "a", 1: "ZeroDivisionError: no number"}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_sentence_stays_as_it_is(tmp_path, processes):
    with pytest.raises(HyperSORTError, match=r"^case_7 is no image; mend it\.$"):
        _run(["a", "refuses"], tmp_path, processes=processes)


def test_a_job_is_made_when_a_worker_takes_it():
    finished = []

    def jobs():
        for number in range(6):
            assert len(finished) >= number - 2
            yield number

    for number, _ in run_jobs(square, jobs(), total=6, name=str, processes=2, progress=False):
        finished.append(number)
    assert sorted(finished) == list(range(6))


UNGUARDED = """
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.workers import run_jobs
try:
    print(dict(run_jobs(abs, [-1, -2, -3], total=3, name=str, processes=2, progress=False)))
except HyperSORTError as error:
    print(error)
"""


def test_a_script_without_a_guard_is_told_so(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    printed = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=120
    ).stdout
    assert "Worker processes end as soon as they are started" in printed


SLOW = """
import sys, time
from pathlib import Path
from nnunetv2_hypersort.files.workers import run_jobs

if __name__ == "__main__":
    print("ready", flush=True)
    try:
        for _ in run_jobs(time.sleep, [600, 600, 600], total=3, name=str, processes=2, progress=False):
            pass
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs process groups")
@pytest.mark.parametrize("delay", [0.0, 0.3, 3.0])
def test_ctrl_c_ends_everything_without_a_traceback(tmp_path, delay):
    (tmp_path / "script.py").write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "script.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    printed, errors = process.communicate(timeout=120)
    assert (printed, errors) == ("interrupted\n", "")


def test_a_log_gets_lines_without_control_characters(capfd):
    dict(run_jobs(square, range(3), total=3, name=str, processes=1, description="Squaring"))
    errors = capfd.readouterr().err
    assert errors.splitlines()[-1].startswith("Squaring: 3/3 case [")
    assert not any(not character.isprintable() for character in errors.replace("\n", ""))


def test_the_number_of_processes_is_nnunets(monkeypatch):
    from nnunetv2 import configuration

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    monkeypatch.setattr(configuration, "default_num_processes", 5)
    assert default_processes() == 5
    assert count_processes(3) == 3
    assert count_processes(100) == 5
    assert count_processes(100, 9) == 9
    with pytest.raises(HyperSORTError, match="-np must be 1 or greater, not 0"):
        count_processes(3, 0)
