"""The testing half is opened from committed code only, and every time it is written down."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.unseen_styles.openings import OPENINGS, count_openings, open_testing_half
from nnunetv2_hypersort.errors import HyperSORTError


def git(folder: Path, *arguments: str) -> str:
    # As somebody, whoever runs the tests.
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    return subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / OPENINGS).parent.mkdir(parents=True)
    (tmp_path / "method.py").write_text("settings = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "method")
    return tmp_path


def test_every_opening_is_a_line_with_commit_and_date(repository: Path) -> None:
    assert count_openings(repository) == 0
    assert open_testing_half("prepare *", repository) == 1
    # What was appended waits for its commit, and closes nothing.
    assert open_testing_half("run *, with commas", repository) == 2
    assert count_openings(repository) == 2
    lines = (repository / OPENINGS).read_text().splitlines()
    assert lines[0] == "date,commit,what"
    assert all(git(repository, "rev-parse", "HEAD") in line for line in lines[1:])


def test_changed_code_keeps_it_closed(repository: Path) -> None:
    (repository / "method.py").write_text("settings = 2\n")
    with pytest.raises(HyperSORTError, match=r"stays closed .* \(method.py\)"):
        open_testing_half("run *", repository)
    git(repository, "commit", "-qam", "other settings")
    (repository / "new.py").write_text("")
    with pytest.raises(HyperSORTError, match=r"new\.py"):
        open_testing_half("run *", repository)
    assert count_openings(repository) == 0


def test_it_is_not_opened_outside_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(HyperSORTError, match="git checkout"):
        open_testing_half("run *", tmp_path)
