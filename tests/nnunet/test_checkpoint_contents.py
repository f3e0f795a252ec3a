"""Checkpoints are compared with what the file holds before PyTorch is asked for anything."""

import collections
import zipfile
from pathlib import Path

import pytest
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint


def text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little", signed=True)


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(
    shape: tuple[int, ...], strides: tuple[int, ...], *, offset: int = 0, count: int = 24, kind: str = "FloatStorage"
) -> bytes:
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage("0", count, kind)
        + number(offset)
        + numbers(shape)
        + numbers(strides)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def write(path: Path, value: bytes, parts: dict[str, bytes] | None = None, **header) -> Path:
    """A checkpoint with `value`, pickled, as what nnU-Net calls network_weights.x; 24 floats are in the file."""
    pickled = (
        b"\x80\x02}("
        + text("network_weights")
        + b"}"
        + text("x")
        + value
        + b"s"
        + text("init_args")
        + b"}"
        + text("trainer_name")
        + text("T")
        + text("current_epoch")
        + b"K\x01u."
    )
    content = {"data.pkl": pickled, "byteorder": b"little", "data/0": bytes(96), "version": b"3\n", **(parts or {})}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in content.items():
            archive.writestr(name if "/" in name and not name.startswith("data") else f"archive/{name}", part)
        archive.comment = header.get("comment", b"")
    return path


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((24,), (1,), 0),
        ((2, 3, 4), (12, 4, 1), 0),
        ((4, 3, 2), (1, 4, 12), 0),
        ((2, 4, 3), (12, 1, 4), 0),
        ((3, 4), (4, 1), 12),
        ((3, 4), (8, 2), 0),
        ((1, 24, 1), (0, 1, 7), 0),
        ((), (), 23),
        ((0, 5), (5, 1), 0),
    ],
)
def test_tensors_within_their_numbers_are_read(tmp_path, shape, strides, offset):
    path = write(
        tmp_path / "x.pth", tensor(shape, strides, offset=offset), {"data/0": torch.arange(24.0).numpy().tobytes()}
    )
    read = read_checkpoint(path)["network_weights"]["x"]
    assert torch.equal(read, torch.arange(24.0).as_strided(shape, strides, offset))


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((2**31 - 1,), (0,), 0),
        ((24, 2), (1, 0), 0),
        ((20, 5), (1, 1), 0),
        ((4, 4), (5, 3), 0),
        ((25,), (1,), 0),
        ((24,), (1,), 1),
        ((2, 3, 4), (13, 4, 1), 0),
        ((3,), (-1,), 2),
        ((-3,), (1,), 0),
        ((3,), (1,), -1),
        ((3, 3), (1,), 0),
    ],
)
def test_tensors_beyond_their_numbers_are_refused(tmp_path, shape, strides, offset):
    path = write(tmp_path / "x.pth", tensor(shape, strides, offset=offset))
    with pytest.raises(HyperSORTError, match=r"x\.pth is not a readable nnU-Net checkpoint \(ValueError: a tensor"):
        read_checkpoint(path)


def test_an_expanded_tensor_as_pytorch_saves_it_is_refused(tmp_path):
    content = {"network_weights": {}, "init_args": {}, "trainer_name": "T", "current_epoch": 1}
    huge = torch.zeros(1).expand(5_000_000_000)
    for place in ({"network_weights": {"w": huge}}, {"optimizer_state": {"state": {0: {"m": huge}}}}):
        torch.save({**content, **place}, tmp_path / "x.pth")
        assert (tmp_path / "x.pth").stat().st_size < 10_000
        with pytest.raises(HyperSORTError, match="asks for more than the 1 numbers that are in the file"):
            read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("count", "kind"), [(25, "FloatStorage"), (23, "FloatStorage"), (24, "DoubleStorage"), (2**31 - 1, "ByteStorage")]
)
def test_a_storage_of_another_size_than_its_part_is_refused(tmp_path, count, kind):
    path = write(tmp_path / "x.pth", tensor((2,), (1,), count=count, kind=kind))
    with pytest.raises(HyperSORTError, match=r"bytes for the part data/0 of 96"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "asked",
    [
        "torch._utils _rebuild_sparse_tensor",
        "torch._utils _rebuild_meta_tensor_no_storage",
        "torch._utils _rebuild_wrapper_subclass",
        "torch._tensor _rebuild_from_type_v2",
        "torch Tensor",
        "builtins bytearray",
        "__builtin__ eval",
        "os system",
    ],
)
def test_what_no_checkpoint_asks_for_is_refused_by_name(tmp_path, asked):
    path = write(tmp_path / "x.pth", f"c{asked.replace(' ', chr(10))}\n".encode())
    with pytest.raises(HyperSORTError, match=r"it asks for [\w.]+, as no checkpoint of nnU-Net does, and nothing"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "parts",
    [{"DATA.pkl": b"x"}, {"other/data.pkl": b"x"}, {"Data/0": bytes(4)}],
)
def test_a_part_that_another_reader_would_take_is_refused(tmp_path, parts):
    path = write(tmp_path / "x.pth", tensor((24,), (1,)), parts)
    with pytest.raises(HyperSORTError, match="it holds a part twice, or parts of several checkpoints"):
        read_checkpoint(path)


