"""Every format that nnU-Net reads: images come along as they are, labels keep their geometry with spacing files."""

import json
import os

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import tifffile
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO
from PIL import Image
from planting import files_of, perturbed

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.label_writing import write_labels

SPACING = [5, 0.5, 0.5]
BLOCK = np.zeros((9, 24, 26), np.uint8)
BLOCK[4:6, 10:14, 11:15] = 1
GROWN = {"styles": {"big": {"proportion": 1, "operations": [{"dilate": {"mm": 1}}]}}}


def dataset(folder, write_dataset_json, ending, write, **entries):
    for name in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (folder / name).mkdir(parents=True)
    for number in range(2):
        write(folder / f"imagesTr/c_{number}_0000{ending}", image=True)
        write(folder / f"labelsTr/c_{number}{ending}", image=False)
    write(folder / f"imagesTs/t_0_0000{ending}", image=True)
    write(folder / f"labelsTs/t_0{ending}", image=False)
    write_dataset_json(folder, labels={"background": 0, "a": 1}, file_ending=ending, numTraining=2, **entries)
    return folder


def grown(source, all_styles=True):
    target = source.with_name("Dataset902_Grown")
    perturbed(source, GROWN, target, all_styles=all_styles)
    return target


def write_with_itk(path, image):
    written = sitk.GetImageFromArray(BLOCK.astype(np.float32) * 7 if image else BLOCK)
    written.SetSpacing(SPACING[::-1])
    sitk.WriteImage(written, str(path))


def write_with_nibabel(path, image):
    data = (BLOCK.astype(np.float32) * 7 if image else BLOCK).T
    nib.save(nib.Nifti1Image(data, np.diag([*SPACING[::-1], 1.0])), path)


def write_colour(path, image):
    plane = np.stack([BLOCK[4] * 90, BLOCK[4] * 40, BLOCK[5] + 3], axis=-1) if image else BLOCK[4]
    Image.fromarray(plane).save(path)


def write_tiff(path, image):
    tifffile.imwrite(path, BLOCK.astype(np.uint16) * 7 if image else BLOCK)
    stem = path.name.removesuffix(path.suffix).removesuffix("_0000")
    path.with_name(f"{stem}.json").write_text(json.dumps({"spacing": SPACING, "scanner": "mine"}))


@pytest.mark.parametrize(
    ("ending", "write", "reader"),
    [
        (".nii.gz", write_with_nibabel, NibabelIO),
        (".nii.gz", write_with_itk, SimpleITKIO),
        (".nrrd", write_with_itk, SimpleITKIO),
        (".mha", write_with_itk, SimpleITKIO),
        (".png", write_colour, NaturalImage2DIO),
        (".bmp", write_colour, NaturalImage2DIO),
        (".tif", write_colour, NaturalImage2DIO),
        (".tif", write_tiff, Tiff3DIO),
        (".tiff", write_tiff, Tiff3DIO),
    ],
)
def test_images_stay_and_labels_keep_their_geometry(tmp_path, write_dataset_json, ending, write, reader):
    entries = {"overwrite_image_reader_writer": reader.__name__}
    source = dataset(tmp_path / "Dataset901_Any", write_dataset_json, ending, write, **entries)
    before = files_of(source)

    target = grown(source)

    assert files_of(source) == before
    after = files_of(target)
    kept = {name: data for name, data in before.items() if name.startswith(("imagesT", "labelsTs"))}
    assert {name: data for name, data in after.items() if name in kept} == kept
    assert not [name for name in after if ".tmp-" in name]
    spacing = [999, 1, 1] if reader is NaturalImage2DIO else SPACING
    expected = within_a_millimetre(BLOCK[4:5] if reader is NaturalImage2DIO else BLOCK, spacing)
    for case in ("c_0", "c_1"):
        image = reader().read_images([str(target / f"imagesTr/{case}_0000{ending}")])
        assert np.allclose(image[1]["spacing"], spacing)
        for folder in ("labelsTr", "labels_all_styles/big"):
            labels, properties = reader().read_seg(str(target / folder / f"{case}{ending}"))
            assert np.array_equal(labels[0], expected)
            assert np.allclose(properties["spacing"], spacing)


def within_a_millimetre(mask, spacing):
    voxels = np.moveaxis(np.indices(mask.shape), 0, -1)[..., None, :]
    distances = np.linalg.norm((voxels - np.argwhere(mask)) * spacing, axis=-1)
    return distances.min(axis=-1) <= 1 + 1e-6


def test_a_tiff_label_without_a_spacing_file_has_the_spacing_of_its_image(tmp_path, write_dataset_json):
    source = dataset(tmp_path / "Dataset901_Any", write_dataset_json, ".tif", write_tiff)
    complete = files_of(grown(source))
    other = dataset(tmp_path / "b/Dataset901_Any", write_dataset_json, ".tif", write_tiff)
    for path in (other / "labelsTr").glob("*.json"):
        path.unlink()

    # The same labels, in millimetres of the image, and spacing files that say the same beside them.
    found = files_of(grown(other))
    assert found.keys() == complete.keys()
    for name, data in found.items():
        if name.startswith("labels") and name.endswith(".json"):
            assert json.loads(data)["spacing"] == SPACING
        else:
            assert data == complete[name]

    (other / "imagesTr/c_1.json").write_text('{"spacing": [1, 0, 1]}')
    with pytest.raises(HyperSORTError, match=r"c_1\.json must hold .* for c_1_0000\.tif"):
        perturbed(other, GROWN, other.with_name("Dataset903_X"))


def test_a_spacing_file_that_is_a_hard_link_is_replaced_and_not_written_into(tmp_path):
    mine = tmp_path / "mine.json"
    mine.write_text('{"spacing": [5, 0.5, 0.5], "scanner": "mine"}')
    os.link(mine, tmp_path / "c.json")

    write_labels(Tiff3DIO(), BLOCK, {"spacing": SPACING}, tmp_path / "c.tif")

    assert json.loads(mine.read_text())["scanner"] == "mine"
    assert json.loads((tmp_path / "c.json").read_text()) == {"spacing": SPACING}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.json", "c.tif", "mine.json"]


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    write_labels(Tiff3DIO(), BLOCK, {"spacing": SPACING}, tmp_path / "c.tif")
    before = files_of(tmp_path)

    with pytest.raises(TypeError):
        write_labels(Tiff3DIO(), BLOCK * 2, {"spacing": {1, 2}}, tmp_path / "c.tif")

    assert files_of(tmp_path) == before
