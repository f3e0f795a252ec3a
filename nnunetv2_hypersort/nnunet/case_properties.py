"""nnU-Net's account of a preprocessed case, a pickle, read without running what a pickle asks for."""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.nnunet.nesting import refuse_nested
from nnunetv2_hypersort.nnunet.pickled_numbers import ARRAYS, SCALARS, Allowed, latin1

_UNFOLDS_TO = 64
"""How many values each byte of the file may be; a text that is used again takes two bytes."""

_KNOWN: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): latin1,
    ("builtins", "bytes"): lambda: b"",  # protocols up to 2 spell only empty ones so
    ("collections", "OrderedDict"): OrderedDict,
    # Those that take a number and make so many values of it (range, bytearray) are not among them.
    **{("builtins", kind.__name__): kind for kind in (set, frozenset, complex, slice)},
    **SCALARS,
    **ARRAYS,
}


class _Properties(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # Python 2's name, by which protocols up to 2 spell it.
        known = _KNOWN.get(("builtins" if module == "__builtin__" else module, name))
        if known is None:
            raise pickle.UnpicklingError(f"it asks for {module[:100]}.{name[:100]}, as no case of nnU-Net does")
        return Allowed(known) if callable(known) else known

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it asks for something that is not in the file")


def read_properties(path: Path) -> dict[str, Any]:
    """Read the properties of a preprocessed case: containers, texts, numbers and NumPy's arrays of numbers.

    Args:
        path: nnU-Net's `CASE.pkl`.

    Returns:
        What nnU-Net wrote.

    Raises:
        HyperSORTError: It is nested or unfolds as no file of nnU-Net does.
        OSError: It cannot be read.
        ValueError: It holds anything else, or is damaged.
    """
    try:
        with path.open("rb") as file:
            content = _Properties(file).load()
    except OSError:
        raise
    except Exception as error:  # unpickling a damaged file can raise anything
        raise ValueError(f"{path.name}: {str(error)[:200]}; nothing in it was run") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no properties of a case")
    refuse_nested(content, source=path, most=_UNFOLDS_TO * path.stat().st_size + 1000)
    plain: dict[str, Any] = _plain(content)
    return plain


def _plain(content: Any) -> Any:
    if isinstance(content, np.ndarray):
        return content.view(np.ndarray)
    if isinstance(content, Mapping):
        return {key: _plain(value) for key, value in content.items()}
    return type(content)(map(_plain, content)) if isinstance(content, list | tuple) else content
