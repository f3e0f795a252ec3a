"""What the conversion says where something is not as it should be, and what it tolerates."""

import errno
import gzip
import json
import os
import shutil

import nibabel
import numpy as np
import pytest
from convert_builders import (
    AFFINE,
    SHAPE,
    amos_label,
    box,
    convert_amos,
    convert_masks,
    ct,
    make_amos,
    make_totalsegmentator,
    save,
)

from nnunetv2_hypersort.conversion import geometry, merging, nifti
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import links as linking


@pytest.fixture
def source(tmp_path):
    return make_amos(tmp_path / "amos22", train=(1, 4), validation=(), test=())


def problems(source, **settings):
    with pytest.raises(HyperSORTError, match="cases cannot be converted") as caught:
        convert_amos(source, **settings)
    return str(caught.value).splitlines()[1:]


@pytest.fixture
def no_hard_links(monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(linking, "_reflink", lambda *_: False)


def test_hard_links_that_the_system_refuses_are_told_and_counted(raw, source, no_hard_links, capsys):
    size = sum(path.stat().st_size for path in source.rglob("*.nii.gz"))
    folder = convert_amos(source)
    said = capsys.readouterr().out
    assert f"Hard links from the download to {raw} are refused (Operation not permitted)" in said
    assert f"about {size / 1000:.3g} kB needed" in said
    assert "warning: 2 images were copied" in said
    how = [case["image"]["how"] for case in json.loads((folder / "conversion.json").read_text())["cases"].values()]
    assert how == ["copy", "copy"]


def test_refused_hard_links_need_room(raw, source, no_hard_links, monkeypatch):
    usage = shutil.disk_usage(raw)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(HyperSORTError, match="only 100 bytes free"):
        convert_amos(source)
    assert list(raw.iterdir()) == []


def test_hard_links_that_work_need_no_room_and_no_words(raw, source, capsys):
    convert_amos(source)
    said = capsys.readouterr().out
    assert "about 0 bytes needed" in said
    assert "Hard links" not in said
    assert "copied" not in said


def test_scaled_labels_show_their_digits_and_the_scaling(raw, source):
    path = source / "labelsTr/amos_0004.nii.gz"
    image = nibabel.Nifti1Image((amos_label(4) * 3).astype(np.int16), AFFINE)
    image.header.set_slope_inter(1 / 3, 0)
    nibabel.save(image, path)
    third = float(np.float32(1 / 3))
    values = np.unique(amos_label(4)) * 3 * third
    strange = {str(value) for value in values if value != round(value)}
    [line] = problems(source)
    assert line.startswith("  amos_0004: labelsTr/amos_0004.nii.gz holds values that are not whole numbers, such as ")
    assert line.partition("such as ")[2].split()[0] in strange
    assert f"scl_slope {third}, scl_inter 0.0" in line
    assert "without scaling" in line


def test_digits_are_not_rounded_away(tmp_path):
    labels = np.zeros(SHAPE)
    labels[1, 2, 3] = 1_000_001
    with pytest.raises(nifti.UnusableFileError) as caught:
        merging.integer_labels(nifti.read_volume(save(tmp_path / "a.nii.gz", labels)), 16)
    assert caught.value.reason.endswith(": 1000001")
    labels[1, 2, 3] = 1.0000001
    with pytest.raises(nifti.UnusableFileError) as caught:
        merging.integer_labels(nifti.read_volume(save(tmp_path / "b.nii.gz", labels)), 16)
    assert caught.value.reason.endswith("such as 1.0000001")
    assert caught.value.remedy == "leave the case out with --skip-bad"


def unpacked(path):
    target = path.with_suffix("")
    target.write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    return target


RENAMED = [
    (unpacked, "amos_0004.nii", "compress it with gzip and name it amos_0004.nii.gz"),
    (lambda path: path.rename(path.with_name("amos_0004.NII.GZ")), "amos_0004.NII.GZ", "rename it to amos_0004.nii.gz"),
    (lambda path: path.rename(path.with_name("AMOS_0004.nii.gz")), "AMOS_0004.nii.gz", "rename it to amos_0004.nii.gz"),
    (lambda path: path.rename(path.with_name("amos_0004_0000.nii.gz")), "amos_0004_0000.nii.gz", "rename it to"),
    (lambda path: path.rename(path.with_name("amos_0004 (1).nii.gz")), "amos_0004 (1).nii.gz", "rename it to"),
    (lambda path: path.rename(path.with_name("amos_0004.mha")), "amos_0004.mha", "save it as amos_0004.nii.gz"),
]


@pytest.mark.parametrize("kind", ["imagesTr", "labelsTr"])
@pytest.mark.parametrize(("change", "name", "remedy"), RENAMED)
def test_a_file_under_another_name_is_named(raw, source, kind, change, name, remedy):
    change(source / kind / "amos_0004.nii.gz")
    [line] = problems(source)
    assert line.startswith(f"  amos_0004: {kind}/amos_0004.nii.gz is missing, but {name} is there; {remedy}")
    assert "unpack" not in line


def test_a_file_of_another_case_is_not_taken_for_it(raw, source):
    (source / "imagesTr/amos_0004.nii.gz").rename(source / "imagesTr/amos_00041.nii.gz")
    [line] = problems(source)
    assert "imagesTr/amos_0004.nii.gz is missing: a label without an image; unpack the archive again" in line


def test_entries_of_the_list_may_have_another_ending(raw, source):
    path = source / "dataset.json"
    path.write_text(path.read_text().replace("amos_0004.nii.gz", "amos_0004.nii"))
    assert len(list((convert_amos(source) / "imagesTr").iterdir())) == 2


MASKS = {"liver": box((1, 1, 1), (4, 4, 4)), "spleen": box((5, 5, 5), (7, 7, 7))}


def test_a_totalsegmentator_file_under_another_name_is_named(raw, tmp_path):
    source = make_totalsegmentator(tmp_path / "ts", dict.fromkeys(("s0001", "s0002", "s0003"), "train"), MASKS)
    unpacked(source / "s0001/ct.nii.gz")
    unpacked(source / "s0002/segmentations/liver.nii.gz")
    with pytest.raises(HyperSORTError, match="2 of 3 cases") as caught:
        convert_masks(source)
    first, second = str(caught.value).splitlines()[1:]
    assert "s0001: s0001/ct.nii.gz is missing, but ct.nii is there; compress it with gzip" in first
    assert "s0002: s0002/segmentations/liver.nii.gz is missing, but liver.nii is there; compress it with gzip" in second


@pytest.mark.parametrize("pattern", ["s*/ct.nii.gz", "s*/segmentations/*.nii.gz"])
def test_a_totalsegmentator_download_without_any_expected_name(raw, tmp_path, pattern):
    source = make_totalsegmentator(tmp_path / "ts", {"s0001": "train"}, MASKS)
    names = sorted(unpacked(path).relative_to(source) for path in sorted(source.glob(pattern)))
    with pytest.raises(HyperSORTError, match=r"no case has an? (image|mask)") as caught:
        convert_masks(source)
    assert f"but {names[0]} is there" in str(caught.value)


def test_names_joined_by_commas_are_explained(raw, source):
    with pytest.raises(HyperSORTError, match=r"separated by blanks, as in --classes liver spleen$"):
        convert_amos(source, classes=["liver,spleen"])
    with pytest.raises(HyperSORTError, match=r"amos_0001,amos_0004.*separated by blanks"):
        convert_amos(source, exclude=("amos_0001,amos_0004",))


def turned(degrees):
    """AFFINE turned about its first voxel, in the plane of the slices."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = AFFINE.copy()
    affine[:3, :3] = turn @ AFFINE[:3, :3]
    return affine


BIG = (180, 160, 8)


@pytest.mark.parametrize("degrees", [0.03, 0.07])
def test_a_direction_within_the_rounding_of_quaternions_is_the_same(raw, source, degrees):
    for kind, values in (("images", ct(4, BIG)), ("labels", amos_label(4, BIG))):
        affine = AFFINE if kind == "images" else turned(degrees)
        save(source / f"{kind}Tr/amos_0004.nii.gz", values, affine, sform_only=False)
    folder = convert_amos(source)
    label = nibabel.load(folder / "labelsTr/amos_0004.nii.gz")
    np.testing.assert_array_equal(label.affine, nibabel.load(source / "imagesTr/amos_0004.nii.gz").affine)
    np.testing.assert_array_equal(np.asarray(label.dataobj), amos_label(4, BIG))
    warnings = json.loads((folder / "conversion.json").read_text())["warnings"]
    assert any(f"amos_0004.nii.gz is turned by {degrees:g} degrees against the image" in text for text in warnings)


def test_a_direction_beyond_rounding_is_refused_with_a_remedy_that_works(raw, source):
    path = source / "labelsTr/amos_0004.nii.gz"
    save(source / "imagesTr/amos_0004.nii.gz", ct(4, BIG), AFFINE, sform_only=False)
    save(path, amos_label(4, BIG), turned(0.2), sform_only=False)
    [line] = problems(source)
    # The far corner lies 1.5 * hypot(179, 159) mm from the first voxel.
    distance = 1.5 * np.hypot(179, 159) * np.radians(0.2)
    assert f"lies elsewhere in space than its image (up to {distance:.3g} mm, axes up to 0.2 degrees apart)" in line
    assert "label.CopyInformation(image)" in line
    import SimpleITK as sitk  # noqa: N813

    label = sitk.ReadImage(str(path))
    label.CopyInformation(sitk.ReadImage(str(source / "imagesTr/amos_0004.nii.gz")))
    sitk.WriteImage(label, str(path))
    assert len(list((convert_amos(source) / "labelsTr").iterdir())) == 2


def test_a_small_turn_does_not_excuse_another_place_or_size(tmp_path):
    image = nifti.read_header(save(tmp_path / "image.nii.gz", ct(0, BIG)))
    moved = turned(0.05)
    moved[0, 3] += 0.5
    wider = turned(0.05)
    wider[:3, 0] *= 1.01
    for name, affine in (("moved", moved), ("wider", wider)):
        other = nifti.read_header(save(tmp_path / f"{name}.nii.gz", ct(0, BIG), affine))
        with pytest.raises(nifti.UnusableFileError, match="elsewhere"):
            geometry.require_same_grid(image, other)


def test_rounded_quaternions_are_within_the_tolerance():
    """Turns by about 180 degrees about random axes, stored as NIfTI stores them: how far the direction moves."""
    rng, worst = np.random.default_rng(0), 0.0
    for _ in range(300):
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        exact = 2 * np.outer(axis, axis) - np.eye(3)
        header = nibabel.Nifti1Header()
        affine = np.eye(4)
        affine[:3, :3] = exact
        header.set_qform(affine, 1)
        worst = max(worst, geometry._degrees_between_axes(affine, header.get_qform()))
    assert worst <= geometry.TURN
