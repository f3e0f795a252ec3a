"""What dataset.json says about labels: which structures are evaluated, which values may occur, what is ignored."""

import json
import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.names import check_file_ending


@dataclass(frozen=True)
class Structure:
    """A label or a region of labels that is evaluated as one binary mask.

    Attributes:
        name: Its name in dataset.json.
        values: The label values that belong to it; one for a label, several for a region.
        key: The key of nnU-Net's summary.json, `str()` of the label or of the tuple of labels.
    """

    name: str
    values: tuple[int, ...]
    key: str


@dataclass(frozen=True)
class LabelScheme:
    """The labels of an nnU-Net data set.

    Attributes:
        structures: The foreground labels, or the regions if the data set is region-based, in nnU-Net's order.
        values: Every value that a label map may hold, with background (0) and the ignore label.
        ignore_label: Voxels with this value in the reference are left out of every metric; None if there is none.
        file_ending: The ending of the label files, such as ".nii.gz".
    """

    structures: tuple[Structure, ...]
    values: frozenset[int]
    ignore_label: int | None
    file_ending: str

    @property
    def names(self) -> list[str]:
        """The names of the structures, in order."""
        return [structure.name for structure in self.structures]


def read_label_scheme(dataset_json: str | os.PathLike[str]) -> LabelScheme:
    """Read the labels of an nnU-Net v2 `dataset.json`.

    Labels and regions follow nnU-Net's `LabelManager`: as soon as one entry of `labels` lists several values, every
    entry is a region; otherwise the foreground is every value but 0 and that of `ignore`.

    Args:
        dataset_json: The file.

    Returns:
        The label scheme.

    Raises:
        HyperSORTError: The file is missing, is no JSON, or does not describe labels as nnU-Net v2 does.
    """
    path = Path(dataset_json)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HyperSORTError(f"{path} does not exist; give the dataset.json of the data set with -djfile.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise HyperSORTError(
            f"{path} cannot be read as JSON ({error}); give the dataset.json of the data set."
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("labels"), dict):
        raise HyperSORTError(f'{path} has no "labels"; give the dataset.json of an nnU-Net v2 data set.')
    ending = content.get("file_ending")
    if not isinstance(ending, str) or not ending.startswith("."):
        raise HyperSORTError(f'{path} needs "file_ending" with the ending of the label files, for example ".nii.gz".')
    check_file_ending(content, source=path)
    return _build_scheme(content["labels"], ending, path)


def find_structure(name: str, names: list[str], *, where: str) -> int:
    """Return the index of `name` in `names`.

    Raises:
        HyperSORTError: There is no such name; the message says `where` it stood and names the nearest valid one.
    """
    if name in names:
        return names.index(name)
    near = get_close_matches(name, names, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"the names are {', '.join(names)}."
    raise HyperSORTError(f'{where}: dataset.json has no label or region named "{name}"; {hint}')


def _build_scheme(labels: dict[str, Any], ending: str, path: Path) -> LabelScheme:
    values = {name: _parse_values(name, value, path) for name, value in labels.items()}
    if values.get("background") != 0:
        raise HyperSORTError(f'{path}: "labels" must hold "background": 0, as nnU-Net v2 requires.')
    ignore = values.pop("ignore", None)
    if isinstance(ignore, tuple):
        raise HyperSORTError(f'{path}: the label "ignore" must be one number, not a list.')
    allowed = {0} | {v for value in values.values() for v in (value if isinstance(value, tuple) else (value,))}
    if ignore is not None:
        if ignore in allowed:
            raise HyperSORTError(f'{path}: the label "ignore" ({ignore}) is also the value of another label.')
        allowed.add(ignore)
    foreground = {name: value for name, value in values.items() if value != 0 and set(_as_tuple(value)) != {0}}
    if not foreground:
        raise HyperSORTError(f'{path}: "labels" holds no foreground label, so there is nothing to evaluate.')
    if any(isinstance(value, tuple) and len(value) > 1 for value in foreground.values()):
        structures = [Structure(name, _as_tuple(value), str(value)) for name, value in foreground.items()]
    else:
        by_value = {_as_tuple(value)[0]: name for name, value in reversed(foreground.items())}
        structures = [Structure(by_value[value], (value,), str(value)) for value in sorted(by_value)]
    return LabelScheme(tuple(structures), frozenset(allowed), ignore, ending)


def _parse_values(name: str, value: Any, path: Path) -> int | tuple[int, ...]:
    try:
        parsed = tuple(int(v) for v in value) if isinstance(value, list) else int(value)
    except (TypeError, ValueError):
        if name.isdigit():
            raise HyperSORTError(
                f'{path}: "labels" maps numbers to names ("{name}": "{value}"), the style of the Decathlon and of '
                f'nnU-Net v1; nnU-Net v2 wants names to numbers ("{value}": {name}).'
            ) from None
        raise HyperSORTError(
            f'{path}: the label "{name}" must be a whole number or a list of them, not {value!r}.'
        ) from None
    if parsed == () or min(_as_tuple(parsed)) < 0:
        raise HyperSORTError(f'{path}: the label "{name}" must be 0 or greater and not an empty list, not {value!r}.')
    return parsed


def _as_tuple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)
