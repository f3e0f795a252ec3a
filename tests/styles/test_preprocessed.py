"""Preprocessed images: from the training's folder and from files."""

import shutil

import numpy as np
import pytest
import SimpleITK

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model import ModelFolder, load_preprocessed, preprocess_files


@pytest.fixture
def model(trained_model) -> ModelFolder:
    return ModelFolder.open(trained_model, folds=[0])


@pytest.fixture
def files(model):
    raw = model.raw_folder()
    return raw / "imagesTr" / "phantom_003_0000.nii.gz", raw / "labelsTr" / "phantom_003.nii.gz"


def test_files_are_preprocessed_as_for_the_training(model, files):
    stored = load_preprocessed(model, "phantom_003")
    made = preprocess_files(model.planned, files[:1], files[1])
    assert made.data.dtype == stored.data.dtype == np.float32
    np.testing.assert_array_equal(made.data, stored.data)
    np.testing.assert_array_equal(made.segmentation, stored.segmentation)
    assert made.properties["shape_before_cropping"] == stored.properties["shape_before_cropping"]
    without_label = preprocess_files(model.planned, files[:1])
    assert without_label.segmentation is None
    np.testing.assert_array_equal(without_label.data, stored.data)


def test_missing_training_data_say_what_to_do(model, monkeypatch, tmp_path):
    with pytest.raises(HyperSORTError, match="preprocessed case nobody cannot be read"):
        load_preprocessed(model, "nobody")
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "elsewhere"))
    with pytest.raises(HyperSORTError, match=r"Dataset901_Tiny \(nnUNetPlans_3d_fullres\) are gone"):
        load_preprocessed(model, "phantom_003")


def test_a_label_on_another_grid_is_refused(model, files, tmp_path):
    label = SimpleITK.ReadImage(str(files[1]))
    shifted = SimpleITK.Image(label)
    shifted.SetOrigin([value + 5 for value in label.GetOrigin()])
    stretched = SimpleITK.Image(label)
    stretched.SetSpacing([2 * value for value in label.GetSpacing()])
    for name, other, said in (
        ("cropped", label[1:], "voxels instead of"),
        ("shifted", shifted, "another origin or orientation"),
        ("stretched", stretched, "a spacing of"),
    ):
        path = tmp_path / f"{name}.nii.gz"
        SimpleITK.WriteImage(other, str(path))
        with pytest.raises(HyperSORTError, match=rf"{name}\.nii\.gz is not on the grid of its image .*{said}"):
            preprocess_files(model.planned, files[:1], path)


def test_a_label_value_that_the_model_lacks_is_refused(model, files, tmp_path):
    label = SimpleITK.ReadImage(str(files[1]))
    label[0, 0, 0] = 7
    SimpleITK.WriteImage(label, str(tmp_path / "label.nii.gz"))
    with pytest.raises(HyperSORTError, match=r"has the value 7, .*; its labels are background 0, liver 1\."):
        preprocess_files(model.planned, files[:1], tmp_path / "label.nii.gz")


def test_unreadable_or_too_many_images_are_refused(model, files, tmp_path):
    with pytest.raises(HyperSORTError, match=r"2 image files for one case, but the model takes 1 channel"):
        preprocess_files(model.planned, [files[0], files[0]])
    with pytest.raises(HyperSORTError, match="No files: 0 image files"):
        preprocess_files(model.planned, [])
    broken = tmp_path / "broken_0000.nii.gz"
    shutil.copy(files[0], broken)
    broken.write_bytes(broken.read_bytes()[:200])
    for path in (broken, tmp_path / "absent_0000.nii.gz"):
        with pytest.raises(HyperSORTError, match=path.name):
            preprocess_files(model.planned, [path])
