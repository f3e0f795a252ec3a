"""Interruption, resumption, ids in use: nothing half-written, nothing lost."""

import errno
import json
import os
import shutil
import subprocess
import sys
from functools import partial

import pytest
from convert_builders import convert_amos, ct, make_amos, save

from nnunetv2_hypersort.conversion import pipeline, workspace
from nnunetv2_hypersort.conversion.settings import read_spacing
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet import dataset_ids


@pytest.fixture
def source(tmp_path):
    return make_amos(tmp_path / "amos22", train=range(1, 6))


convert = partial(convert_amos, classes=["liver"])


def interrupt_after(monkeypatch, count, error=KeyboardInterrupt):
    done = []
    original = pipeline.convert_case

    def convert_some(task):
        if len(done) == count:
            raise error
        done.append(task.case.identifier)
        return original(task)

    monkeypatch.setattr(pipeline, "convert_case", convert_some)
    return done


def interrupted(source, monkeypatch, count, **settings):
    with monkeypatch.context() as patch:
        interrupt_after(patch, count)
        with pytest.raises(KeyboardInterrupt):
            convert(source, **settings)


def test_interrupted_conversion_goes_on_where_it_stopped(raw, source, monkeypatch):
    interrupted(source, monkeypatch, 3)
    hidden = raw / ".converting-Dataset218_AMOS22"
    assert [path.name for path in raw.iterdir()] == [hidden.name]
    first = {path.name: path.stat().st_mtime_ns for path in (hidden / "labelsTr").iterdir()}
    assert len(first) == 3
    # What a killed worker leaves behind: a part of a file under a temporary name.
    (hidden / "labelsTr" / ".tmp-123-amos_0005.nii.gz").write_bytes(b"part")
    (hidden / "imagesTr" / ".tmp-123-amos_0005_0000.nii.gz").write_bytes(b"part")

    with monkeypatch.context() as patch:
        checked, converted = [], interrupt_after(patch, 99)
        patch.setattr(pipeline, "check_case", checked.append)
        folder = convert(source)
    assert checked == []  # the check of the first run counts
    assert len(converted) == 3
    assert sorted(path.name for path in folder.iterdir()) == [
        "cases.csv",
        "conversion.json",
        "dataset.json",
        "imagesTr",
        "labelsTr",
    ]
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "labelsTr").iterdir()}
    assert len(after) == 6
    assert all(after[name] == time for name, time in first.items())
    assert len(json.loads((folder / "conversion.json").read_text())["cases"]) == 6
    assert not hidden.exists()


