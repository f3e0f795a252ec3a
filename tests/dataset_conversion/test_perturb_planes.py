"""Images of one slice: what is chosen at random keeps to the plane, and nothing acts along an axis of one voxel."""

import json

import nibabel as nib
import numpy as np
import pytest
import tifffile
from csv_rows import csv_rows
from PIL import Image
from planting import perturbed

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.geometry import Grid
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.orientation import AXES
from nnunetv2_hypersort.perturbation import operations, planted_errors
from nnunetv2_hypersort.perturbation.spec import parse_spec

CASE_COUNT = 24
AS_DRAWN = {"as_drawn": {"proportion": 1}}
PLATE = np.zeros((60, 70), np.uint8)
PLATE[20:40, 24:44] = 1
PLATE[20:30, 24:30] = 2


def write_png(path):
    Image.fromarray(PLATE).save(path)


def read_png(path):
    return np.asarray(Image.open(path))


def write_tiff(path):
    tifffile.imwrite(path, PLATE[None])
    # nnU-Net's name of the spacing file: without the channel of an image.
    path.with_name(path.name.removesuffix(".tif").removesuffix("_0000") + ".json").write_text(
        '{"spacing": [7, 0.5, 0.5]}'
    )


def read_tiff(path):
    return tifffile.imread(path).reshape(PLATE.shape)


def nifti_of_one_slice(axis):
    def write(path):
        zooms = np.insert([1.0, 1.0], axis, 5.0)
        nib.save(nib.Nifti1Image(np.expand_dims(PLATE, axis), np.diag([*zooms, 1.0])), path)

    def read(path):
        return np.asarray(nib.load(path).dataobj).reshape(PLATE.shape)

    return ".nii.gz", 1.0, write, read


FORMATS = {
    "png": (".png", 1.0, write_png, read_png),
    "tiff": (".tif", 0.5, write_tiff, read_tiff),
    **{f"nifti_{axis}": nifti_of_one_slice(axis) for axis in range(3)},
}


@pytest.fixture(params=FORMATS)
def planes(request, tmp_path, write_dataset_json):
    """A data set of images of one slice: its folder, its pixel in mm, and how a label file is read."""
    ending, pixel, write, read = FORMATS[request.param]
    folder = tmp_path / "Dataset901_Planes"
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for number in range(CASE_COUNT):
        write(folder / f"imagesTr/c_{number:02d}_0000{ending}")
        write(folder / f"labelsTr/c_{number:02d}{ending}")
    extra = {"overwrite_image_reader_writer": "Tiff3DIO"} if request.param == "tiff" else {}
    write_dataset_json(folder, file_ending=ending, numTraining=CASE_COUNT, **extra)
    return folder, pixel, read, ending


def planted(folder, kind, **options):
    target = folder.with_name("Dataset902_Wrong")
    perturbed(folder, {"styles": AS_DRAWN, "errors": {"rate": 1, "kinds": [kind]}}, target, seed=1, **options)
    return target, csv_rows(target / "styles.csv")


def centre(labels):
    return np.argwhere(labels > 0).mean(axis=0)


def test_a_shift_in_any_direction_moves_by_what_was_asked_for(planes):
    folder, pixel, read, ending = planes

    target, rows = planted(folder, {"shift": {"mm": 6}})

    ways = []
    for row in rows:
        moved = read(target / f"labelsTr/{row['case']}{ending}")
        # Nothing left the image: both labels have all their voxels but for rounding at the rims.
        assert np.count_nonzero(moved) == pytest.approx(400, rel=0.05)
        ways.append((centre(moved) - centre(PLATE)) * pixel)
        assert np.linalg.norm(ways[-1]) == pytest.approx(6, abs=0.75 * pixel)
        assert float(row["moved_mm"]) == pytest.approx(np.linalg.norm(ways[-1]), abs=0.006)
        assert row["outcome"] == "changed"
    # In all four quarters of the plane.
    assert len({tuple(way > 0) for way in ways}) == 4


def test_a_random_flip_mirrors_an_axis_of_the_plane(planes):
    folder, _, read, ending = planes

    target, rows = planted(folder, "flip")

    found = {read(target / f"labelsTr/{row['case']}{ending}").tobytes() for row in rows}
    assert found == {np.flip(PLATE, axis).tobytes() for axis in (0, 1)}
    assert {row["outcome"] for row in rows} == {"changed"}


FLAT = {"nifti_0": "left-right", "nifti_1": "posterior-anterior", "nifti_2": "inferior-superior"}
END = {"left-right": "right", "posterior-anterior": "anterior", "inferior-superior": "superior"}


def steps_along(axis):
    other = next(name for name in AXES if name != axis)
    tilt = {"between": ["front", "back"], "degrees": 20}
    yield {"offset": {"axis": axis, "mm": 5}}
    yield {"offset": {"axis": axis, "mm": 0.4}}
    yield {"cut": {"end": END[axis], "mm": 4}}
    yield {"cut": {"end": END[axis], "fraction": 0.9}}
    yield {"rotate_slices": {"axis": other, "degrees": 90}}
    yield {"fill_holes": {"axis": other}}
    yield {"shift_border": {"between": ["front", "back"], "axis": axis, "mm": 5}}
    yield {"tilt_border": {**tilt, "axis": axis, "towards": other}}
    yield {"tilt_border": {**tilt, "axis": other, "towards": axis}}


