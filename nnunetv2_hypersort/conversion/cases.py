"""What is known of a case before, during and after its conversion."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TRAIN, VALIDATION, TEST = "train", "val", "test"


@dataclass(frozen=True)
class MaskFile:
    """One binary mask: voxels above zero become the label `target`."""

    path: Path
    target: int


@dataclass(frozen=True)
class LabelMapFile:
    """One file with all labels: a voxel of value v becomes the label `lookup[v]`; other values are faults."""

    path: Path
    lookup: tuple[int, ...]

    @property
    def unchanged(self) -> bool:
        """Whether every value stays what it is, so that the file can be used as it stands."""
        return self.lookup == tuple(range(len(self.lookup)))


@dataclass(frozen=True)
class SourceCase:
    """One case of the download and the files that belong to it.

    Attributes:
        identifier: The source's own case id, kept in the new dataset.
        split: "train", "val" or "test", as the source says.
        modality: "CT" or "MRI".
        image: The image.
        label_map: The file with all labels, or None.
        masks: One file per structure, in the order in which they are merged: later ones win.
        not_annotated: Chosen structures for which the case has no file (allowed by the user).
        metadata: Column -> value, for cases.csv.
    """

    identifier: str
    split: str
    modality: str
    image: Path
    label_map: LabelMapFile | None = None
    masks: tuple[MaskFile, ...] = ()
    not_annotated: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_label(self) -> bool:
        """Whether there is anything to make a label map from."""
        return self.label_map is not None or bool(self.masks) or bool(self.not_annotated)

    @property
    def label_files(self) -> list[Path]:
        """Every label file of the case."""
        return [mask.path for mask in self.masks] + ([self.label_map.path] if self.label_map else [])

    @property
    def files(self) -> list[Path]:
        """Every file of the case, the image first."""
        return [self.image, *self.label_files]


@dataclass(frozen=True)
class Problem:
    """Why a case cannot be converted as it stands, and what to do about it."""

    case: str
    file: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.case}: {self.file} {self.reason}; {self.remedy}"


@dataclass
class CaseCheck:
    """What the check of one case found.

    Attributes:
        identifier: The case.
        problems: Faults that keep the case out.
        warnings: Oddities that do not.
        stamps: `file_stamps` of its files, taken before the first was read; empty where one is missing.
        shape: Voxels along the three axes of the file.
        spacing: Voxel size in mm along the same axes.
        itk_reads: Whether SimpleITK, nnU-Net's default reader, accepts the header.
        flatten_image: The image has trailing axes of length one that nnU-Net's readers do not take.
        link_label: The label map can be used byte for byte.
        snapped: Label files whose grid differs from the image's by float noise only.
    """

    identifier: str
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stamps: list[list[int]] = field(default_factory=list)
    shape: tuple[int, int, int] = (0, 0, 0)
    spacing: tuple[float, float, float] = (0.0, 0.0, 0.0)
    itk_reads: bool = True
    flatten_image: bool = False
    link_label: bool = False
    snapped: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the check as JSON content, from which `from_json` rebuilds it (only for checks without a problem)."""
        return {key: value for key, value in vars(self).items() if key not in ("problems", "stamps")}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], stamps: list[list[int]]) -> "CaseCheck":
        """Rebuild a check from what `to_json` gave, of files with these stamps."""
        check = cls(**content, stamps=stamps)
        check.shape = (int(check.shape[0]), int(check.shape[1]), int(check.shape[2]))
        check.spacing = (float(check.spacing[0]), float(check.spacing[1]), float(check.spacing[2]))
        return check


def file_stamps(paths: Iterable[Path]) -> list[list[int]]:
    """Return size in bytes and time of change in ns of each file: equal stamps mean the file was not replaced."""
    stamps = []
    for path in paths:
        status = path.stat()
        stamps.append([status.st_size, status.st_mtime_ns])
    return stamps
