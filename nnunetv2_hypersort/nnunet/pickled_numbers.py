"""NumPy's numbers and arrays as pickles name them, rebuilt by code of ours that believes nothing it is told.

NumPy's own functions for that take types of any kind, objects among them, whose bytes they would use as addresses.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

_CODE = re.compile(r"b1|[iu][1248]|f[248]|c(?:8|16)")


class Allowed:
    """A function that a pickle may call, and nothing else: a pickle can also set attributes of what it names."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise ValueError("the state of a function is set")


class NumberKind:
    """Stands for `numpy.dtype` in a pickle: a kind of numbers, and their byte order."""

    __slots__ = ("dtype",)

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise ValueError(f"{str(code)[:20]!r} is no kind of number")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise ValueError("a kind of number with parts")
        self.dtype = self.dtype.newbyteorder(order)


def number(kind: NumberKind, content: bytes) -> Any:
    """Stands for NumPy's `scalar`: one number."""
    return _values(kind, content, ())[0]


def array_from_buffer(content: bytes, kind: NumberKind, shape: Any, order: str) -> np.ndarray:
    """Stands for NumPy's `_frombuffer`: an array of numbers."""
    shape = _shape(shape)
    return np.reshape(_values(kind, content, shape), shape, order="F" if order == "F" else "C")


class PickledArray(np.ndarray):
    """What NumPy's `_reconstruct` returns in a pickle: an array to be, which gets its numbers as its state."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:  # type: ignore[override]  # NumPy types no subclass of it
        _, shape, kind, in_fortran_order, content = state
        shape = _shape(shape)
        values = _values(kind, content, shape)
        rebuilt: Any = (1, shape, values.dtype, bool(in_fortran_order), values.tobytes())
        super().__setstate__(rebuilt)


def array_to_be(*_: object) -> PickledArray:
    """Stands for NumPy's `_reconstruct`."""
    empty: PickledArray = PickledArray((0,), np.uint8)
    return empty


def latin1(text: str, encoding: str) -> bytes:
    """Stands for `_codecs.encode`, by which protocol 2 spells bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"text in {encoding[:20]!r}")
    return text.encode("latin-1")


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("a shape of something else than sizes")
    return shape


def _values(kind: NumberKind, content: Any, shape: tuple[int, ...]) -> np.ndarray:
    if not isinstance(kind, NumberKind) or not isinstance(content, bytes | bytearray):
        raise ValueError("numbers without their bytes")
    # Counted by Python, whose numbers do not overflow.
    if math.prod(shape) * kind.dtype.itemsize != len(content):
        raise ValueError(f"{len(content)} bytes for an array of shape {shape}")
    return np.frombuffer(bytes(content), kind.dtype)


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")

SCALARS: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): NumberKind,
    **{(module, "scalar"): number for module in _MULTIARRAY},
}
"""By module and name what numbers of NumPy, of version 1 or 2, are called in a pickle."""

ARRAYS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): object(),
    **{(module, "_reconstruct"): array_to_be for module in _MULTIARRAY},
    **{(f"numpy.{core}.numeric", "_frombuffer"): array_from_buffer for core in ("core", "_core")},
}
"""What arrays are called, in addition."""
