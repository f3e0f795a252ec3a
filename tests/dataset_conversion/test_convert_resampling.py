"""Another voxel size: the same things in the same place."""

import nibabel
import numpy as np
import pytest
import SimpleITK
from convert_builders import AFFINE, SHEARED, save

from nnunetv2_hypersort.conversion import cases, checking, geometry, nifti, resampling

SHAPE = (20, 24, 16)


@pytest.mark.parametrize("affine", [AFFINE, SHEARED])
def test_outer_corner_stays_and_voxels_have_the_new_size(tmp_path, affine):
    header = nifti.read_header(save(tmp_path / "a.nii.gz", np.zeros(SHAPE, np.int16), affine))
    new = resampling.resampled_header(header, (3.0, 3.0, 3.0))
    before, after = header.get_best_affine(), new.get_best_affine()
    corner = np.array([-0.5, -0.5, -0.5, 1])
    np.testing.assert_allclose(after @ corner, before @ corner, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(after[:3, :3], axis=0), 3.0, rtol=1e-6)
    assert new.get_data_shape() == (10, 12, 16)
    np.testing.assert_allclose(new.get_zooms(), 3.0)


def test_a_linear_ramp_is_reproduced_in_world_coordinates(tmp_path):
    header = nifti.read_header(save(tmp_path / "a.nii.gz", np.zeros(SHAPE, np.int16)))
    spacing, target = (1.5, 1.5, 3.0), (2.0, 2.5, 3.0)
    new_header = resampling.resampled_header(header, target)

    def ramp(affine, shape):
        world = np.einsum("ij,jxyz->ixyz", affine[:3, :3], np.indices(shape)) + affine[:3, 3, None, None, None]
        return 2 * world[0] - 3 * world[1] + 0.5 * world[2]

    resampled = resampling.resample_image(ramp(header.get_best_affine(), SHAPE), spacing, target)
    expected = ramp(new_header.get_best_affine(), resampled.shape)
    inner = (slice(4, -4), slice(4, -4), slice(None))
    np.testing.assert_allclose(resampled[inner], expected[inner], atol=0.5)
    assert np.ptp(expected[inner]) > 20


def test_halving_the_resolution_is_a_majority_vote_of_eight():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[:2, :2, :2] = 2  # all eight
    labels[2:, :2, 0] = 1  # four of eight: the half that is kept
    labels[2:, 2, 2] = 3  # two of eight: lost
    result = resampling.resample_labels(labels, (1.0, 1.0, 1.0), (2.0, 2.0, 2.0))
    assert result.shape == (2, 2, 2)
    assert result[0, 0, 0] == 2
    assert result[1, 0, 0] == 1
    assert result[1, 1, 1] == 0


def test_volume_in_mm3_is_kept_for_a_structure_of_many_voxels():
    grid = np.indices((40, 40, 40)) - 19.5
    ball = (np.sqrt((grid**2).sum(0)) < 14).astype(np.uint8) * 7
    result = resampling.resample_labels(ball, (1.0, 1.0, 1.0), (1.5, 1.5, 2.0))
    assert set(np.unique(result)) == {0, 7}
    assert (result == 7).sum() * 1.5 * 1.5 * 2.0 == pytest.approx((ball == 7).sum(), rel=0.02)


def test_same_size_changes_nothing():
    labels = np.random.default_rng(0).integers(0, 5, (7, 6, 5)).astype(np.uint8)
    np.testing.assert_array_equal(resampling.resample_labels(labels, (1.5, 1.5, 3.0), (1.5, 1.5, 3.0)), labels)


def test_a_header_of_two_voxel_sizes_is_resampled_from_that_which_nnunet_reads(tmp_path):
    # As in ACDC: the sform says 1 mm, qform and pixdim 1.32 x 1.32 x 10 mm.
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), None)
    image.set_qform(np.diag([1.32, 1.32, 10, 1]), 1)
    image.set_sform(np.eye(4), 1)
    nibabel.save(image, tmp_path / "a.nii.gz")
    header = nifti.read_header(tmp_path / "a.nii.gz")
    read = geometry.as_nnunet_reads(header, tmp_path / "a.nii.gz")
    itk = SimpleITK.ReadImage(str(tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(np.linalg.norm(read.get_best_affine()[:3, :3], axis=0), itk.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(read.get_qform(), read.get_sform(), atol=1e-5)
    new = resampling.resampled_header(read, (1.0, 1.0, 5.0))
    assert new.get_data_shape() == (round(20 * 1.32), round(24 * 1.32), 32)
    assert geometry.as_nnunet_reads(read, tmp_path / "a.nii.gz") is read
    case = cases.SourceCase("a", "train", "CT", tmp_path / "a.nii.gz")
    check = checking.check_case(checking.CheckTask(case, tmp_path, "full", all_classes=False))
    assert check.spacing == pytest.approx((1.32, 1.32, 10))
    (warning,) = [text for text in check.warnings if "disagree" in text]
    assert "pixdim 1.32 x 1.32 x 10" in warning
    assert "sform 1 x 1 x 1" in warning
