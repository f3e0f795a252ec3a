"""Reading, checking and writing single files."""

import gzip
import os

import nibabel
import numpy as np
import pytest
from convert_builders import AFFINE, SHAPE, SHEARED, box, break_checksum, ct, load, save, truncate

from nnunetv2_hypersort.conversion import geometry, merging, nifti
from nnunetv2_hypersort.files import links as linking

UnusableFileError = nifti.UnusableFileError


def test_values_are_those_nibabel_reads_scaling_included(tmp_path):
    path = tmp_path / "a.nii.gz"
    image = nibabel.Nifti1Image(ct(), AFFINE)
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, path)
    volume = nifti.read_volume(path)
    np.testing.assert_allclose(volume.values.reshape(SHAPE, order="F"), nibabel.load(path).get_fdata())


MODES = {"full": nifti.read_volume, "quick": lambda path: nifti.check_length(path, nifti.read_header(path))}


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncate, "cut short"),
        (lambda path: truncate(path, 0.01), "cut short"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"<html>not found</html>"), "not a gzip file"),
        (lambda path: path.write_bytes(gzip.compress(b"x" * 400)), "NIfTI-1"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_damaged_files_are_named_for_what_they_are(tmp_path, mode, spoil, reason):
    path = save(tmp_path / "a.nii.gz", ct())
    spoil(path)
    with pytest.raises(UnusableFileError) as caught:
        MODES[mode](path)
    assert reason in caught.value.reason
    assert caught.value.remedy


def test_wrong_checksum_is_found_by_reading_everything_only(tmp_path):
    path = save(tmp_path / "a.nii.gz", ct())
    break_checksum(path)
    nifti.check_length(path, nifti.read_header(path))
    with pytest.raises(UnusableFileError, match="CRC"):
        nifti.read_volume(path)


def test_header_that_promises_more_voxels_than_there_are(tmp_path):
    path = save(tmp_path / "a.nii.gz", ct())
    raw = bytearray(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.compress(bytes(raw[:-100])))
    for check in (nifti.read_volume, lambda file: nifti.check_length(file, nifti.read_header(file))):
        with pytest.raises(UnusableFileError, match="promises"):
            check(path)


def test_gzip_of_several_members_is_sound(tmp_path):
    path = save(tmp_path / "a.nii.gz", ct())
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw[:1000]) + gzip.compress(raw[1000:]))
    nifti.check_length(path, nifti.read_header(path))
    np.testing.assert_array_equal(nifti.read_volume(path).stored.reshape(SHAPE, order="F"), ct())


def test_trailing_axis_of_length_one_is_dropped_without_touching_a_voxel(tmp_path):
    path = save(tmp_path / "a.nii.gz", ct()[..., np.newaxis])
    volume = nifti.read_volume(path)
    assert volume.shape == SHAPE
    assert not nifti.is_flat(volume.header)
    nifti.write_flattened(tmp_path / "b.nii.gz", volume)
    values, affine = load(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(values, ct())
    np.testing.assert_array_equal(affine, AFFINE)
    assert values.dtype == np.int16


def test_several_volumes_in_one_file_are_refused(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.zeros((4, 4, 4, 2), np.int16))
    with pytest.raises(UnusableFileError, match="one 3-D volume"):
        nifti.spatial_shape(nifti.read_header(path))


def test_label_on_the_image_s_grid_has_the_same_sform_qform_and_units(tmp_path):
    path = save(tmp_path / "image.nii.gz", ct(), SHEARED, sform_only=False)
    header = nifti.label_header(nifti.read_header(path))
    nifti.write_volume(tmp_path / "label.nii.gz", header, box((1, 1, 1), (3, 4, 5)))
    image, label = nibabel.load(path), nibabel.load(tmp_path / "label.nii.gz")
    for code in ("sform_code", "qform_code", "pixdim", "xyzt_units", "srow_x", "quatern_b"):
        np.testing.assert_array_equal(image.header[code], label.header[code])
    assert label.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asanyarray(label.dataobj), box((1, 1, 1), (3, 4, 5)))


def test_equal_content_gives_equal_bytes(tmp_path):
    header = nifti.label_header(nifti.read_header(save(tmp_path / "image.nii.gz", ct())))
    for name in ("a", "b"):
        nifti.write_volume(tmp_path / f"{name}.nii.gz", header, box((1, 1, 1), (3, 4, 5)))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_corner_distance_by_hand():
    moved = AFFINE.copy()
    moved[:3, 3] += (3, 4, 0)
    assert geometry.corner_distance(AFFINE, moved, SHAPE) == pytest.approx(5)
    stretched = AFFINE.copy()
    stretched[2, 2] += 0.1  # 0.1 mm more per slice, 7 steps to the far corner
    assert geometry.corner_distance(AFFINE, stretched, SHAPE) == pytest.approx(0.7)


@pytest.mark.parametrize(("shift", "same"), [(0.0, True), (1e-6, True), (0.01, False)])
def test_grids_that_differ_by_float_noise(tmp_path, shift, same):
    moved = AFFINE.copy()
    moved[0, 3] += shift
    image = nifti.read_header(save(tmp_path / "image.nii.gz", ct()))
    label = nifti.read_header(save(tmp_path / "label.nii.gz", ct(), moved))
    assert geometry.require_same_grid(image, label) == geometry.GridMatch(same=same)


