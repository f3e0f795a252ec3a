"""The conversion of one case that passed the check."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.conversion.cases import TEST, CaseCheck, Problem, SourceCase
from nnunetv2_hypersort.conversion.checking import lost_case, relative
from nnunetv2_hypersort.conversion.geometry import as_nnunet_reads
from nnunetv2_hypersort.conversion.merging import add_mask, translate_labels
from nnunetv2_hypersort.conversion.nifti import (
    UnusableFileError,
    blaming,
    fault_of,
    label_header,
    read_header,
    read_volume,
    write_flattened,
    write_volume,
)
from nnunetv2_hypersort.conversion.resampling import (
    Spacing,
    resample_image,
    resample_labels,
    resampled_header,
)
from nnunetv2_hypersort.conversion.workspace import write_record
from nnunetv2_hypersort.files.links import place_file


@dataclass(frozen=True)
class ConvertTask:
    """One case to be converted.

    Attributes:
        case: The case.
        check: What its check found; without a problem.
        source: The folder of the download, for messages.
        folder: The dataset folder being filled.
        records: Where the record of the finished case goes.
        copy: Copy images instead of linking them.
        spacing: Voxel size in mm to resample to, or None to keep the published one.
    """

    case: SourceCase
    check: CaseCheck
    source: Path
    folder: Path
    records: Path
    copy: bool
    spacing: Spacing | None

    @property
    def computes(self) -> bool:
        """Whether voxels are read at all; if not, files are only linked or copied."""
        label_computed = self.case.has_label and not self.check.link_label
        return self.spacing is not None or self.check.flatten_image or label_computed


def convert_case(task: ConvertTask) -> Problem | None:
    """Write image, label and record of one case, the record last: a case with a record is complete.

    Returns:
        None, or what kept the case from being converted (only after a quick check, or when a file changed since).

    Raises:
        OSError: The disk is full or the folder cannot be written to.
    """
    try:
        _write_case(task)
    except OSError:
        fault = _unreadable(task.case)
        if fault is None:
            raise  # not this case's fault: the next one could not be written, either
    except Exception as error:
        fault = fault_of(error)
    else:
        return None
    file = relative(fault.path or task.case.image, task.source)
    return Problem(task.case.identifier, file, fault.reason, fault.remedy)


def lost_conversion(task: ConvertTask) -> Problem:
    """Return the problem of a case whose conversion ended the process that did it."""
    return lost_case(task.case, task.source)


def _unreadable(case: SourceCase) -> UnusableFileError | None:
    path = case.image
    try:
        for path in case.files:
            with path.open("rb") as stream:
                while stream.read(1 << 20):
                    pass
    except OSError as error:
        fault = fault_of(error)
        fault.path = path
        return fault
    return None


def _write_case(task: ConvertTask) -> None:
    case, part = task.case, "Ts" if task.case.split == TEST else "Tr"
    with blaming(case.image):
        image_how = _convert_image(task, task.folder / f"images{part}" / f"{case.identifier}_0000.nii.gz")
    label: dict[str, Any] = {}
    if case.has_label:
        label = _convert_label(task, task.folder / f"labels{part}" / f"{case.identifier}.nii.gz")
    record = {
        "split": case.split,
        "modality": case.modality,
        "image": {"from": relative(case.image, task.source), "how": image_how},
        **({"label": label} if label else {}),
        **({"not_annotated": list(case.not_annotated)} if case.not_annotated else {}),
        **({"grid_snapped_to_image": task.check.snapped} if task.check.snapped else {}),
        **({"warnings": task.check.warnings} if task.check.warnings else {}),
        **({} if task.check.itk_reads else {"simpleitk": "refuses the header; nnU-Net reads it with nibabel"}),
    }
    write_record(task.records, case, record)


def _convert_image(task: ConvertTask, target: Path) -> str:
    if task.spacing is not None:
        _resample_image_file(task.case.image, target, task.check.spacing, task.spacing)
        return f"resampled to {_millimetres(task.spacing)}"
    if task.check.flatten_image:
        write_flattened(target, read_volume(task.case.image))
        return "header rewritten as 3-D, same voxels"
    return place_file(task.case.image, target, copy=task.copy)


def _resample_image_file(source: Path, target: Path, spacing: Spacing, new_spacing: Spacing) -> None:
    volume = read_volume(source)
    header = resampled_header(as_nnunet_reads(_flat_header(volume.header), source), new_spacing)
    values = resample_image(volume.values.reshape(volume.shape, order="F"), spacing, new_spacing)
    stored = volume.header.get_data_dtype()
    unscaled = volume.header.get_slope_inter() in ((None, None), (1.0, 0.0))
    if stored.kind in "iu" and unscaled:
        limits = np.iinfo(stored)
        values = np.clip(np.rint(values), limits.min, limits.max)
    else:
        header.set_data_dtype(np.float32)
    header.set_slope_inter(1, 0)
    write_volume(target, header, values)


def _convert_label(task: ConvertTask, target: Path) -> dict[str, Any]:
    case = task.case
    if case.label_map is not None and task.check.link_label and task.spacing is None:
        how = place_file(case.label_map.path, target, copy=task.copy)
        return {"from": relative(case.label_map.path, task.source), "how": how}
    with blaming(case.image):
        header = label_header(read_header(case.image))
    shape = task.check.shape
    done: dict[str, Any]
    if case.label_map is not None:
        with blaming(case.label_map.path):
            labels = translate_labels(read_volume(case.label_map.path), case.label_map.lookup)
        done = {"from": relative(case.label_map.path, task.source), "how": "values rewritten on the image's grid"}
    else:
        labels = np.zeros(int(np.prod(shape)), dtype=np.uint8)
        overlap = 0
        for mask in case.masks:
            with blaming(mask.path):
                overlap += add_mask(labels, mask.target, read_volume(mask.path))
        done = {"how": f"merged from {len(case.masks)} masks", "overlap_voxels": overlap}
    if task.spacing is not None:
        labels = resample_labels(labels.reshape(shape, order="F"), task.check.spacing, task.spacing)
        header = resampled_header(as_nnunet_reads(header, case.image), task.spacing)
        done["how"] += f", resampled to {_millimetres(task.spacing)}"
    write_volume(target, header, labels)
    return done


def _flat_header(header: Any) -> Any:
    header = header.copy()
    header.set_data_shape(header.get_data_shape()[:3])
    return header


def _millimetres(spacing: Spacing) -> str:
    return " x ".join(f"{edge:g}" for edge in spacing) + " mm"
