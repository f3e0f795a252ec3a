"""Whatever goes wrong with the files of one case is that case's line in the list, and --skip-bad goes on without it."""

import errno
import gzip
import os
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from convert_builders import amos_label, box, convert_amos, convert_masks, ct, make_amos, make_totalsegmentator, save

from nnunetv2_hypersort.conversion import checking, nifti, pipeline
from nnunetv2_hypersort.conversion.cases import LabelMapFile, MaskFile, SourceCase
from nnunetv2_hypersort.conversion.checking import CheckTask, check_case
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import links as linking
from nnunetv2_hypersort.files.workers import run_jobs

SLOPE, INTERCEPT = 112, 116  # where NIfTI-1 keeps the two, as 32-bit floats


@pytest.fixture
def source(tmp_path):
    return make_amos(tmp_path / "amos22", train=(1, 4, 5), validation=(), test=())


convert = partial(convert_amos, classes=["liver"])


def patch_bytes(path, offset, content):
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[offset : offset + len(content)] = content
    path.write_bytes(gzip.compress(bytes(raw)))


def cases_in(folder):
    return sorted(path.name.removesuffix(".nii.gz") for path in (folder / "labelsTr").iterdir())


@pytest.mark.parametrize("kind", ["imagesTr", "labelsTr"])
@pytest.mark.parametrize("check", ["full", "quick"])
@pytest.mark.parametrize("spacing", [None, (3.0, 3.0, 3.0)])
def test_slope_1_and_intercept_nan(raw, source, kind, check, spacing):
    patch_bytes(source / kind / "amos_0004.nii.gz", SLOPE, struct.pack("<2f", 1.0, float("nan")))
    with pytest.raises(HyperSORTError, match="1 of 3 cases") as caught:
        convert(source, check=check, spacing=spacing)
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == 1
    assert lines[0].startswith(f"  amos_0004: {kind}/amos_0004.nii.gz has a header with the scl_slope 1.0")
    assert "scl_inter nan" in lines[0]
    assert cases_in(convert(source, check=check, spacing=spacing, skip_bad=True)) == ["amos_0001", "amos_0005"]


def test_a_mask_with_intercept_nan(raw, tmp_path):
    masks = {"liver": box((1, 1, 1), (4, 4, 4)), "spleen": box((5, 5, 5), (7, 7, 7))}
    source = make_totalsegmentator(tmp_path / "ts", {"s0001": "train", "s0002": "train"}, masks)
    patch_bytes(source / "s0002/segmentations/liver.nii.gz", SLOPE, struct.pack("<2f", 1.0, float("nan")))
    with pytest.raises(HyperSORTError, match=r"s0002: s0002/segmentations/liver.nii.gz has a header"):
        convert_masks(source)
    assert cases_in(convert_masks(source, skip_bad=True)) == ["s0001"]


@pytest.fixture
def one_case(tmp_path):
    image = save(tmp_path / "image.nii.gz", ct(), sform_only=False)
    label = save(tmp_path / "label.nii.gz", amos_label(), sform_only=False)
    mask = save(tmp_path / "mask.nii.gz", box((1, 1, 1), (4, 4, 4)), sform_only=False)
    return SourceCase("c", "train", "CT", image, LabelMapFile(label, tuple(range(16))), (MaskFile(mask, 1),))


@pytest.mark.parametrize(("which", "mode"), [("image", "full"), ("label", "quick"), ("mask", "full")])
def test_no_header_can_end_the_check(one_case, tmp_path, which, mode):
    """Every byte that says something changed in turn: a check comes back, whatever nibabel and NumPy make of it."""
    path = tmp_path / f"{which}.nii.gz"
    sound = bytearray(gzip.decompress(path.read_bytes()))
    found = 0
    for offset in [*range(40, 124), *range(252, 348)]:  # all but unused bytes and free text
        content = sound.copy()
        content[offset] ^= 0xFF
        path.write_bytes(gzip.compress(bytes(content), 1))
        check = check_case(CheckTask(one_case, tmp_path, mode, True))
        found += bool(check.problems)
        assert all(problem.reason and problem.remedy for problem in check.problems)
    assert found > 30


