"""Whose id it is: nothing of another dataset is touched, and two conversions never share an id."""

import json
import os
import signal
import subprocess
import sys
from functools import partial

import pytest
from convert_builders import convert_amos, make_amos
from nnunetv2.utilities.dataset_name_id_conversion import convert_id_to_dataset_name, find_candidate_datasets

from nnunetv2_hypersort.conversion import occupants, pipeline
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet import dataset_ids
from nnunetv2_hypersort.nnunet.raw_dataset import check_dataset_name

RAW, PREPROCESSED, RESULTS = "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"
NAMES = ["Dataset100_A", "Dataset100", "Dataset100A", "Dataset1000_Other", "Dataset010_B", "Dataset101_C", "Data100_D"]


@pytest.fixture
def source(tmp_path):
    return make_amos(tmp_path / "amos22", train=(1, 4), validation=(), test=())


convert = partial(convert_amos, classes=["liver"], dataset_id=100)


def put(raw, variable, name):
    """Make a folder of a dataset with something in it, and return that file."""
    file = raw.parent / variable / name / "inside" / "precious"
    file.parent.mkdir(parents=True)
    file.write_text("months of work")
    return file


@pytest.mark.parametrize("dataset_id", [1, 10, 100, 101])
def test_ids_are_looked_up_as_nnunet_does(raw, dataset_id):
    for name in NAMES:
        (raw / name).mkdir()
    assert [path.name for path in dataset_ids.looked_up(dataset_id, raw)] == list(find_candidate_datasets(dataset_id))


def test_what_has_an_id_is_told_from_what_looks_like_it(raw):
    for name in NAMES:
        (raw / name).mkdir()
    found = occupants.occupants(100)
    assert [path.name for path in found.data] == ["Dataset100_A"]
    assert [path.name for path in found.alike] == ["Dataset100", "Dataset1000_Other", "Dataset100A"]


@pytest.mark.parametrize("variable", [RAW, PREPROCESSED, RESULTS])
@pytest.mark.parametrize("name", ["Dataset1000_Other", "Dataset100"])
@pytest.mark.parametrize("flags", [{}, {"overwrite": True}, {"overwrite_results": True}])
def test_an_id_that_nnunet_cannot_tell_from_another_is_refused(raw, source, variable, name, flags):
    file = put(raw, variable, name)
    mine = put(raw, RAW, "Dataset100_Mine")
    with pytest.raises(HyperSORTError, match=r"no more than the beginning of the name, Dataset100:") as caught:
        convert(source, **flags)
    assert str(file.parent.parent) in str(caught.value)
    assert file.read_text() == mine.read_text() == "months of work"
    with pytest.raises(RuntimeError, match="More than one dataset name"):
        convert_id_to_dataset_name(100)


@pytest.mark.parametrize("variable", [RAW, PREPROCESSED])
def test_an_id_in_use_is_refused_and_overwrite_names_what_goes(raw, source, variable, capsys):
    old = put(raw, variable, "Dataset100_Other")
    neighbours = [put(raw, where, name) for where in (RAW, PREPROCESSED) for name in ("Dataset010_A", "Dataset101_A")]
    with pytest.raises(HyperSORTError, match="100 is in use") as caught:
        convert(source)
    assert str(old.parent.parent) in str(caught.value)
    assert "--overwrite " in str(caught.value)
    assert old.is_file()
    folder = convert(source, overwrite=True)
    assert str(old.parent.parent) in capsys.readouterr().out
    assert not old.parent.parent.exists()
    assert all(file.is_file() for file in neighbours)
    assert folder.is_dir()
    assert list(old.parent.parent.parent.glob(".*")) == []


def test_trained_models_are_kept_unless_named(raw, source, capsys):
    data, model = put(raw, RAW, "Dataset100_Old"), put(raw, RESULTS, "Dataset100_Old")
    other = put(raw, RESULTS, "Dataset101_Old")
    with pytest.raises(HyperSORTError, match=r"(?s)is in use:.*add --overwrite-results .*trained models included"):
        convert(source)
    with pytest.raises(
        HyperSORTError, match=r"(?s)trained models of the dataset id 100.*--overwrite-results"
    ) as caught:
        convert(source, overwrite=True)
    assert "another id" in str(caught.value)
    assert data.is_file()
    assert model.is_file()
    convert(source, overwrite_results=True)
    assert "Dataset100_Old" in capsys.readouterr().out
    assert not model.exists()
    assert not data.exists()
    assert other.is_file()
    assert convert_id_to_dataset_name(100) == "Dataset100_AMOS22"


def test_one_folder_for_everything_counts_as_results(raw, source, monkeypatch):
    model = put(raw, RAW, "Dataset100_Old")
    for variable in (PREPROCESSED, RESULTS):
        monkeypatch.setenv(variable, str(raw))
    with pytest.raises(HyperSORTError, match="--overwrite-results"):
        convert(source, overwrite=True)
    assert model.is_file()


def test_models_trained_while_the_conversion_runs_are_kept(raw, source, monkeypatch):
    original = pipeline.convert_case
    made = []

    def convert_and_train(task):
        if not made:
            made.append(put(raw, RESULTS, "Dataset100_Old"))
        return original(task)

    put(raw, RAW, "Dataset100_Old")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "convert_case", convert_and_train)
        with pytest.raises(HyperSORTError, match="trained models"):
            convert(source, overwrite=True)
    assert made[0].is_file()
    assert (raw / "Dataset100_Old").is_dir()
    convert(source, overwrite_results=True)  # nothing was lost: it goes on
    assert not made[0].exists()


