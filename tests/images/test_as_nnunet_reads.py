"""What we read is what nnU-Net reads: classes, arrays and spacing, whatever its own writers wrote."""

import contextlib
import io
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from image_files import MAP, label_grid, read_labels, reader, write_itk, write_nifti
from nnunetv2.imageio.reader_writer_registry import (
    LIST_OF_IO_CLASSES,
    determine_reader_writer_from_dataset_json,
    recursive_find_reader_writer_by_name,
)

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.reading import reader_for

CLASSES = [*LIST_OF_IO_CLASSES, recursive_find_reader_writer_by_name("SimpleITKIOWithReorient")]
FORMATS = [
    *((kind, ending) for kind in LIST_OF_IO_CLASSES for ending in kind.supported_file_endings),
    (CLASSES[-1], ".nii.gz"),
]


def nnunets_class(path: Path, **dataset_json: object) -> type[Any]:
    ending = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return determine_reader_writer_from_dataset_json(
            {"file_ending": ending, **dataset_json}, str(path), verbose=False
        )


def properties(kind: type[Any], shape: tuple[int, int, int], spacing: list[float], flips: list[bool]) -> dict[str, Any]:
    """What a reader of the class would say of an image on this grid."""
    signs = np.array([-1.0 if flip else 1.0 for flip in flips])
    if "Nibabel" in kind.__name__:
        affine = np.diag([*(signs * spacing[::-1]), 1.0])
        affine[:3, 3] = 12.5, -7, 3
        ahead = nibabel.as_closest_canonical(nibabel.Nifti1Image(np.zeros(shape[::-1], np.uint8), affine)).affine
        return {"spacing": spacing, "nibabel_stuff": {"original_affine": affine, "reoriented_affine": ahead}}
    stuff: dict[str, Any] = {"spacing": spacing[::-1], "origin": (12.5, -7.0, 3.0), "direction": np.diag(signs).ravel()}
    if kind.__name__ == "SimpleITKIOWithReorient":
        stuff["original_orientation"] = "LPS"
        stuff["direction"] = np.diag([-1.0, -1.0, 1.0]).ravel()
    return {"spacing": spacing, "sitk_stuff": stuff}


def written_by(kind: type[Any], path: Path, labels: np.ndarray, spacing: list[float], flips: list[bool]) -> None:
    flat = kind.__name__ == "NaturalImage2DIO"
    kind().write_seg(labels[:1] if flat else labels, str(path), properties(kind, labels.shape, spacing, flips))


@pytest.mark.parametrize(("kind", "ending"), FORMATS, ids=[f"{kind.__name__}{ending}" for kind, ending in FORMATS])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    top=st.sampled_from([1, 2, 254, 255, 256, 60_000]),
    dtype=st.sampled_from([np.uint8, np.int16, np.int32, np.int64, np.float32]),
    spacing=st.lists(st.floats(0.1, 12).map(lambda step: float(np.float32(step))), min_size=3, max_size=3),
    flips=st.lists(st.booleans(), min_size=3, max_size=3),
    seed=st.integers(0, 2**16),
)
def test_files_of_nnunets_writers(tmp_path_factory, kind, ending, shape, top, dtype, spacing, flips, seed) -> None:
    labels = np.random.default_rng(seed).integers(0, top, shape, endpoint=True)
    labels = np.minimum(labels, np.iinfo(np.int16).max if dtype == np.int16 else top).astype(dtype)
    path = tmp_path_factory.mktemp("written") / f"case{ending}"
    try:
        written_by(kind, path, labels, spacing, flips)
    except (OSError, ValueError):
        # nnU-Net writes no BMP of 16 bits, and no flat TIFF of three rows.
        assert kind.__name__ == "NaturalImage2DIO"
        assume(False)
    named = {} if kind in LIST_OF_IO_CLASSES else {"overwrite_image_reader_writer": kind.__name__}
    try:
        chosen = nnunets_class(path, **named)
    except RuntimeError:
        # A stack of one slice, which no reader of nnU-Net takes.
        with pytest.raises(HyperSORTError):
            read_labels(path, **named)
        return
    with contextlib.redirect_stdout(io.StringIO()):
        theirs, stated = chosen().read_seg(str(path))
    if len(theirs) != 1:
        # Three or four columns of a stack are colours to nnU-Net.
        with pytest.raises(HyperSORTError, match="values per voxel"):
            read_labels(path, **named)
        return
    ours = read_labels(path, **named)
    np.testing.assert_array_equal(ours.values, theirs[0])
    assert ours.values.dtype.kind in "iu"
    assert ours.grid.spacing == pytest.approx([float(step) for step in stated["spacing"]], rel=1e-12)
    assert ours.grid.shape == theirs.shape[1:]
    header = label_grid(path, **named)
    assert (header.shape, header.planar) == (ours.grid.shape, ours.grid.planar)
    assert header.spacing == pytest.approx(ours.grid.spacing, rel=1e-12)
    np.testing.assert_allclose(header.affine, ours.grid.affine, rtol=1e-12, atol=1e-12)
    assert ours.grid.difference(header) is None


