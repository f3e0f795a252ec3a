"""Validated settings out of YAML mappings, with a hint where a key is misspelt."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.geometry import ENDS
from nnunetv2_hypersort.images.labels import LabelName
from nnunetv2_hypersort.images.orientation import AXES

Parser = Callable[[Any], Any]

REQUIRED = object()
"""Default of a setting that has none."""


class InvalidSettingError(ValueError):
    """A value that a setting does not accept; the text completes 'must be ...'."""


@dataclass(frozen=True)
class Setting:
    """How a setting is read from YAML, and its value where it is left out; without one it has to be given."""

    parse: Parser
    default: Any = REQUIRED


def parse_settings(declared: Mapping[str, Setting], content: Any, where: str) -> dict[str, Any]:
    """Read the settings of one step from a YAML mapping.

    Args:
        declared: By name the settings there are.
        content: What stands in the YAML file; None is an empty mapping.
        where: Place in the file, for error messages.

    Returns:
        By name the value of every setting declared, in that order.

    Raises:
        HyperSORTError: A key is unknown or missing, or a value is not accepted.
    """
    content = {} if content is None else content
    if not isinstance(content, dict):
        expected = ", ".join(declared) or "no settings"
        raise HyperSORTError(f"{where} is {content!r}; it must be a mapping of settings ({expected}).")
    check_keys(content, declared, where)
    values = {}
    for name, setting in declared.items():
        if name in content:
            try:
                values[name] = setting.parse(content[name])
            except InvalidSettingError as error:
                raise HyperSORTError(f"{where}: {name} is {content[name]!r}; it must be {error}.") from None
        elif setting.default is REQUIRED:
            raise HyperSORTError(f"{where} lacks the setting {name!r}; add it.")
        else:
            values[name] = setting.default
    return values


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


def whole_number(low: int) -> Parser:
    """Accept a whole number of at least `low`."""

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InvalidSettingError(f"a whole number of at least {low}")
        return value

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
