import errno
import json
import os
import signal
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import atomic_path, changing_json, write_json, write_text
from nnunetv2_hypersort.files.links import place_file

WRITE_OFTEN = """
import sys
from types import SimpleNamespace
from nnunetv2_hypersort.files import write_json
for number in range(200):
    write_json(sys.argv[1], {"writer": sys.argv[2], "numbers": [number] * 2000})
"""
COUNT = """
import sys
from types import SimpleNamespace
from nnunetv2_hypersort.files import changing_json
for _ in range(100):
    with changing_json(sys.argv[1]) as content:
        content["count"] += 1
"""
STOP_IN_THE_MIDDLE = """
import sys, time
from nnunetv2_hypersort.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("half", flush=True)
    time.sleep(600)
"""
FILL_THE_DISK = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from nnunetv2_hypersort.files import write_text
try:
    write_text(sys.argv[1], "x" * 5000)
except OSError as error:
    print(error)
"""


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    target = tmp_path / "latents.csv"
    write_text(target, "old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            assert target.read_text() == "old"
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write_half()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["latents.csv"]


def test_a_write_replaces_the_file(tmp_path):
    target = tmp_path / "plans.json"
    write_text(target, "old")
    write_json(target, {"a": [1]})
    assert target.read_text().split() == ["{", '"a":', "[", "1", "]", "}"]


def test_the_temporary_name_keeps_the_ending(tmp_path):
    with atomic_path(tmp_path / "seg.nii.gz") as temporary:
        assert temporary.name.endswith("seg.nii.gz")
        assert temporary.parent == tmp_path
        temporary.touch()


def _python(program, *arguments, **options):
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], text=True, **options)


def test_two_writers_and_a_reader_see_whole_files_only(tmp_path):
    target = tmp_path / "plans.json"
    write_json(target, {"writer": "", "numbers": [0] * 2000})
    writers = [_python(WRITE_OFTEN, target, name, stderr=subprocess.PIPE) for name in "ab"]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        content = json.loads(target.read_text())
        assert len(content["numbers"]) == 2000
        assert len(set(content["numbers"])) == 1
        reads += 1
    assert [writer.communicate()[1] for writer in writers] == ["", ""]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert reads > 10
    assert [path.name for path in tmp_path.iterdir()] == ["plans.json"]


def test_changes_of_two_processes_add_up(tmp_path):
    target = tmp_path / "plans.json"
    write_json(target, {"count": 0})
    assert [process.wait() for process in [_python(COUNT, target) for _ in range(2)]] == [0, 0]
    assert json.loads(target.read_text()) == {"count": 200}
    assert [path.name for path in tmp_path.iterdir()] == ["plans.json"]


def test_the_next_write_removes_what_a_killed_process_left(tmp_path):
    target = tmp_path / "plans.json"
    write_text(target, "old")
    process = _python(STOP_IN_THE_MIDDLE, target, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "half\n"
    write_text(tmp_path / "other.json", "")
    assert len(list(tmp_path.iterdir())) == 3, "a living process keeps its file"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert target.read_text() == "old"
    write_text(target, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.json", "plans.json"]


def test_what_another_machine_left_goes_after_a_day(tmp_path):
    for name in (".tmp-plans.json", ".tmp-abcdef-1-01234567-plans.json"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    recent = tmp_path / ".tmp-abcdef-2-01234567-plans.json"
    recent.touch()
    write_text(tmp_path / "plans.json", "")
    assert sorted(tmp_path.iterdir()) == [recent, tmp_path / "plans.json"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_permissions_are_those_of_a_plain_write(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "new", "")
        (tmp_path / "kept").touch(mode=0o600)
        write_text(tmp_path / "kept", "")
        (tmp_path / "shared").touch()
        (tmp_path / "shared").chmod(0o664)
        write_text(tmp_path / "shared", "")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"new": 0o640, "kept": 0o600, "shared": 0o664}


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path):
    target = tmp_path / "plans.json"
    write_text(target, "old")
    printed = _python(FILL_THE_DISK, target, stdout=subprocess.PIPE).communicate()[0]
    assert printed == f"[Errno {errno.EFBIG}] {os.strerror(errno.EFBIG)}: '{target}'\n"
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["plans.json"]


def test_an_error_about_another_file_stays(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"source\.json"), atomic_path(tmp_path / "target.json"):
        (tmp_path / "source.json").read_text()


def test_libraries_that_name_no_cause_filled_the_disk(tmp_path, monkeypatch):
    def save():
        with atomic_path(tmp_path / "checkpoint.pth"):
            raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    with pytest.raises(RuntimeError):
        save()
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(OSError, match=r"No space left on device: .*checkpoint\.pth"):
        save()


def test_the_longest_name_can_be_written(tmp_path):
    for name in ("é" * 125 + ".csv", "x" * 251 + ".csv"):
        write_text(tmp_path / name, "1")
        assert (tmp_path / name).read_text() == "1"


def test_json_that_cannot_be_changed_is_named(tmp_path):
    for content, message in ((None, "There is no"), ("{", "is damaged"), ("[]", "holds no JSON object")):
        if content is not None:
            (tmp_path / "plans.json").write_text(content)
        with pytest.raises(HyperSORTError, match=message), changing_json(tmp_path / "plans.json"):
            pass


def test_json_that_does_not_change_is_not_written(tmp_path):
    (tmp_path / "plans.json").write_text('{"a":1}')
    with changing_json(tmp_path / "plans.json"):
        pass
    assert (tmp_path / "plans.json").read_text() == '{"a":1}'


def test_a_linked_file_keeps_the_permissions_of_its_source(tmp_path):
    (tmp_path / "source").touch()
    (tmp_path / "source").chmod(0o640)
    (tmp_path / "target").touch()
    (tmp_path / "target").chmod(0o666)
    place_file(tmp_path / "source", tmp_path / "target")
    assert stat.S_IMODE((tmp_path / "source").stat().st_mode) == 0o640
