"""New cases with labels, whole or annotated in part, and what cannot be used."""

import copy
import dataclasses
import shutil

import numpy as np
import pytest
import SimpleITK

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.fitting.new_cases import load_new_cases, with_ignore_label
from nnunetv2_hypersort.fitting.partial_labels import resample_partial_label
from nnunetv2_hypersort.model import ModelFolder, preprocess_files
from nnunetv2_hypersort.nnunet.patches import labelled_patches

IGNORE = 2


@pytest.fixture
def planned(trained_model):
    return with_ignore_label(ModelFolder.open(trained_model, folds=[0]).planned)


@pytest.fixture
def folders(preprocessed, tmp_path):
    """Images and labels of phantom_000 and phantom_001."""
    raw = preprocessed / "nnUNet_raw" / "Dataset901_Tiny"
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    for case in ("phantom_000", "phantom_001"):
        shutil.copy(raw / "imagesTr" / f"{case}_0000.nii.gz", images)
        shutil.copy(raw / "labelsTr" / f"{case}.nii.gz", labels)
    return images, labels


def rewrite(file, change, *, spacing=None):
    image = SimpleITK.ReadImage(str(file))
    result = SimpleITK.GetImageFromArray(change(SimpleITK.GetArrayFromImage(image)))
    if spacing is None:
        result.CopyInformation(image)
    else:
        result.SetSpacing(spacing)
    SimpleITK.WriteImage(result, str(file))


def test_they_are_read_on_both_grids(planned, folders):
    cases = load_new_cases(planned, *folders)
    assert [case.case_id for case in cases] == ["phantom_000", "phantom_001"]
    for case in cases:
        file = folders[1] / f"{case.case_id}.nii.gz"
        np.testing.assert_array_equal(case.reference, SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file))))
        assert case.image.data.shape[1:] == case.image.segmentation.shape
    assert [case.case_id for case in load_new_cases(planned, *folders, ["phantom_001"])] == ["phantom_001"]


def all_ignored(labels):
    return np.full_like(labels, IGNORE)


def ignored_where_labelled(labels):
    return np.where(labels > 0, IGNORE, labels)


@pytest.mark.parametrize(
    ("change", "spacing", "words"),
    [
        (lambda labels: labels, (5.0, 5.0, 4.0), "not on the grid of its image"),
        (lambda labels: labels[1:], None, "not on the grid of its image"),
        (lambda labels: labels + 6 * (labels > 0), None, "has the value 7, which the model lacks"),
        (np.zeros_like, None, "no annotated foreground"),
        (all_ignored, None, "all carry the ignore label"),
        (ignored_where_labelled, None, "no annotated foreground"),
    ],
)
def test_a_label_that_cannot_be_used_is_named(planned, folders, change, spacing, words):
    file = folders[1] / "phantom_001.nii.gz"
    labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file)))
    if change(labels).shape != labels.shape:
        spacing = (5.0, 5.0, 5.0)
    rewrite(file, change, spacing=spacing)
    with pytest.raises(HyperSORTError, match=words) as error:
        load_new_cases(planned, *folders)
    assert str(file) in str(error.value)
    assert "phantom_000" not in str(error.value)


def test_every_label_that_cannot_be_used_is_named(planned, folders):
    for file in folders[1].iterdir():
        rewrite(file, np.zeros_like)
    with pytest.raises(HyperSORTError, match=r"phantom_000.*\n.*phantom_001"):
        load_new_cases(planned, *folders)


def test_an_ignore_label_that_the_model_lacks_is_a_foreign_value(trained_model, folders):
    rewrite(folders[1] / "phantom_000.nii.gz", lambda labels: np.where(labels > 0, labels, IGNORE))
    with pytest.raises(HyperSORTError, match="has the value 2, which the model lacks"):
        load_new_cases(ModelFolder.open(trained_model, folds=[0]).planned, *folders)


