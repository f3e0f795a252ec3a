"""Small label maps and folders, as `hypersort evaluate` meets them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray


def write_nifti(path: Path, array: NDArray[Any], spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Path:
    """Write an array with axes z, y, x (spacing in the same order) as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array.T, np.diag([*spacing[::-1], 1.0]), dtype=array.dtype)
    nibabel.save(image, path)
    return path


def write_dataset_json(path: Path, labels: Mapping[str, Any], **more: Any) -> Path:
    content = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz", **more}
    path.write_text(json.dumps(content))
    return path


def make_box(shape: tuple[int, ...], *sides: tuple[int, int], value: int = 1) -> NDArray[np.uint8]:
    """A label map that holds `value` in the box from start to stop along each axis."""
    array = np.zeros(shape, dtype=np.uint8)
    array[tuple(slice(*side) for side in sides)] = value
    return array
