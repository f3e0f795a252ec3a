"""What a spec can name: style operations and errors, as frozen dataclasses that know how to apply themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.geometry import Grid, Labels
from nnunetv2_hypersort.images.labels import LabelName, LabelTable
from nnunetv2_hypersort.images.orientation import AXES
from nnunetv2_hypersort.perturbation import operations, planted_errors
from nnunetv2_hypersort.perturbation.parsing import (
    InvalidSettingError,
    axis_name,
    end_name,
    label_names,
    number,
    setting,
    signed,
)

_MM = number(0, unit="mm")


class Operation(Protocol):
    """One step of a style."""

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """Return the label map after this step."""
        ...


@dataclass(frozen=True)
class Dilate:
    """`dilate`: grow labels by `mm` over background."""

    mm: float = setting(_MM)
    labels: tuple[LabelName, ...] | None = setting(label_names(), default=None)

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """See `operations.dilate`."""
        return operations.dilate(labels, grid, table.select(self.labels), self.mm)


@dataclass(frozen=True)
class Erode:
    """`erode`: shrink labels by `mm` from all that is not selected."""

    mm: float = setting(_MM)
    labels: tuple[LabelName, ...] | None = setting(label_names(), default=None)

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """See `operations.erode`."""
        return operations.erode(labels, grid, table.select(self.labels), self.mm)


@dataclass(frozen=True)
class Smooth:
    """`smooth`: smooth boundaries with a Gaussian of standard deviation `mm`."""

    mm: float = setting(_MM)
    labels: tuple[LabelName, ...] | None = setting(label_names(), default=None)

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """See `operations.smooth`."""
        return operations.smooth(labels, grid, table.select(self.labels), self.mm)


@dataclass(frozen=True)
class Margin:
    """`margin`: leave a gap of `mm` in `labels` where they touch `neighbours` (default: any other label)."""

    mm: float = setting(_MM)
    labels: tuple[LabelName, ...] | None = setting(label_names(), default=None)
    neighbours: tuple[LabelName, ...] | None = setting(label_names(), default=None)

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """See `operations.margin`."""
        return operations.margin(labels, grid, table.select(self.labels), table.select(self.neighbours), self.mm)


@dataclass(frozen=True)
class FillHoles:
    """`fill_holes`: fill cavities of each label, or with `axis` holes in the slices across it."""

    labels: tuple[LabelName, ...] | None = setting(label_names(), default=None)
    axis: str | None = setting(axis_name, default=None)

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """See `operations.fill_holes`."""
        return operations.fill_holes(labels, grid, table.select(self.labels), self.axis)


@dataclass(frozen=True)
class Offset:
    """`offset`: move labels by `mm` along `axis`."""

    axis: str = setting(axis_name)
    mm: float = setting(signed(float("inf"), unit="mm"))
    labels: tuple[LabelName, ...] | None = setting(label_names(), default=None)

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """See `operations.offset`."""
        return operations.offset(labels, grid, table.select(self.labels), {self.axis: self.mm})


@dataclass(frozen=True)
class RotateSlices:
    """`rotate_slices`: turn labels in each slice across `axis` about the slice's centre of gravity."""

    axis: str = setting(axis_name)
    degrees: float = setting(signed(180, unit="degrees"))
    labels: tuple[LabelName, ...] | None = setting(label_names(), default=None)

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """See `operations.rotate_slices`."""
        return operations.rotate_slices(labels, grid, table.select(self.labels), self.axis, self.degrees)


@dataclass(frozen=True)
class ShiftBorder:
    """`shift_border`: move the border between two labels by `mm` along `axis`."""

    between: tuple[LabelName, ...] = setting(label_names(2))
    axis: str = setting(axis_name)
    mm: float = setting(signed(float("inf"), unit="mm"))

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """See `operations.shift_border`."""
        return operations.shift_border(labels, grid, _pair(self.between, table), self.axis, self.mm)


@dataclass(frozen=True)
class TiltBorder:
    """`tilt_border`: tilt the border between two labels, so that it moves along `axis` the more, the more `towards`."""

    between: tuple[LabelName, ...] = setting(label_names(2))
    axis: str = setting(axis_name)
    towards: str = setting(axis_name)
    degrees: float = setting(signed(90, unit="degrees"))

    def __post_init__(self) -> None:
        if self.axis == self.towards:
            raise InvalidSettingError("two different axes in 'axis' and 'towards'")

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """See `operations.tilt_border`."""
        pair = _pair(self.between, table)
        return operations.tilt_border(labels, grid, pair, self.axis, self.towards, self.degrees)


@dataclass(frozen=True)
class Cut:
    """`cut`: take `mm`, or a `fraction` of their extent, off the `end` of labels."""

    end: str = setting(end_name)
    mm: float | None = setting(_MM, default=None)
    fraction: float | None = setting(number(0, 1), default=None)
    labels: tuple[LabelName, ...] | None = setting(label_names(), default=None)

    def __post_init__(self) -> None:
        if (self.mm is None) == (self.fraction is None):
            raise InvalidSettingError("exactly one of 'mm' and 'fraction'")

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """See `operations.cut`."""
        return operations.cut(labels, grid, table.select(self.labels), self.end, self.mm, self.fraction)


@dataclass(frozen=True)
class LeaveOut:
    """`leave_out`: turn labels into background."""

    labels: tuple[LabelName, ...] = setting(label_names())

    def apply(self, labels: Labels, grid: Grid, table: LabelTable) -> Labels:
        """See `operations.leave_out`."""
        return operations.leave_out(labels, table.select(self.labels))


