"""Reading label files: formats, spacing, and every way in which a file can be wrong."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from evaluation_helpers import make_box, write_nifti

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.volumes import drop_flat_axes, read_grid, read_label_map

MAP = make_box((5, 6, 7), (1, 3), (2, 5), (0, 4), value=2)
SPACING = (3.0, 2.0, 0.5)


def write_itk(path: Path, array: np.ndarray = MAP, spacing: tuple[float, ...] = SPACING) -> Path:
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin([10.0, -20.0, 30.0][: array.ndim])
    SimpleITK.WriteImage(image, str(path), True)
    return path


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".gipl"])
def test_formats_agree(tmp_path: Path, ending: str) -> None:
    array, grid, remark = read_label_map(write_itk(tmp_path / f"case{ending}"))
    np.testing.assert_array_equal(array, MAP)
    assert grid.shape == (5, 6, 7)
    assert grid.spacing == pytest.approx(SPACING)
    assert remark is None
    assert grid.diagonal == pytest.approx(np.sqrt(15**2 + 12**2 + 3.5**2))
    if ending != ".gipl":  # it has its own idea of the origin
        other = read_grid(write_itk(tmp_path / "reference.nii.gz"))
        np.testing.assert_allclose(grid.affine, other.affine, atol=1e-5)
        assert other.difference(grid) is None


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_pictures_are_measured_in_pixels(tmp_path: Path, ending: str) -> None:
    array, grid, _ = read_label_map(write_itk(tmp_path / f"case{ending}", MAP[1], (0.3, 0.3)))
    np.testing.assert_array_equal(array, MAP[1])
    assert grid.spacing == (1.0, 1.0)


def test_tiff_stacks_take_their_spacing_from_nnunets_json_file(tmp_path: Path) -> None:
    path = write_itk(tmp_path / "case.tif")
    assert read_grid(path).spacing == (1.0, 1.0, 1.0)
    (tmp_path / "case.json").write_text('{"spacing": [3, 2, 0.5]}')
    assert read_grid(path).spacing == SPACING
    (tmp_path / "case.json").write_text('{"spacing": [3, 2]}')
    with pytest.raises(HyperSORTError, match="2 spacings for the 3 axes"):
        read_grid(path)


def test_two_dimensional_nifti(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(MAP[1].T, np.diag([0.5, 2.0, 1.0, 1.0]))
    nibabel.save(image, tmp_path / "case.nii.gz")
    array, grid, _ = read_label_map(tmp_path / "case.nii.gz")
    np.testing.assert_array_equal(array, MAP[1])
    assert grid.spacing == (2.0, 0.5)


def test_oblique_and_flipped_volumes_keep_their_spacing(tmp_path: Path) -> None:
    angle = np.pi / 5
    affine = np.eye(4)
    affine[:2, :2] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([-0.5, 2.0])
    affine[2, 2] = 3.0
    nibabel.save(nibabel.Nifti1Image(MAP.T, affine), tmp_path / "case.nii.gz")
    assert read_grid(tmp_path / "case.nii.gz").spacing == pytest.approx(SPACING)


def test_volume_of_one_slice_is_measured_as_an_image(tmp_path: Path) -> None:
    array, grid, _ = read_label_map(write_nifti(tmp_path / "case.nii.gz", MAP[1:2], (8.0, 2.0, 0.5)))
    flat, spacing = drop_flat_axes(array, grid)
    assert flat.shape == (6, 7)
    assert spacing == (2.0, 0.5)
    line, spacing = drop_flat_axes(array[:, :1], read_grid(write_nifti(tmp_path / "line.nii.gz", MAP[1:2, :1])))
    assert line.shape == (1, 7)
    assert len(spacing) == 2


def test_big_endian_and_trailing_axes(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(MAP.T.astype(">i2")[..., None], np.eye(4)), tmp_path / "case.nii.gz")
    array, _, _ = read_label_map(tmp_path / "case.nii.gz")
    np.testing.assert_array_equal(array, MAP)
    assert array.dtype.isnative


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_numbers_stored_as_float_are_read_and_remarked(tmp_path: Path, dtype: type) -> None:
    path = write_nifti(tmp_path / "case.nii.gz", MAP.astype(dtype))
    array, _, remark = read_label_map(path)
    np.testing.assert_array_equal(array, MAP)
    assert array.dtype.kind == "i"
    assert remark is not None
    assert str(path) in remark


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_other_floats_are_refused(tmp_path: Path, value: float) -> None:
    array = MAP.astype(np.float32)
    array[0, 0, 0] = value
    path = write_nifti(tmp_path / "case.nii.gz", array)
    with pytest.raises(HyperSORTError, match=r"no whole numbers, such as 0\.5|no numbers") as caught:
        read_label_map(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".gipl", ".png", ".tif"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.6, 0.98])
def test_truncated_files_are_refused(tmp_path: Path, ending: str, share: float) -> None:
    generator = np.random.default_rng(0)
    shape = (60, 70) if ending in (".png", ".tif") else (20, 30, 40)
    path = write_itk(tmp_path / f"case{ending}", generator.integers(0, 3, shape, dtype=np.uint8), (1.0,) * len(shape))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(HyperSORTError, match="truncated or no readable label file") as caught:
        read_label_map(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_compression_is_refused(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    path = write_nifti(tmp_path / "case.nii.gz", generator.integers(0, 3, (20, 30, 40), dtype=np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(HyperSORTError, match="truncated or no readable"):
        read_label_map(path)


def test_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    for name, content in (("a.nii.gz", gzip.compress(b"hello")), ("b.nrrd", b"hello"), ("c.nii.gz", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HyperSORTError, match="truncated or no readable"):
            read_label_map(tmp_path / name)


def test_four_axes_and_colours_are_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.uint8), np.eye(4)), tmp_path / "four.nii.gz")
    with pytest.raises(HyperSORTError, match="4 x 4 x 4 x 2"):
        read_label_map(tmp_path / "four.nii.gz")
    picture = SimpleITK.GetImageFromArray(np.zeros((4, 4, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(picture, str(tmp_path / "colour.png"))
    with pytest.raises(HyperSORTError, match="3 values per voxel"):
        read_label_map(tmp_path / "colour.png")


def test_grids_are_told_apart(tmp_path: Path) -> None:
    reference = read_grid(write_nifti(tmp_path / "a.nii.gz", MAP, SPACING))
    shape = read_grid(write_nifti(tmp_path / "b.nii.gz", MAP[:, :5], SPACING))
    assert reference.difference(shape) == "5 x 5 x 7 voxels instead of 5 x 6 x 7"
    spacing = read_grid(write_nifti(tmp_path / "c.nii.gz", MAP, (3.0, 2.0, 0.6)))
    assert reference.difference(spacing) == "a spacing of 3 x 2 x 0.6 mm instead of 3 x 2 x 0.5 mm"
    moved = np.diag([*SPACING[::-1], 1.0])
    moved[0, 3] = 1.0
    nibabel.save(nibabel.Nifti1Image(MAP.T, moved), tmp_path / "d.nii.gz")
    assert "another origin" in str(reference.difference(read_grid(tmp_path / "d.nii.gz")))
    # Rounding in a header is no other grid.
    moved[0, 3] = 1e-4
    nibabel.save(nibabel.Nifti1Image(MAP.T, moved), tmp_path / "e.nii.gz")
    assert reference.difference(read_grid(tmp_path / "e.nii.gz")) is None
