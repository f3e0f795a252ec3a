"""Images with one or several annotations, each kind read in one place."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import nibabel
import numpy as np
from numpy.typing import NDArray
from skimage import io

from benchmarks.nnunet_runs.datasets import SmallPlan
from benchmarks.nnunet_runs.workplace import CONFIGURATION_3D
from nnunetv2_hypersort.demo import phantom
from nnunetv2_hypersort.errors import HyperSORTError

AS_DRAWN = "as_drawn"
CONFIGURATION_2D = "2d"


class Source(ABC):
    """A kind of images.

    Attributes:
        name: Its name in files and tables.
        number: Dataset number of its images as annotated by its only annotator, for what is planted.
        annotators: Who annotated every image.
        count: How many images there are, to know how long runs take before the data are read.
        plan: How nnU-Net's plan is made small.
        labels: As in dataset.json.
        channels: As in dataset.json.
        file_ending: As in dataset.json.
    """

    name: str
    number: int
    count: int
    annotators: tuple[str, ...] = (AS_DRAWN,)
    plan: SmallPlan
    labels: dict[str, int]
    channels: dict[str, str]
    file_ending = ".png"

    @abstractmethod
    def images(self, data: Path) -> list[str]:
        """The names of all images in the folder of public data, sorted."""

    @abstractmethod
    def write_image(self, data: Path, image: str, target: Path) -> None:
        """Write an image as nnU-Net reads it."""

    @abstractmethod
    def write_labels(self, data: Path, image: str, annotator: str, target: Path) -> None:
        """Write the labels of an image as somebody annotated it."""

    def group(self, image: str) -> str:
        """What images are held out together."""
        return image

    def dataset_json(self, count: int) -> dict[str, Any]:
        """The dataset.json of so many cases."""
        return {
            "channel_names": self.channels,
            "labels": {"background": 0, **self.labels},
            "numTraining": count,
            "file_ending": self.file_ending,
        }


class Hippocampus(Source):
    """T1 MRI of the Decathlon's Task04."""

    name, number, count = "hippocampus", 310, 260
    plan = SmallPlan(CONFIGURATION_3D, 2.0, (24, 32, 24), (8, 16, 32), 2)
    labels, channels = {"Anterior": 1, "Posterior": 2}, {"0": "MRI"}
    file_ending = ".nii.gz"
    _folder = "Task04_Hippocampus"

    def images(self, data: Path) -> list[str]:
        """See the base class; AppleDouble files are none."""
        return _names(data / self._folder / "imagesTr", "[!.]*", self.file_ending)

    def write_image(self, data: Path, image: str, target: Path) -> None:
        """See the base class."""
        shutil.copyfile(data / self._folder / "imagesTr" / f"{image}.nii.gz", target)

    def write_labels(self, data: Path, image: str, annotator: str, target: Path) -> None:
        """See the base class; two of the files hold floating-point numbers."""
        file: Any = nibabel.load(data / self._folder / "labelsTr" / f"{image}.nii.gz")
        labels = np.rint(np.asanyarray(file.dataobj)).astype(np.uint8)
        header = file.header.copy()
        header.set_data_dtype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(labels, file.affine, header), target)


class Phantom(Source):
    """Generated scans of the demo, with the liver drawn in the demo's styles."""

    name, number, count = "phantom", 311, 200
    annotators = (AS_DRAWN, "generous", "no_left_lobe")
    plan = SmallPlan(CONFIGURATION_3D, phantom.SPACING, (24, 40, 40), (8, 16, 32), 2)
    labels, channels = {"liver": 1}, {"0": "CT"}
    file_ending = ".nii.gz"

    def images(self, data: Path) -> list[str]:
        """See the base class; there are as many as anybody needs."""
        return [f"phantom_{number:03d}" for number in range(self.count)]

    def write_image(self, data: Path, image: str, target: Path) -> None:
        """See the base class."""
        phantom.write_volume(target, _anatomy(image).image)

    def write_labels(self, data: Path, image: str, annotator: str, target: Path) -> None:
        """See the base class."""
        style = phantom.STYLES[self.annotators.index(annotator)]
        phantom.write_volume(target, _anatomy(image).labels[style])


@lru_cache(maxsize=4)
def _anatomy(image: str) -> phantom.Anatomy:
    return phantom.generate_anatomy(np.random.default_rng([17, int(image.rpartition("_")[2])]))


