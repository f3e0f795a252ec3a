"""dataset.json: what nnU-Net v2 knows of a data set."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.json_file import read_json
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.reading import ImageReader, reader_for
from nnunetv2_hypersort.nnunet.names import check_file_ending


@dataclass(frozen=True)
class DatasetJson:
    """What a dataset.json says.

    Attributes:
        content: All of it.
        labels: Its labels.
        file_ending: Ending of all image and label files, with its dot.
    """

    content: Mapping[str, Any]
    labels: LabelTable
    file_ending: str

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "DatasetJson":
        """Read the file.

        Raises:
            HyperSORTError: It is missing, is no JSON, or does not describe a data set as nnU-Net v2 does.
        """
        content = read_json(path, what="the dataset.json of an nnU-Net v2 data set")
        labels = LabelTable.from_dataset_json(content, str(path))
        ending = content.get("file_ending")
        if not isinstance(ending, str) or not ending.startswith("."):
            raise HyperSORTError(
                f'{path} needs "file_ending" with the ending of the image and label files, for example ".nii.gz".'
            )
        check_file_ending(content, source=path)
        return cls(content, labels, ending)

    def reader(self, example_file: Path | None = None) -> ImageReader:
        """The reader that nnU-Net takes for the files of the data set, see `reader_for`.

        Raises:
            HyperSORTError: nnU-Net has none.
        """
        return reader_for(self.content, example_file)


def read_label_table(dataset_json: str | os.PathLike[str]) -> LabelTable:
    """Read the labels of a dataset.json.

    Raises:
        HyperSORTError: As `DatasetJson.read`.
    """
    return DatasetJson.read(dataset_json).labels
