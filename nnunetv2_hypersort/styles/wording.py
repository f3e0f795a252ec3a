"""Differences between styles in words that a radiologist reads."""

import math
from collections.abc import Mapping, Sequence

from nnunetv2_hypersort.images.orientation import AXES
from nnunetv2_hypersort.styles.mask_difference import PLANES
from nnunetv2_hypersort.styles.style_contrast import Effect, StyleContrast

_LEAST_VOLUME = 0.05
_LEAST_MM = {"border": 0.25, "shift": 1.0, "end": 3.0}
# Of a voxel: the border is a mean over many of them, the ends of a structure lie in single slices.
_LEAST_VOXELS = {"border": 0.15, "shift": 0.5, "end": 2.0}
_LEAST_DEGREES = 5.0
_MOST_LABELS = 5
_VIEWS = {"axial": "from the feet", "coronal": "from the front", "sagittal": "from the left"}


def describe_contrast(contrast: StyleContrast, unit: str = "mm") -> str:
    """Put the clear differences of a style into words.

    Args:
        contrast: The style compared with another one.
        unit: What distances are counted in: `mm`, or `pixels` for images without a voxel size.

    Returns:
        Such as `62 % more volume, border 1.9 mm further out`, without a full stop.
    """
    if not contrast.cases:
        return "cannot be told, since one of the two segments nothing in these cases"
    words = _Words(contrast, unit)
    said = []
    if contrast.left_out:
        said.append(f"leaves out {_listed(contrast.left_out)}")
    if contrast.added:
        said.append(f"also segments {_listed(contrast.added)}")
    parts = [*words.extent(contrast.shared), *words.turn(), *words.place()]
    if parts:
        said.append(("the rest: " if said else "") + ", ".join(parts))
    said.extend(words.labels())
    return "; ".join(said) or "no clear difference"


def describe_volumes(left_out: Sequence[str], added: Sequence[str], ratios: Mapping[str, float]) -> str:
    """Put differences between the labels of different patients into words.

    Args:
        left_out: Labels that only the other style draws.
        added: Labels that only this style draws.
        ratios: Clear ratios of the median volumes.
    """
    said = [f"leaves out {_listed(left_out)}"] if left_out else []
    said += [f"also segments {_listed(added)}"] if added else []
    said += [f"{name}: {_volume(ratio)}" for name, ratio in ratios.items()]
    return "; ".join(said) or "no clear difference"


class _Words:
    def __init__(self, contrast: StyleContrast, unit: str) -> None:
        self.contrast = contrast
        self.unit = unit
        turns = {plane: contrast.shared.get(f"turn_{plane}_degrees") for plane in PLANES.values()}
        clear = {
            plane: turn.median
            for plane, turn in turns.items()
            if turn and turn.consistent and abs(turn.median) >= _LEAST_DEGREES
        }
        self.turned = max(clear.items(), key=lambda one: abs(one[1]), default=None)

    def extent(self, effects: Mapping[str, Effect]) -> list[str]:
        parts = []
        volume, border = effects.get("volume_ratio"), effects.get("border_mm")
        if volume and volume.consistent and abs(volume.median - 1) >= _LEAST_VOLUME:
            parts.append(_volume(volume.median))
        if border and self._is_clear(border, "border"):
            way = "out" if border.median > 0 else "in"
            parts.append(f"border {abs(border.median):.1f} {self.unit} further {way}")
        return parts

    def turn(self) -> list[str]:
        if self.turned is None:
            return []
        plane, degrees = self.turned
        way = "anticlockwise" if degrees > 0 else "clockwise"
        return [f"turned {abs(degrees):.0f}° {way} in {plane} slices (seen {_VIEWS[plane]})"]

    def place(self) -> list[str]:
        parts = []
        effects = self.contrast.shared
        for axis in AXES if "shift_right_mm" in effects else ():
            negative, positive = axis.split("-")
            further = self._ends(negative, positive)
            shift = effects[f"shift_{positive}_mm"]
            if further and not (len(further) == 2 and math.prod(further.values()) < 0):
                parts += [
                    f"reaches {abs(far):.0f} {self.unit} {'further' if far > 0 else 'less far'} {end}"
                    for end, far in further.items()
                ]
            elif self._is_clear(shift, "shift"):
                way = positive if shift.median > 0 else negative
                parts.append(f"lies {abs(shift.median):.1f} {self.unit} further {way}")
        return parts

    def _ends(self, *ends: str) -> dict[str, float]:
        # A turn moves the ends by itself, and so does a border that moves all around.
        effects = {} if self.turned else {end: self.contrast.shared[f"end_{end}_mm"] for end in ends}
        border = self.contrast.shared["border_mm"].median
        least = self._least("end")
        return {
            end: effect.median
            for end, effect in effects.items()
            if effect.consistent and abs(effect.median) >= least and abs(effect.median - border) >= least
        }

    def labels(self) -> list[str]:
        # Labels are named where they do not follow all of them together, as when the border between two of them moves.
        labels = self.contrast.labels
        whole = self.contrast.shared["volume_ratio"].median
        if len(labels) < 2 or not whole > 0:
            return []
        ratios = {name: effects["volume_ratio"] for name, effects in labels.items()}
        apart = {
            name: abs(math.log(ratio.median / whole))
            for name, ratio in ratios.items()
            if ratio.consistent and ratio.median > 0 and abs(ratio.median / whole - 1) >= 2 * _LEAST_VOLUME
        }
        named = sorted(apart, key=lambda name: -apart[name])
        said = {name: ", ".join(self.extent(labels[name])) for name in named[:_MOST_LABELS]}
        more = len(named) - _MOST_LABELS
        return [
            *(f"{name}: {words}" for name, words in said.items() if words),
            *([f"{more} more labels differ"] if more > 0 else []),
        ]

    def _is_clear(self, effect: Effect, kind: str) -> bool:
        return effect.consistent and abs(effect.median) >= self._least(kind)

    def _least(self, kind: str) -> float:
        return max(_LEAST_MM[kind], _LEAST_VOXELS[kind] * self.contrast.voxel_mm)


def _volume(ratio: float) -> str:
    if ratio >= 2:
        return f"{ratio:.1f} times the volume"
    return f"{100 * abs(ratio - 1):.0f} % {'more' if ratio > 1 else 'less'} volume"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_LABELS])
    more = len(names) - _MOST_LABELS
    return f"{shown} and {more} more" if more > 0 else shown
