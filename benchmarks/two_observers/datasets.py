"""CHASE_DB1 as nnU-Net datasets of both observers."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import io, morphology

from benchmarks.nnunet_runs.workplace import PLANS, Workplace
from benchmarks.two_observers.protocol import (
    BATCH,
    DILATED,
    FEATURES,
    FIRST,
    HELD_OUT_CHILDREN,
    PATCH,
    SECOND,
    SPACING,
    Design,
    Protocol,
    Run,
)
from nnunetv2_hypersort.demo.small_plan import shrink
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json

CONFIGURATION = "2d"
PROCESSES = 2
TRUTH = "observers.json"
SPLITS = "splits_final.json"
DILATION_PIXELS = 2
_FOLDERS = {FIRST: ("labels_1stHO", "1stHO"), SECOND: ("labels_2ndHO", "2ndHO")}


@dataclass(frozen=True)
class Drawing:
    """One case: an image with the labels of one observer.

    Attributes:
        image: Name of the image, such as `01L`.
        observer: Who drew it.
    """

    image: str
    observer: str

    @property
    def child(self) -> str:
        """The child whose eye it is."""
        return self.image[:-1]


def read_labels(chase: Path, image: str, observer: str) -> NDArray[np.bool_]:
    """The vessels of an image as an observer drew them."""
    if observer == DILATED:
        grown = morphology.dilation(read_labels(chase, image, FIRST), morphology.disk(DILATION_PIXELS))
        return np.asarray(grown, bool)
    folder, suffix = _FOLDERS[observer]
    return np.asarray(io.imread(chase / folder / f"Image_{image}_{suffix}.png") > 0)


def read_image(chase: Path, image: str) -> NDArray[np.uint8]:
    """An image, shape (rows, columns, 3)."""
    return np.asarray(io.imread(chase / "images" / f"Image_{image}.jpg"))


def read_drawings(workplace: Workplace, run: Run) -> dict[str, Drawing]:
    """Which image a case of a run is, and who drew it."""
    content = json.loads((workplace.raw / run.dataset / TRUTH).read_text(encoding="utf-8"))
    return {case: Drawing(**entry) for case, entry in content.items()}


def assign(images: Sequence[str], design: Design, seed: int) -> dict[str, Drawing]:
    """Name the cases of a design and say who drew each.

    Args:
        images: The images.
        design: The design.
        seed: For `once`: chooses which half of the images has the first observer's labels.
    """
    first, second = design.drawn_by
    if design.is_paired:
        return {
            f"chase_{image}_{number}": Drawing(image, observer)
            for image in images
            for number, observer in enumerate((first, second), start=1)
        }
    order = np.random.default_rng(seed).permutation(len(images))
    return {
        f"chase_{image}": Drawing(image, first if place < len(images) // 2 else second)
        for image, place in zip(images, order.tolist(), strict=True)
    }


def prepare(workplace: Workplace, chase: Path, run: Run, protocol: Protocol) -> None:
    """Make the dataset of a run, unless it is there.

    Raises:
        HyperSORTError: The folder is not CHASE_DB1, or one of nnU-Net's commands failed.
    """
    folder = workplace.preprocessed / run.dataset
    if (folder / SPLITS).exists():
        return
    images = sorted(path.stem.removeprefix("Image_") for path in (chase / "images").glob("Image_*.jpg"))
    images = images[: 2 * protocol.children]
    if len(images) != 2 * protocol.children:
        raise HyperSORTError(f"{chase} is not CHASE_DB1: its folder `images` lacks Image_01L.jpg to Image_14R.jpg.")
    drawings = assign(images, run.design, run.seed)
    _write_raw(workplace.raw / run.dataset, chase, drawings)
    number = str(int(run.dataset[7:10]))
    workplace.command("nnUNetv2_extract_fingerprint", "-d", number, "-np", str(PROCESSES))
    workplace.command("nnUNetv2_plan_experiment", "-d", number)
    shrink(
        folder / f"{PLANS}.json",
        configuration=CONFIGURATION,
        spacing=SPACING,
        patch_size=PATCH,
        features=FEATURES,
        batch_size=BATCH,
    )
    workplace.command("nnUNetv2_preprocess", "-d", number, "-c", CONFIGURATION, "-np", str(PROCESSES))
    # Written last: it says that the dataset is complete. Both eyes of a child are on the same side.
    children = sorted({drawing.child for drawing in drawings.values()})
    held_out = set(np.random.default_rng(12345).permutation(children)[:HELD_OUT_CHILDREN].tolist())
    split: dict[str, list[str]] = {"train": [], "val": []}
    for case, drawing in drawings.items():
        split["val" if drawing.child in held_out else "train"].append(case)
    write_json(folder / SPLITS, [split])


def _write_raw(folder: Path, chase: Path, drawings: dict[str, Drawing]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    written: dict[str, Path] = {}
    for case, drawing in drawings.items():
        target = folder / "imagesTr" / f"{case}_0000.png"
        if drawing.image in written:
            os.link(written[drawing.image], target)
        else:
            # nnU-Net reads no JPEG.
            io.imsave(target, read_image(chase, drawing.image), check_contrast=False)
            written[drawing.image] = target
        labels = read_labels(chase, drawing.image, drawing.observer).astype(np.uint8)
        io.imsave(folder / "labelsTr" / f"{case}.png", labels, check_contrast=False)
    content: dict[str, Any] = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "vessel": 1},
        "numTraining": len(drawings),
        "file_ending": ".png",
    }
    write_json(folder / "dataset.json", content)
    write_json(folder / TRUTH, {case: asdict(drawing) for case, drawing in drawings.items()})