@pytest.mark.parametrize(
    ("ending", "dimensions"),
    [
        *((ending, 2) for ending in (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".bmp", ".tif", ".tiff")),
        *((ending, 3) for ending in (".nii.gz", ".nii", ".nrrd", ".mha", ".gipl", ".tif", ".tiff")),
    ],
)
def test_the_class_is_the_one_that_nnunet_chooses(tmp_path: Path, ending: str, dimensions: int) -> None:
    path = tmp_path / f"case{ending}"
    array = MAP if dimensions == 3 else MAP[1]
    if ending in (".tif", ".tiff"):
        tifffile.imwrite(path, array)
    else:
        write_itk(path, array, (3.0, 2.0, 0.5)[-dimensions:])
    try:
        expected = nnunets_class(path)
    except RuntimeError:
        with pytest.raises(HyperSORTError):
            read_labels(path)
        return
    assert reader(path).kinds[0] is expected


def test_the_class_named_in_dataset_json_goes_first(tmp_path: Path) -> None:
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(MAP.T, affine), tmp_path / "case.nii.gz")
    for name in ("SimpleITKIO", "NibabelIO", "NibabelIOWithReorient", "SimpleITKIOWithReorient"):
        kind = recursive_find_reader_writer_by_name(name)
        theirs, stated = kind().read_seg(str(tmp_path / "case.nii.gz"))
        ours = read_labels(tmp_path / "case.nii.gz", overwrite_image_reader_writer=name)
        assert type(ours.reader) is kind
        np.testing.assert_array_equal(ours.values, theirs[0])
        assert ours.grid.spacing == pytest.approx(stated["spacing"])
    turned = [
        read_labels(tmp_path / "case.nii.gz", overwrite_image_reader_writer=name).grid
        for name in ("NibabelIO", "NibabelIOWithReorient")
    ]
    assert [grid.codes for grid in turned] == [("S", "A", "L"), ("S", "A", "R")]
    with pytest.raises(HyperSORTError, match="no reader of nnU-Net"):
        reader_for({"file_ending": ".nii.gz", "overwrite_image_reader_writer": "np"})
    # A name that nnU-Net does not know leaves it at the ending.
    unknown = reader_for({"file_ending": ".nii.gz", "overwrite_image_reader_writer": "Nowhere"})
    assert unknown.kinds[0].__name__ == "SimpleITKIO"
    with pytest.raises(HyperSORTError, match=r"no reader for \.jpg files"):
        reader_for({"file_ending": ".jpg"})


@pytest.mark.parametrize("coded_qform", [0, 1])
def test_a_header_whose_forms_disagree_is_read_as_nnunet_reads_it_and_named(tmp_path: Path, coded_qform: int) -> None:
    # As the files of ACDC: an sform of scale 1 beside a qform and pixdim of 1.32 x 1.32 x 10 mm.
    image = nibabel.Nifti1Image(MAP.T, None)
    image.set_qform(np.diag([1.32, 1.32, 10, 1]), coded_qform)
    image.set_sform(np.eye(4), 1)
    nibabel.save(image, tmp_path / "case.nii.gz")
    theirs, stated = nnunets_class(tmp_path / "case.nii.gz")().read_seg(str(tmp_path / "case.nii.gz"))
    found = read_labels(tmp_path / "case.nii.gz")
    np.testing.assert_array_equal(found.values, theirs[0])
    assert found.grid.spacing == pytest.approx(stated["spacing"])
    assert found.grid.spacing == pytest.approx((10, 1.32, 1.32))
    (remark,) = found.remarks
    assert "1 x 1 x 1" in remark
    assert "1.32 x 1.32 x 10" in remark
    assert label_grid(tmp_path / "case.nii.gz").spacing == found.grid.spacing


def test_sound_headers_are_not_remarked(tmp_path: Path) -> None:
    for name, shape in (("volume", MAP), ("flat", MAP[:1])):
        assert read_labels(write_nifti(tmp_path / f"{name}.nii.gz", shape, (5.0, 0.7, 0.7))).remarks == ()
    # Coded sform alone, coded qform alone, neither.
    for sform, qform in ((1, 0), (0, 1), (0, 0)):
        image = nibabel.Nifti1Image(MAP.T, np.diag([0.7, 0.7, 5, 1]))
        image.set_sform(image.affine if sform else None, sform)
        image.set_qform(image.affine if qform else None, qform)
        image.header.set_zooms((0.7, 0.7, 5))
        nibabel.save(image, tmp_path / "coded.nii.gz")
        assert read_labels(tmp_path / "coded.nii.gz").remarks == ()


def test_a_file_that_the_data_sets_reader_refuses_is_read_by_the_next_and_named(tmp_path: Path) -> None:
    sound = write_nifti(tmp_path / "sound.nii.gz", MAP)
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    image = nibabel.Nifti1Image(MAP.T, None)
    image.set_sform(sheared, 1)
    nibabel.save(image, tmp_path / "sheared.nii.gz")
    first_sound = reader(sound)
    found = first_sound.read_labels(tmp_path / "sheared.nii.gz")
    np.testing.assert_array_equal(found.values, MAP)
    assert "cannot be read by nnU-Net's SimpleITKIO" in found.remarks[0]
    # Where it is the example, nnU-Net takes the next reader for the whole data set.
    first_sheared = reader(tmp_path / "sheared.nii.gz")
    assert first_sheared.kinds[0] is nnunets_class(tmp_path / "sheared.nii.gz")
    assert first_sheared.kinds[0].__name__ == "NibabelIO"
    assert first_sheared.read_labels(sound).remarks == ()


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite(tmp_path / "case.tif", MAP)
    read_labels(tmp_path / "case.tif")
    label_grid(tmp_path / "case.tif")
    assert capfd.readouterr() == ("", "")
