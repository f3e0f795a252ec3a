"""The errors that a spec can name: their settings, and how their particulars are chosen for a case."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunetv2_hypersort.images.geometry import Grid, Labels
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.perturbation import operations, planted_errors
from nnunetv2_hypersort.perturbation.parsing import InvalidSettingError, Setting, axis_name, label_names, number
from nnunetv2_hypersort.perturbation.steps import AXIS, LABELS, LENGTH, Kind, Settings, Step

ANY_AXIS = Setting(axis_name, default=None)
WEIGHT = Setting(number(0), default=1.0)


@dataclass(frozen=True)
class Subject:
    """What an error is planted into: a label map in its style, and the means to choose the error's particulars.

    Attributes:
        labels: Label map in the case's own style.
        grid: Its spacing and orientation.
        table: The dataset's labels.
        rng: Generator seeded by the seed of the run and the name of the case.
        donor: Reads the label map and grid of another case, in the style of this case.
    """

    labels: Labels
    grid: Grid
    table: LabelTable
    rng: np.random.Generator
    donor: Callable[[], tuple[Labels, Grid]]


def _shift(subject: Subject, mm: float, axis: str | None) -> Labels:
    axes = subject.grid.extended(subject.labels.shape)
    if not axes:
        return np.array(subject.labels)
    ways = planted_errors.random_ways(subject.rng, mm, axis, axes)
    return operations.offset(subject.labels, subject.grid, subject.table.foreground, ways)


def _flip(subject: Subject, axis: str | None) -> Labels:
    axes = subject.grid.extended(subject.labels.shape)
    if not axes:
        return np.array(subject.labels)
    return planted_errors.flip(subject.labels, subject.grid, axis or str(subject.rng.choice(list(axes))))


def _other_case(subject: Subject) -> Labels:
    return planted_errors.other_case(subject.labels, subject.grid, *subject.donor())


def _empty(subject: Subject) -> Labels:
    return planted_errors.empty(subject.labels)


def _swap_labels(subject: Subject, values: tuple[int, ...]) -> Labels:
    return planted_errors.swap_labels(subject.labels, values)


def _check_swap(settings: Settings) -> None:
    if len(settings["labels"]) < 2:
        raise InvalidSettingError("at least two 'labels'")


def _missing_slices(subject: Subject, axis: str, fraction: float) -> Labels:
    start = float(subject.rng.random())
    return planted_errors.missing_slices(subject.labels, subject.grid, subject.table.foreground, axis, fraction, start)


def _spill(subject: Subject, mm: float, values: tuple[int, ...]) -> Labels:
    present = [value for value in values if np.any(subject.labels == value)]
    if not present:
        return np.array(subject.labels)
    value = int(subject.rng.choice(present))
    into = tuple({0, *subject.table.foreground} - {value})
    return operations.spill(subject.labels, subject.grid, value, mm, into)


ERRORS = {
    "shift": Kind(_shift, {"mm": LENGTH, "axis": ANY_AXIS}),
    "flip": Kind(_flip, {"axis": ANY_AXIS}),
    "other_case": Kind(_other_case, {}),
    "empty": Kind(_empty, {}),
    "swap_labels": Kind(_swap_labels, {"labels": Setting(label_names())}, check=_check_swap),
    "missing_slices": Kind(_missing_slices, {"axis": AXIS, "fraction": Setting(number(0, 1))}),
    "spill": Kind(_spill, {"mm": LENGTH, "labels": LABELS}),
}


@dataclass(frozen=True)
class PlantedError(Step):
    """One kind of error of a spec.

    Attributes:
        weight: Share of this kind, relative to the weights of the others.
    """

    weight: float

    @property
    def kind(self) -> Kind:
        """The kind of this name."""
        return ERRORS[self.name]

    @property
    def needs_donor(self) -> bool:
        """Whether it takes the labels of another case."""
        return self.name == "other_case"

    def apply(self, subject: Subject) -> Labels:
        """Return the wrong label map: as it was if the error works along an axis of one voxel."""
        if self.flat_axes(subject.grid, subject.labels.shape):
            return np.array(subject.labels)
        return self.kind.function(subject, **self.arguments(subject.table))

    def record(self) -> dict[str, Any]:
        """Return all that the spec says of it but the name."""
        return {**self.settings, "weight": self.weight}
