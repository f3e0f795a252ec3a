"""Reads JSON that people write or edit: one clear sentence for whatever is wrong with it."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from nnunetv2_hypersort.errors import HyperSORTError


def read_json(
    path: str | os.PathLike[str], *, what: str, allow_nan: bool = False, allow_undecodable: bool = False
) -> Any:
    """Read a JSON file in UTF-8, with or without a byte order mark.

    Stricter than Python's own reader where that one is silent about a mistake: a key that stands twice in one object
    (the first value would be lost), numbers that are none (`NaN`, `Infinity`, `1e400`), halves of surrogate pairs
    (text that no file can hold).

    Args:
        path: The file.
        what: What the file has to be, for error messages, such as "the dataset.json of an nnU-Net v2 data set".
        allow_nan: Whether `NaN` and `Infinity` may stand for numbers, as in what nnU-Net writes.
        allow_undecodable: Whether text may hold halves of surrogate pairs, as names of files that are no UTF-8 do in
            what we write ourselves.

    Returns:
        The content.

    Raises:
        HyperSORTError: The file does not exist, cannot be read, or is not JSON.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        raise HyperSORTError(f"{path} does not exist; give {what}.") from None
    except OSError as error:
        raise HyperSORTError(f"{path} cannot be read ({error.strerror or error}); give {what}.") from None
    except UnicodeDecodeError as error:
        raise HyperSORTError(
            f"{path} is not UTF-8 (byte {error.start + 1}); save it as UTF-8, or give {what}."
        ) from None
    try:
        content = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=None if allow_nan else _refuse_number,
            parse_float=float if allow_nan else _finite,
        )
        if "\\u" in text and not allow_undecodable:
            json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise HyperSORTError(f"{path} holds half a surrogate pair, no text; mend it, or give {what}.") from None
    except (ValueError, RecursionError) as error:
        raise HyperSORTError(f"{path} cannot be read as JSON ({error}); mend it, or give {what}.") from None
    return content


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return content


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
