"""The training data of a model as far as they are still there: images, preprocessed or raw, and labels as drawn."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import PreprocessedImage, load_preprocessed, preprocess_files
from nnunetv2_hypersort.nnunet.raw_dataset import RawDataset, open_dataset


def open_raw_dataset(model: ModelFolder) -> RawDataset:
    """Open the raw dataset that a model was trained on.

    Raises:
        HyperSORTError: It is gone, or is no raw dataset any more.
    """
    folder = model.raw_folder()
    if folder is None:
        raise HyperSORTError(
            f"The raw data of {model.dataset_name} are gone; set nnUNet_raw to the folder that holds "
            f"{model.dataset_name}."
        )
    return open_dataset(folder)


@dataclass(frozen=True)
class TrainingData:
    """Images and labels of the training data.

    Attributes:
        model: The model.
        labels: Folder with the labels as they are, one file per case.
        raw: The raw dataset, where there are no preprocessed images.
    """

    model: ModelFolder
    labels: Path
    raw: RawDataset | None

    @classmethod
    def find(cls, model: ModelFolder) -> "TrainingData":
        """Find the training data of a model: preprocessed if they are there, else raw.

        Raises:
            HyperSORTError: Images or labels are gone.
        """
        preprocessed, raw = model.preprocessed_folder(), model.raw_folder()
        found = model.preprocessed_cases_folder() is not None or raw is not None
        folders = [preprocessed / "gt_segmentations"] if preprocessed else []
        folders += [raw / "labelsTr"] if raw else []
        labels = next((folder for folder in folders if folder.is_dir()), None)
        if not found or labels is None:
            raise HyperSORTError(
                f"The {'labels' if found else 'images'} of {model.dataset_name} are gone, so nothing can be validated; "
                f"set nnUNet_preprocessed (or nnUNet_raw) to the folder that holds {model.dataset_name}, or leave the "
                f"validation out (`--no-validation`)."
            )
        return cls(model, labels, None if model.preprocessed_cases_folder() else open_raw_dataset(model))

    def image(self, case_id: str) -> PreprocessedImage:
        """The image of a case.

        Raises:
            HyperSORTError: It is gone or cannot be read.
        """
        if self.raw is None:
            return load_preprocessed(self.model, case_id)
        if case_id not in self.raw.cases:
            raise HyperSORTError(f"The case {case_id} is gone from {self.raw.folder}; put it back.")
        return preprocess_files(self.model.planned, self.raw.cases[case_id].images)

    def check_labels(self, case_ids: Iterable[str]) -> None:
        """Refuse cases whose label is gone.

        Raises:
            HyperSORTError: At least one is.
        """
        ending = self.model.dataset_json["file_ending"]
        missing = [case_id for case_id in case_ids if not (self.labels / f"{case_id}{ending}").is_file()]
        if missing:
            raise HyperSORTError(
                f"{self.labels} has no label for {', '.join(missing[:5])} ({len(missing)} of the cases to be "
                f"validated); put them back, or leave the validation out (`--no-validation`)."
            )
