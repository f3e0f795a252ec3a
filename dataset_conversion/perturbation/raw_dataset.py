"""Raw nnU-Net dataset folders: what is in them, and label maps with their grid through nnU-Net's own readers."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.imageio.reader_writer_registry import LIST_OF_IO_CLASSES, recursive_find_reader_writer_by_name
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from nnunetv2_hypersort.dataset_conversion.perturbation.geometry import Grid, Labels
from nnunetv2_hypersort.dataset_conversion.perturbation.label_table import LabelTable
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.names import check_file_ending, path_part
from nnunetv2_hypersort.orientation import axis_codes


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
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise HyperSORTError(
            f"{path} cannot be read; give a raw nnU-Net dataset folder (nnUNet_raw/DatasetXXX_Name)."
        ) from None
    except ValueError as error:
        raise HyperSORTError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("file_ending"), str):
        raise HyperSORTError(f"{path} has no 'file_ending'; it must describe an nnU-Net v2 dataset.")
    check_file_ending(content, source=path)
    table = LabelTable.from_dataset_json(content, str(path))
    if "dataset" not in content and not (folder / "imagesTr").is_dir():
        raise HyperSORTError(f"{folder} has no imagesTr folder; a raw nnU-Net dataset keeps its training images there.")
    # nnU-Net's function writes absolute paths into what it is given.
    listed = get_filenames_of_train_images_and_targets(str(folder), json.loads(json.dumps(content)))
    cases = {
        path_part(name, what="A case", source=path): Case(name, tuple(map(Path, files["images"])), Path(files["label"]))
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
    chosen = content.get("overwrite_image_reader_writer", "None")
    candidates = (
        [recursive_find_reader_writer_by_name(chosen)]
        if chosen != "None"
        else [kind for kind in LIST_OF_IO_CLASSES if content["file_ending"].lower() in kind.supported_file_endings]
    )
    if not candidates:
        raise HyperSORTError(f"nnU-Net has no reader for {content['file_ending']!r} files such as {path}.")
    failures = []
    for kind in candidates:
        reader = kind()
        try:
            found, properties = reader.read_seg(str(path))
        # Readers fail with whatever their library raises; the next one may do, as in nnU-Net itself.
        except Exception as error:
            failures.append(f"{kind.__name__}: {' '.join(str(error).split())}")
            continue
        labels = np.rint(found[0])
        unknown = set(np.unique(found[0]).tolist()) - {0, *table.foreground, table.ignore}
        if unknown:
            raise HyperSORTError(
                f"{path} holds the value {min(unknown):g}, which dataset.json does not list; mend one of the two."
            )
        return LabelFile(labels.astype(np.uint16), _grid(properties), reader, properties)
    raise HyperSORTError(f"{path} cannot be read ({'; '.join(failures)}); replace the file.")


def _grid(properties: dict[str, Any]) -> Grid:
    depth, height, width = (float(step) for step in properties["spacing"])
    # Files without orientation (PNG, TIFF): columns and rows as ITK and DICOM have them by default.
    return Grid((depth, height, width), axis_codes(properties) or ("S", "P", "L"))
