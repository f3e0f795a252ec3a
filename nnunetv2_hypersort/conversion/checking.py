"""The check of one case: everything that nnU-Net would stumble over later."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.conversion.cases import (
    CaseCheck,
    LabelMapFile,
    Problem,
    SourceCase,
    file_stamps,
)
from nnunetv2_hypersort.conversion.geometry import as_nnunet_reads, itk_geometry, require_same_grid
from nnunetv2_hypersort.conversion.merging import integer_labels, occupied
from nnunetv2_hypersort.conversion.nifti import (
    LEAVE_OUT,
    UnusableFileError,
    Volume,
    check_length,
    fault_of,
    is_flat,
    read_header,
    read_volume,
    spatial_shape,
)
from nnunetv2_hypersort.images.headers import grid_by_itk, nifti_disagreement

FULL = "full"

LOWEST_HU, HIGHEST_HU = -5000, 32767
"""CT intensities outside this range are no Hounsfield units (padding goes down to about -3000, metal up to 30,000)."""


_BACKGROUND_ONLY = "the label is background only; leave the case out with --exclude if that is wrong"


@dataclass(frozen=True)
class CheckTask:
    """One case to be checked.

    Attributes:
        case: The case.
        source: The folder of the download; file names are reported relative to it.
        mode: "full" (every byte decompressed, all values looked at) or "quick" (headers and gzip's length).
        all_classes: Every class of the source is used, so a case without any is worth a warning.
    """

    case: SourceCase
    source: Path
    mode: str
    all_classes: bool


def check_case(task: CheckTask) -> CaseCheck:
    """Check the files of a case, all of them, whatever is found in the first ones.

    Nothing about a file is an error of this function: whatever reading it raises becomes a problem of the case.
    """
    case, check = task.case, CaseCheck(task.case.identifier)
    with suppress(OSError):  # a file that is missing will be named below
        check.stamps = file_stamps(case.files)
    image_header = None
    with _noting(case.image, task, check):
        image_header = _check_image(task, check)
    if case.label_map is not None:
        with _noting(case.label_map.path, task, check):
            _check_label_map(case.label_map, image_header, task, check)
    empty = 0
    for mask in case.masks:
        with _noting(mask.path, task, check):
            empty += _is_empty(mask.path, image_header, task, check)
    if task.all_classes and case.masks and empty == len(case.masks):
        check.warnings.append(f"all its masks are empty: {_BACKGROUND_ONLY}")
    return check


def lost_check(task: CheckTask) -> CaseCheck:
    """Return the check of a case whose files ended the process that read them."""
    return CaseCheck(task.case.identifier, problems=[lost_case(task.case, task.source)])


def lost_case(case: SourceCase, source: Path) -> Problem:
    """Return the problem of a case whose files ended the process that worked on them, when nothing else ran."""
    return Problem(
        case.identifier,
        relative(case.image, source),
        "(or a label file of this case) ended the process that read it, most likely because memory ran out",
        f"free memory, or {LEAVE_OUT}",
    )


@contextmanager
def _noting(path: Path, task: CheckTask, check: CaseCheck) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        fault = fault_of(error)
        check.problems.append(Problem(task.case.identifier, relative(path, task.source), fault.reason, fault.remedy))


def _is_empty(path: Path, image_header: Any, task: CheckTask, check: CaseCheck) -> bool:
    header, volume = _read(path, task.mode)
    if image_header is not None:
        _compare_grids(path, image_header, header, task, check)
    return volume is not None and occupied(volume).size == 0


def _compare_grids(path: Path, image_header: Any, header: Any, task: CheckTask, check: CaseCheck) -> bool:
    match, name = require_same_grid(image_header, header), relative(path, task.source)
    if not match.same:
        check.snapped.append(name)
    if match.turned:
        check.warnings.append(
            f"{name} is turned by {match.turned:.2g} degrees against the image, as rounded headers can be: its labels "
            "are taken on the image's grid"
        )
    return match.same


def relative(path: Path, folder: Path) -> str:
    """Return `path` relative to `folder` where it lies inside, for messages."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _read(path: Path, mode: str) -> tuple[Any, Volume | None]:
    if mode == FULL:
        volume = read_volume(path)
        return volume.header, volume
    header = read_header(path)
    check_length(path, header)
    return header, None


def _check_image(task: CheckTask, check: CaseCheck) -> Any:
    header, volume = _read(task.case.image, task.mode)
    check.shape = spatial_shape(header)
    affine = as_nnunet_reads(header, task.case.image).get_best_affine()
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    check.spacing = (float(edges[0]), float(edges[1]), float(edges[2]))
    if edges.min() <= 0 or abs(np.linalg.det(affine[:3, :3])) < 1e-6 * edges.prod():
        raise UnusableFileError("has a header whose axes do not span a volume", LEAVE_OUT)
    check.flatten_image = not is_flat(header)
    check.itk_reads = itk_geometry(task.case.image) is not None
    if check.itk_reads and (sizes := nifti_disagreement(task.case.image, grid_by_itk(task.case.image)[0])):
        check.warnings.append(f"the image states voxel sizes that disagree ({sizes}); look at what nnU-Net plans")
    if volume is not None:
        values = volume.values
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UnusableFileError("holds NaN or infinite intensities, which nnU-Net refuses", LEAVE_OUT)
        low, high = float(values.min()), float(values.max())
        if low == high:
            check.warnings.append(f"the image has the same intensity ({low:g}) everywhere")
        elif task.case.modality == "CT" and (low < LOWEST_HU or high > HIGHEST_HU):
            check.warnings.append(f"intensities from {low:g} to {high:g} are not Hounsfield units throughout")
    return header


def _check_label_map(label_map: LabelMapFile, image_header: Any, task: CheckTask, check: CaseCheck) -> None:
    header, volume = _read(label_map.path, task.mode)
    same = image_header is not None and _compare_grids(label_map.path, image_header, header, task, check)
    whole_numbers = header.get_data_dtype().kind in "iu" and header.get_slope_inter() in ((None, None), (1.0, 0.0))
    if volume is not None and not integer_labels(volume, len(label_map.lookup)).any():
        check.warnings.append(f"its label map is empty: {_BACKGROUND_ONLY}")
    check.link_label = (
        label_map.unchanged
        and same
        and whole_numbers
        and is_flat(header)
        and _itk_agrees(task.case.image, label_map.path)
    )


def _itk_agrees(image: Path, label: Path) -> bool:
    # nibabel and ITK choose differently between sform and qform, so agreement in one does not imply it in the other.
    first, second = itk_geometry(image), itk_geometry(label)
    if first is None or second is None:
        return first is None and second is None
    return first.shape == second.shape and bool(np.allclose(first, second))