def test_grids_that_truly_differ(tmp_path):
    image = nifti.read_header(save(tmp_path / "image.nii.gz", ct()))
    moved = AFFINE.copy()
    moved[0, 3] += 0.5
    with pytest.raises(UnusableFileError, match=r"up to 0\.5 mm"):
        geometry.require_same_grid(image, nifti.read_header(save(tmp_path / "a.nii.gz", ct(), moved)))
    with pytest.raises(UnusableFileError, match="12 x 10 x 7 voxels where the image has 12 x 10 x 8"):
        geometry.require_same_grid(image, nifti.read_header(save(tmp_path / "b.nii.gz", ct()[..., 1:])))


def test_simpleitk_refuses_a_direction_that_is_not_orthonormal(tmp_path):
    assert geometry.itk_geometry(save(tmp_path / "a.nii.gz", ct(), SHEARED)) is None
    straight = geometry.itk_geometry(save(tmp_path / "b.nii.gz", ct()))
    assert straight is not None
    np.testing.assert_allclose(straight[:3], (1.5, 1.5, 3.0))


def official_merge(paths):
    """The official script's steps: `get_fdata() > 0`, later classes over earlier ones."""
    combined = np.zeros(SHAPE, np.uint8)
    for index, path in enumerate(paths, start=1):
        combined[nibabel.load(path).get_fdata() > 0] = index
    return combined


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_masks_are_merged_as_the_official_script_does(tmp_path, dtype):
    masks = [box((0, 0, 0), (6, 6, 4)), box((4, 4, 2), (9, 9, 6)), box((0, 0, 0), (0, 0, 0)), box((5, 5, 3), (6, 6, 8))]
    paths = [save(tmp_path / f"{index}.nii.gz", mask.astype(dtype)) for index, mask in enumerate(masks)]
    labels = np.zeros(np.prod(SHAPE), np.uint8)
    overlap = sum(merging.add_mask(labels, index, nifti.read_volume(path)) for index, path in enumerate(paths, start=1))
    np.testing.assert_array_equal(labels.reshape(SHAPE, order="F"), official_merge(paths))
    assert overlap == 2 * 2 * 2 + 1 * 1 * 3  # the second box over the first, the fourth over the second


def test_overlap_within_one_merged_label_does_not_count(tmp_path):
    labels = np.zeros(np.prod(SHAPE), np.uint8)
    for name in "ab":
        volume = nifti.read_volume(save(tmp_path / f"{name}.nii.gz", box((0, 0, 0), (2, 2, 2))))
        assert merging.add_mask(labels, 1, volume) == 0


def test_masks_may_use_any_one_value_above_zero(tmp_path):
    mask = box((1, 1, 1), (3, 3, 3)) * np.uint8(255)
    assert merging.occupied(nifti.read_volume(save(tmp_path / "a.nii.gz", mask))).size == 8


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((1, 2), "not a binary mask"),
        ((1, -1), "not a binary mask"),
        ((-1, -1), "not a binary mask"),
        ((1, np.nan), "NaN"),
    ],
)
def test_other_masks_are_refused(tmp_path, values, reason):
    mask = np.zeros(SHAPE, np.float32)
    mask[1, 1, 1], mask[5, 5, 5] = values
    with pytest.raises(UnusableFileError, match=reason):
        merging.occupied(nifti.read_volume(save(tmp_path / "a.nii.gz", mask)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float64])
def test_label_values_are_translated_whatever_their_type(tmp_path, dtype):
    source = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 4
    volume = nifti.read_volume(save(tmp_path / "a.nii.gz", source.astype(dtype)))
    translated = merging.translate_labels(volume, (0, 0, 1, 1)).reshape(SHAPE, order="F")
    np.testing.assert_array_equal(translated, source >= 2)


@pytest.mark.parametrize(
    ("value", "reason"), [(16, "outside the list 0 ... 15: 16"), (-1, "-1"), (2.5, "whole"), (np.nan, "-1")]
)
def test_label_values_outside_the_list(tmp_path, value, reason):
    labels = np.zeros(SHAPE, np.float64)
    labels[2, 3, 4] = value
    with pytest.raises(UnusableFileError) as caught:
        merging.integer_labels(nifti.read_volume(save(tmp_path / "a.nii.gz", labels)), 16)
    assert reason in caught.value.reason


def test_files_are_hard_linked_where_possible(tmp_path):
    source = save(tmp_path / "a.nii.gz", ct())
    assert linking.place_file(source, tmp_path / "b.nii.gz") == "hard link"
    assert os.path.samefile(source, tmp_path / "b.nii.gz")
    # Again: replacing a link by the same link leaves no litter.
    linking.place_file(source, tmp_path / "b.nii.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]


def test_symbolic_links_are_followed(tmp_path):
    source = save(tmp_path / "a.nii.gz", ct())
    (tmp_path / "link.nii.gz").symlink_to(source)
    linking.place_file(tmp_path / "link.nii.gz", tmp_path / "b.nii.gz")
    assert not (tmp_path / "b.nii.gz").is_symlink()
    assert os.path.samefile(source, tmp_path / "b.nii.gz")


def test_copies_are_files_of_their_own(tmp_path, monkeypatch):
    source = save(tmp_path / "a.nii.gz", ct())
    assert linking.place_file(source, tmp_path / "b.nii.gz", copy=True) in ("reflink", "copy")

    def refuse(*_):
        raise OSError("no links on this file system")

    monkeypatch.setattr(os, "link", refuse)
    assert linking.place_file(source, tmp_path / "c.nii.gz") in ("reflink", "copy")
    for name in ("b", "c"):
        assert not os.path.samefile(source, tmp_path / f"{name}.nii.gz")
        assert (tmp_path / f"{name}.nii.gz").read_bytes() == source.read_bytes()
