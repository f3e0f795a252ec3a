"""What is taken from an AMOS22 download."""

from dataclasses import dataclass
from typing import Any

from nnunetv2_hypersort.conversion.settings import LabelOptions
from nnunetv2_hypersort.errors import HyperSORTError

CT, MRI, BOTH = "ct", "mri", "both"
JOIN, FOLD = "join", "fold"


@dataclass(frozen=True)
class Amos22Options:
    """What is taken from the download.

    Attributes:
        labels: Classes and merged labels.
        modality: "ct", "mri" or "both".
        validation: "join" (validation cases are training cases, nnU-Net makes its own folds) or "fold" (one fold,
            validated on the challenge's validation cases).
        test_images: Put the unlabelled test images into imagesTs.
        all_files: Take every labelled pair found in the folders, not only the cases of the lists in dataset.json.
    """

    labels: LabelOptions = LabelOptions()  # noqa: RUF009  (immutable)
    modality: str = CT
    validation: str = JOIN
    test_images: bool = False
    all_files: bool = False

    def __post_init__(self) -> None:
        if self.modality not in (CT, MRI, BOTH):
            raise HyperSORTError(f"modality {self.modality!r} is none of ct, mri, both")
        if self.validation not in (JOIN, FOLD):
            raise HyperSORTError(f"validation {self.validation!r} is neither 'join' nor 'fold'")

    def content(self) -> dict[str, Any]:
        """Return the options as JSON content."""
        return {
            **self.labels.content(),
            "modality": self.modality,
            "validation": self.validation,
            "test_images": self.test_images,
            "all_files": self.all_files,
        }
