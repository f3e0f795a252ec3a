"""Images and labels of the training cases, from wherever they still are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import PreprocessedImage, load_preprocessed, planned_reader, preprocess_files


@dataclass(frozen=True)
class CaseImages:
    """Where images and labels of the training cases are found.

    Attributes:
        model: The model.
        images: For each case of the raw dataset its image files.
        labels: For each case its label file, of the raw dataset or beside the preprocessed data.
    """

    model: ModelFolder
    images: Mapping[str, Sequence[str]]
    labels: Mapping[str, Path]

    @classmethod
    def find(cls, model: ModelFolder) -> "CaseImages":
        """Look for the data of a model; they may be gone."""
        images: dict[str, Sequence[str]] = {}
        labels: dict[str, Path] = {}
        raw, preprocessed = model.raw_folder(), model.preprocessed_folder()
        if preprocessed is not None:
            ending = model.dataset_json["file_ending"]
            files = (preprocessed / "gt_segmentations").glob(f"*{ending}")
            labels.update((file.name.removesuffix(ending), file) for file in files)
        if raw is not None:
            try:
                # What the raw dataset itself says: the model may be anyone's, and would name files anywhere.
                entries = get_filenames_of_train_images_and_targets(str(raw))
            except (OSError, ValueError, AssertionError, LookupError, TypeError, AttributeError):
                entries = {}  # a raw dataset without its images, or one that was changed
            for case, entry in entries.items():
                images[case] = entry["images"]
                labels.setdefault(case, Path(entry["label"]))
        return cls(model, images, labels)

    def image(self, case: str) -> PreprocessedImage:
        """The image as the network takes it: preprocessed for training, or else from the raw dataset.

        Raises:
            HyperSORTError: It is in neither, or cannot be read.
        """
        try:
            return load_preprocessed(self.model, case)
        except HyperSORTError:
            if case not in self.images:
                raise
            return preprocess_files(self.model.planned, self.images[case])

    def label(self, case: str) -> tuple[np.ndarray, float]:
        """The training label: values, shape (x, y, z), and the size of a voxel, in mm³ (mm² in 2-D files).

        Raises:
            HyperSORTError: It cannot be read.
        """
        reader = planned_reader(self.model.planned)
        found = reader.read_labels(self.labels[case])
        return found.values, found.grid.voxel_volume


def evenly_spread(cases: Sequence[str], count: int) -> list[str]:
    """At most `count` of the cases, evenly spread over their order."""
    if len(cases) <= count:
        return list(cases)
    return [cases[row] for row in np.linspace(0, len(cases) - 1, count).round().astype(int)]
