"""Preprocessed images, from nnU-Net's preprocessed folder or made from image files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.completeness import check_complete
from nnunetv2_hypersort.images.reading import ImageReader
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.planned_model import PlannedModel
from nnunetv2_hypersort.nnunet.names import is_path_part
from nnunetv2_hypersort.nnunet.preprocessed_case import read_preprocessed_case


@dataclass(frozen=True)
class PreprocessedImage:
    """An image as the network takes it: transposed, cropped, normalised and resampled by nnU-Net.

    Attributes:
        data: Shape (channels, x, y, z), float32.
        segmentation: Shape (x, y, z), integer, on the grid of `data`: label values as nnU-Net stores them (-1 outside
            the body where normalisation uses a mask), or None without a label.
        properties: nnU-Net's account of the original grid.
    """

    data: np.ndarray
    segmentation: np.ndarray | None
    properties: dict[str, Any]


def load_preprocessed(model: ModelFolder, case_id: str) -> PreprocessedImage:
    """Load a case of the training data as it was preprocessed for training.

    Raises:
        HyperSORTError: The preprocessed data are gone, have no such case, or what they have of it is damaged or more
            than plain numbers.
    """
    folder = model.preprocessed_cases_folder()
    if folder is None:
        raise HyperSORTError(
            f"The preprocessed data of {model.dataset_name} ({model.planned.configuration_manager.data_identifier}) "
            f"are gone; set nnUNet_preprocessed to the folder that holds them, or run nnUNetv2_preprocess again."
        )
    data, segmentation, properties = read_preprocessed_case(folder, case_id)
    return PreprocessedImage(data, segmentation[0], properties)


def preprocessed_cases(model: ModelFolder) -> set[str]:
    """The training cases whose preprocessed data are there; none if the data are gone."""
    folder = model.preprocessed_cases_folder()
    if folder is None:
        return set()
    try:
        return set(filter(is_path_part, infer_dataset_class(str(folder)).get_identifiers(str(folder))))
    except (AssertionError, KeyError, IndexError, OSError):
        # So nnU-Net fails on a folder without preprocessed cases.
        return set()


def preprocess_files(
    planned: PlannedModel, image_files: Sequence[str | Path], label_file: str | Path | None = None
) -> PreprocessedImage:
    """Preprocess an image as nnU-Net does for a prediction.

    Args:
        planned: Plans of the model.
        image_files: One file per channel, in the order of the channels.
        label_file: Its label, on the same grid; or None.

    Raises:
        HyperSORTError: A file cannot be read, there are not as many as channels, or the label is on another grid or
            has a value that the model lacks.
    """
    channels = len(planned.dataset_json.get("channel_names", planned.dataset_json.get("modality", {})))
    if len(image_files) != channels:
        raise HyperSORTError(
            f"{', '.join(map(str, image_files)) or 'No files'}: {len(image_files)} image files for one case, but the "
            f"model takes {channels} channel(s); give one file per channel, in the order of dataset.json."
        )
    for image_file in map(Path, image_files):
        check_complete(image_file)
    if label_file is not None:
        _check_label(planned, Path(image_files[0]), Path(label_file))
    preprocessor = planned.configuration_manager.preprocessor_class(verbose=False)
    try:
        data, segmentation, properties = preprocessor.run_case(
            [str(file) for file in image_files],
            None if label_file is None else str(label_file),
            planned.plans_manager,
            planned.configuration_manager,
            planned.dataset_json,
        )
    except Exception as error:  # each of nnU-Net's readers fails in its own way
        raise HyperSORTError(
            f"{', '.join(map(str, image_files))} cannot be read as one image ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}); check the files."
        ) from error
    return PreprocessedImage(
        np.asarray(data, np.float32), None if label_file is None else np.asarray(segmentation[0]), properties
    )


def planned_reader(planned: PlannedModel) -> ImageReader:
    """The reader that a model was planned with."""
    return ImageReader((planned.plans_manager.image_reader_writer_class,))


def _check_label(planned: PlannedModel, image_file: Path, label_file: Path) -> None:
    reader = planned_reader(planned)
    label = reader.read_labels(label_file)
    difference = reader.image_grid(image_file).difference(label.grid)
    if difference:
        raise HyperSORTError(
            f"The label {label_file} is not on the grid of its image {image_file}: it has {difference}. Resample it."
        )
    manager = planned.label_manager
    known = {*manager.all_labels, manager.ignore_label}
    foreign = [int(value) for value in np.unique(label.values) if value not in known]
    if foreign:
        # What a user without an ignore label takes to mark voxels that nobody annotated.
        marks_the_rest = manager.ignore_label is None and foreign == [max(manager.all_labels) + 1]
        raise HyperSORTError(
            f"The label {label_file} has the value {', '.join(map(str, foreign[:5]))}, which the model lacks; its "
            f"labels are {', '.join(f'{name} {value}' for name, value in planned.dataset_json['labels'].items())}."
            + (" If it stands where nobody annotated, say so with --partly-annotated." if marks_the_rest else "")
        )
