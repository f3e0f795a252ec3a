"""Another voxel size: the same things in the same place."""

import numpy as np
import pytest
from convert_builders import AFFINE, SHEARED, save

from nnunetv2_hypersort.conversion import nifti, resampling

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