def test_a_dataset_whose_conversion_was_killed_while_it_tidied_up_is_complete(raw, source, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(workspace, "_remove", lambda _folder: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            convert(source)
    folder = raw / "Dataset218_AMOS22"
    assert (folder / ".conversion").is_dir()
    before = {path: path.read_bytes() for path in folder.rglob("*.nii.gz")}
    with pytest.raises(HyperSORTError, match="the dataset id 218 is in use"):
        convert(source, classes=("spleen",))
    assert convert(source) == folder
    assert not (folder / ".conversion").exists()
    assert {path: path.read_bytes() for path in folder.rglob("*.nii.gz")} == before
    with pytest.raises(HyperSORTError, match="the dataset id 218 is in use"):
        convert(source)


def test_nnunet_does_not_see_an_unfinished_dataset(raw, source, monkeypatch):
    from nnunetv2.utilities.dataset_name_id_conversion import find_candidate_datasets

    interrupted(source, monkeypatch, 2)
    assert list(find_candidate_datasets(218)) == []
    convert(source)
    assert list(find_candidate_datasets(218)) == ["Dataset218_AMOS22"]


def test_a_source_file_replaced_in_between_is_looked_at_again(raw, source, monkeypatch):
    interrupted(source, monkeypatch, 3)
    save(source / "imagesTr" / "amos_0001.nii.gz", ct(77), sform_only=False)
    os.utime(source / "imagesTr" / "amos_0001.nii.gz", ns=(1, 1))
    with monkeypatch.context() as patch:
        converted = interrupt_after(patch, 99)
        folder = convert(source)
    assert "amos_0001" in converted
    assert os.path.samefile(source / "imagesTr" / "amos_0001.nii.gz", folder / "imagesTr" / "amos_0001_0000.nii.gz")


def test_going_on_with_other_settings_is_refused_with_both_values(raw, source, monkeypatch):
    interrupted(source, monkeypatch, 1)
    with pytest.raises(HyperSORTError, match=r"classes: \['liver'\] then, \['spleen'\] now"):
        convert(source, classes=["spleen"])
    folder = convert(source, classes=["spleen"], overwrite=True)
    assert "spleen" in json.loads((folder / "dataset.json").read_text())["labels"]


def test_full_disk_is_one_sentence_and_finished_cases_stay(raw, source, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device", "amos_0003.nii.gz")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2, error=full)
        with pytest.raises(HyperSORTError, match=r"No space left.*run the same command again"):
            convert(source)
    assert len(list((raw / ".converting-Dataset218_AMOS22" / "labelsTr").iterdir())) == 2
    assert convert(source).is_dir()


def test_need_of_disk_space_is_checked_before_anything_is_written(raw, source, monkeypatch):
    usage = shutil.disk_usage(raw)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(HyperSORTError, match=r"needs about .* only 100 bytes free; .*without --copy"):
        convert(source, copy=True)
    assert list(raw.iterdir()) == []


def test_killed_process_leaves_nothing_that_looks_finished(raw, source):
    """The real thing: SIGKILL in the middle, then the same command again."""
    script = (
        "import os, signal, sys\n"
        "from nnunetv2_hypersort.cli.main import main\n"
        "from nnunetv2_hypersort.conversion import converting, pipeline\n"
        "original, left = converting.write_volume, [2]\n"
        "def write(path, header, values):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0:\n"
        "        (path.parent / f'.tmp-1-{path.name}').write_bytes(b'part')\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    original(path, header, values)\n"
        "converting.write_volume = write\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = ["convert", "amos22", str(source), "-d", "218", "--classes", "liver", "-np", "1"]
    killed = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, check=False)
    assert killed.returncode == -9
    assert not list(raw.glob("Dataset*"))
    finished = subprocess.run([sys.executable, "-m", "nnunetv2_hypersort.cli.main", *command], check=False)
    assert finished.returncode == 0
    folder = raw / "Dataset218_AMOS22"
    assert sorted(path.name for path in (folder / "labelsTr").iterdir()) == [
        f"amos_{number:04d}.nii.gz" for number in (1, 2, 3, 4, 5, 8)
    ]


def test_missing_variable_is_explained(source, monkeypatch):
    for name in dataset_ids.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(HyperSORTError, match=r"nnUNet_raw is not set.*export"):
        convert(source)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset_id": 0}, "1 to 999"),
        ({"dataset_id": 1000}, "1 to 999"),
        ({"name": "../escape"}, "letters, digits"),
        ({"spacing": (0.0, 1.0, 1.0)}, "between 0.1 and 100"),
        ({"processes": 0}, "at least one"),
        ({"check": "none"}, "neither"),
    ],
)
def test_settings_out_of_range(raw, source, settings, message):
    with pytest.raises(HyperSORTError, match=message):
        convert(source, **settings)


def test_spacing_is_one_number_or_three():
    assert read_spacing([3]) == (3.0, 3.0, 3.0)
    assert read_spacing([1, 2, 3]) == (1.0, 2.0, 3.0)
    assert read_spacing(None) is None
    with pytest.raises(HyperSORTError, match="one number or three"):
        read_spacing([1, 2])


def test_help_does_not_wait_for_heavy_libraries():
    script = (
        "import sys\n"
        "from nnunetv2_hypersort.cli.main import main\n"
        "try:\n"
        "    main(['convert', 'amos22', '--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print(sorted({'numpy', 'nibabel', 'torch', 'SimpleITK'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "--skip-bad" in run.stdout
    assert run.stdout.splitlines()[-1] == "[]"
