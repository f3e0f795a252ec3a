"""`annotated_labels` in dataset.json: which labels were looked for in which case.

    "annotated_labels": {"case_007": ["liver"], "case_012": "amos"},
    "annotated_label_sets": {"amos": ["liver", "spleen", "pancreas"]}

A case has a list of names of labels or regions, or the name of a set. A case that is not listed is fully annotated, so
every ordinary data set stays as it is. A label that is listed and has no voxel is absent; one that is not listed is
unknown, and its voxels, if there are any, are background in the label map.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.crops import find_foreign_values
from nnunetv2_hypersort.images.labels import LabelTable, LabelValues, Structure, as_tuple

KEY = "annotated_labels"
SETS_KEY = "annotated_label_sets"

_SHOWN = 5


@dataclass(frozen=True)
class AnnotatedLabels:
    """Which of a data set's labels, or regions, each case is annotated for.

    Attributes:
        table: The labels of the data set.
        listed: The cases that are annotated in part, each with the names of its structures, in the order of
            `table.structures`; every other case is fully annotated.
    """

    table: LabelTable
    listed: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_dataset_json(
        cls, content: Mapping[str, Any], where: str, *, cases: Collection[str] | None = None
    ) -> "AnnotatedLabels":
        """Read what a dataset.json says.

        Args:
            content: What the file holds; without `annotated_labels` every case is fully annotated.
            where: The file, for error messages.
            cases: All cases of the data set, so that a case that is none of them is found; None accepts any.

        Raises:
            HyperSORTError: An unknown case, label or set; an empty list; `background` or `ignore` in a list; a label
                that is listed without another one of the same values; or something that is no list of names.
        """
        table = LabelTable.from_dataset_json(content, where)
        given = _mapping(content, KEY, "case identifiers to lists of labels", where)
        sets = {
            str(name): _chosen(table, names, f'{where}: {SETS_KEY}["{_text(name)}"]')
            for name, names in _mapping(content, SETS_KEY, "names of sets to lists of labels", where).items()
        }
        listed = {}
        for case, names in given.items():
            if cases is not None and case not in cases:
                raise HyperSORTError(
                    f'{where}: {KEY} lists the case "{_text(case)}", which the data set does not have; '
                    f"{_hint(case, cases) or 'remove it, or add the case.'}"
                )
            place = f'{where}: {KEY}["{_text(case)}"]'
            chosen = _set(names, sets, table, place) if isinstance(names, str) else _chosen(table, names, place)
            if len(chosen) < len(table.structures):
                listed[str(case)] = chosen
        return cls(table, listed)

    @property
    def partly(self) -> bool:
        """Whether any case is annotated in part."""
        return bool(self.listed)

    def names_of(self, case: str) -> tuple[str, ...]:
        """The structures that a case is annotated for, in the order of `table.structures`."""
        return self.listed.get(case, self._all)

    def unknown_of(self, case: str) -> tuple[str, ...]:
        """The structures that a case is not annotated for, in the order of `table.structures`."""
        known = self.names_of(case)
        return tuple(name for name in self._all if name not in known)

    def targets_of(self, case: str) -> dict[str, LabelValues]:
        """The part of `table.targets` that a case is annotated for."""
        if case not in self.listed:
            return self.table.targets
        known = [s.values for s in self.table.structures if s.name in self.listed[case]]
        return {name: value for name, value in self.table.targets.items() if as_tuple(value) in known}

    def flags_of(self, case: str) -> tuple[bool, ...]:
        """For each of `table.structures` whether a case is annotated for it."""
        known = self.names_of(case)
        return tuple(name in known for name in self._all)

    def values_of(self, case: str) -> frozenset[int]:
        """Every value that the label map of a case may hold, background and ignore included.

        A case that is annotated for a region may use any value of it, whichever of its parts are annotated.
        """
        if case not in self.listed:
            return self.table.values
        return self._restricted(case).values

    def keep_annotated(self, case: str, label_map: NDArray[Any]) -> NDArray[Any]:
        """A label map with what the case is not annotated for as background; the same array if nothing is.

        Args:
            case: The case.
            label_map: Label values of the data set, any shape.
        """
        if case not in self.listed:
            return label_map
        foreign = sorted(self.table.values - self.values_of(case))
        result: NDArray[Any] = np.where(np.isin(label_map, foreign), label_map.dtype.type(0), label_map)
        return result

    def check_label_map(self, case: str, label_map: NDArray[np.integer[Any]], where: object) -> None:
        """Refuse a label map with a class that the case is not annotated for.

        Args:
            case: The case.
            label_map: Its label values, 2 or 3 axes, none of them below 0.
            where: The file, for the error.

        Raises:
            HyperSORTError: It holds such a class.
        """
        if case not in self.listed:
            return
        foreign = find_foreign_values(label_map, self._restricted(case))
        if foreign:
            names = [s.name for s in self.table.structures if foreign[0] in s.values]
            raise HyperSORTError(
                f"{where}: the case {_text(case)} holds the value {foreign[0]} ({', '.join(names) or 'no label'}), "
                f"which {KEY} in dataset.json does not list for it ({_some(self.listed[case])}); list the label, or "
                f"make these voxels background."
            )

    def without_training(self, training: Iterable[str], validation: Iterable[str]) -> tuple[list[str], list[str]]:
        """The structures that no training case of a split is annotated for.

        Args:
            training: Training cases of the split.
            validation: Its validation cases.

        Returns:
            Those that no case of the split is annotated for, and those that only validation cases are.
        """
        trained = {name for case in training for name in self.names_of(case)}
        validated = {name for case in validation for name in self.names_of(case)}
        missing = [name for name in self._all if name not in trained]
        return [n for n in missing if n not in validated], [n for n in missing if n in validated]

    @cached_property
    def _all(self) -> tuple[str, ...]:
        return tuple(structure.name for structure in self.table.structures)

    def _restricted(self, case: str) -> LabelTable:
        kept = {s.name: s.values for s in self.table.structures if s.name in self.listed[case]}
        ignore = self.table.ignore_label
        return LabelTable({"background": 0, **kept, **({} if ignore is None else {"ignore": ignore})})


def annotated_entries(
    table: LabelTable,
    annotated: Mapping[str, Collection[str]],
    *,
    set_names: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Any]:
    """What to write into dataset.json, with every list that several cases share defined once.

    Args:
        table: The labels of the data set.
        annotated: By case the names of its labels or regions; cases that have all of them are left out of what is
            written, and so may be left out here.
        set_names: By name a set of labels that is wanted under that name, such as that of a source; sets that need a
            name and have none here are numbered. One that no case has is not written.

    Returns:
        The entries to add to a dataset.json's content, none if every case is fully annotated.

    Raises:
        HyperSORTError: As `AnnotatedLabels.from_dataset_json`.
    """
    partly = AnnotatedLabels.from_dataset_json(
        {"labels": _content_of(table), KEY: {case: _with_twins(table, names) for case, names in annotated.items()}},
        "annotations",
    ).listed
    if not partly:
        return {}
    named = {
        _chosen(table, _with_twins(table, names), f"the set {name}"): name
        for name, names in (set_names or {}).items()
        if names
    }
    cases_of: dict[tuple[str, ...], int] = {}
    for names in partly.values():
        cases_of[names] = cases_of.get(names, 0) + 1
    sets: dict[tuple[str, ...], str] = {}
    for names, count in cases_of.items():
        if names in named:
            sets[names] = named[names]
        elif count > 1 and len(names) > 1:
            taken = {*named.values(), *sets.values()}
            sets[names] = next(name for name in (f"set_{i}" for i in range(1, len(taken) + 2)) if name not in taken)
    entries: dict[str, Any] = {
        KEY: {case: sets.get(names) or _with_twins(table, names) for case, names in sorted(partly.items())}
    }
    if sets:
        entries[SETS_KEY] = {name: _with_twins(table, names) for names, name in sets.items()}
    return entries


def entries_for(content: Mapping[str, Any], cases: Collection[str]) -> dict[str, Any]:
    """The content of a dataset.json for fewer cases: `annotated_labels` lists no others, sets stay as they are.

    Args:
        content: What the file holds.
        cases: The cases that remain.
    """
    if not isinstance(content.get(KEY), Mapping):
        return dict(content)
    return {**content, KEY: {case: names for case, names in content[KEY].items() if case in cases}}


def _mapping(content: Mapping[str, Any], key: str, what: str, where: str) -> Mapping[str, Any]:
    given = content.get(key)
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise HyperSORTError(f'{where}: "{key}" must map {what}, not be {_text(given)}.')
    return given


def _set(name: str, sets: Mapping[str, tuple[str, ...]], table: LabelTable, place: str) -> tuple[str, ...]:
    if name in sets:
        return sets[name]
    if name in table.targets:
        raise HyperSORTError(f'{place} is "{_text(name)}", a label and no set; write a list, ["{_text(name)}"].')
    raise HyperSORTError(
        f'{place} is "{_text(name)}", and "{SETS_KEY}" has no set of this name; '
        f"{_hint(name, sets) or 'define it there, or list the labels.'}"
    )


def _chosen(table: LabelTable, names: Any, place: str) -> tuple[str, ...]:
    """The structures that a list of names stands for, in the order of the table."""
    if not isinstance(names, list | tuple):
        raise HyperSORTError(f"{place} must be a list of labels or the name of a set, not {_text(names)}.")
    if not names:
        raise HyperSORTError(
            f"{place} is empty; list the labels that were looked for, or take the case out of the data set."
        )
    by_name = _structures_by_name(table)
    for name in names:
        if not isinstance(name, str):
            raise HyperSORTError(f"{place} holds {_text(name)}; give names of labels as dataset.json has them.")
        if name in ("background", "ignore"):
            raise HyperSORTError(
                f'{place} lists "{name}", which is not annotated or left out but follows from the rest; remove it.'
            )
        if name not in by_name:
            raise HyperSORTError(
                f'{place} lists "{_text(name)}", and dataset.json has no such label or region; '
                f"{_hint(name, by_name) or f'the names are {_some(list(by_name))}.'}"
            )
    _refuse_half_of_twins(table, names, place)
    chosen = {by_name[name].name for name in names}
    return tuple(structure.name for structure in table.structures if structure.name in chosen)


def _structures_by_name(table: LabelTable) -> dict[str, Structure]:
    own = {structure.name: structure for structure in table.structures}
    by_values = {structure.values: structure for structure in reversed(table.structures)}
    found = {name: own.get(name) or by_values.get(as_tuple(value)) for name, value in table.targets.items()}
    return {name: structure for name, structure in found.items() if structure is not None}


def _refuse_half_of_twins(table: LabelTable, names: Sequence[str], place: str) -> None:
    # "kidneys" drawn in one case and "left kidney" in another under the same value: a label map cannot say which.
    for name in names:
        values = set(as_tuple(table.targets[name]))
        for other, others in table.targets.items():
            if other not in names and set(as_tuple(others)) == values:
                raise HyperSORTError(
                    f'{place} lists "{_text(name)}" without "{_text(other)}", and both have the value '
                    f"{', '.join(map(str, sorted(values)))}, so no label map can tell them apart; list both, or give "
                    f"one of them a value of its own."
                )


def _with_twins(table: LabelTable, names: Collection[str]) -> list[str]:
    """Names in the order of the table, with every other name of the same values; unknown ones come last."""
    values = [set(as_tuple(table.targets[name])) for name in names if name in table.targets]
    known = [name for name, value in table.targets.items() if set(as_tuple(value)) in values]
    return known + sorted(name for name in names if name not in table.targets)


def _content_of(table: LabelTable) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in table.entries.items()}


def _hint(name: Any, known: Iterable[str]) -> str:
    near = get_close_matches(str(name), list(known), n=1)
    return f'did you mean "{_text(near[0])}"?' if near else ""


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(_text(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return ascii(value)[1:-1][:100] if not value.isprintable() else value[:100]
    return f"a {type(value).__name__}" if isinstance(value, Mapping | list | tuple) else repr(value)[:60]
