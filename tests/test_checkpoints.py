"""Checkpoints are read in full, and run nothing."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.checkpoints import only_weights_are_loaded, read_checkpoint


class _Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self._call = (function, arguments)

    def __reduce__(self):
        return self._call


def checkpoint(**more) -> dict:
    return {"network_weights": {}, "init_args": {}, "trainer_name": "T", "current_epoch": 1, **more}


def same(first, second) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    return type(first) is type(second) and first == second


def test_what_nnunet_saved_is_read_in_full(trained_model):
    path = trained_model / "fold_0" / "checkpoint_final.pth"
    unpickled = torch.load(path, map_location="cpu", weights_only=False)
    assert any(isinstance(value, np.floating) for value in unpickled["logging"]["train_losses"])
    assert same(read_checkpoint(path), unpickled)


def test_nothing_stays_allowed_afterwards(trained_model):
    before = set(torch.serialization.get_safe_globals())
    read_checkpoint(trained_model / "fold_0" / "checkpoint_final.pth")
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize(
    "number", [np.float16(0.5), np.float32(0.1), np.float64(0.1), np.int32(-3), np.int64(2**40), np.bool_(True)]
)
@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_numbers_of_either_numpy_are_read(tmp_path, number, module):
    path = tmp_path / "checkpoint.pth"
    torch.save(checkpoint(_best_ema=number, network_weights={"w": torch.arange(3.0)}), path)
    other = tmp_path / "other.pth"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("data.pkl"):
                content = content.replace(number.__reduce__()[0].__module__.encode(), module)
                assert module in content
            new.writestr(name, content)
    read = read_checkpoint(other)["_best_ema"]
    assert type(read) is type(number)
    assert read == number


@pytest.mark.parametrize("hidden_in", ["network_weights", "logging", "init_args"])
def test_a_crafted_checkpoint_runs_nothing(tmp_path, hidden_in):
    path, mark = tmp_path / "checkpoint.pth", tmp_path / "mark"
    torch.save(checkpoint(**{hidden_in: {"x": [_Call(os.mkdir, str(mark))]}}), path)
    torch.load(path, weights_only=False)
    assert mark.is_dir(), "the trap does not work, so the test proves nothing"
    mark.rmdir()
    with pytest.raises(HyperSORTError, match=r"it asks for \w+\.mkdir, as no checkpoint of nnU-Net does"):
        read_checkpoint(path)
    assert not mark.exists()


def test_numpys_rebuilding_of_objects_runs_nothing(tmp_path):
    path, mark = tmp_path / "checkpoint.pth", tmp_path / "mark"
    torch.save(checkpoint(logging=np.array([_Call(os.mkdir, str(mark))], dtype=object)), path)
    with pytest.raises(HyperSORTError, match=r"it asks for .*, and nothing in it was run"):
        read_checkpoint(path)
    assert not mark.exists()


def test_a_bare_pickle_runs_nothing(tmp_path):
    path, mark = tmp_path / "checkpoint.pth", tmp_path / "mark"
    path.write_bytes(pickle.dumps(_Call(os.mkdir, str(mark))))
    with pytest.raises(HyperSORTError, match="is not a readable nnU-Net checkpoint"):
        read_checkpoint(path)
    assert not mark.exists()


def test_other_files_are_named_for_what_they_are(tmp_path, trained_model):
    with pytest.raises(HyperSORTError, match=r"There is no checkpoint .*absent\.pth"):
        read_checkpoint(tmp_path / "absent.pth")
    whole = (trained_model / "fold_0" / "checkpoint_final.pth").read_bytes()
    for name, content in (("empty", b""), ("text", b"hello"), ("cut", whole[: len(whole) // 2])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HyperSORTError, match=f"{name} is not a readable nnU-Net checkpoint"):
            read_checkpoint(tmp_path / name)
    tensor = io.BytesIO()
    torch.save(torch.zeros(2), tensor)
    Path(tmp_path / "tensor").write_bytes(tensor.getvalue())
    with pytest.raises(HyperSORTError, match="tensor is not an nnU-Net checkpoint"):
        read_checkpoint(tmp_path / "tensor")
    incomplete = checkpoint()
    del incomplete["init_args"]
    torch.save(incomplete, tmp_path / "incomplete")
    with pytest.raises(HyperSORTError, match="it lacks init_args"):
        read_checkpoint(tmp_path / "incomplete")


def test_a_flipped_bit_is_noticed_in_every_part(trained_model, tmp_path):
    whole = (trained_model / "fold_0" / "checkpoint_final.pth").read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        parts = [entry for entry in archive.infolist() if entry.file_size]
    assert any(entry.filename.endswith("data.pkl") for entry in parts)
    path = tmp_path / "checkpoint.pth"
    for entry in parts:
        # A part begins with a header of 30 bytes, a name and a field whose lengths stand at the header's end.
        lengths = struct.unpack("<HH", whole[entry.header_offset + 26 : entry.header_offset + 30])
        flipped = bytearray(whole)
        flipped[entry.header_offset + 30 + sum(lengths) + entry.file_size // 2] ^= 4
        path.write_bytes(flipped)
        with pytest.raises(HyperSORTError, match=r"checkpoint\.pth is not a readable nnU-Net checkpoint.* is damaged"):
            read_checkpoint(path)


def test_an_archive_that_unpacks_to_more_than_its_size_is_refused(tmp_path):
    torch.save(checkpoint(), tmp_path / "checkpoint.pth")
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb:
        with zipfile.ZipFile(tmp_path / "checkpoint.pth") as archive:
            for name in archive.namelist():
                bomb.writestr(name, archive.read(name))
        bomb.writestr("checkpoint/data/9", bytes(10**7))
    with pytest.raises(HyperSORTError, match=r"bomb\.pth is not a readable nnU-Net checkpoint: it is compressed"):
        read_checkpoint(tmp_path / "bomb.pth")


@pytest.mark.parametrize("outside", [None, "1"])
def test_others_load_weights_only_as_well(tmp_path, trained_model, monkeypatch, outside):
    for name in ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"):
        monkeypatch.delenv(name, raising=False)
    if outside:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", outside)
    before = dict(os.environ)
    path, mark = tmp_path / "checkpoint.pth", tmp_path / "mark"
    torch.save(checkpoint(logging=_Call(os.mkdir, str(mark))), path)
    with only_weights_are_loaded():
        with pytest.raises(pickle.UnpicklingError):
            torch.load(path, weights_only=False)
        torch.load(trained_model / "fold_0" / "checkpoint_final.pth", weights_only=False)
    assert not mark.exists()
    assert dict(os.environ) == before
