"""Small image files for the tests of reading."""

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK

from nnunetv2_hypersort.images.geometry import Grid
from nnunetv2_hypersort.images.reading import ImageReader, LabelImage, reader_for

MAP = np.zeros((5, 6, 7), np.uint8)
MAP[1:3, 2:5, :4] = 2
SPACING = (3.0, 2.0, 0.5)


def reader(path: Path, **dataset_json: object) -> ImageReader:
    ending = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix
    return reader_for({"file_ending": ending, **dataset_json}, path)


def read_labels(path: Path, **dataset_json: object) -> LabelImage:
    return reader(path, **dataset_json).read_labels(path)


def label_grid(path: Path, **dataset_json: object) -> Grid:
    return reader(path, **dataset_json).label_grid(path)


def write_itk(path: Path, array: np.ndarray = MAP, spacing: tuple[float, ...] = SPACING, **how: bool) -> Path:
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin([10.0, -20.0, 30.0][: array.ndim])
    SimpleITK.WriteImage(image, str(path), how.get("compressed", True))
    return path


def write_nifti(path: Path, array: np.ndarray, spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Path:
    """Write an array with axes z, y, x (spacing in the same order) as NIfTI."""
    nibabel.save(nibabel.Nifti1Image(array.T, np.diag([*spacing[::-1], 1.0]), dtype=array.dtype), path)
    return path
