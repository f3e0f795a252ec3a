"""The file that gives a 3-D TIFF its spacing in nnU-Net: case.json beside case.tif and case_0000.tif."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.json_file import read_json

_CHANNEL = len("_0000")


def spacing_file(path: Path, *, image: bool = False) -> Path:
    """Where nnU-Net's Tiff3DIO looks for the spacing of a label map, or of an image (whose name ends in _0000)."""
    stem = path.name[: -len(path.suffix)]
    return path.with_name(f"{stem[:-_CHANNEL] if image else stem}.json")


def takes_spacing_file(path: Path, kinds: Iterable[type[Any]]) -> bool:
    """Whether the spacing of a file comes from beside it with these reader classes of nnU-Net."""
    return path.suffix.lower() in (".tif", ".tiff") and next(iter(kinds)).__name__ == "Tiff3DIO"


def check_spacing_file(path: Path, kinds: Iterable[type[Any]], *, image: bool = False) -> None:
    """Refuse a spacing file that is not one; if there is none, or none is looked for, all is well.

    Raises:
        HyperSORTError: The file beside the TIFF does not hold three spacings.
    """
    sidecar = spacing_file(path, image=image)
    if not takes_spacing_file(path, kinds) or not sidecar.is_file():
        return
    content = read_json(sidecar, what=f'{{"spacing": [z, y, x]}} for {path.name}')
    spacing = content.get("spacing") if isinstance(content, dict) else None
    if not isinstance(spacing, list) or not all(_is_positive(step) for step in spacing):
        raise HyperSORTError(f'{sidecar} must hold {{"spacing": [z, y, x]}} in mm for {path.name}.')
    if len(spacing) != 3:
        raise HyperSORTError(f"{sidecar} holds {len(spacing)} spacings for the 3 axes of {path.name}.")


def _is_positive(step: object) -> bool:
    return isinstance(step, int | float) and not isinstance(step, bool) and math.isfinite(step) and step > 0
