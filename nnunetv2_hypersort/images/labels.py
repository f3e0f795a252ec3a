"""What dataset.json says of labels: their names and values, regions, the ignore label."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError

LabelName = str | int
LabelValues = int | tuple[int, ...]


@dataclass(frozen=True)
class Structure:
    """A label or a region of labels that is looked at as one binary mask.

    Attributes:
        name: Its name in dataset.json.
        values: The label values that belong to it; one for a label, several for a region.
        key: The key of nnU-Net's summary.json, `str()` of the label or of the tuple of labels.
    """

    name: str
    values: tuple[int, ...]
    key: str


@dataclass(frozen=True)
class LabelTable:
    """The labels of an nnU-Net data set, as nnU-Net's `LabelManager` understands them.

    Attributes:
        entries: For each name in dataset.json its value, or the values of a region; background and ignore included.
    """

    entries: Mapping[str, LabelValues]

    @classmethod
    def from_dataset_json(cls, content: Any, where: str) -> "LabelTable":
        """Read the labels of a dataset.json.

        Args:
            content: What the file holds.
            where: The file, for error messages.

        Raises:
            HyperSORTError: It does not describe labels as nnU-Net v2 does.
        """
        labels = content.get("labels") if isinstance(content, Mapping) else None
        if not isinstance(labels, Mapping):
            raise HyperSORTError(f'{where} has no "labels"; give the dataset.json of an nnU-Net v2 data set.')
        table = cls({str(name): _parse(str(name), value, where) for name, value in labels.items()})
        if table.entries.get("background") != 0:
            raise HyperSORTError(f'{where}: "labels" must hold "background": 0, as nnU-Net v2 requires.')
        if isinstance(table.entries.get("ignore"), tuple):
            raise HyperSORTError(f'{where}: the label "ignore" must be one number, not a list.')
        if table.ignore_label == 0 or table.ignore_label in table.foreground:
            raise HyperSORTError(
                f'{where}: the label "ignore" ({table.ignore_label}) is also the value of another label.'
            )
        if not table.structures:
            raise HyperSORTError(f'{where}: "labels" holds no foreground label; add at least one.')
        return table

    @cached_property
    def ignore_label(self) -> int | None:
        """Voxels with this value count nowhere; None if there is no such label."""
        ignore = self.entries.get("ignore")
        return ignore if isinstance(ignore, int) else None

    @cached_property
    def targets(self) -> dict[str, LabelValues]:
        """By name the value of each label, or the values of each region, without background and ignore."""
        return {name: value for name, value in self.entries.items() if name not in ("background", "ignore")}

    @cached_property
    def foreground(self) -> tuple[int, ...]:
        """All values but background and ignore, ascending."""
        return tuple(sorted({member for value in self.targets.values() for member in as_tuple(value)} - {0}))

    @cached_property
    def values(self) -> frozenset[int]:
        """Every value that a label map may hold, with background (0) and the ignore label."""
        return frozenset({0, *self.foreground, *(() if self.ignore_label is None else (self.ignore_label,))})

    @cached_property
    def structures(self) -> tuple[Structure, ...]:
        """The foreground labels, or the regions if the data set is region-based, in nnU-Net's order.

        As soon as one entry lists several values, every entry is a region; otherwise the foreground is every value but
        0 and that of `ignore`.
        """
        foreground = {name: value for name, value in self.targets.items() if set(as_tuple(value)) != {0}}
        if any(isinstance(value, tuple) and len(value) > 1 for value in foreground.values()):
            return tuple(Structure(name, as_tuple(value), str(value)) for name, value in foreground.items())
        by_value = {as_tuple(value)[0]: name for name, value in reversed(foreground.items())}
        return tuple(Structure(by_value[value], (value,), str(value)) for value in sorted(by_value))

    @cached_property
    def names(self) -> list[str]:
        """The names of the structures, in order."""
        return [structure.name for structure in self.structures]

    def select(self, names: tuple[LabelName, ...] | None) -> tuple[int, ...]:
        """Return the values of labels given by name or value, in the order given; None selects all of the foreground.

        Raises:
            HyperSORTError: A label does not exist, or is the background or the ignore label.
        """
        if names is None:
            return self.foreground
        selected: list[int] = []
        for name in names:
            members = (name,) if isinstance(name, int) else as_tuple(self.entries.get(name, ()))
            if not members or not set(members) <= set(self.foreground):
                close = get_close_matches(str(name), self.entries, n=1)
                hint = f" Did you mean {close[0]!r}?" if close and close[0] != name else ""
                raise HyperSORTError(
                    f"The spec names the label {name!r}, which is not a foreground label of the dataset; "
                    f"it has {', '.join(f'{key} ({value})' for key, value in self._listed())}.{hint}"
                )
            selected += [member for member in members if member not in selected]
        return tuple(selected)

    def _listed(self) -> Iterator[tuple[str, str]]:
        for name, value in self.targets.items():
            if set(as_tuple(value)) <= set(self.foreground):
                yield name, ", ".join(map(str, as_tuple(value)))


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


def as_tuple(value: LabelValues) -> tuple[int, ...]:
    """The values of a label or region as a tuple."""
    return value if isinstance(value, tuple) else (value,)


def _parse(name: str, value: Any, where: str) -> LabelValues:
    try:
        parsed = tuple(_whole(v) for v in value) if isinstance(value, list | tuple) else _whole(value)
    except (TypeError, ValueError, OverflowError):
        if name.isdigit() and isinstance(value, str):
            raise HyperSORTError(
                f'{where}: "labels" maps numbers to names ("{name}": "{value}"), the style of the Decathlon and of '
                f'nnU-Net v1; nnU-Net v2 wants names to numbers ("{value}": {name}).'
            ) from None
        raise HyperSORTError(
            f'{where}: the label "{name}" must be a whole number or a list of them, not {value!r}.'
        ) from None
    if parsed == () or min(as_tuple(parsed)) < 0:
        raise HyperSORTError(f'{where}: the label "{name}" must be 0 or greater and not an empty list, not {value!r}.')
    unheld = [member for member in as_tuple(parsed) if not _float32_holds(member)]
    if unheld:
        raise HyperSORTError(
            f'{where}: the label "{name}" has the value {unheld[0]}, which nnU-Net cannot tell from its neighbours '
            f"(it reads label maps as 32-bit floating point, exact up to {2**24}); take a smaller one."
        )
    return parsed


def _whole(value: Any) -> int:
    # nnU-Net's own int() would make 1.7 and true the label 1.
    if isinstance(value, bool) or int(value) != (value if not isinstance(value, str) else int(value)):
        raise ValueError(value)
    return int(value)


def _float32_holds(value: int) -> bool:
    # A 32-bit floating-point number has 24 binary digits; label maps are then of 64-bit integers.
    return value < 2**62 and value.bit_length() - (value & -value).bit_length() < 24
