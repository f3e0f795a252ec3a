import subprocess
import sys

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.claiming import claimed_folder

DIE_BEFORE_THE_RECORD = """
import os, signal, sys
from pathlib import Path
from nnunetv2_hypersort.files import whole_or_absent
from nnunetv2_hypersort.files.claiming import claimed_folder
whole_or_absent.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with claimed_folder(Path(sys.argv[1]), "record.json", {"seed": 1}, of="seed"):
    pass
"""


def _claimed(folder, seed=1):
    return claimed_folder(folder, "record.json", {"seed": seed}, of="seed")


def test_a_folder_is_filled_by_one_at_a_time(tmp_path):
    with (
        _claimed(tmp_path / "a" / "new"),
        pytest.raises(HyperSORTError, match="new is in use by another command"),
        _claimed(tmp_path / "a" / "new"),
    ):
        pass
    with _claimed(tmp_path / "a" / "new"):
        pass
    with pytest.raises(HyperSORTError, match="the result of another seed"), _claimed(tmp_path / "a" / "new", seed=2):
        pass


def test_what_others_wrote_is_left_alone(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(HyperSORTError, match="was not written by this command"), _claimed(tmp_path):
        pass


def test_a_process_killed_before_the_record_was_there_does_no_harm(tmp_path):
    folder = tmp_path / "new"
    subprocess.run([sys.executable, "-c", DIE_BEFORE_THE_RECORD, folder])
    assert len(list(folder.iterdir())) == 1
    with _claimed(folder):
        assert [path.name for path in folder.iterdir()] == ["record.json"]
