"""Reads the label maps of a case, checks them against each other and dataset.json, and collects every problem."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.images.crops import find_foreign_values
from nnunetv2_hypersort.images.geometry import Grid
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.reading import ImageReader, LabelImage
from nnunetv2_hypersort.images.spacing_file import spacing_file, takes_spacing_file

Remark = tuple[Path, str]
"""A file, and what is odd about it."""


@dataclass(frozen=True)
class LabelMapPair:
    """A reference and a prediction on one grid.

    Attributes:
        reference: Reference label map with 2 or 3 axes.
        prediction: Predicted label map of the same shape.
        spacing: Voxel spacing along each axis in mm.
        diagonal: Image diagonal in mm.
    """

    reference: NDArray[np.integer[Any]]
    prediction: NDArray[np.integer[Any]]
    spacing: tuple[float, ...]
    diagonal: float


class CaseReader:
    """Reads the files of one case, one prediction in memory at a time.

    Args:
        case: The case. A missing file counts as empty.
        labels: What the label maps may hold.
        reader: Reads them as nnU-Net does.

    Attributes:
        problems: One sentence per file that cannot be used. Text and no exception, because the files of the other
            cases are still to be checked.
        remarks: Files that were read in spite of an oddity.
    """

    def __init__(self, case: Case, labels: LabelTable, reader: ImageReader) -> None:
        self._case = case
        self._labels = labels
        self._reader = reader
        self.problems: list[str] = []
        self.remarks: list[Remark] = []

    def read_pairs(self) -> Iterator[LabelMapPair]:
        """Yield one pair per prediction until a problem turns up; the remaining files are then only checked."""
        reference = self._read(self._case.reference)
        for path in self._case.predictions:
            prediction = self._read(path)
            if self.problems:
                continue
            grid = reference.grid if reference else self._reader.label_grid(_list_paths(self._case)[0])
            empty = np.zeros(grid.shape, dtype=np.uint8)
            flat_reference, spacing = drop_flat_axes(reference.values if reference else empty, grid)
            flat_prediction, _ = drop_flat_axes(prediction.values if prediction else empty, grid)
            yield LabelMapPair(flat_reference, flat_prediction, spacing, grid.diagonal)

    def _read(self, path: Path | None) -> LabelImage | None:
        if path is None:
            return None
        try:
            found = self._reader.read_labels(path)
        except HyperSORTError as error:
            self.problems.append(str(error))
            return None
        self.remarks += [(path, remark) for remark in found.remarks]
        foreign = find_foreign_values(found.values, self._labels)
        if foreign:
            shown = ", ".join(map(str, foreign[:5])) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
            self.problems.append(
                f"{path} holds the value{'s' * (len(foreign) > 1)} {shown}, which dataset.json does not know; "
                "give the dataset.json of these labels, or mend the label map."
            )
        return found


def drop_flat_axes(array: NDArray[Any], grid: Grid) -> tuple[NDArray[Any], tuple[float, ...]]:
    """Drop axes of a single voxel, so that a volume of one slice is measured as the 2-D image it is.

    In three dimensions every voxel of a single slice is a surface voxel, and the surface distances mean nothing.

    Returns:
        The array with at least 2 axes, and the spacing of its axes in mm.
    """
    flat = [axis for axis, n in enumerate(array.shape) if n == 1][: max(0, array.ndim - 2)]
    spacing = tuple(s for axis, s in enumerate(grid.spacing) if axis not in flat)
    return array.reshape([n for axis, n in enumerate(array.shape) if axis not in flat]), spacing


def check_grids(cases: Sequence[Case], reader: ImageReader) -> list[str]:
    """Compare the grids of the files of each case, from their headers, and return one sentence per problem."""
    return [problem for case in cases for problem in _compare_grids(_list_paths(case), None, reader)]


def check_images(
    cases: Sequence[Case], folder: str | os.PathLike[str], file_ending: str, reader: ImageReader
) -> dict[str, Path]:
    """Check that every case has an image, on the grid of its label maps.

    Returns:
        By case the file that nnU-Net expects the first channel of its image in.

    Raises:
        HyperSORTError: Images are missing or do not fit; one sentence for each.
    """
    problems = []
    images = {case.name: Path(folder) / f"{case.name}_0000{file_ending}" for case in cases}
    for case in cases:
        path = images[case.name]
        if not path.is_file():
            problems.append(f"{path} does not exist.")
        else:
            problems += _compare_grids(_list_paths(case)[:1], path, reader)
    if problems:
        raise HyperSORTError("\n".join([*problems, "Give the folder with the images of these cases, or no --images."]))
    return images


def example_of(cases: Iterable[Case]) -> Path | None:
    """The file by which nnU-Net's evaluation chooses its reader: the first reference, or else the first file."""
    listed = list(cases)
    references = (case.reference for case in listed)
    files = (path for case in listed for path in _list_paths(case))
    return next((path for paths in (references, files) for path in paths if path is not None), None)


def report_problems(problems: Sequence[str]) -> HyperSORTError:
    """Put the problems of all files into one error."""
    plural = "problem" if len(problems) == 1 else "problems"
    return HyperSORTError("\n".join([f"{len(problems)} {plural} in the label files; nothing was written.", *problems]))


def _compare_grids(labels: Sequence[Path], image: Path | None, reader: ImageReader) -> list[str]:
    problems: list[str] = []
    first: tuple[Path, Grid] | None = None
    for path in [*labels, *([] if image is None else [image])]:
        is_image = path is image
        try:
            grid = reader.image_grid(path) if is_image else reader.label_grid(path)
        except HyperSORTError as error:
            problems.append(str(error))
            continue
        if first is None:
            first = (path, grid)
        elif (difference := first[1].difference(grid)) is not None:
            absent = [
                (file, spacing_file(file, image=image_name))
                for file, image_name in ((first[0], False), (path, is_image))
                if takes_spacing_file(file, reader.kinds) and not spacing_file(file, image=image_name).is_file()
            ]
            problems.append(
                f"{path} has {difference} in {first[0]}; "
                + (
                    f"{absent[0][1].name} is missing beside {absent[0][0]}, from which nnU-Net takes its spacing: copy "
                    "it from the labelsTr (or imagesTr) folder of the data set."
                    if len(absent) == 1 and first[1].shape == grid.shape
                    else "resample it to the grid of the reference (nearest neighbour)."
                )
            )
    return problems


def _list_paths(case: Case) -> list[Path]:
    return [path for path in (case.reference, *case.predictions) if path is not None]
