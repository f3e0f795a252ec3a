"""Files of a raw dataset in a second one: hard-linked where the file system allows, else copied."""

from collections.abc import Iterable
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.links import place_file
from nnunetv2_hypersort.images.spacing_file import spacing_file
from nnunetv2_hypersort.nnunet.raw_dataset import RawDataset


def link_images(dataset: RawDataset, destination: Path, cases: Iterable[str] | None = None) -> None:
    """Link the training images into `destination/imagesTr`; files that are there already stay.

    Args:
        dataset: Where they come from.
        destination: Folder of the new raw dataset.
        cases: Only those of these cases; None links all.

    Raises:
        HyperSORTError: An image does not exist.
    """
    ending = dataset.file_ending
    for name in dataset.cases if cases is None else cases:
        images = dataset.cases[name].images
        for channel, image in enumerate(images):
            _link(image, destination / "imagesTr" / f"{name}_{channel:04d}{ending}")
        _link_if_there(spacing_file(images[0], image=True), destination / "imagesTr" / f"{name}.json")


def link_sidecar(label: Path, target: Path) -> None:
    """Link what nnU-Net's TIFF reader keeps beside a label: the spacing of case.tif stands in case.json."""
    _link_if_there(spacing_file(label), spacing_file(target))


def link_folder(folder: Path, target: Path) -> None:
    """Link all files of a folder, if there is such a folder; files that are there already stay."""
    for path in sorted(folder.glob("*")):
        if path.is_file():
            _link(path, target / path.name)


def _link_if_there(file: Path, target: Path) -> None:
    if file.is_file():
        _link(file, target)


def _link(file: Path, target: Path) -> None:
    if target.exists():
        return
    if not file.is_file():
        raise HyperSORTError(f"The image {file} does not exist; add it or remove its case.")
    target.parent.mkdir(parents=True, exist_ok=True)
    place_file(file, target)
