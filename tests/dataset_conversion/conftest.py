"""nnU-Net's folders, and small raw datasets to perturb."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """nnUNet_raw, empty, beside the other two folders that nnU-Net's variables point to."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / "nnunet" / name).mkdir(parents=True)
        monkeypatch.setenv(name, str(tmp_path / "nnunet" / name))
    return tmp_path / "nnunet" / "nnUNet_raw"


@pytest.fixture
def write_dataset_json():
    """Write the dataset.json of the boxes, with other entries where given."""

    def write(folder: Path, **changes) -> None:
        content = {
            "name": "Boxes",
            "channel_names": {"0": "MRI"},
            "labels": {"background": 0, "front": 1, "back": 2},
            "numTraining": 12,
            "file_ending": ".nii.gz",
        }
        (folder / "dataset.json").write_text(json.dumps({**content, **changes}))

    return write


@pytest.fixture
def raw_dataset(tmp_path, write_dataset_json):
    """Twelve cases of two stacked boxes, stored LAS with voxels of 1 x 1 x 2 mm, and one test image."""
    folder = tmp_path / "Dataset901_Boxes"
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / name).mkdir(parents=True)
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])
    affine[:3, 3] = (30, -10, 5)
    rng = np.random.default_rng(0)
    for number in range(12):
        labels = np.zeros((16, 18, 10), dtype=np.uint8)
        start = 4 + number % 3
        labels[start : start + 6, 4:9, 3:7] = 2
        labels[start : start + 6, 9:13, 3:7] = 1
        image = labels + rng.normal(size=labels.shape)
        nib.save(nib.Nifti1Image(image.astype(np.float32), affine), folder / f"imagesTr/box_{number:02d}_0000.nii.gz")
        nib.save(nib.Nifti1Image(labels, affine), folder / f"labelsTr/box_{number:02d}.nii.gz")
    nib.save(nib.Nifti1Image(image.astype(np.float32), affine), folder / "imagesTs/box_99_0000.nii.gz")
    write_dataset_json(folder)
    return folder
