"""Raw nnU-Net dataset folders: what is in them, and label maps with their grid through nnU-Net's own readers."""

import re
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.json_file import read_json
from nnunetv2_hypersort.images.crops import find_foreign_values
from nnunetv2_hypersort.images.geometry import Grid, Labels
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.reading import reader_for


@dataclass(frozen=True)
class Case:
    """Files of one training case."""

    name: str
    images: tuple[Path, ...]
    label: Path


@dataclass(frozen=True)
class RawDataset:
    """A raw nnU-Net dataset folder.

    Attributes:
        folder: Path of `DatasetXXX_Name`.
        content: What its dataset.json holds.
        table: Its labels.
        cases: Its training cases by name.
    """

    folder: Path
    content: dict[str, Any]
    table: LabelTable
    cases: dict[str, Case]

    @property
    def file_ending(self) -> str:
        """Ending of all image and label files, with its dot."""
        return str(self.content["file_ending"])


@dataclass(frozen=True)
class LabelFile:
    """A label map as read, with what its reader needs to write another one like it."""

    labels: Labels
    grid: Grid
    reader: Any
    properties: dict[str, Any]

    def write(self, labels: Labels, target: Path) -> None:
        """Write another label map with this one's geometry."""
        self.reader.write_seg(labels, str(target), self.properties)


def check_dataset_name(folder: Path) -> None:
    """Refuse a folder whose name nnU-Net does not accept, or whose number another dataset beside it has."""
    if not re.fullmatch(r"Dataset\d{3}_.+", folder.name):
        raise HyperSORTError(
            f"{folder} is not named like a raw nnU-Net dataset; name it DatasetXXX_Name with three digits, "
            "for example Dataset704_HippocampusStyles."
        )
    same = sorted(other for other in folder.parent.glob(f"{folder.name[:11]}*") if other.name != folder.name)
    if same:
        raise HyperSORTError(
            f"{same[0]} has the number of {folder.name}, and nnU-Net then opens neither; take another number."
        )


def open_dataset(folder: Path) -> RawDataset:
    """Read the dataset.json of a raw dataset and list its training cases.

    Raises:
        HyperSORTError: The folder is no raw nnU-Net dataset, or a label file is missing.
    """
    path = folder / "dataset.json"
    content = read_json(path, what="the one of a raw nnU-Net dataset folder (nnUNet_raw/DatasetXXX_Name)")
    if not isinstance(content, dict) or not isinstance(content.get("file_ending"), str):
        raise HyperSORTError(f"{path} has no 'file_ending'; it must describe an nnU-Net v2 dataset.")
    table = LabelTable.from_dataset_json(content, str(path))
    if "dataset" not in content and not (folder / "imagesTr").is_dir():
        raise HyperSORTError(f"{folder} has no imagesTr folder; a raw nnU-Net dataset keeps its training images there.")
    # nnU-Net's function writes absolute paths into what it is given.
    listed = get_filenames_of_train_images_and_targets(str(folder), deepcopy(content))
    cases = {
        name: Case(name, tuple(map(Path, files["images"])), Path(files["label"]))
        for name, files in sorted(listed.items())
    }
    if not cases:
        raise HyperSORTError(f"{folder} has no training case ending in {content['file_ending']!r}.")
    missing = [case.label for case in cases.values() if not case.label.is_file()]
    if missing:
        raise HyperSORTError(f"{missing[0]} does not exist ({len(missing)} label files are missing); add them.")
    return RawDataset(folder, content, table, cases)


def read_labels(path: Path, content: dict[str, Any], table: LabelTable) -> LabelFile:
    """Read a label map with the reader nnU-Net would take, and check that it holds the dataset's labels only.

    Args:
        path: Label file.
        content: What dataset.json holds; its `overwrite_image_reader_writer` is respected.
        table: The dataset's labels.

    Raises:
        HyperSORTError: The file is not readable or holds anything but known labels.
    """
    found = reader_for(content).read_labels(path)
    unknown = find_foreign_values(found.values, table)
    if unknown:
        raise HyperSORTError(
            f"{path} holds the value {unknown[0]}, which dataset.json does not list; mend one of the two."
        )
    if int(found.values.max()) > np.iinfo(np.uint16).max:
        raise HyperSORTError(
            f"{path} holds the value {found.values.max()}, and nnU-Net writes none above {np.iinfo(np.uint16).max}; "
            "give the label a smaller one, there and in dataset.json."
        )
    return LabelFile(found.values.astype(np.uint16), found.grid, found.reader, found.properties)
