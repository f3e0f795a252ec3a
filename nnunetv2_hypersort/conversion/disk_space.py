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
from nnunetv2_hypersort.files.links import COPY, Placing, try_placing


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
    placings = _Placings(raw, copy=settings.copy)
    needed = sum(_bytes_needed(case, placings, settings) for case in cases if case.identifier not in finished)
    free = shutil.disk_usage(raw).free
    for refused in sorted(placings.refused):
        report(
            f"Hard links from the download to {raw} are refused ({refused}): files are cloned where possible, or copied"
        )
    report(f"Disk space: about {_size(needed)} needed in {raw}, {_size(free)} free")
    if needed > free:
        advice = "make room" if not settings.copy else "make room, or do without --copy"
        raise HyperSORTError(
            f"the dataset needs about {_size(needed)}, but {raw} has only {_size(free)} free; {advice}"
        )


class _Placings:
    """What the system does with files of the download, tried once for all that are alike to it."""

    def __init__(self, folder: Path, *, copy: bool) -> None:
        self._folder = folder
        self._copy = copy
        self._tried: dict[tuple[int, ...], Placing] = {}

    @property
    def refused(self) -> set[str]:
        return {placing.refused for placing in self._tried.values() if placing.refused}

    def take_space(self, source: Path) -> bool:
        try:
            status = source.stat()
            kind = (status.st_dev, status.st_uid, status.st_gid, status.st_mode)
            if kind not in self._tried:
                self._tried[kind] = try_placing(source, self._folder, copy=self._copy)
        except OSError:
            return True  # the check will name a file that cannot be read
        return self._tried[kind].how == COPY


def _bytes_needed(case: SourceCase, placings: _Placings, settings: Settings) -> int:
    # An estimate from file sizes: what cannot be linked keeps its size, and merged labels compress no worse than the
    # masks they come from.
    if settings.spacing is not None:
        return int(_volume_ratio(case.image, settings.spacing) * sum(map(_file_size, case.files)))
    placed = {case.image, *([case.label_map.path] if case.label_map is not None and case.label_map.unchanged else [])}
    return sum(_file_size(path) for path in case.files if path not in placed or placings.take_space(path))


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


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
