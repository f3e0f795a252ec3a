"""Reading label files: formats, spacing, and every way in which a file can be wrong."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from image_files import MAP, SPACING, label_grid, read_labels, reader, write_itk, write_nifti
from PIL import Image

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.evaluation.reading import drop_flat_axes
from nnunetv2_hypersort.images.reading import reader_for


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".gipl"])
def test_formats_agree(tmp_path: Path, ending: str) -> None:
    found = read_labels(write_itk(tmp_path / f"case{ending}"))
    np.testing.assert_array_equal(found.values, MAP)
    assert found.grid.shape == (5, 6, 7)
    assert found.grid.spacing == pytest.approx(SPACING)
    assert found.remarks == ()
    assert found.grid.diagonal == pytest.approx(np.sqrt(15**2 + 12**2 + 3.5**2))
    assert found.grid.voxel_volume == pytest.approx(3)
    if ending != ".gipl":  # it has its own idea of the origin
        other = label_grid(write_itk(tmp_path / "reference.nii.gz"))
        np.testing.assert_allclose(found.grid.affine, other.affine, atol=1e-5)
        assert other.difference(found.grid) is None


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
def test_pictures_are_measured_in_pixels(tmp_path: Path, ending: str) -> None:
    found = read_labels(write_itk(tmp_path / f"case{ending}", MAP[1], (0.3, 0.3)))
    np.testing.assert_array_equal(found.values, MAP[1:2])
    assert found.grid.planar
    assert found.grid.file_spacing == (1.0, 1.0)
    assert found.grid.voxel_volume == 1
    assert found.grid.diagonal == pytest.approx(np.sqrt(6**2 + 7**2))


def test_pictures_of_one_bit_hold_0_and_1_as_nnunet_reads_them(tmp_path: Path) -> None:
    Image.fromarray(MAP[1] > 0).save(tmp_path / "case.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "case.png").values, MAP[1:2] > 0)


def test_tiff_stacks_take_their_spacing_from_nnunets_json_file(tmp_path: Path) -> None:
    path = write_itk(tmp_path / "case.tif")
    assert label_grid(path).spacing == (1.0, 1.0, 1.0)
    (tmp_path / "case.json").write_text('{"spacing": [3, 2, 0.5]}')
    assert label_grid(path).spacing == SPACING
    assert read_labels(path).grid.spacing == SPACING
    for wrong, message in (
        ('{"spacing": [3, 2]}', "2 spacings for the 3 axes"),
        ('{"spacing": [3, 2, 0]}', "must hold"),
        ('{"spacing": "3"}', "must hold"),
        ("[", "cannot be read as JSON"),
    ):
        (tmp_path / "case.json").write_text(wrong)
        with pytest.raises(HyperSORTError, match=message) as caught:
            reader_for({"file_ending": ".tif", "overwrite_image_reader_writer": "Tiff3DIO"}).label_grid(path)
        assert str(tmp_path / "case.json") in str(caught.value)


def test_tiff_images_have_the_spacing_file_of_their_case(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "case_0000.tif", MAP)
    (tmp_path / "case.json").write_text('{"spacing": [3, 2, 0.5]}')
    assert reader(tmp_path / "case_0000.tif").image_grid(tmp_path / "case_0000.tif").spacing == SPACING


def test_colours_are_channels_of_an_image_and_no_labels(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (6, 7, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "case.png")
    read = reader(tmp_path / "case.png")
    np.testing.assert_array_equal(read.read_image(tmp_path / "case.png"), colours.transpose(2, 0, 1)[:, None])
    grid = read.image_grid(tmp_path / "case.png")
    assert (grid.file_shape, grid.file_spacing) == ((6, 7), (1, 1))
    for refused in (read.read_labels, read.label_grid):
        with pytest.raises(HyperSORTError, match="3 values per voxel"):
            refused(tmp_path / "case.png")


def test_two_dimensional_nifti(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(MAP[1].T, np.diag([0.5, 2.0, 1.0, 1.0]))
    nibabel.save(image, tmp_path / "case.nii.gz")
    found = read_labels(tmp_path / "case.nii.gz")
    np.testing.assert_array_equal(found.values, MAP[1:2])
    assert found.grid.file_spacing == (2.0, 0.5)
    assert found.grid.spacing[0] == 2.0 * 999  # nnU-Net's stand-in
    assert found.grid.voxel_volume == 1
    assert found.grid.diagonal == pytest.approx(np.sqrt(12**2 + 3.5**2))


def test_oblique_and_flipped_volumes_keep_their_spacing(tmp_path: Path) -> None:
    angle = np.pi / 5
    affine = np.eye(4)
    affine[:2, :2] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([-0.5, 2.0])
    affine[2, 2] = 3.0
    nibabel.save(nibabel.Nifti1Image(MAP.T, affine), tmp_path / "case.nii.gz")
    grid = label_grid(tmp_path / "case.nii.gz")
    assert grid.spacing == pytest.approx(SPACING)
    np.testing.assert_allclose(grid.affine, affine[:, [2, 1, 0, 3]], atol=1e-6)
    assert grid.codes == ("S", "A", "L")


def test_volume_of_one_slice_is_measured_as_an_image(tmp_path: Path) -> None:
    found = read_labels(write_nifti(tmp_path / "case.nii.gz", MAP[1:2], (8.0, 2.0, 0.5)))
    flat, spacing = drop_flat_axes(found.values, found.grid)
    assert flat.shape == (6, 7)
    assert spacing == (2.0, 0.5)
    line, spacing = drop_flat_axes(found.values[:, :1], label_grid(write_nifti(tmp_path / "line.nii.gz", MAP[1:2, :1])))
    assert line.shape == (1, 7)
    assert len(spacing) == 2


def test_big_endian_and_trailing_axes(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(MAP.T.astype(">i2")[..., None], np.eye(4)), tmp_path / "case.nii.gz")
    found = read_labels(tmp_path / "case.nii.gz")
    np.testing.assert_array_equal(found.values, MAP)
    assert found.values.dtype.isnative


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_whole_numbers_stored_as_float_are_read_and_remarked(tmp_path: Path, dtype: type, ending: str) -> None:
    found = read_labels(write_itk(tmp_path / f"case{ending}", MAP.astype(dtype)))
    np.testing.assert_array_equal(found.values, MAP)
    assert found.values.dtype.kind == "u"
    (remark,) = found.remarks
    assert remark.startswith("stores its labels as floating point")


@pytest.mark.parametrize("value", [0.5, 300.25, np.nan, np.inf])
def test_other_floats_are_refused(tmp_path: Path, value: float) -> None:
    array = MAP.astype(np.float32)
    array[0, 0, 0] = value
    path = write_nifti(tmp_path / "case.nii.gz", array)
    with pytest.raises(HyperSORTError, match=r"no whole numbers, such as (0\.5|300\.2)|no numbers") as caught:
        read_labels(path)
    assert str(path) in str(caught.value)


def test_numbers_close_to_a_label_are_printed_with_the_digits_that_tell_them_apart(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "case.nii.gz", MAP.astype(np.float32) * np.float32(1.000001))
    with pytest.raises(HyperSORTError, match=r"such as 2\.000002;"):
        read_labels(path)


def test_scaled_labels_are_refused_by_the_name_of_the_scaling(tmp_path: Path) -> None:
    labels = np.where(MAP.T == 0, np.arange(5) % 2, 2)
    image = nibabel.Nifti1Image(labels.astype(float), np.eye(4))
    image.header.set_data_dtype(np.int16)  # nibabel then spreads the values over all of int16
    nibabel.save(image, tmp_path / "case.nii.gz")
    stored = nibabel.load(tmp_path / "case.nii.gz")
    assert stored.dataobj.slope != 1
    if np.isin(np.asarray(stored.dataobj, np.float32), [0, 1, 2]).all():
        pytest.fail("the header does not round these labels; choose others")
    with pytest.raises(HyperSORTError, match=rf"scl_slope {stored.dataobj.slope:.9g}"):
        read_labels(tmp_path / "case.nii.gz")


@pytest.mark.parametrize("value", [255, 256, 65_535, 65_536, 2**24, 20_000_000, -3])
def test_values_beyond_a_byte(tmp_path: Path, value: int) -> None:
    path = write_nifti(tmp_path / "case.nii.gz", np.where(MAP == 2, value, 0).astype(np.int32))
    np.testing.assert_array_equal(read_labels(path).values, np.where(MAP == 2, value, 0))


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    "ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".gipl", ".png", ".bmp", ".tif", "3.tif", ".tiff"]
)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.31, 0.6, 0.98])
def test_truncated_files_are_refused(tmp_path: Path, ending: str, share: float, compressed: bool) -> None:
    generator = np.random.default_rng(0)
    shape = (60, 70) if ending in (".png", ".bmp", ".tif") else (20, 30, 40)
    array = generator.integers(0, 3, shape, dtype=np.uint8)
    path = tmp_path / f"case{ending}"
    if ending.endswith((".tif", ".tiff")):
        tifffile.imwrite(path, array, compression="zlib" if compressed else None)
    else:
        write_itk(path, array, (1.0,) * len(shape), compressed=compressed)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(HyperSORTError, match="truncated or no readable label file") as caught:
        read_labels(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_compression_is_refused(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    path = write_nifti(tmp_path / "case.nii.gz", generator.integers(0, 3, (20, 30, 40), dtype=np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(HyperSORTError, match="truncated or no readable"):
        read_labels(path)


def test_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    for name, content in (("a.nii.gz", gzip.compress(b"hello")), ("b.nrrd", b"hello"), ("c.nii.gz", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HyperSORTError, match="truncated or no readable"):
            read_labels(tmp_path / name)


def test_four_axes_and_vectors_are_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.uint8), np.eye(4)), tmp_path / "four.nii.gz")
    for refused in (read_labels, label_grid):
        with pytest.raises(HyperSORTError, match="2 values per voxel"):
            refused(tmp_path / "four.nii.gz")
    vectors = SimpleITK.GetImageFromArray(np.zeros((4, 4, 4, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(vectors, str(tmp_path / "vectors.mha"))
    for refused in (read_labels, label_grid):
        with pytest.raises(HyperSORTError, match="values per voxel"):
            refused(tmp_path / "vectors.mha")


def test_grids_are_told_apart(tmp_path: Path) -> None:
    reference = label_grid(write_nifti(tmp_path / "a.nii.gz", MAP, SPACING))
    shape = label_grid(write_nifti(tmp_path / "b.nii.gz", MAP[:, :5], SPACING))
    assert reference.difference(shape) == "5 x 5 x 7 voxels instead of 5 x 6 x 7"
    spacing = label_grid(write_nifti(tmp_path / "c.nii.gz", MAP, (3.0, 2.0, 0.6)))
    assert reference.difference(spacing) == "a spacing of 3 x 2 x 0.6 mm instead of 3 x 2 x 0.5 mm"
    moved = np.diag([*SPACING[::-1], 1.0])
    moved[0, 3] = 1.0
    nibabel.save(nibabel.Nifti1Image(MAP.T, moved), tmp_path / "d.nii.gz")
    assert "another origin" in str(reference.difference(label_grid(tmp_path / "d.nii.gz")))
    # Rounding in a header is no other grid.
    moved[0, 3] = 1e-4
    nibabel.save(nibabel.Nifti1Image(MAP.T, moved), tmp_path / "e.nii.gz")
    assert reference.difference(label_grid(tmp_path / "e.nii.gz")) is None
    one_slice = label_grid(write_nifti(tmp_path / "f.nii.gz", MAP[:1], SPACING))
    nibabel.save(nibabel.Nifti1Image(MAP[0].T, np.eye(4)), tmp_path / "g.nii.gz")
    assert one_slice.difference(label_grid(tmp_path / "g.nii.gz")) == "6 x 7 voxels instead of 1 x 6 x 7"


def test_a_header_of_nans_is_refused(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(MAP.T, np.eye(4))
    nibabel.save(image, tmp_path / "case.nii")
    content = bytearray((tmp_path / "case.nii").read_bytes())
    content[80:84] = np.float32(np.nan).tobytes()  # pixdim[1]
    (tmp_path / "case.nii").write_bytes(content)
    with pytest.raises(HyperSORTError, match="states a spacing of 1 x 1 x nan mm"):
        read_labels(tmp_path / "case.nii")