class Picture(Source):
    """Pictures with masks as pictures.

    Attributes:
        folder: Its folder in the public data.
        masks: For each annotator the folder of the masks.
    """

    folder: str
    masks: ClassVar[dict[str, str]]

    def images(self, data: Path) -> list[str]:
        """See the base class."""
        return _names(data / self.folder / "images", "*", ".png")

    def write_image(self, data: Path, image: str, target: Path) -> None:
        """See the base class."""
        picture = np.asarray(io.imread(data / self.folder / "images" / f"{image}.png"))
        io.imsave(target, picture[..., 0] if picture.ndim == 3 else picture, check_contrast=False)

    def write_labels(self, data: Path, image: str, annotator: str, target: Path) -> None:
        """See the base class."""
        mask = np.asarray(io.imread(data / self.folder / self.masks[annotator] / f"{image}.png"))
        _save_mask(target, (mask[..., 0] if mask.ndim == 3 else mask) > 0)


class Cells(Picture):
    """Smooth muscle cells in phase contrast, outlined by five people with two tools; Person2's two are one."""

    name, number, count, folder = "cells", 312, 35, "bu_bil_cells"
    masks: ClassVar[dict[str, str]] = {
        f"person{person}{tool}": f"Person{person}_{folder}"
        for person in range(1, 6)
        for tool, folder in (("", "Amira"),) * (person == 2) or (("_amira", "Amira"), ("_imagej", "ImageJ"))
    }
    annotators = tuple(masks)
    plan = SmallPlan(CONFIGURATION_2D, 1.5, (128, 128), (8, 16, 32, 64), 4)
    labels, channels = {"cell": 1}, {"0": "phase_contrast"}


class Chest(Picture):
    """Chest X-rays with masks of both lungs, 128 x 128."""

    name, number, count, folder = "chest", 313, 160, "shenzhen_cxr"
    masks: ClassVar[dict[str, str]] = {AS_DRAWN: "masks"}
    plan = SmallPlan(CONFIGURATION_2D, 1.0, (128, 128), (8, 16, 32, 64), 4)
    labels, channels = {"lung": 1}, {"0": "xray"}


class Retina(Source):
    """Fundus images of CHASE_DB1 with the vessels as two observers drew them; both eyes of a child go together."""

    name, number, count = "retina", 314, 28
    annotators = ("observer_1", "observer_2")
    plan = SmallPlan(CONFIGURATION_2D, 2.0, (128, 128), (8, 16, 32, 64), 4)
    labels, channels = {"vessel": 1}, {"0": "R", "1": "G", "2": "B"}
    _folder = "CHASE_DB1"
    _suffixes: ClassVar[dict[str, str]] = {"observer_1": "1stHO", "observer_2": "2ndHO"}

    def images(self, data: Path) -> list[str]:
        """See the base class."""
        return [name.removeprefix("Image_") for name in _names(data / self._folder / "images", "Image_*", ".jpg")]

    def write_image(self, data: Path, image: str, target: Path) -> None:
        """See the base class; nnU-Net reads no JPEG."""
        picture = np.asarray(io.imread(data / self._folder / "images" / f"Image_{image}.jpg"))
        io.imsave(target, picture, check_contrast=False)

    def write_labels(self, data: Path, image: str, annotator: str, target: Path) -> None:
        """See the base class."""
        suffix = self._suffixes[annotator]
        mask = np.asarray(io.imread(data / self._folder / f"labels_{suffix}" / f"Image_{image}_{suffix}.png"))
        _save_mask(target, mask > 0)

    def group(self, image: str) -> str:
        """The child whose eye it is."""
        return image[:-1]


SOURCES: dict[str, Source] = {source.name: source for source in (Hippocampus(), Phantom(), Cells(), Chest(), Retina())}


def _names(folder: Path, pattern: str, ending: str) -> list[str]:
    names = sorted(path.name.removesuffix(ending) for path in folder.glob(f"{pattern}{ending}"))
    if not names:
        raise HyperSORTError(f"{folder} holds no {pattern}{ending}; give the folder of the public data sets.")
    return names


def _save_mask(target: Path, mask: NDArray[np.bool_]) -> None:
    io.imsave(target, mask.astype(np.uint8), check_contrast=False)


def choose_images(names: Sequence[str], count: int | None) -> list[str]:
    """So many of some images, the same whatever is planted; None takes all."""
    if count is None:
        return list(names)
    order = np.random.default_rng(17).permutation(len(names))[:count]
    return sorted(names[index] for index in order.tolist())
