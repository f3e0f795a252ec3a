"""Generated scans that look like abdominal CT, with the liver drawn in three styles and some labels wrong."""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from nnunetv2_hypersort.files import atomic_path, write_json
from nnunetv2_hypersort.files.tables import read_table, write_table

SHAPE = (48, 48, 28)
"""Voxels from right to left, front to back, and bottom to top."""

SPACING = 5.0
"""Voxel size in mm, isotropic."""

STYLES = ("as drawn", "generous", "no left lobe")
"""As drawn; the border 7 mm further out; the left lobe left out."""

PROPORTIONS = (0.45, 0.3, 0.25)
ERRORS = ("shifted", "empty", "spleen instead", "label of another case")
_MARGIN = 7.0


@dataclass(frozen=True)
class Anatomy:
    """One generated scan.

    Attributes:
        image: Shape `SHAPE`, Hounsfield units, float32.
        labels: For each style its label map, shape `SHAPE`, uint8, 1 = liver.
        spleen: Shape `SHAPE`, bool.
    """

    image: np.ndarray
    labels: dict[str, np.ndarray]
    spleen: np.ndarray


def generate_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw the body of one patient: fat, muscle, spine, liver with two lobes, spleen, stomach and kidneys."""
    size = rng.uniform(0.93, 1.07)
    shift = rng.uniform(-1.2, 1.2, 3)
    axes = np.meshgrid(*(np.arange(length, dtype=float) for length in SHAPE), indexing="ij")

    def ellipsoid(
        centre: tuple[float, float, float], radii: tuple[float, float, float], wobble: float = 0.06
    ) -> np.ndarray:
        moved = np.array(centre) + shift + rng.normal(0, 0.5, 3)
        grown = np.array(radii) * size * rng.normal(1, wobble, 3)
        distance = sum(((axis - place) / radius) ** 2 for axis, place, radius in zip(axes, moved, grown, strict=True))
        return np.asarray(distance) < 1

    body = ellipsoid((23.5, 24, 14), (21, 17, 60), 0.02)
    inside = ellipsoid((23.5, 24, 14), (18.5, 14.5, 60), 0.02)
    right_lobe = ellipsoid((14, 22, 14), (8, 9, 9))
    left_lobe = ellipsoid((24.5, 17, 16), (6, 4.5, 5.5)) & ~right_lobe
    spleen = ellipsoid((35.5, 28, 16), (4, 5, 6))
    stomach = ellipsoid((33, 18, 17), (5, 4.5, 5))
    kidneys = ellipsoid((16, 32, 5), (3.2, 3.2, 5)) | ellipsoid((31, 32, 6), (3.2, 3.2, 5))
    spine = ellipsoid((23.5, 34, 14), (3.2, 3.2, 60), 0.03)

    image = np.full(SHAPE, -1000.0)
    for organ, density in (
        (body, -90),
        (inside, 20),
        (stomach, rng.normal(0, 8)),
        (kidneys, rng.normal(170, 12)),
        (spleen, rng.normal(115, 8)),
        (left_lobe | right_lobe, rng.normal(105, 8)),
        (spine, 350),
    ):
        image[organ & (body | inside)] = density
    image = ndimage.gaussian_filter(image, 0.6) + rng.normal(0, 14, SHAPE)

    liver = (left_lobe | right_lobe) & ~spine
    drawn = {
        STYLES[0]: liver,
        STYLES[1]: ndimage.distance_transform_edt(~liver, sampling=SPACING) <= _MARGIN,
        STYLES[2]: right_lobe & ~spine,
    }
    return Anatomy(
        image.astype(np.float32), {style: label.astype(np.uint8) for style, label in drawn.items()}, spleen & ~spine
    )


def write_phantom_dataset(
    dataset_folder: Path, *, training_cases: int, test_cases: int, wrong_labels: int, seed: int
) -> None:
    """Write a raw nnU-Net dataset whose training labels are drawn in three styles, some of them wrong.

    Beside nnU-Net's folders stand `styles.csv` (columns `case,style,error`) and, for each style, the test labels
    drawn in it: `labelsTs_<style>` with blanks as underscores.

    Args:
        dataset_folder: The folder to write, named as nnU-Net wants it.
        training_cases: Number of training cases.
        test_cases: Number of held-out cases.
        wrong_labels: How many of the training cases get a wrong label.
        seed: Same seed, same data set.
    """
    rng = np.random.default_rng(seed)
    styles = rng.permutation(
        np.repeat(STYLES, np.diff(np.round(np.cumsum((0, *PROPORTIONS)) * training_cases).astype(int)))
    )
    wrong = dict(
        zip(rng.choice(training_cases, wrong_labels, replace=False).tolist(), ERRORS * wrong_labels, strict=False)
    )
    for folder in ("imagesTr", "labelsTr", "imagesTs", *(held_out_folder(style) for style in STYLES)):
        (dataset_folder / folder).mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(training_cases):
        case, anatomy = f"phantom_{number:03d}", generate_anatomy(rng)
        label = anatomy.labels[styles[number]]
        error = wrong.get(number, "none")
        if error == "shifted":
            label = np.roll(label, (7, -5, 0), axis=(0, 1, 2))
        elif error == "empty":
            label = np.zeros_like(label)
        elif error == "spleen instead":
            label = anatomy.spleen.astype(np.uint8)
        elif error == "label of another case":
            label = generate_anatomy(rng).labels[styles[number]][:, ::-1]
        write_volume(dataset_folder / "imagesTr" / f"{case}_0000.nii.gz", anatomy.image)
        write_volume(dataset_folder / "labelsTr" / f"{case}.nii.gz", label)
        rows.append((case, styles[number], error))
    for number in range(test_cases):
        case, anatomy = f"phantom_test_{number:02d}", generate_anatomy(rng)
        write_volume(dataset_folder / "imagesTs" / f"{case}_0000.nii.gz", anatomy.image)
        for style in STYLES:
            write_volume(dataset_folder / held_out_folder(style) / f"{case}.nii.gz", anatomy.labels[style])
    write_json(
        dataset_folder / "dataset.json",
        {
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, "liver": 1},
            "numTraining": training_cases,
            "file_ending": ".nii.gz",
            "description": "Generated scans with planted annotation styles and errors; no patient data.",
        },
    )
    write_table(dataset_folder / "styles.csv", ("case", "style", "error"), rows)


def held_out_folder(style: str) -> str:
    """The folder in the dataset that holds the test labels of a style."""
    return f"labelsTs_{style.replace(' ', '_')}"


def read_styles(dataset_folder: Path) -> dict[str, tuple[str, str]]:
    """Read `styles.csv`: style and error of each training case."""
    rows = read_table(dataset_folder / "styles.csv", ("case", "style", "error")).rows
    return {row["case"]: (row["style"], row["error"]) for row in rows}


def write_volume(path: Path, volume: np.ndarray) -> None:
    """Write an image or label map, shape `SHAPE`, as NIfTI."""
    # From right to left is towards smaller x in nibabel's axes (x grows to the patient's left, RAS).
    affine = np.diag([-SPACING, -SPACING, SPACING, 1.0])
    affine[:2, 3] = SPACING * (np.array(SHAPE[:2]) - 1) / 2
    with atomic_path(path) as temporary:
        nibabel.save(nibabel.Nifti1Image(volume, affine), temporary)