@pytest.mark.parametrize(
    "error", [MemoryError(), zlib.error("bad"), struct.error("bad"), KeyError("x"), OSError(5, "I/O")]
)
def test_any_exception_while_checking(raw, source, monkeypatch, error):
    original = checking.read_volume

    def read(path):
        if path.name == "amos_0004.nii.gz":
            raise error
        return original(path)

    monkeypatch.setattr(checking, "read_volume", read)
    with pytest.raises(HyperSORTError, match="1 of 3 cases") as caught:
        convert(source)
    assert str(caught.value).count("amos_0004: ") == 2  # its image and its label
    assert cases_in(convert(source, skip_bad=True)) == ["amos_0001", "amos_0005"]


@pytest.mark.parametrize("error", [MemoryError(), zlib.error("bad"), RuntimeError("bad")])
def test_any_exception_while_converting(raw, source, monkeypatch, error):
    original = nifti.zlib.decompress

    class Failing:
        decompressobj, error = zlib.decompressobj, zlib.error

        @staticmethod
        def decompress(packed, **options):
            if packed == (source / "labelsTr/amos_0004.nii.gz").read_bytes():
                raise error
            return original(packed, **options)

    monkeypatch.setattr(nifti, "zlib", Failing)
    with pytest.raises(HyperSORTError, match=r"1 of 3 cases[^\n]*\n  amos_0004: labelsTr/amos_0004.nii.gz ") as caught:
        convert(source, check="quick")
    assert len(str(caught.value).splitlines()) == 2
    folder = convert(source, check="quick", skip_bad=True)
    assert cases_in(folder) == ["amos_0001", "amos_0005"]


def test_a_source_that_the_disk_cannot_read_is_a_fault_of_its_case(raw, source, monkeypatch):
    bad, original = (source / "imagesTr/amos_0004.nii.gz").resolve(), Path.open

    def open_file(path, *args, **options):
        if path == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(path, *args, **options)

    def copy(origin, target):
        target.write_bytes(origin.open("rb").read())

    checked = pipeline.check_case
    monkeypatch.setattr(linking, "_reflink", lambda *_: False)
    monkeypatch.setattr(linking, "_copy", copy)

    def check_then_break(task):
        result = checked(task)
        monkeypatch.setattr(Path, "open", open_file)
        return result

    monkeypatch.setattr(pipeline, "check_case", check_then_break)
    monkeypatch.setattr(checking, "read_volume", nifti.read_volume)
    with pytest.raises(HyperSORTError, match=r"amos_0004: imagesTr/amos_0004.nii.gz cannot be (read|opened) \(Input"):
        convert(source, copy=True)
    assert cases_in(convert(source, copy=True, skip_bad=True)) == ["amos_0001", "amos_0005"]


def test_a_header_is_not_believed_about_memory(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.zeros((8, 8, 8), np.int16))
    patch_bytes(path, 40, struct.pack("<4h", 3, 32767, 32767, 32767))  # 70 TB
    with pytest.raises(nifti.UnusableFileError, match="promises"):
        nifti.read_volume(path)


def square_or_die(number):
    if number in (3, 7):
        os._exit(9)
    return number * number


def lost(number):
    return -number


@pytest.mark.parametrize("processes", [2, 3])
def test_the_item_that_ends_its_process_is_told_from_its_neighbours(processes):
    results = run_jobs(square_or_die, range(9), total=9, name=str, processes=processes, failed=lambda job, _: lost(job))
    assert sorted(result for _, result in results) == [-7, -3, 0, 1, 4, 16, 25, 36, 64]


def test_a_lost_case_is_a_line_in_the_list(one_case, tmp_path):
    check = checking.lost_check(CheckTask(one_case, tmp_path, "full", True))
    [problem] = check.problems
    assert str(problem) == (
        "c: image.nii.gz (or a label file of this case) ended the process that read it, most likely because memory ran "
        "out; free memory, or leave the case out with --skip-bad"
    )
