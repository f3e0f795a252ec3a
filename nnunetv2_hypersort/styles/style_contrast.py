"""How one style differs from another, over several cases that both have segmented."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunetv2_hypersort.styles.mask_difference import compare_masks

Labels = Mapping[str, int | tuple[int, ...]]
# A style that segments less than this share of what the other does leaves a label out; the rest are stray voxels.
_LEFT_OUT = 0.05
# A difference is one of styles where nearly all cases show it.
_CONSISTENT = 0.75


@dataclass(frozen=True)
class Segmented:
    """One case segmented in several styles.

    Attributes:
        maps: For each style label values, shape (x, y, z).
        spacing: Voxel size in mm, one per array axis.
        codes: The anatomical end towards which each array axis runs, or None without orientation.
    """

    maps: Mapping[str, np.ndarray]
    spacing: tuple[float, ...]
    codes: tuple[str, str, str] | None


@dataclass(frozen=True)
class Effect:
    """One measured difference.

    Attributes:
        median: Over the cases.
        consistent: Whether at least three in four cases differ in the same direction.
    """

    median: float
    consistent: bool


@dataclass(frozen=True)
class StyleContrast:
    """What is different in a style, compared with another one.

    Attributes:
        cases: Number of cases in which both segment something.
        voxel_mm: Side of a cube of the volume of a voxel; what is far below it cannot be seen.
        left_out: Labels that the other style segments and this one does not.
        added: Labels that this style segments and the other one does not.
        shared: Effects on all labels together that both segment, by the names of `compare_masks`.
        labels: Volume and border of each of these labels.
    """

    cases: int
    voxel_mm: float
    left_out: tuple[str, ...]
    added: tuple[str, ...]
    shared: Mapping[str, Effect]
    labels: Mapping[str, Mapping[str, Effect]]

    def to_json(self) -> dict[str, Any]:
        """Medians in JSON types, null where there is none."""
        return {
            "cases": self.cases,
            "leaves_out": list(self.left_out),
            "also_segments": list(self.added),
            "shared_labels": _medians(self.shared),
            "labels": {name: _medians(effects) for name, effects in self.labels.items()},
        }


def contrast_styles(name: str, other: str, cases: Sequence[Segmented], labels: Labels) -> StyleContrast:
    """Compare a style with another one on the same cases, so that the anatomy cancels.

    Args:
        name: The style.
        other: The style it is compared with.
        cases: Each segmented in both.
        labels: The values of each foreground label or region.

    Returns:
        The differences.
    """
    volumes = {
        label: [
            float(sum(_mask(case.maps[style], values).sum() * math.prod(case.spacing) for case in cases))
            for style in (name, other)
        ]
        for label, values in labels.items()
    }
    left_out = tuple(label for label, (ours, theirs) in volumes.items() if ours < _LEFT_OUT * theirs)
    added = tuple(label for label, (ours, theirs) in volumes.items() if theirs < _LEFT_OUT * ours)
    shared = {
        label: values for label, values in labels.items() if label not in (*left_out, *added) and any(volumes[label])
    }
    differences = [
        compare_masks(
            _mask(case.maps[name], *shared.values()),
            _mask(case.maps[other], *shared.values()),
            case.spacing,
            case.codes,
        )
        for case in cases
    ]
    of_labels = {
        label: [
            compare_masks(_mask(case.maps[name], values), _mask(case.maps[other], values), case.spacing, None)
            for case in cases
        ]
        for label, values in shared.items()
    }
    return StyleContrast(
        sum(bool(case.maps[name].any() and case.maps[other].any()) for case in cases),
        float(np.median([_voxel(case) for case in cases])) if cases else math.nan,
        left_out,
        added,
        _effects(differences),
        {label: _effects(of_label) for label, of_label in of_labels.items()},
    )


def _voxel(case: Segmented) -> float:
    shape = next(iter(case.maps.values())).shape
    # The only slice of a two-dimensional image has no thickness that counts.
    steps = [step for step, length in zip(case.spacing, shape, strict=True) if length > 1]
    return math.prod(steps) ** (1 / max(len(steps), 1))


def _mask(label_map: np.ndarray, *values: int | tuple[int, ...]) -> np.ndarray:
    wanted = [value for one in values for value in (one if isinstance(one, tuple) else (one,))]
    return np.asarray(np.isin(label_map, wanted))


def _effects(differences: Sequence[Mapping[str, float]]) -> dict[str, Effect]:
    names = differences[0] if differences else ()
    return {name: _effect(name, np.array([one[name] for one in differences])) for name in names}


def _effect(name: str, values: np.ndarray) -> Effect:
    values = values[np.isfinite(values)]
    if not len(values):
        return Effect(math.nan, consistent=False)
    median = float(np.median(values))
    nothing = 1.0 if name == "volume_ratio" else 0.0
    same = np.sign(values - nothing) == np.sign(median - nothing)
    return Effect(median, bool(median != nothing and same.mean() >= _CONSISTENT))


def _medians(effects: Mapping[str, Effect]) -> dict[str, float | None]:
    return {name: round(effect.median, 4) if math.isfinite(effect.median) else None for name, effect in effects.items()}
