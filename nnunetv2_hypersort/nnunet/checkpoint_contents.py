"""What a checkpoint asks for, looked through before PyTorch reads it: names, sizes of tensors, nesting."""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from nnunetv2_hypersort.nnunet.nesting import refuse_nested
from nnunetv2_hypersort.nnunet.pickled_numbers import SCALARS, Allowed, latin1

_UNFOLDS_TO = 64
"""How many values each byte of the pickle may be; a text that is used again takes two bytes."""

_STORAGES = {
    "Double": 8,
    "Float": 4,
    "Half": 2,
    "BFloat16": 2,
    "Long": 8,
    "Int": 4,
    "Short": 2,
    "Char": 1,
    "Byte": 1,
    "Bool": 1,
    "ComplexDouble": 16,
    "ComplexFloat": 8,
}
"""Bytes of one number in each of PyTorch's kinds of storage."""


def damage_of_archive(archive: zipfile.ZipFile) -> str | None:
    """What is wrong with the archive that a checkpoint is, or None.

    PyTorch reads it with another library than we: two parts of one name, or something around the archive, could be
    one thing to us and another to PyTorch.
    """
    parts = archive.infolist()
    # PyTorch compresses nothing. What unpacks to more than its size could keep us busy for ever.
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        return "it is compressed, as PyTorch writes none"
    # PyTorch's library does not tell large letters from small ones.
    names = {part.filename.casefold() for part in parts}
    if len(names) != len(parts) or len({name.partition("/")[0] for name in names}) != 1:
        return "it holds a part twice, or parts of several checkpoints"
    if archive.comment or min(part.header_offset for part in parts) != 0:
        return "something stands before or behind what PyTorch wrote"
    part = archive.testzip()
    return None if part is None else f"its part {part} is damaged (wrong checksum)"


def refuse_strange_contents(archive: zipfile.ZipFile, *, source: object) -> None:
    """Raise if a checkpoint asks for anything that no checkpoint of nnU-Net holds, or for more than is in the file.

    Each tensor lies in its part of the file without overlapping itself: one of stride 0 would be of any size, made
    of one number.

    Args:
        archive: The checkpoint; `damage_of_archive` found nothing.
        source: The file; named in errors.

    Raises:
        HyperSORTError: It is nested or unfolds as no checkpoint does.
        pickle.UnpicklingError: It asks for a class or function; its message has `GLOBAL module.name` as PyTorch's.
        ValueError: A tensor asks for more than is in the file.
        Exception: It is damaged; unpickling can raise anything.
    """
    sizes = {part.filename.partition("/")[2]: part.file_size for part in archive.infolist()}
    (pickled,) = (part for part in archive.infolist() if part.filename.partition("/")[2] == "data.pkl")
    content = _Contents(archive.read(pickled), sizes).load()
    refuse_nested(content, source=source, most=_UNFOLDS_TO * pickled.file_size + 1000)


@dataclass(frozen=True)
class _Storage:
    numbers: int


class _Tensor:
    """Stands for a tensor that was found to be in order."""

    __slots__ = ()


class _StateDict(OrderedDict[Any, Any]):
    def __setstate__(self, state: Mapping[str, Any]) -> None:
        if set(state) - {"_metadata"}:
            raise ValueError("a dictionary with attributes")


class _Contents(pickle.Unpickler):
    def __init__(self, pickled: bytes, sizes: Mapping[str, int]) -> None:
        super().__init__(io.BytesIO(pickled))
        self._sizes = sizes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"GLOBAL {module[:100]}.{name[:100]} is no part of a checkpoint")
        known = _KNOWN[module, name]
        return Allowed(known) if callable(known) else known

    def persistent_load(self, pid: Any) -> _Storage:
        kind, of, key, _, numbers = pid
        if kind != "storage" or not isinstance(of, _StorageKind) or type(numbers) is not int:
            raise ValueError("something that is not in the file")
        if self._sizes.get(f"data/{key}") != numbers * of.bytes:
            raise ValueError(f"{numbers * of.bytes} bytes for the part data/{key} of {self._sizes.get(f'data/{key}')}")
        return _Storage(numbers)


@dataclass(frozen=True)
class _StorageKind:
    bytes: int


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or len(shape) != len(strides):
        raise ValueError("a tensor without its numbers")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"a tensor of shape {shape}, strides {strides}")
    if math.prod(shape) and not _fits(storage, offset, shape, strides):
        raise ValueError(
            f"a tensor of shape {shape} and strides {strides} asks for more than the {storage.numbers} numbers that "
            f"are in the file for it"
        )
    return _Tensor()


def _fits(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    last = 0
    for stride, size in sorted((stride, size) for stride, size in zip(strides, shape, strict=True) if size > 1):
        # Each step along an axis goes beyond all that the axes of smaller strides reach.
        if stride <= last:
            return False
        last += stride * (size - 1)
    return offset + last < storage.numbers


def _parameter(data: Any, *_: object) -> _Tensor:
    if not isinstance(data, _Tensor):
        raise ValueError("a parameter without its numbers")
    return data


def _one_value(*_: object) -> str:
    return "one value"


_KNOWN: dict[tuple[str, str], Callable[..., Any] | object] = {
    ("_codecs", "encode"): latin1,
    ("collections", "OrderedDict"): _StateDict,
    ("torch", "device"): _one_value,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    **{("torch", f"{name}Storage"): _StorageKind(size) for name, size in _STORAGES.items()},
    **{("torch", name): object() for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
    **SCALARS,
}