def test_something_around_the_archive_is_refused(tmp_path):
    path = write(tmp_path / "x.pth", tensor((24,), (1,)))
    read_checkpoint(path)
    (tmp_path / "y.pth").write_bytes(bytes(64) + path.read_bytes())
    for other in (tmp_path / "y.pth", write(tmp_path / "z.pth", tensor((24,), (1,)), comment=b"x")):
        with pytest.raises(HyperSORTError, match="something stands before or behind what PyTorch wrote"):
            read_checkpoint(other)


def test_content_that_unfolds_or_holds_itself_is_refused(tmp_path):
    laughs: list = ["ha"]
    for _ in range(30):
        laughs = [laughs, laughs]
    circle: dict = {}
    circle["x"] = circle
    content = {"network_weights": {}, "trainer_name": "T", "current_epoch": 1}
    for plans, said in ((laughs, "unfolds to more"), (circle, "nested deeper")):
        torch.save({**content, "init_args": {"plans": plans}}, tmp_path / "x.pth")
        with pytest.raises(HyperSORTError, match=said):
            read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("place", "change", "said"),
    [
        ("init_args", {"configuration": "../x"}, "configuration in .* is '../x', which is not one plain name"),
        ("init_args", {"configuration": ["2d"]}, "configuration in .* is a list"),
        ("init_args", {"plans": {"dataset_name": "/x"}}, "dataset_name in .* is '/x'"),
        ("init_args", {"plans": {"configurations": {"2d": {"data_identifier": "a/b"}}}}, "2d.data_identifier in"),
        ("init_args", {"dataset_json": {"file_ending": "/../x"}}, "file_ending in .* is no ending"),
        ("trainer_name", "../x", "trainer_name in .* is no name of a class"),
        ("trainer_name", "os.system", "trainer_name in .* is no name of a class"),
    ],
)
def test_names_in_a_checkpoint_are_names(tmp_path, place, change, said):
    content = {"network_weights": {}, "init_args": {}, "trainer_name": "T", "current_epoch": 1, place: change}
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(HyperSORTError, match=said):
        read_checkpoint(tmp_path / "x.pth")


def test_whatever_else_nnunet_saves_is_read(tmp_path):
    weights = collections.OrderedDict(w=torch.nn.Parameter(torch.ones(2)), h=torch.ones(2).half(), b=torch.tensor(True))
    weights._metadata = {"": {"version": 1}}
    shared = torch.arange(6.0).reshape(2, 3)
    content = {
        "network_weights": weights,
        "optimizer_state": {
            "state": {0: {"m": shared, "t": shared.t(), "n": shared[1:]}},
            "param_groups": [{"lr": 0.1}],
        },
        "grad_scaler_state": {"scale": 65536.0, "growth_factor": 2.0},
        "init_args": {"device": torch.device("cuda", 0), "fold": 0, "size": torch.Size([1, 2]), "kind": torch.float32},
        "others": {
            "b": b"bytes",
            "i": 2**70,
            "t": (None, True, 1.5),
            "c": torch.ones(1, 2, 3, 4).to(memory_format=torch.channels_last),
        },
        "trainer_name": "T",
        "current_epoch": 1,
    }
    torch.save(content, tmp_path / "x.pth")
    read = read_checkpoint(tmp_path / "x.pth")
    assert read["init_args"] == content["init_args"]
    assert read["network_weights"]._metadata == weights._metadata
    assert torch.equal(read["optimizer_state"]["state"][0]["t"], shared.t())
    assert read["others"]["b"] == b"bytes"
    assert read["others"]["i"] == 2**70