OPERATIONS: dict[str, type[Operation]] = {
    "dilate": Dilate,
    "erode": Erode,
    "smooth": Smooth,
    "margin": Margin,
    "fill_holes": FillHoles,
    "offset": Offset,
    "rotate_slices": RotateSlices,
    "shift_border": ShiftBorder,
    "tilt_border": TiltBorder,
    "cut": Cut,
    "leave_out": LeaveOut,
}


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


class ErrorKind(Protocol):
    """One kind of error."""

    needs_donor: ClassVar[bool]

    @property
    def weight(self) -> float:
        """Share of this kind, relative to the weights of the others."""
        ...

    def apply(self, subject: Subject) -> Labels:
        """Return the wrong label map."""
        ...


_WEIGHT = number(0)


@dataclass(frozen=True)
class Shift:
    """`shift`: move all labels by `mm`, along `axis` either way, or in a random direction."""

    needs_donor: ClassVar[bool] = False
    mm: float = setting(_MM)
    axis: str | None = setting(axis_name, default=None)
    weight: float = setting(_WEIGHT, default=1.0)

    def apply(self, subject: Subject) -> Labels:
        """See `operations.offset`."""
        ways = planted_errors.random_ways(subject.rng, self.mm, self.axis)
        return operations.offset(subject.labels, subject.grid, subject.table.foreground, ways)


@dataclass(frozen=True)
class Flip:
    """`flip`: mirror the label map, not the image, along `axis`, or along a random axis."""

    needs_donor: ClassVar[bool] = False
    axis: str | None = setting(axis_name, default=None)
    weight: float = setting(_WEIGHT, default=1.0)

    def apply(self, subject: Subject) -> Labels:
        """See `planted_errors.flip`."""
        axis = self.axis if self.axis is not None else str(subject.rng.choice(list(AXES)))
        return planted_errors.flip(subject.labels, subject.grid, axis)


@dataclass(frozen=True)
class OtherCase:
    """`other_case`: another case's labels in place of this case's."""

    needs_donor: ClassVar[bool] = True
    weight: float = setting(_WEIGHT, default=1.0)

    def apply(self, subject: Subject) -> Labels:
        """See `planted_errors.other_case`."""
        return planted_errors.other_case(subject.labels, subject.grid, *subject.donor())


@dataclass(frozen=True)
class Empty:
    """`empty`: no label at all."""

    needs_donor: ClassVar[bool] = False
    weight: float = setting(_WEIGHT, default=1.0)

    def apply(self, subject: Subject) -> Labels:
        """See `planted_errors.empty`."""
        return planted_errors.empty(subject.labels)


@dataclass(frozen=True)
class SwapLabels:
    """`swap_labels`: the names of `labels` exchanged (more than two: each gets the name of the next)."""

    needs_donor: ClassVar[bool] = False
    labels: tuple[LabelName, ...] = setting(label_names())
    weight: float = setting(_WEIGHT, default=1.0)

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise InvalidSettingError("at least two 'labels'")

    def apply(self, subject: Subject) -> Labels:
        """See `planted_errors.swap_labels`."""
        return planted_errors.swap_labels(subject.labels, subject.table.select(self.labels))


@dataclass(frozen=True)
class MissingSlices:
    """`missing_slices`: a run of slices across `axis` left empty, at a random level."""

    needs_donor: ClassVar[bool] = False
    axis: str = setting(axis_name)
    fraction: float = setting(number(0, 1))
    weight: float = setting(_WEIGHT, default=1.0)

    def apply(self, subject: Subject) -> Labels:
        """See `planted_errors.missing_slices`."""
        start = float(subject.rng.random())
        return planted_errors.missing_slices(
            subject.labels, subject.grid, subject.table.foreground, self.axis, self.fraction, start
        )


@dataclass(frozen=True)
class Spill:
    """`spill`: one label grown by `mm` over all its neighbours, background included.

    Of `labels` (default: all) it is a random one that the case has.
    """

    needs_donor: ClassVar[bool] = False
    mm: float = setting(_MM)
    labels: tuple[LabelName, ...] | None = setting(label_names(), default=None)
    weight: float = setting(_WEIGHT, default=1.0)

    def apply(self, subject: Subject) -> Labels:
        """See `operations.spill`."""
        present = [value for value in subject.table.select(self.labels) if np.any(subject.labels == value)]
        if not present:
            return np.array(subject.labels)
        value = int(subject.rng.choice(present))
        into = tuple({0, *subject.table.foreground} - {value})
        return operations.spill(subject.labels, subject.grid, value, self.mm, into)


ERRORS: dict[str, type[ErrorKind]] = {
    "shift": Shift,
    "flip": Flip,
    "other_case": OtherCase,
    "empty": Empty,
    "swap_labels": SwapLabels,
    "missing_slices": MissingSlices,
    "spill": Spill,
}


def _pair(between: tuple[LabelName, ...], table: LabelTable) -> tuple[int, int]:
    first, second = (table.select((name,)) for name in between)
    values = (*first, *second)
    if len(values) != 2:
        raise HyperSORTError(
            f"The spec moves the border between {between[0]!r} and {between[1]!r}, which stand for the label values "
            f"{', '.join(map(str, values))}; name two single labels."
        )
    return values[0], values[1]


def check_labels(step: Operation | ErrorKind, table: LabelTable) -> None:
    """Raise a HyperSORTError now, not in the middle of the work, if a step names a label the dataset does not have."""
    for name in ("labels", "neighbours"):
        if hasattr(step, name):
            table.select(getattr(step, name))
    if isinstance(step, (ShiftBorder, TiltBorder)):
        _pair(step.between, table)
