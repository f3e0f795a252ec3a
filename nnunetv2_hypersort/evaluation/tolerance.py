"""NSD tolerances: one for all, one per structure from a file, or estimated from two annotators of the same images."""

import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.evaluation.reading import CaseReader, check_grids, report_problems
from nnunetv2_hypersort.evaluation.surface import compute_surface_distances
from nnunetv2_hypersort.files.json_file import read_json
from nnunetv2_hypersort.files.workers import run_jobs
from nnunetv2_hypersort.images.crops import StructureCrops
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.reading import ImageReader


def read_tolerances(path: str | os.PathLike[str], structures: Sequence[str]) -> list[float]:
    """Read NSD tolerances from a JSON file such as {"liver": 2.5, "spleen": 1.8} (mm).

    Args:
        path: The file. It may hold further names.
        structures: Names of the structures that need a tolerance.

    Returns:
        One tolerance in mm per structure, in their order.

    Raises:
        HyperSORTError: The file cannot be read, lacks a structure, or a tolerance is no number >= 0.
    """
    path = Path(path)
    what = 'tolerances in mm such as {"liver": 2.5}, written by hand or by --estimate-tolerance'
    # NaN is refused below by the name of the label that has it.
    content = read_json(path, what=what, allow_nan=True)
    if not isinstance(content, dict):
        raise HyperSORTError(f'{path} must hold names and tolerances in mm, such as {{"liver": 2.5}}.')
    missing = [name for name in structures if name not in content]
    if missing:
        raise HyperSORTError(f"{path} has no tolerance for {', '.join(missing)}; add it in mm.")
    for name in structures:
        check_tolerance(content[name], where=f'{path}, "{name}"')
    return [float(content[name]) for name in structures]


def check_tolerance(value: object, *, where: str) -> None:
    """Check that a tolerance is a finite number of mm >= 0.

    Raises:
        HyperSORTError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise HyperSORTError(f"{where}: a tolerance must be a number of millimetres >= 0, not {value!r}.")


def estimate_tolerances(
    cases: Sequence[Case],
    *,
    labels: LabelTable,
    reader: ImageReader,
    subjects: Mapping[str, str],
    num_processes: int,
    progress: bool = True,
) -> dict[str, float]:
    """Estimate NSD tolerances from two annotators of the same images.

    Per structure: the distances between the surface voxels of the two annotations, in both directions, are pooled over
    the cases of a subject and reduced by their mean; the tolerance is the mean over subjects. With one case per subject
    that is the average symmetric surface distance between the annotators. (The procedure of the hyperspectral tissue
    classification framework, Seidlitz et al., Medical Image Analysis 80, 2022.)

    Args:
        cases: Cases with the first annotator as reference and the second as the only prediction.
        labels: The structures.
        reader: Reads the files as nnU-Net does.
        subjects: Case -> subject.
        num_processes: Number of worker processes.
        progress: Whether to show a progress bar.

    Returns:
        Name -> tolerance in mm. A structure that no case has in both annotations is left out.

    Raises:
        HyperSORTError: At least one file is unusable.
    """
    problems = dict.fromkeys(check_grids(cases, reader))
    sums: dict[str, dict[str, list[float]]] = {name: {} for name in labels.names}

    for index, (distances, found) in run_jobs(
        partial(measure_annotators, labels=labels, reader=reader),
        cases,
        total=len(cases),
        name=lambda case: case.name,
        processes=num_processes,
        description="estimate",
        progress=progress,
    ):
        problems |= dict.fromkeys(found)
        for name, (total, count) in distances.items():
            pooled = sums[name].setdefault(subjects[cases[index].name], [0.0, 0.0])
            pooled[0] += total
            pooled[1] += count
    if problems:
        raise report_problems(list(problems))
    return {
        name: float(np.mean([total / count for total, count in by_subject.values()]))
        for name, by_subject in sums.items()
        if by_subject
    }


def measure_annotators(
    case: Case, *, labels: LabelTable, reader: ImageReader
) -> tuple[dict[str, tuple[float, int]], list[str]]:
    """Measure the surface distances between the two annotators of a case.

    Returns:
        Name -> sum of the distances in mm, both directions, and their number, for each structure that both annotators
        drew; and the problems of the files.
    """
    files = CaseReader(case, labels, reader)
    distances = {}
    for pair in files.read_pairs():
        crops = StructureCrops(pair.reference, pair.prediction, labels)
        for structure in labels.structures:
            first, second = crops.get_masks(structure.values)
            if first.any() and second.any():
                pooled = np.concatenate(compute_surface_distances(first, second, spacing=pair.spacing))
                distances[structure.name] = (float(pooled.sum(dtype=np.float64)), pooled.size)
    return distances, files.problems
