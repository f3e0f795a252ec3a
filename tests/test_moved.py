"""Old names of modules still serve, and are the modules of today."""

import importlib
import subprocess
import sys

import pytest

from nnunetv2_hypersort.moved import MOVED


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_is_the_module_of_today(old, new):
    sys.modules.pop(f"nnunetv2_hypersort.{old}", None)
    with pytest.warns(DeprecationWarning, match=f"is nnunetv2_hypersort.{new} now"):
        moved = importlib.import_module(f"nnunetv2_hypersort.{old}")
    today = importlib.import_module(f"nnunetv2_hypersort.{new}")
    assert moved is today
    assert today.__name__ == today.__spec__.name == f"nnunetv2_hypersort.{new}"


def test_an_old_name_runs_as_a_command():
    run = subprocess.run(
        [sys.executable, "-m", "nnunetv2_hypersort.small_plan", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--patch-size" in run.stdout


def test_a_name_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nnunetv2_hypersort.large_plan")