def grid_of(flat):
    return Grid.along(tuple(5.0 if axis == flat else 1.0 for axis in AXES), ("R", "A", "S"))


@pytest.mark.parametrize("flat", FLAT.values())
def test_operations_along_an_axis_of_one_voxel_change_nothing(flat):
    table = LabelTable.from_dataset_json({"labels": {"background": 0, "front": 1, "back": 2}}, "dataset.json")
    labels = np.expand_dims(PLATE, list(AXES).index(flat)).astype(np.uint16)

    for step in steps_along(flat):
        style = parse_spec({"styles": {"a": {"proportion": 1, "operations": [step]}}}).styles[0]
        assert np.array_equal(style.apply(labels, grid_of(flat), table), labels), step


@pytest.mark.parametrize("planes", FLAT, indirect=True)
def test_styles_and_errors_that_need_the_missing_axis_are_refused_before_anything_is_written(planes, request):
    folder, *_ = planes
    flat = FLAT[request.node.callspec.params["planes"]]
    target = folder.with_name("Dataset902_Wrong")

    for step in steps_along(flat):
        style = {"flat": {"proportion": 1, "operations": [step]}}
        with pytest.raises(HyperSORTError, match=rf"'flat'.*none of its 24.*{next(iter(step))} .*along {flat}, along"):
            perturbed(folder, {"styles": style}, target)
    for kind in (
        {"shift": {"mm": 5, "axis": flat}},
        {"flip": {"axis": flat}},
        {"missing_slices": {"axis": flat, "fraction": 0.5}},
    ):
        with pytest.raises(HyperSORTError, match=rf"The error {next(iter(kind))} works along {flat}"):
            planted(folder, kind)
    assert not target.exists()


@pytest.mark.parametrize("flat", AXES)
def test_holes_of_a_plane_are_filled_whatever_axis_is_missing(flat):
    ring = np.zeros((9, 9), np.uint16)
    ring[2:7, 2:7] = 1
    ring[4, 4] = 0
    labels = np.expand_dims(ring, list(AXES).index(flat))

    for axis in (None, flat):
        filled = operations.fill_holes(labels, grid_of(flat), (1,), axis)
        assert np.count_nonzero(filled) == 25
    open_ring = labels.copy()
    open_ring.reshape(9, 9)[4, 4:] = 0
    assert np.array_equal(operations.fill_holes(open_ring, grid_of(flat), (1,)), open_ring)


@pytest.mark.parametrize("flat", AXES)
def test_slices_across_the_missing_axis_turn_as_the_plane(flat):
    bar = np.zeros((11, 11), np.uint16)
    bar[5, 1:10] = 1
    index = list(AXES).index(flat)

    turned = operations.rotate_slices(np.expand_dims(bar, index), grid_of(flat), (1,), flat, 90)

    assert np.array_equal(turned, np.expand_dims(bar.T, index))


@pytest.mark.parametrize("axes", [tuple(AXES), ("left-right", "inferior-superior"), ("posterior-anterior",)])
def test_ways_have_their_length_in_the_axes_there_are(axes):
    rng = np.random.default_rng(3)
    for _ in range(50):
        ways = planted_errors.random_ways(rng, 8, None, axes)
        assert tuple(ways) == axes
        assert np.linalg.norm(list(ways.values())) == pytest.approx(8)


def test_directions_in_a_plane_are_uniform():
    rng = np.random.default_rng(0)
    drawn = [planted_errors.random_ways(rng, 1, None, ("left-right", "posterior-anterior")) for _ in range(4000)]
    angles = np.arctan2(*np.transpose([list(way.values()) for way in drawn]))

    counts, _ = np.histogram(angles, bins=8, range=(-np.pi, np.pi))
    # 500 each; the standard deviation of a count is 21.
    assert np.abs(counts - 500).max() < 100


def test_one_slice_among_volumes_is_left_alone_and_said_so(raw_dataset, tmp_path):
    path = raw_dataset / "labelsTr/box_03.nii.gz"
    image = nib.load(path)
    nib.save(image.slicer[:, :, 4:5], path)
    spec = {
        "styles": {"up": {"proportion": 1, "operations": [{"offset": {"axis": "inferior-superior", "mm": 2}}]}},
        "errors": {"rate": 1, "kinds": [{"flip": {"axis": "inferior-superior"}}]},
    }

    rows = perturbed(raw_dataset, spec, tmp_path / "Dataset902_Up")

    assert [row.case for row in rows if row.style_voxels == 0] == ["box_03"]
    assert [row.case for row in rows if row.outcome == "unchanged"] == ["box_03"]
    assert json.loads((tmp_path / "Dataset902_Up/dataset.json").read_text())["numTraining"] == 12
