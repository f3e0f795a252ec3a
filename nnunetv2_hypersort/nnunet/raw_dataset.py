"""Raw nnU-Net dataset folders: what is in them, and label maps with their grid through nnU-Net's own readers."""

import re
from copy import deepcopy
from dataclasses import dataclass, replace
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
from nnunetv2_hypersort.images.spacing_file import check_spacing_file, spacing_file, takes_spacing_file
from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels
from nnunetv2_hypersort.nnunet.dataset_ids import UNFINISHED, looked_up, of_id
from nnunetv2_hypersort.nnunet.label_writing import write_labels
from nnunetv2_hypersort.nnunet.names import check_file_ending, path_part


@dataclass(frozen=True)
class Case:
    """Files of one training case."""

    name: str
    images: tuple[Path, ...]
    label: Path


@dataclass(frozen=True)
class LabelFile:
    """A label map as read, with what its reader needs to write another one like it."""

    labels: Labels
    grid: Grid
    reader: Any
    properties: dict[str, Any]

    def write(self, labels: Labels, target: Path) -> None:
        """Write another label map with this one's geometry, whole or not at all."""
        write_labels(self.reader, labels, self.properties, target)


@dataclass(frozen=True)
class RawDataset:
    """A raw nnU-Net dataset folder.

    Attributes:
        folder: Path of `DatasetXXX_Name`.
        content: What its dataset.json holds.
        table: Its labels.
        cases: Its training cases by name.
        annotated: What they are annotated for.
    """

    folder: Path
    content: dict[str, Any]
    table: LabelTable
    cases: dict[str, Case]
    annotated: AnnotatedLabels

    @property
    def file_ending(self) -> str:
        """Ending of all image and label files, with its dot."""
        return str(self.content["file_ending"])

    def labels_of(self, name: str) -> LabelFile:
        """Read the label map of a training case, see `read_labels`.

        A TIFF label without a spacing file has the spacing of its image, which is what nnU-Net trains with.

        Raises:
            HyperSORTError: As `read_labels`, or it holds a class that the case is not annotated for.
        """
        case = self.cases[name]
        file = read_labels(case.label, self.content, self.table)
        self.annotated.check_label_map(name, file.labels, case.label)
        kinds = (type(file.reader),)
        beside_image = spacing_file(case.images[0], image=True)
        if (
            not takes_spacing_file(case.label, kinds)
            or spacing_file(case.label).is_file()
            or not beside_image.is_file()
        ):
            return file
        check_spacing_file(case.images[0], kinds, image=True)
        properties = {**file.properties, "spacing": read_json(beside_image, what="a spacing file")["spacing"]}
        return replace(file, properties=properties, grid=Grid.of(file.labels.shape, properties))


def check_dataset_name(folder: Path) -> None:
    """Refuse a folder whose name nnU-Net does not accept, or whose number nnU-Net would find twice beside it."""
    if not re.fullmatch(r"Dataset\d{3}_.+", folder.name):
        raise HyperSORTError(
            f"{folder} is not named like a raw nnU-Net dataset; name it DatasetXXX_Name with three digits, "
            "for example Dataset704_HippocampusStyles."
        )
    if not folder.parent.is_dir():
        return
    number = int(folder.name[len("Dataset") :][:3])
    same = [other for other in looked_up(number, folder.parent) if other.name != folder.name]
    if same:
        raise HyperSORTError(
            f"nnU-Net takes {same[0]} for the number of {folder.name} as well, and then opens neither; take another "
            "number."
        )
    unfinished = of_id(number, folder.parent, prefix=UNFINISHED)
    if unfinished:
        raise HyperSORTError(
            f"{unfinished[0]} is an unfinished conversion to the number of {folder.name}; take another number."
        )


def open_dataset(folder: Path) -> RawDataset:
    """Read the dataset.json of a raw dataset and list its training cases.

    Raises:
        HyperSORTError: The folder is no raw nnU-Net dataset, a label file is missing, or `annotated_labels` is wrong.
    """
    path = folder / "dataset.json"
    content = read_json(path, what="the one of a raw nnU-Net dataset folder (nnUNet_raw/DatasetXXX_Name)")
    if not isinstance(content, dict) or not isinstance(content.get("file_ending"), str):
        raise HyperSORTError(f"{path} has no 'file_ending'; it must describe an nnU-Net v2 dataset.")
    check_file_ending(content, source=path)
    table = LabelTable.from_dataset_json(content, str(path))
    if "dataset" not in content and not (folder / "imagesTr").is_dir():
        raise HyperSORTError(f"{folder} has no imagesTr folder; a raw nnU-Net dataset keeps its training images there.")
    # nnU-Net's function writes absolute paths into what it is given.
    listed = get_filenames_of_train_images_and_targets(str(folder), deepcopy(content))
    cases = {
        path_part(name, what="A case", source=path): Case(name, tuple(map(Path, files["images"])), Path(files["label"]))
        for name, files in sorted(listed.items())
    }
    if not cases:
        raise HyperSORTError(f"{folder} has no training case ending in {content['file_ending']!r}.")
    missing = [case.label for case in cases.values() if not case.label.is_file()]
    if missing:
        raise HyperSORTError(f"{missing[0]} does not exist ({len(missing)} label files are missing); add them.")
    annotated = AnnotatedLabels.from_dataset_json(content, str(path), cases=cases.keys())
    return RawDataset(folder, content, table, cases, annotated)


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
