import errno
import os
from pathlib import Path

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.writable import require_writable


def test_files_and_folders_that_can_be_written_leave_no_trace(tmp_path):
    (tmp_path / "there").touch()
    require_writable(tmp_path, tmp_path / "there", tmp_path / "new", tmp_path / "a" / "b" / "new")
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HyperSORTError, match=r"file/new cannot be written, as .*file takes no file"):
        require_writable(tmp_path / "file" / "new")


@pytest.mark.parametrize("reason", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_the_reason_is_told(tmp_path, monkeypatch, reason):
    def refuse(path, _):
        raise OSError(reason, os.strerror(reason), path)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(HyperSORTError, match=rf"rank\.csv cannot be written, as .* \({os.strerror(reason)}\)"):
        require_writable(tmp_path / "rank.csv")
