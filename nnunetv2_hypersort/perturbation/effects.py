"""What planted styles and errors did to label maps, measured on the maps themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.geometry import Grid, Labels, Mask
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.overlap import dice_of_masks
from nnunetv2_hypersort.nnunet.raw_dataset import RawDataset
from nnunetv2_hypersort.perturbation.assignment import Assignment
from nnunetv2_hypersort.perturbation.spec import PerturbationSpec, Style, restore_ignored
from nnunetv2_hypersort.perturbation.steps import Step

CHANGED, UNCHANGED, EMPTIED = "changed", "unchanged", "emptied"


@dataclass(frozen=True)
class Effect:
    """What an error did to the label map of a case in its style.

    Attributes:
        outcome: `changed`, `unchanged`, or `emptied` if no label is left of some.
        dice: Dice of the two maps, mean over the labels present in either; 1 if both are empty.
        moved_mm: How far the centre of gravity of all labels together moved, in mm; None if one map is empty.
        volume_ratio: Labelled voxels after, divided by those before; None if there were none.
    """

    outcome: str
    dice: float
    moved_mm: float | None
    volume_ratio: float | None


def measure_effect(before: Labels, after: Labels, grid: Grid, values: Sequence[int]) -> Effect:
    """Measure what an error did.

    Args:
        before: Label map in the case's style.
        after: The same with the error.
        grid: Their spacing and orientation.
        values: The label values that count, without the ignore label.
    """
    masks = [np.isin(labels, values) for labels in (before, after)]
    volumes = [int(mask.sum()) for mask in masks]
    moved = None
    if all(volumes):
        moved = float(np.linalg.norm((_centre(masks[1]) - _centre(masks[0])) * grid.spacing))
    outcome = UNCHANGED if np.array_equal(before, after) else CHANGED if volumes[1] else EMPTIED
    ratio = volumes[1] / volumes[0] if volumes[0] else None
    return Effect(outcome, mean_dice(after, before, values), moved, ratio)


def _centre(mask: Mask) -> NDArray[np.float64]:
    # By sums along the axes: a list of all voxels of a body scan would take gigabytes.
    counts = [mask.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    return np.asarray([np.average(np.arange(len(count)), weights=count) for count in counts])


def mean_dice(first: Labels, second: Labels, values: Sequence[int]) -> float:
    """Return the mean Dice, 2 |A and B| / (|A| + |B|), over the labels present in either map; 1 if none is."""
    scores = [dice_of_masks(first == value, second == value) for value in values]
    present = [score for score in scores if not np.isnan(score)]
    return float(np.mean(present)) if present else 1.0


def check_effects(dataset: RawDataset, spec: PerturbationSpec, assignments: Sequence[Assignment]) -> list[str]:
    """Make sure, before anything is written, that each style and error can do something to the cases it is planted in.

    Cases are read only until one shows it, mostly the first.

    Returns:
        One sentence for each operation that changes none of its style's cases, while others of the style do.

    Raises:
        HyperSORTError: A style with operations changes no case, or an error works along an axis along which none of its
            cases has more than one voxel.
    """
    idle: list[str] = []
    for index, style in enumerate(spec.styles):
        if style.operations:
            assigned = [each.case for each in assignments if each.style == index]
            idle += _idle_operations(dataset, style, assigned or list(dataset.cases))
    for index, error in enumerate(spec.errors):
        assigned = [each.case for each in assignments if each.error == index]
        if error.kind.along(error.settings) and assigned:
            _refuse_flat(dataset, error, assigned)
    return idle


def _refuse_flat(dataset: RawDataset, error: Step, cases: Sequence[str]) -> None:
    for case in cases:
        file = dataset.labels_of(case)
        flat = error.flat_axes(file.grid, file.labels.shape)
        if not flat:
            return
    raise HyperSORTError(
        f"The error {error.name} works along {' and '.join(flat)}, along which the images have one voxel; name another "
        "axis or leave it out."
    )


def _idle_operations(dataset: RawDataset, style: Style, cases: Sequence[str]) -> list[str]:
    # By operation, as long as no case has shown an effect of it, why the cases so far did not.
    idle: dict[int, list[str]] = {number: [] for number in range(len(style.operations))}
    effective = False
    for case in cases:
        file = dataset.labels_of(case)
        changed = file.labels
        for number, operation in enumerate(style.operations):
            before, changed = changed, operation.apply(changed, file.grid, dataset.table)
            if not np.array_equal(before, changed):
                idle.pop(number, None)
            elif number in idle:
                idle[number].append(_why_idle(operation, before, file.grid, dataset.table))
        final = restore_ignored(np.array(changed), file.labels, dataset.table)
        effective = effective or not np.array_equal(final, file.labels)
        if effective and not idle:
            return []
    told = [
        f"{style.operations[number]} changes none ({' or '.join(dict.fromkeys(reasons[:2]))})"
        for number, reasons in idle.items()
    ]
    if effective:
        return [f"Of the {len(cases)} cases of style {style.name}, {sentence}." for sentence in told]
    raise HyperSORTError(
        f"The style {style.name!r} changes the label of none of its {len(cases)} cases: "
        f"{', '.join(told) or 'what one of its operations does, another undoes'}. Change its operations; a style that "
        "leaves labels as they are has none."
    )


def _why_idle(step: Step, labels: Labels, grid: Grid, table: LabelTable) -> str:
    flat = step.flat_axes(grid, labels.shape)
    if flat:
        return f"it works along {' and '.join(flat)}, along which images have one voxel"
    arguments = step.arguments(table)
    worked_on = arguments["values"] if "values" in arguments else arguments["between"]
    if not np.isin(labels, worked_on).any():
        return "images have no label that it works on"
    axes = step.kind.along(step.settings) or grid.extended(labels.shape)
    smallest = min((grid.spacing[grid.axis(axis)[0]] for axis in axes), default=float("inf"))
    mm = step.settings.get("mm")
    if mm is not None and abs(mm) < smallest:
        return f"{abs(mm):g} mm are less than the voxels' {smallest:g} mm"
    return "there is nothing in the labels for it to change"
