"""The labels of a dataset: their names in dataset.json and the values they stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError

LabelName = str | int


@dataclass(frozen=True)
class LabelTable:
    """Label names and values of an nnU-Net dataset.

    Attributes:
        values: For each name the values it stands for: one, or several for a region of region-based training.
        foreground: All label values but background and the ignore label, ascending.
        ignore: Value of the ignore label, if the dataset has one.
    """

    values: Mapping[str, tuple[int, ...]]
    foreground: tuple[int, ...]
    ignore: int | None

    @classmethod
    def from_dataset_json(cls, content: Mapping[str, Any], where: str) -> "LabelTable":
        """Read the `labels` entry of a dataset.json; `where` names the file in error messages."""
        labels = content.get("labels")
        if not isinstance(labels, Mapping) or not labels:
            raise HyperSORTError(f"{where} has no 'labels'; give each label name its value, as nnU-Net v2 expects.")
        values: dict[str, tuple[int, ...]] = {}
        for name, value in labels.items():
            members = tuple(value) if isinstance(value, (list, tuple)) else (value,)
            if not all(isinstance(member, int) and member >= 0 for member in members):
                raise HyperSORTError(
                    f"{where}: label {name!r} has the value {value!r}; nnU-Net v2 expects name: integer (or a list "
                    "of integers for a region)."
                )
            values[str(name)] = members
        ignore = values["ignore"][0] if "ignore" in values else None
        foreground = sorted({member for members in values.values() for member in members} - {0, ignore})
        return cls(values, tuple(foreground), ignore)

    def select(self, names: tuple[LabelName, ...] | None) -> tuple[int, ...]:
        """Return the values of labels given by name or value, in the order given; None selects all of the foreground.

        Raises:
            HyperSORTError: A label does not exist, or is the background or the ignore label.
        """
        if names is None:
            return self.foreground
        selected: list[int] = []
        for name in names:
            members = (name,) if isinstance(name, int) else self.values.get(name, ())
            if not members or not set(members) <= set(self.foreground):
                close = get_close_matches(str(name), self.values, n=1)
                hint = f" Did you mean {close[0]!r}?" if close and close[0] != name else ""
                raise HyperSORTError(
                    f"The spec names the label {name!r}, which is not a foreground label of the dataset; "
                    f"it has {', '.join(f'{key} ({value})' for key, value in self._listed())}.{hint}"
                )
            selected += [member for member in members if member not in selected]
        return tuple(selected)

    def _listed(self) -> list[tuple[str, str]]:
        return [
            (name, ", ".join(map(str, members)))
            for name, members in self.values.items()
            if set(members) <= set(self.foreground)
        ]
