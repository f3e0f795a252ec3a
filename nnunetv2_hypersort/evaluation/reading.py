"""Reads the label maps of a case, checks them against each other and dataset.json, and collects every problem."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.images.crops import find_boxes
from nnunetv2_hypersort.images.labels import LabelScheme
from nnunetv2_hypersort.images.volumes import Grid, drop_flat_axes, read_grid, read_label_map


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

    Attributes:
        problems: One sentence per file that cannot be used. Text and no exception, because the files of the other
            cases are still to be checked.
        remarks: One sentence per file that was read in spite of an oddity.
    """

    def __init__(self, case: Case, labels: LabelScheme) -> None:
        self._case = case
        self._labels = labels
        self.problems: list[str] = []
        self.remarks: list[str] = []

    def read_pairs(self) -> Iterator[LabelMapPair]:
        """Yield one pair per prediction until a problem turns up; the remaining files are then only checked."""
        reference = self._read(self._case.reference)
        for path in self._case.predictions:
            prediction = self._read(path)
            if self.problems:
                continue
            grid = reference[1] if reference else read_grid(_list_paths(self._case)[0])
            empty = np.zeros(grid.shape, dtype=np.uint8)
            flat_reference, spacing = drop_flat_axes(reference[0] if reference else empty, grid)
            flat_prediction, _ = drop_flat_axes(prediction[0] if prediction else empty, grid)
            yield LabelMapPair(flat_reference, flat_prediction, spacing, grid.diagonal)

    def _read(self, path: Path | None) -> tuple[NDArray[np.integer[Any]], Grid] | None:
        if path is None:
            return None
        try:
            label_map, grid, remark = read_label_map(path)
        except HyperSORTError as error:
            self.problems.append(str(error))
            return None
        if remark:
            self.remarks.append(remark)
        foreign = find_foreign_values(label_map, self._labels)
        if foreign:
            shown = ", ".join(map(str, foreign[:5])) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
            self.problems.append(
                f"{path} holds the value{'s' * (len(foreign) > 1)} {shown}, which dataset.json does not know; "
                "give the dataset.json of these labels, or mend the label map."
            )
        return label_map, grid


def check_grids(cases: Sequence[Case]) -> list[str]:
    """Compare the grids of the files of each case, from their headers, and return one sentence per problem."""
    return [problem for case in cases for problem in _check_case(_list_paths(case))]


def check_images(cases: Sequence[Case], folder: str | os.PathLike[str], file_ending: str) -> None:
    """Check that every case has an image, on the grid of its label maps.

    Raises:
        HyperSORTError: Images are missing or do not fit; one sentence for each.
    """
    problems = []
    for case in cases:
        path = find_image(case, folder, file_ending)
        if not path.is_file():
            problems.append(f"{path} does not exist.")
        else:
            problems += _check_case([*_list_paths(case)[:1], path])
    if problems:
        raise HyperSORTError("\n".join([*problems, "Give the folder with the images of these cases, or no --images."]))


def find_image(case: Case, folder: str | os.PathLike[str], file_ending: str) -> Path:
    """Return where nnU-Net expects the first channel of the image of a case."""
    return Path(folder) / f"{case.name}_0000{file_ending}"


def find_foreign_values(label_map: NDArray[np.integer[Any]], labels: LabelScheme) -> list[int]:
    """Return the values of a label map, sorted, that dataset.json does not know."""
    highest = max(labels.values)
    if int(label_map.min()) < 0 or int(label_map.max()) > highest:
        return sorted(set(np.unique(label_map).tolist()) - labels.values)
    return sorted(set(find_boxes(label_map, highest)) - labels.values)


def report_problems(problems: Sequence[str]) -> HyperSORTError:
    """Put the problems of all files into one error."""
    plural = "problem" if len(problems) == 1 else "problems"
    return HyperSORTError("\n".join([f"{len(problems)} {plural} in the label files; nothing was written.", *problems]))


def _check_case(paths: Sequence[Path]) -> list[str]:
    problems: list[str] = []
    first: tuple[Path, Grid] | None = None
    for path in paths:
        try:
            grid = read_grid(path)
        except HyperSORTError as error:
            problems.append(str(error))
            continue
        if first is None:
            first = (path, grid)
        elif (difference := first[1].difference(grid)) is not None:
            problems.append(
                f"{path} has {difference} in {first[0]}; resample it to the grid of the reference (nearest neighbour)."
            )
    return problems


def _list_paths(case: Case) -> list[Path]:
    return [path for path in (case.reference, *case.predictions) if path is not None]
