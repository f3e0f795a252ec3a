"""The operations that a style can name: their settings, the functions that do them, and the axes they need."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.geometry import ENDS, Grid, Labels
from nnunetv2_hypersort.images.labels import LabelName, LabelTable
from nnunetv2_hypersort.images.orientation import AXES
from nnunetv2_hypersort.perturbation import operations, shape_operations
from nnunetv2_hypersort.perturbation.parsing import (
    InvalidSettingError,
    Setting,
    axis_name,
    end_name,
    label_names,
    number,
    signed,
    whole_number,
)

Settings = Mapping[str, Any]

LENGTH = Setting(number(0, unit="mm"))
LABELS = Setting(label_names(), default=None)
AXIS = Setting(axis_name)
WAY = Setting(signed(float("inf"), unit="mm"))
BETWEEN = Setting(label_names(2))


def along_named(settings: Settings) -> tuple[str, ...]:
    """Return the axes that a step names and moves or cuts along."""
    named = [settings[key] for key in ("axis", "towards") if settings.get(key) is not None]
    return (*named, *(ENDS[settings[key]][0] for key in ("end",) if key in settings))


def _in_slices(settings: Settings) -> tuple[str, ...]:
    return () if settings["axis"] is None else tuple(axis for axis in AXES if axis != settings["axis"])


def _accept(_: Settings) -> None:
    pass


@dataclass(frozen=True)
class Kind:
    """What a spec can name.

    Attributes:
        function: What does it; takes the settings by name, labels as `values`.
        settings: By name the settings it has.
        check: Raises an `InvalidSettingError` for settings that do not go together.
        along: From the settings the anatomical axes along which an image needs more than one voxel.
    """

    function: Callable[..., Labels]
    settings: Mapping[str, Setting]
    check: Callable[[Settings], None] = _accept
    along: Callable[[Settings], tuple[str, ...]] = along_named


def _check_tilt(settings: Settings) -> None:
    if settings["axis"] == settings["towards"]:
        raise InvalidSettingError("two different axes in 'axis' and 'towards'")


def _check_cut(settings: Settings) -> None:
    if (settings["mm"] is None) == (settings["fraction"] is None):
        raise InvalidSettingError("exactly one of 'mm' and 'fraction'")


def _offset(labels: Labels, grid: Grid, values: tuple[int, ...], axis: str, mm: float) -> Labels:
    return operations.offset(labels, grid, values, {axis: mm})


def _leave_out(labels: Labels, grid: Grid, values: tuple[int, ...]) -> Labels:
    return operations.leave_out(labels, values)


OPERATIONS = {
    "dilate": Kind(operations.dilate, {"mm": LENGTH, "labels": LABELS}),
    "erode": Kind(operations.erode, {"mm": LENGTH, "labels": LABELS}),
    "smooth": Kind(operations.smooth, {"mm": LENGTH, "labels": LABELS}),
    "margin": Kind(operations.margin, {"mm": LENGTH, "labels": LABELS, "neighbours": LABELS}),
    "fill_holes": Kind(
        operations.fill_holes, {"labels": LABELS, "axis": Setting(axis_name, default=None)}, along=_in_slices
    ),
    "offset": Kind(_offset, {"axis": AXIS, "mm": WAY, "labels": LABELS}),
    "rotate_slices": Kind(
        operations.rotate_slices,
        {"axis": AXIS, "degrees": Setting(signed(180, unit="degrees")), "labels": LABELS},
        along=_in_slices,
    ),
    "shift_border": Kind(operations.shift_border, {"between": BETWEEN, "axis": AXIS, "mm": WAY}),
    "tilt_border": Kind(
        operations.tilt_border,
        {"between": BETWEEN, "axis": AXIS, "towards": AXIS, "degrees": Setting(signed(90, unit="degrees"))},
        check=_check_tilt,
    ),
    "cut": Kind(
        operations.cut,
        {
            "end": Setting(end_name),
            "mm": Setting(LENGTH.parse, default=None),
            "fraction": Setting(number(0, 1), default=None),
            "labels": LABELS,
        },
        check=_check_cut,
    ),
    "leave_out": Kind(_leave_out, {"labels": Setting(label_names())}),
    "fill_clefts": Kind(shape_operations.fill_clefts, {"mm": LENGTH, "labels": LABELS}),
    "leave_out_thin": Kind(shape_operations.leave_out_thin, {"mm": LENGTH, "labels": LABELS}),
    "copy_slices": Kind(
        shape_operations.copy_slices, {"axis": AXIS, "every": Setting(whole_number(2)), "labels": LABELS}
    ),
    "keep_largest": Kind(
        shape_operations.keep_largest, {"pieces": Setting(whole_number(1), default=1), "labels": LABELS}
    ),
}


@dataclass(frozen=True)
class Step:
    """One entry of a spec: the name of its kind and a value for each of the kind's settings."""

    name: str
    settings: Settings

    def __str__(self) -> str:
        given = [f"{name}: {value}" for name, value in self.settings.items() if value is not None]
        return f"{self.name} ({', '.join(given)})" if given else self.name

    @property
    def kind(self) -> Kind:
        """The kind of this name."""
        return OPERATIONS[self.name]

    def flat_axes(self, grid: Grid, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Return the axes that the step works along and the image has one voxel along."""
        extended = grid.extended(shape)
        return tuple(axis for axis in self.kind.along(self.settings) if axis not in extended)

    def arguments(self, table: LabelTable) -> dict[str, Any]:
        """Return the settings as the kind's function takes them, with label values for names.

        Raises:
            HyperSORTError: The dataset does not have a label that is named.
        """
        arguments = dict(self.settings)
        if "labels" in arguments:
            arguments["values"] = table.select(arguments.pop("labels"))
        if "neighbours" in arguments:
            arguments["neighbours"] = table.select(arguments["neighbours"])
        if "between" in arguments:
            arguments["between"] = _pair(arguments["between"], table)
        return arguments


@dataclass(frozen=True)
class Operation(Step):
    """One step of a style."""

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """Return the label map after this step: as it was if the step works along an axis of one voxel."""
        if self.flat_axes(grid, labels.shape):
            return np.array(labels)
        return self.kind.function(labels, grid, **self.arguments(table))


def _pair(between: tuple[LabelName, ...], table: LabelTable) -> tuple[int, int]:
    first, second = (table.select((name,)) for name in between)
    values = (*first, *second)
    if len(values) != 2:
        raise HyperSORTError(
            f"The spec moves the border between {between[0]!r} and {between[1]!r}, which stand for the label values "
            f"{', '.join(map(str, values))}; name two single labels."
        )
    return values[0], values[1]
