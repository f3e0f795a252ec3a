"""Typed, validated dataclasses out of YAML mappings, with a hint where a key is misspelt."""

from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, field, fields
from difflib import get_close_matches
from typing import Any, TypeVar

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.geometry import ENDS
from nnunetv2_hypersort.images.labels import LabelName
from nnunetv2_hypersort.images.orientation import AXES

T = TypeVar("T")
Parser = Callable[[Any], Any]


class InvalidSettingError(ValueError):
    """A value that its field does not accept; the text completes 'must be ...'."""


def setting(parse: Parser, **kwargs: Any) -> Any:
    """Declare a dataclass field that is read from YAML with `parse`."""
    return field(metadata={"parse": parse}, **kwargs)


def parse_dataclass(kind: type[T], content: Any, where: str) -> T:
    """Build a dataclass whose fields are declared with `setting` from a YAML mapping.

    Args:
        kind: The dataclass.
        content: What stands in the YAML file; None is an empty mapping.
        where: Place in the file, for error messages.

    Raises:
        HyperSORTError: A key is unknown or missing, or a value is not accepted.
    """
    known: dict[str, Field[Any]] = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]  # always a dataclass
    content = {} if content is None else content
    if not isinstance(content, dict):
        expected = ", ".join(known) or "no settings"
        raise HyperSORTError(f"{where} is {content!r}; it must be a mapping of settings ({expected}).")
    check_keys(content, known, where)
    values = {}
    for name, item in known.items():
        if name in content:
            try:
                values[name] = item.metadata["parse"](content[name])
            except InvalidSettingError as error:
                raise HyperSORTError(f"{where}: {name} is {content[name]!r}; it must be {error}.") from None
        elif item.default is MISSING and item.default_factory is MISSING:
            raise HyperSORTError(f"{where} lacks the setting {name!r}; add it.")
    try:
        return kind(**values)
    except InvalidSettingError as error:
        raise HyperSORTError(f"{where} must have {error}.") from None


def check_keys(found: Iterable[Any], known: Iterable[str], where: str) -> None:
    """Refuse keys that are not known, and name the closest known one."""
    known = list(known)
    for key in found:
        if key not in known:
            close = get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known) or 'none'}."
            raise HyperSORTError(f"{where} has the unknown key {key!r}; {hint}")


def number(low: float, high: float = float("inf"), *, unit: str = "") -> Parser:
    """Accept a finite number above `low` and up to `high`."""

    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low < value <= high:
            upper = "" if high == float("inf") else f" and at most {high:g}"
            raise InvalidSettingError(f"a number above {low:g}{upper}{unit and ' ' + unit}")
        if value == float("inf"):
            raise InvalidSettingError("finite")
        return float(value)

    return parse


def signed(limit: float, *, unit: str) -> Parser:
    """Accept a finite number other than zero, smaller than `limit` either way."""

    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < abs(value) < limit:
            bound = "" if limit == float("inf") else f" between -{limit:g} and {limit:g}"
            raise InvalidSettingError(f"a number of {unit} other than zero{bound}")
        return float(value)

    return parse


def one_of(choices: Iterable[str]) -> Parser:
    """Accept one of the given words."""
    choices = list(choices)

    def parse(value: Any) -> str:
        if value not in choices:
            close = get_close_matches(str(value), choices, n=1, cutoff=0.5)
            raise InvalidSettingError(
                f"one of {', '.join(choices)}" + (f" (did you mean {close[0]!r}?)" if close else "")
            )
        return str(value)

    return parse


def label_names(count: int | None = None) -> Parser:
    """Accept one label or a list of labels, by name or value; `count` fixes how many."""

    def parse(value: Any) -> tuple[LabelName, ...]:
        listed = value if isinstance(value, list) else [value]
        good = listed and all(isinstance(item, (str, int)) and not isinstance(item, bool) for item in listed)
        if not good or len(set(listed)) != len(listed) or (count is not None and len(listed) != count):
            raise InvalidSettingError(
                f"a list of {count} different label names" if count else "a label name or a list of different ones"
            )
        return tuple(listed)

    return parse


axis_name = one_of(AXES)
end_name = one_of(ENDS)
