"""How much room a dataset will take, and whether it is there."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nnunetv2_hypersort.conversion.cases import SourceCase
from nnunetv2_hypersort.conversion.nifti import UnusableFileError, read_header
from nnunetv2_hypersort.conversion.settings import Settings
from nnunetv2_hypersort.conversion.workspace import Workspace
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.links import can_hard_link


def check_disk_space(
    cases: Sequence[SourceCase],
    settings: Settings,
    workspace: Workspace,
    report: Callable[[str], None],
) -> None:
    """Estimate what the dataset will take, say so, and refuse to start where it does not fit.

    Args:
        cases: The cases; those that an interrupted run finished count nothing.
        settings: Whether images are copied or resampled.
        workspace: Where the dataset will be.
        report: Receives the line for the user.

    Raises:
        HyperSORTError: Too little room is left.
    """
    raw = workspace.final.parent
    finished = workspace.finished(cases)
    needed = sum(_bytes_needed(case, raw, settings) for case in cases if case.identifier not in finished)
    free = shutil.disk_usage(raw).free
    report(f"Disk space: about {_size(needed)} needed in {raw}, {_size(free)} free")
    if needed > free:
        advice = "make room" if not settings.copy else "make room, or do without --copy"
        raise HyperSORTError(
            f"the dataset needs about {_size(needed)}, but {raw} has only {_size(free)} free; {advice}"
        )


def _bytes_needed(case: SourceCase, raw: Path, settings: Settings) -> int:
    # An estimate from file sizes: what cannot be linked keeps its size, and merged labels compress no worse than the
    # masks they come from.
    scale, linked = 1.0, False
    if settings.spacing is not None:
        scale = _volume_ratio(case.image, settings.spacing)
    elif not settings.copy:
        linked = can_hard_link(case.image, raw)
    label_linked = linked and case.label_map is not None and case.label_map.unchanged
    files = [*([] if linked else [case.image]), *([] if label_linked else case.label_files)]
    return int(scale * sum(path.stat().st_size for path in files if path.exists()))


def _volume_ratio(image: Path, spacing: tuple[float, float, float]) -> float:
    try:
        affine = read_header(image).get_best_affine()
    except UnusableFileError:
        return 1.0  # the check will name this file
    return float(abs(np.linalg.det(affine[:3, :3])) / np.prod(spacing))


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
