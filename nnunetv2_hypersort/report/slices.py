"""Slices as a radiologist looks at them: orientation, choice of the slice, cut-out, image and contours."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from skimage.measure import approximate_polygon, find_contours

from nnunetv2_hypersort.images.orientation import axis_codes
from nnunetv2_hypersort.model import PreprocessedImage
from nnunetv2_hypersort.model.planned_model import PlannedModel

_LONGEST_SIDE = 176
"""Pixels of a picture: with a thousand cases the report stays well below 30 MB."""
_UNITS = 1000
"""Units of the contours along the longer side."""
_CONTEXT = 1.6
_LEAST_SIDE = 60.0
"""Millimetres; a lesion alone shows nobody where it is."""
_PRECEDENCE = "LRPAIS"
_TURNED = "RAS"
"""Towards these ends no axis of a radiological display runs: the left of the patient is right, back and feet below."""


@dataclass(frozen=True)
class SliceView:
    """How a slice across the first axis of a preprocessed image is laid out for display.

    Attributes:
        transposed: Whether rows and columns are exchanged.
        flipped: Whether rows, columns (after the exchange) run the other way.
        spacing: Millimetres between rows, columns (after the exchange).
    """

    transposed: bool
    flipped: tuple[bool, bool]
    spacing: tuple[float, float]

    @classmethod
    def of(cls, image: PreprocessedImage, planned: PlannedModel) -> "SliceView":
        """Radiological display where the orientation of the image is known, else as stored."""
        rows, columns = (float(value) for value in planned.configuration_manager.spacing[-2:])
        codes = axis_codes(image.properties)
        if codes is None:
            return cls(False, (False, False), (rows, columns))
        row_code, column_code = (codes[axis] for axis in planned.plans_manager.transpose_forward[1:])
        flip_rows, flip_columns = row_code in _TURNED, column_code in _TURNED
        # Left to right, or else front to back, is across; what is left runs down.
        if _PRECEDENCE.index(column_code) < _PRECEDENCE.index(row_code):
            return cls(False, (flip_rows, flip_columns), (rows, columns))
        return cls(True, (flip_columns, flip_rows), (columns, rows))

    def apply(self, slices: np.ndarray) -> np.ndarray:
        """Lay out slices, shape (..., rows, columns) as stored."""
        shown = np.swapaxes(slices, -1, -2) if self.transposed else slices
        return shown[..., :: -1 if self.flipped[0] else 1, :: -1 if self.flipped[1] else 1]


@dataclass(frozen=True)
class CutOut:
    """The part of a slice that is shown.

    Attributes:
        rows: First and last row, the last not included.
        columns: The same for columns.
        spacing: Millimetres between rows, columns.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    spacing: tuple[float, float]

    @classmethod
    def around(cls, foreground: np.ndarray, spacing: tuple[float, float]) -> "CutOut":
        """A square, as far as the slice reaches, around all foreground with some context; all without foreground.

        Args:
            foreground: Shape (rows, columns), bool.
            spacing: Millimetres between rows, columns.
        """
        shape = foreground.shape
        if not foreground.any():
            return cls((0, shape[0]), (0, shape[1]), spacing)
        places = [np.flatnonzero(foreground.any(axis)) for axis in (1, 0)]
        ends = [(int(place[0]), int(place[-1]) + 1) for place in places]
        side = max(_CONTEXT * max((b - a) * step for (a, b), step in zip(ends, spacing, strict=True)), _LEAST_SIDE)
        windows = []
        for (first, last), step, length in zip(ends, spacing, shape, strict=True):
            wanted = min(length, int(np.ceil(side / step)))
            start = int(np.clip((first + last - wanted) // 2, 0, length - wanted))
            windows.append((start, start + wanted))
        return cls(windows[0], windows[1], spacing)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in the units of the contours."""
        width, height = self._extent()
        longer = max(width, height)
        return round(_UNITS * width / longer), round(_UNITS * height / longer)

    def encode(self, grey: np.ndarray) -> bytes:
        """The slice, shape (rows, columns), as WebP; the darkest and brightest half percent are saturated."""
        part = np.asarray(grey[slice(*self.rows), slice(*self.columns)], np.float64)
        low, high = np.percentile(part, (0.5, 99.5))
        levels = np.clip((part - low) / max(high - low, 1e-9), 0, 1) * 255
        picture = Image.fromarray(levels.round().astype(np.uint8))
        width, height = self._extent()
        shrink = min(1.0, _LONGEST_SIDE / max(picture.size))
        if shrink < 1:
            longer = max(width, height)
            target = (_LONGEST_SIDE * width / longer, _LONGEST_SIDE * height / longer)
            picture = picture.resize((max(1, round(target[0])), max(1, round(target[1]))), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=72, method=4)
        return file.getvalue()

    def path(self, fields: Sequence[np.ndarray]) -> str:
        """The zero contours of fields as the `d` of an SVG path.

        Args:
            fields: Each of shape (rows, columns), positive inside.
        """
        width, height = self._extent()
        scale = _UNITS / max(width, height)
        lines = []
        for inside in fields:
            if not (inside > 0).any():
                continue
            # Outside the slice is outside the structure, so that contours close at its edge.
            framed = np.pad(inside, 1, constant_values=min(-1.0, float(inside.min())))
            for contour in find_contours(framed, 0.0):
                points = approximate_polygon(contour, 0.05) - 0.5 - (self.rows[0], self.columns[0])
                down, across = (np.rint(points * self.spacing * scale).astype(int)).T
                lines.append("M" + "L".join(f"{x},{y}" for x, y in zip(across, down, strict=True)) + "Z")
        return "".join(lines)

    def _extent(self) -> tuple[float, float]:
        return (
            (self.columns[1] - self.columns[0]) * self.spacing[1],
            (self.rows[1] - self.rows[0]) * self.spacing[0],
        )


def worst_slice(label: np.ndarray, prediction: np.ndarray | None, ignore: int | None) -> int:
    """The slice, along the first axis, where label and prediction differ most.

    Without a prediction, or where they agree, the slice with most foreground; without any, the middle one.

    Args:
        label: Shape (x, y, z): label values; negative ones are background.
        prediction: The same of the prediction, or None.
        ignore: Label value of voxels whose truth is unknown, or None.
    """
    counted = label != ignore if ignore is not None else np.ones(label.shape, bool)
    known = np.maximum(label, 0)
    if prediction is not None:
        different = ((known != prediction) & counted).sum((1, 2))
        if different.any():
            return int(np.argmax(different))
        known = np.maximum(known, prediction)
    foreground = ((known > 0) & counted).sum((1, 2))
    return int(np.argmax(foreground)) if foreground.any() else len(label) // 2


def label_fields(label: np.ndarray, structures: Sequence[int | tuple[int, ...]]) -> list[np.ndarray]:
    """Fields whose zero contours outline each structure in a label, shape (rows, columns), half-way between voxels."""
    return [np.isin(label, structure).astype(np.float64) - 0.5 for structure in structures]


def prediction_fields(logits: np.ndarray, has_regions: bool) -> list[np.ndarray]:
    """Fields whose zero contours outline each predicted structure, finer than a voxel.

    Args:
        logits: Shape (classes or regions, rows, columns).
        has_regions: Whether they are of regions, which may overlap.

    Returns:
        A region's logit, or the margin of a class over the best other: each is positive where the class is predicted.
    """
    if has_regions:
        return list(logits)
    two = np.sort(logits, axis=0)[-2:]
    best = logits.argmax(0)
    return [logits[k] - np.where(best == k, two[0], two[1]) for k in range(1, len(logits)) if (best == k).any()]