def test_a_linked_dataset_is_removed_as_a_link(raw, source, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").touch()
    (raw / "Dataset100_Old").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    convert(source, overwrite=True)
    assert (tmp_path / "elsewhere" / "precious").exists()
    assert not (raw / "Dataset100_Old").exists()


def test_leftovers_of_other_ids_are_not_cleared_away(raw, source):
    others = [
        put(raw, where, f".removing-{name}") for where in (RAW, RESULTS) for name in ("Dataset1000_A", "Dataset101_A")
    ]
    put(raw, RAW, ".removing-Dataset100_Old")
    convert(source)
    assert all(file.is_file() for file in others)
    assert not (raw / ".removing-Dataset100_Old").exists()


def interrupted(source, monkeypatch, **settings):
    def interrupt(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "convert_case", interrupt)
        with pytest.raises(KeyboardInterrupt):
            convert(source, **settings)


def test_an_unfinished_conversion_has_its_id(raw, source, monkeypatch):
    interrupted(source, monkeypatch, name="A")
    assert [path.name for path in raw.iterdir()] == [".converting-Dataset100_A"]
    with pytest.raises(HyperSORTError, match="100 is in use") as caught:
        convert(source, name="B")
    assert ".converting-Dataset100_A" in str(caught.value)
    assert "repeat the command" in str(caught.value)
    with pytest.raises(HyperSORTError, match="unfinished conversion"):
        check_dataset_name(raw / "Dataset100_Perturbed")
    assert convert(source, name="C", dataset_id=101).is_dir()
    assert convert(source, name="A").is_dir()
    assert sorted(path.name for path in raw.iterdir()) == ["Dataset100_A", "Dataset101_C"]


def test_overwrite_clears_an_unfinished_conversion_away(raw, source, monkeypatch):
    interrupted(source, monkeypatch, name="A")
    convert(source, name="B", overwrite=True)
    assert [path.name for path in raw.iterdir()] == ["Dataset100_B"]


def test_perturb_refuses_an_id_that_nnunet_cannot_tell_from_another(raw):
    check_dataset_name(raw / "Dataset100_Mine")
    (raw / "Dataset1000_Other").mkdir()
    with pytest.raises(HyperSORTError, match="Dataset1000_Other"):
        check_dataset_name(raw / "Dataset100_Mine")
    check_dataset_name(raw / "Dataset101_Mine")


@pytest.mark.parametrize("names", [("A", "B"), ("A", "A")])
@pytest.mark.parametrize("overwrite", [False, True])
def test_of_two_at_once_one_wins(raw, source, names, overwrite, monkeypatch):
    """The second starts in the midst of the first: while it writes its first label."""
    original, refusals = pipeline.convert_case, []

    def convert_and_start_another(task):
        if not refusals:
            with pytest.raises(HyperSORTError, match=r"another conversion to it is running .* right now") as caught:
                convert(source, classes=["spleen"], name=names[1], overwrite=overwrite)
            refusals.append(str(caught.value))
        return original(task)

    monkeypatch.setattr(pipeline, "convert_case", convert_and_start_another)
    folder = convert(source, name=names[0])
    assert len(refusals) == 1
    assert [path.name for path in raw.iterdir()] == [folder.name]
    assert json.loads((folder / "dataset.json").read_text())["labels"] == {"background": 0, "liver": 1}


def test_a_killed_conversion_leaves_no_lock(raw, source):
    """Another process is stopped while it holds the lock, refused, then killed; the same command then goes on."""
    script = (
        "import os, signal, sys\n"
        "from nnunetv2_hypersort.cli.main import main\n"
        "from nnunetv2_hypersort.conversion import pipeline\n"
        "original = pipeline.convert_case\n"
        "def convert(task):\n"
        "    original(task)\n"
        "    os.kill(os.getpid(), signal.SIGSTOP)\n"
        "pipeline.convert_case = convert\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [
        sys.executable,
        "-c",
        script,
        "convert",
        "amos22",
        str(source),
        "-d",
        "100",
        "--classes",
        "liver",
        "-np",
        "1",
    ]
    holder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        os.waitpid(holder.pid, os.WUNTRACED)
        with pytest.raises(HyperSORTError, match="another conversion to it is running"):
            convert(source)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    hidden = raw / ".converting-Dataset100_AMOS22"
    before = {path.name: path.stat().st_mtime_ns for path in (hidden / "labelsTr").iterdir()}
    assert len(before) == 1
    folder = convert(source)
    assert {name: (folder / "labelsTr" / name).stat().st_mtime_ns for name in before} == before
    assert [path.name for path in raw.iterdir()] == ["Dataset100_AMOS22"]


def test_overwrite_keeps_the_old_dataset_until_the_new_one_is_complete(raw, source, monkeypatch):
    convert(source, classes=["spleen"])
    interrupted(source, monkeypatch, overwrite=True)
    labels = json.loads((raw / "Dataset100_AMOS22" / "dataset.json").read_text())["labels"]
    assert labels == {"background": 0, "spleen": 1}
    folder = convert(source, overwrite=True)
    assert json.loads((folder / "dataset.json").read_text())["labels"] == {"background": 0, "liver": 1}
