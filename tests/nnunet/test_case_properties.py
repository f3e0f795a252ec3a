"""A case's properties hold containers and numbers; whatever else a pickle asks for is not run."""

import collections
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.case_properties import read_properties


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self._call = (function, arguments)

    def __reduce__(self):
        return self._call


def properties() -> dict:
    """As nnU-Net's readers and preprocessor write them."""
    return {
        "sitk_stuff": {"spacing": (1.0, 0.7), "direction": (1.0, 0.0)},
        "nibabel_stuff": {"original_affine": np.eye(4), "reoriented_affine": np.asfortranarray(np.eye(4) * 2)},
        "spacing": [np.float64(1.5), 0.7, np.float32(0.7)],
        "shape_before_cropping": (35, 51, 37),
        "bbox_used_for_cropping": [[0, 35], [np.int64(0), 51], slice(0, 3)],
        "class_locations": {1: np.arange(12).reshape(3, 4)[::2], (1, 2): [], 3: np.zeros((0, 4), np.int64)},
        "others": [
            None,
            True,
            2**70,
            b"x",
            "é",
            {1},
            frozenset((2,)),
            1j,
            collections.OrderedDict(a=1),
            np.bool_(True),
        ],
        "kinds": [np.arange(3).astype(kind) for kind in ("?", "i1", "u2", ">f4", "<f2", "c8", "<i8")],
    }


def same(here, there) -> bool:
    if isinstance(there, dict):
        return here.keys() == there.keys() and all(same(here[key], there[key]) for key in there)
    if isinstance(there, list | tuple):
        return type(here) is type(there) and len(here) == len(there) and all(map(same, here, there))
    if isinstance(there, np.ndarray):
        return type(here) is np.ndarray and here.dtype == there.dtype and np.array_equal(here, there)
    return type(here) is type(there) and here == there


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("core", [b"numpy.core.", b"numpy._core."])
def test_what_nnunet_writes_is_read(tmp_path, protocol, core):
    content = pickle.dumps(properties(), protocol)
    if protocol < 4:
        # Later protocols state the lengths of names.
        content = content.replace(b"numpy._core.", core).replace(b"numpy.core.", core)
    (tmp_path / "x.pkl").write_bytes(content)
    read = read_properties(tmp_path / "x.pkl")
    assert same(read, pickle.loads(content))
    assert all(type(value) is np.ndarray for value in read["kinds"])


def test_properties_of_real_cases_are_read(preprocessed):
    files = sorted((preprocessed / "nnUNet_preprocessed").glob("*/*/*.pkl"))
    assert len(files) == 10
    for file in files:
        with file.open("rb") as opened:
            assert same(read_properties(file), pickle.load(opened))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "craft",
    [
        lambda mark: Call(os.mkdir, mark),
        lambda mark: Call(os.system, f"mkdir {mark}"),
        lambda mark: Call(subprocess.call, ["mkdir", mark]),
        lambda mark: Call(eval, f"__import__('os').mkdir({mark!r})"),
        lambda mark: np.array([Call(os.mkdir, mark)], object),
        lambda mark: {"x": [(Call(os.mkdir, mark),)]},
        lambda mark: Call(torch.load, mark),
        lambda mark: Call(np.load, mark, None, True),
        lambda mark: Path(mark),
        lambda mark: Call(bytearray, 10**15),
        lambda mark: Call(range, 10**15),
        lambda mark: Call(np.zeros, 10**15),
    ],
)
def test_a_crafted_pickle_runs_nothing(tmp_path, craft, protocol):
    mark = tmp_path / "mark"
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"spacing": craft(str(mark))}, protocol))
    with pytest.raises(ValueError, match=r"x\.pkl: .*; nothing in it was run"):
        read_properties(tmp_path / "x.pkl")
    assert not mark.exists()


def by_hand(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


KIND = named("numpy", "dtype") + b"(\x8c\x02%s\x89\x88tR"
STATE = b"(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


@pytest.mark.parametrize(
    "body",
    [
        # Objects made of eight bytes, which NumPy would take for an address; with the flags that say so taken away.
        named("numpy._core.multiarray", "scalar") + b"(" + KIND % b"O8" + STATE + b"C\x08AAAAAAAAtR",
        named("numpy.core.multiarray", "scalar") + b"(" + KIND % b"V8" + b"C\x08AAAAAAAAtR",
        named("numpy._core.numeric", "_frombuffer") + b"(C\x08AAAAAAAA" + KIND % b"O8" + b"K\x01\x85\x8c\x01CtR",
        # More, or less, than is there.
        named("numpy._core.numeric", "_frombuffer")
        + b"(C\x08AAAAAAAA"
        + KIND % b"f8"
        + b"J\xff\xff\xff\x7f\x85\x8c\x01CtR",
        named("numpy._core.numeric", "_frombuffer")
        + b"(C\x08AAAAAAAA"
        + KIND % b"f8"
        + b"J\xff\xff\xff\xff\x85\x8c\x01CtR",
        named("numpy._core.multiarray", "scalar") + b"(" + KIND % b"f8" + b"C\x04AAAAtR",
        # The state of what a pickle names, instead of what it made.
        named("numpy", "dtype") + b"}\x8c\x01x\x8c\x01ysb",
        named("numpy._core.multiarray", "scalar") + b"N}\x8c\x0c__defaults__)s\x86b",
        named("collections", "OrderedDict") + b"N}\x8c\x05clearNs\x86b",
        named("numpy", "ndarray") + b")\x81",
        # Another codec.
        named("_codecs", "encode") + b"(\x8c\x01x\x8c\x04zliptR",
        # What is in no file.
        b"\x8c\x01xQ",
        b"\x97",
        b"\x82\x01",
    ],
)
def test_a_pickle_made_by_hand_is_refused(tmp_path, body):
    (tmp_path / "x.pkl").write_bytes(by_hand(b"}\x8c\x01x" + body + b"s"))
    with pytest.raises(ValueError, match="nothing in it was run"):
        read_properties(tmp_path / "x.pkl")


def test_a_pickle_that_unfolds_is_refused(tmp_path):
    laughs: list = ["ha"]
    for _ in range(30):
        laughs = [laughs, laughs]
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"x": laughs}))
    assert (tmp_path / "x.pkl").stat().st_size < 1000
    with pytest.raises(HyperSORTError, match="unfolds to more than a file of its size holds"):
        read_properties(tmp_path / "x.pkl")


def test_what_holds_itself_or_is_nested_is_refused(tmp_path):
    circle: list = []
    circle.append(circle)
    deep: list = []
    # From the bottom up, and each level where an earlier one was met already.
    levels = [deep := [deep] for _ in range(200)]
    for content in ({"x": circle}, {"x": levels}, {"x": levels[-1:]}):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, 4))
        with pytest.raises(HyperSORTError, match="nested deeper than 40 levels"):
            read_properties(tmp_path / "x.pkl")


def test_other_content_is_refused(tmp_path):
    for content in (b"", b"x", pickle.dumps([]), pickle.dumps(properties())[:-20]):
        (tmp_path / "x.pkl").write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.pkl"):
            read_properties(tmp_path / "x.pkl")
    with pytest.raises(FileNotFoundError):
        read_properties(tmp_path / "absent.pkl")
