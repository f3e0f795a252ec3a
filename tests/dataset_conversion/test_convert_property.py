"""Whatever header and labels a file has: after conversion the same voxels lie in the same physical place."""

import os
import tempfile
from pathlib import Path
from unittest import mock

import nibabel
import numpy as np
from convert_builders import AMOS_TASK1, make_amos
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nnunetv2_hypersort.conversion.settings import LabelOptions, Settings
from nnunetv2_hypersort.dataset_conversion.amos22 import Amos22Options, convert_amos22
from nnunetv2_hypersort.dataset_conversion.totalsegmentator import TotalSegmentatorOptions, convert_totalsegmentator

SHAPES = st.tuples(*[st.integers(2, 6)] * 3)
IMAGE_TYPES = st.sampled_from([np.int16, np.uint16, np.int32, np.float32, np.float64])
LABEL_TYPES = st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])


@st.composite
def affines(draw):
    """Any placement: rotated, mirrored, sheared or not, anisotropic, far from the origin."""
    rotation = Rotation.from_euler("xyz", draw(st.tuples(*[st.floats(-3, 3)] * 3))).as_matrix()
    flips = np.diag(draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)))
    shear = np.eye(3)
    shear[0, 1] = draw(st.sampled_from([0.0, 0.0, 0.01, 0.1]))
    spacing = np.diag(draw(st.tuples(*[st.floats(0.4, 6)] * 3)))
    affine = np.eye(4)
    affine[:3, :3] = rotation @ flips @ shear @ spacing
    affine[:3, 3] = draw(st.tuples(*[st.floats(-1500, 1500)] * 3))
    return affine


@st.composite
def headers(draw):
    """An affine and which of sform and qform carry it."""
    sform, qform = draw(st.sampled_from([(1, 1), (2, 0), (0, 1), (4, 2), (2, 1)]))
    return draw(affines()), sform, qform


def write(path, values, header, singleton):
    affine, sform, qform = header
    image = nibabel.Nifti1Image(values[..., np.newaxis] if singleton else values, affine)
    image.set_sform(affine if sform else None, sform)
    image.set_qform(affine if qform else None, qform, strip_shears=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return nibabel.load(path).affine


def places(path, label):
    """World coordinates in mm of the voxels of one label, sorted."""
    image = nibabel.load(path)
    values = np.asanyarray(image.dataobj).reshape(image.shape[:3])
    return nibabel.affines.apply_affine(image.affine, np.argwhere(values == label))


def same_image(source, converted):
    first, second = nibabel.load(source), nibabel.load(converted)
    np.testing.assert_array_equal(np.asanyarray(first.dataobj).reshape(second.shape), np.asanyarray(second.dataobj))
    np.testing.assert_array_equal(first.affine, second.affine)
    assert second.ndim == 3


def in_new_folders(function):
    with tempfile.TemporaryDirectory() as root:
        folders = {name: f"{root}/{name}" for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
        for folder in folders.values():
            Path(folder).mkdir()
        with mock.patch.dict(os.environ, folders):
            function(Path(root))


@settings(max_examples=40, deadline=None)
@given(SHAPES, headers(), IMAGE_TYPES, LABEL_TYPES, st.booleans(), st.booleans(), st.integers(0, 10**6), st.data())
def test_label_maps(shape, header, image_type, label_type, flat_image, flat_label, seed, data):
    chosen = data.draw(st.lists(st.sampled_from(list(AMOS_TASK1.values())[1:]), min_size=1, unique=True))
    random = np.random.default_rng(seed)

    def check(root):
        source = make_amos(root / "amos22", train=(1,), validation=(), test=())
        image, label = source / "imagesTr" / "amos_0001.nii.gz", source / "labelsTr" / "amos_0001.nii.gz"
        write(image, random.integers(0, 1000, shape).astype(image_type), header, not flat_image)
        write(label, random.integers(0, 16, shape).astype(label_type), header, not flat_label)
        options = Amos22Options(labels=LabelOptions(classes=chosen))
        folder = convert_amos22(source, Settings(dataset_id=1), options)
        converted = folder / "labelsTr" / "amos_0001.nii.gz"
        same_image(image, folder / "imagesTr" / "amos_0001_0000.nii.gz")
        np.testing.assert_array_equal(nibabel.load(converted).affine, nibabel.load(image).affine)
        in_order = [name for name in AMOS_TASK1.values() if name in chosen]
        for index, name in enumerate(in_order, start=1):
            value = next(int(value) for value, other in AMOS_TASK1.items() if other == name)
            np.testing.assert_array_equal(places(converted, index), places(label, value))

    in_new_folders(check)


@settings(max_examples=25, deadline=None)
@given(SHAPES, headers(), LABEL_TYPES, st.integers(1, 4), st.floats(0, 0.5), st.integers(0, 10**6))
def test_masks(shape, header, mask_type, count, density, seed):
    random = np.random.default_rng(seed)
    structures = ["spleen", "kidney_right", "kidney_left", "gallbladder"][:count]

    def check(root):
        case = root / "download" / "s0000"
        write(case / "ct.nii.gz", random.integers(-1000, 1000, shape).astype(np.int16), header, singleton=False)
        for name in structures:
            write(
                case / "segmentations" / f"{name}.nii.gz",
                (random.random(shape) < density).astype(mask_type),
                header,
                False,
            )
        folder = convert_totalsegmentator(root / "download", Settings(dataset_id=1), TotalSegmentatorOptions())
        same_image(case / "ct.nii.gz", folder / "imagesTr" / "s0000_0000.nii.gz")
        left = np.ones(shape, bool)  # where no later structure has been
        for index, name in reversed(list(enumerate(structures, start=1))):
            mask = nibabel.load(case / "segmentations" / f"{name}.nii.gz")
            inside = np.asanyarray(mask.dataobj) > 0
            expected = nibabel.affines.apply_affine(mask.affine, np.argwhere(inside & left))
            np.testing.assert_array_equal(places(folder / "labelsTr" / "s0000.nii.gz", index), expected)
            left &= ~inside

    in_new_folders(check)
