"""Checks of single settings; each returns the value in its proper type or raises with one clear sentence."""

import difflib
import reprlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError

# A YAML file of a few lines can describe a value whose whole text would fill the memory.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 60, 60


def mapping(content: object, *, where: str) -> Mapping[str, Any]:
    """Return `content` as a mapping (None as an empty one)."""
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise HyperSORTError(f"{where}: expected keys with values (`key: value`), found {_shown(content)}.")
    return content


def known_keys(given: Mapping[str, Any], known: Collection[str], *, where: str) -> None:
    """Refuse keys that are not `known`, naming the nearest one that is."""
    for key in given:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean `{nearest[0]}`?" if nearest else f"valid keys are {', '.join(known)}."
            raise HyperSORTError(f"{where}: unknown key `{key}`; {hint}")


def integer(low: int, high: int) -> dict[str, Any]:
    """Field metadata: an integer in [low, high]."""

    def check(value: object, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise HyperSORTError(f"{where}: expected an integer from {low} to {high}, found {_shown(value)}.")
        return value

    return {"check": check}


def number(low: float, high: float) -> dict[str, Any]:
    """Field metadata: a finite number in [low, high]."""

    def check(value: object, where: str) -> float:
        if isinstance(value, str):
            # YAML 1.1 reads `1e-3` (without a dot) as text.
            with suppress(ValueError):
                value = float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise HyperSORTError(f"{where}: expected a number from {low:g} to {high:g}, found {_shown(value)}.")
        if not low <= value <= high:
            raise HyperSORTError(f"{where}: {_shown(value)} is out of range; give a number from {low:g} to {high:g}.")
        return float(value)

    return {"check": check}


def axes() -> dict[str, Any]:
    """Field metadata: a list of different spatial axes, from 0 to 2; it may be empty."""

    def check(value: object, where: str) -> tuple[int, ...]:
        given = value if isinstance(value, (list, tuple)) else [None]
        if any(isinstance(axis, bool) or axis not in (0, 1, 2) for axis in given) or len(set(given)) != len(given):
            raise HyperSORTError(f"{where}: expected axes such as [0, 1, 2], found {_shown(value)}.")
        return tuple(sorted(given))

    return {"check": check}


def boolean() -> dict[str, Any]:
    """Field metadata: true or false."""

    def check(value: object, where: str) -> bool:
        if not isinstance(value, bool):
            raise HyperSORTError(f"{where}: expected true or false, found {_shown(value)}.")
        return value

    return {"check": check}


def betas() -> dict[str, Any]:
    """Field metadata: Adam's two decay rates, each in [0, 1)."""
    single = number(0, 1)["check"]

    def check(value: object, where: str) -> tuple[float, float]:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise HyperSORTError(f"{where}: expected two numbers such as [0.9, 0.999], found {_shown(value)}.")
        first, second = single(value[0], where), single(value[1], where)
        if first >= 1 or second >= 1:
            raise HyperSORTError(f"{where}: both numbers must be below 1, found {_shown(value)}.")
        return first, second

    return {"check": check}


def choice(kinds: type[Enum]) -> dict[str, Any]:
    """Field metadata: one of the values of an enumeration."""
    valid = [kind.value for kind in kinds]

    def check(value: object, where: str) -> Enum:
        if value not in valid:
            nearest = difflib.get_close_matches(_shown(value).strip("'"), valid, n=1, cutoff=0.5)
            hint = f" Did you mean {nearest[0]}?" if nearest else ""
            raise HyperSORTError(f"{where}: {_shown(value)} is not one of {', '.join(valid)}.{hint}")
        return kinds(value)

    return {"check": check}


def _shown(value: object) -> str:
    try:
        text = _SHORT.repr(value)
    except ValueError:
        return "a number of too many digits"
    return text if len(text) <= 60 else text[:57] + "..."