def test_images_without_labels_and_labels_without_images(planned, folders):
    images, labels = folders
    (labels / "phantom_001.nii.gz").unlink()
    with pytest.raises(HyperSORTError, match=r"no label .* of phantom_001"):
        load_new_cases(planned, images, labels)
    (images / "phantom_001_0000.nii.gz").unlink()
    shutil.copy(labels / "phantom_000.nii.gz", labels / "other.nii.gz")
    with pytest.warns(UserWarning, match="no image for the labels of other"):
        assert len(load_new_cases(planned, images, labels)) == 1
    with pytest.raises(HyperSORTError, match="no image of phantom_009; it has phantom_000"):
        load_new_cases(planned, images, labels, ["phantom_009"])


def test_folders_that_are_empty_or_absent(planned, folders, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(HyperSORTError, match="holds no image named as nnU-Net wants it"):
        load_new_cases(planned, tmp_path / "empty", folders[1])
    with pytest.raises(HyperSORTError, match="holds no label"):
        load_new_cases(planned, folders[0], tmp_path / "empty")
    with pytest.raises(HyperSORTError, match="is not a folder"):
        load_new_cases(planned, folders[0], tmp_path / "absent")


def test_on_a_grid_of_equal_spacing_a_partial_label_stays_as_it_is(planned, folders):
    file = folders[1] / "phantom_000.nii.gz"
    rewrite(file, lambda labels: np.where(np.arange(len(labels))[:, None, None] % 4 == 1, labels, IGNORE))
    case, _ = load_new_cases(planned, *folders)
    np.testing.assert_array_equal(np.maximum(case.image.segmentation, 0), case.reference)


@pytest.mark.parametrize(("spacing", "kept"), [(10.0, 6), (9.4, 7), (13.0, 5), (2.5, slice(26, 28))])
def test_a_single_annotated_slice_outlives_another_grid(planned, folders, spacing, kept):
    plans = copy.deepcopy(planned.plans)
    plans["configurations"]["3d_fullres"]["spacing"] = [spacing] * 3
    other = dataclasses.replace(planned, plans=plans)
    image = preprocess_files(other, [folders[0] / "phantom_000_0000.nii.gz"])
    reference = np.full((28, 48, 48), IGNORE, np.uint8)
    reference[13] = 0
    reference[13, 12:36, 8:40] = 1
    label = resample_partial_label(other, image, reference)
    assert label.shape == tuple(np.round(np.array(reference.shape) * 5 / spacing))
    annotated = np.zeros(label.shape, bool)
    annotated[kept] = True
    np.testing.assert_array_equal(label != IGNORE, annotated)
    # The rectangle is a third of the slice, and is so on any grid up to the rounding of its border.
    assert (label[kept] == 1).mean() == pytest.approx(24 * 32 / 48**2, abs=0.08)


def test_patches_cover_what_is_annotated(planned):
    shape = (20, 40, 60)
    rng = np.random.default_rng(0)
    data, label = rng.normal(size=(1, *shape)).astype(np.float32), np.full(shape, IGNORE)
    label[:, 5:9, :30] = 0
    label[4:8, 5:9, 4:20] = 1
    label[0, 5, 0] = -1
    patches = labelled_patches(planned, data, label, np.zeros(shape, bool))
    assert 1 <= len(patches) < 12
    for image, target in patches:
        assert image.shape == target.shape == (1, 1, 16, 24, 24)
        assert (target != IGNORE).any()
        assert (target >= 0).all()
    assert sum(int((target == 1).sum()) for _, target in patches) >= 4 * 4 * 16


def test_a_small_image_is_padded_with_what_does_not_count(trained_model, planned):
    label = np.ones((4, 6, 8), int)
    without_ignore = ModelFolder.open(trained_model, folds=[0]).planned
    for model, padding in ((without_ignore, 0), (planned, IGNORE)):
        ((image, target),) = labelled_patches(model, np.ones((1, 4, 6, 8), np.float32), label, label > 0)
        assert image.shape == target.shape == (1, 1, 16, 24, 24)
        assert int((target == 1).sum()) == int(image.sum()) == label.size
        assert set(target.unique().tolist()) == {1, padding}
