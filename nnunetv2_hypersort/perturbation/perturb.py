"""Write a raw nnU-Net dataset anew with planted annotation styles and errors, and the truth about them."""

import csv
import io
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import atomic_path, write_json, write_text
from nnunetv2_hypersort.files.claiming import claim_folder
from nnunetv2_hypersort.images.geometry import Grid, Labels
from nnunetv2_hypersort.nnunet.linked_files import link_folder, link_images, link_sidecar
from nnunetv2_hypersort.nnunet.raw_dataset import (
    LabelFile,
    RawDataset,
    check_dataset_name,
    open_dataset,
    read_labels,
)
from nnunetv2_hypersort.perturbation.assignment import Assignment, assign, case_generator
from nnunetv2_hypersort.perturbation.spec import PerturbationSpec, load_spec, restore_ignored
from nnunetv2_hypersort.perturbation.steps import Subject

ALL_STYLES = "labels_all_styles"
NO_ERROR = "none"


@dataclass(frozen=True)
class PlantedCase:
    """One row of styles.csv.

    Attributes:
        case: Case identifier.
        style: Name of its annotation style.
        error: Kind of its planted error, `none` if there is none.
        donor: Case whose labels it got, empty for other errors.
        dice: Dice of the label written with the label of the case's style, mean over the labels present in either;
            1 for a case without error, and if both are empty.
    """

    case: str
    style: str
    error: str
    donor: str
    dice: float


def perturb_dataset(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    spec: str | os.PathLike[str] | PerturbationSpec,
    *,
    seed: int = 0,
    all_styles: bool = False,
    processes: int | None = None,
    progress: bool = True,
) -> list[PlantedCase]:
    """Copy a raw nnU-Net dataset with training labels in planted styles, some with planted errors.

    The result depends on the source, the spec and the seed alone. Work that was interrupted is taken up where it
    stopped; every file is whole or absent. Images are hard-linked where the file system allows, else copied; test
    images and labels come along if there are any.

    Args:
        source: Raw nnU-Net dataset folder.
        destination: Folder to be written, named DatasetXXX_Name. May hold an unfinished run of the same spec and seed.
        spec: Path of a YAML spec, name of one that ships with the package, or a spec already parsed.
        seed: Whole number, 0 or more.
        all_styles: Also write every case in every style, without errors, to `labels_all_styles/<style>/`.
        processes: Number of worker processes; default: all processors but one. 1 works in this process.
        progress: Show a progress bar on standard error.

    Returns:
        The rows of styles.csv, sorted by case.

    Raises:
        HyperSORTError: The source is no raw dataset, the spec is not valid or names labels that the source lacks, or
            the destination holds something else.
    """
    source, destination = Path(source).resolve(), Path(destination).resolve()
    if not isinstance(spec, PerturbationSpec):
        spec = load_spec(find_spec(spec))
    if seed < 0:
        raise HyperSORTError(f"The seed is {seed}; it must be 0 or more.")
    check_dataset_name(destination)
    if destination == source or source in destination.parents or destination in source.parents:
        raise HyperSORTError(f"{destination} and the source {source} lie in each other; choose another destination.")
    dataset = open_dataset(source)
    spec.check_labels(dataset.table)
    assignments = assign(list(dataset.cases), spec, seed)
    claim_folder(destination, "perturb.json", _description(dataset, spec, seed), of="source, spec or seed")
    _link_files(dataset, destination)
    job = _Job(dataset, destination, spec, seed, all_styles)
    rows = sorted(_run(job, assignments, processes, progress), key=lambda row: row.case)
    content = {key: value for key, value in dataset.content.items() if key != "dataset"}
    write_json(destination / "dataset.json", {**content, "name": destination.name.split("_", 1)[1]})
    write_text(destination / "styles.csv", _as_csv(rows))
    return rows


def find_spec(spec: str | os.PathLike[str]) -> Path:
    """Return the path of a spec: an existing file, else the shipped spec of that name (`perturb_hippocampus`)."""
    path = Path(spec)
    if path.is_file():
        return path
    shipped = {
        Path(entry.name).stem: Path(str(entry)) for entry in (files("nnunetv2_hypersort.configs") / "perturb").iterdir()
    }
    if path.stem in shipped:
        return shipped[path.stem]
    raise HyperSORTError(f"The spec {spec} does not exist; give a YAML file or one of {', '.join(sorted(shipped))}.")


def draw_error(
    labels: Labels,
    grid: Grid,
    dataset: RawDataset,
    spec: PerturbationSpec,
    assignment: Assignment,
    seed: int,
) -> Labels:
    """Plant the error assigned to a case into its label map, which is already drawn in the case's style."""
    if assignment.error is None:
        return labels

    def donor() -> tuple[Labels, Grid]:
        other = read_labels(dataset.cases[str(assignment.donor)].label, dataset.content, dataset.table)
        return spec.styles[assignment.style].apply(other.labels, other.grid, dataset.table), other.grid

    rng = case_generator(seed, assignment.case)
    wrong = spec.errors[assignment.error].kind.apply(Subject(labels, grid, dataset.table, rng, donor))
    return restore_ignored(wrong, labels, dataset.table)


def mean_dice(first: Labels, second: Labels, values: Sequence[int]) -> float:
    """Return the mean Dice, 2 |A and B| / (|A| + |B|), over the labels present in either map; 1 if none is."""
    scores = []
    for value in values:
        a, b = first == value, second == value
        if total := int(a.sum()) + int(b.sum()):
            scores.append(2 * int((a & b).sum()) / total)
    return float(np.mean(scores)) if scores else 1.0


@dataclass(frozen=True)
class _Job:
    """What all cases of a run share."""

    dataset: RawDataset
    destination: Path
    spec: PerturbationSpec
    seed: int
    all_styles: bool


def _perturb_case(job: _Job, assignment: Assignment) -> PlantedCase:
    style = job.spec.styles[assignment.style]
    error = None if assignment.error is None else job.spec.errors[assignment.error]
    file_name = assignment.case + job.dataset.file_ending
    target = job.destination / "labelsTr" / file_name
    wanted = {job.destination / ALL_STYLES / each.name / file_name: each for each in job.spec.styles}
    missing = {path: each for path, each in wanted.items() if job.all_styles and not path.exists()}
    dice = 1.0
    # A case with an error is worked out again even if its file is there: its Dice stands in no other file.
    if error is not None or missing or not target.exists():
        original = read_labels(job.dataset.cases[assignment.case].label, job.dataset.content, job.dataset.table)
        drawn = style.apply(original.labels, original.grid, job.dataset.table)
        written = draw_error(drawn, original.grid, job.dataset, job.spec, assignment, job.seed)
        if error is not None:
            dice = mean_dice(written, drawn, job.dataset.table.foreground)
        for path, each in missing.items():
            same = each is style
            _write(original, drawn if same else each.apply(original.labels, original.grid, job.dataset.table), path)
        if not target.exists():
            _write(original, written, target)
    return PlantedCase(
        assignment.case, style.name, error.name if error else NO_ERROR, assignment.donor or "", round(dice, 4)
    )


def _write(original: LabelFile, labels: Labels, target: Path) -> None:
    with atomic_path(target) as temporary:
        original.write(labels, temporary)


def _run(job: _Job, assignments: Sequence[Assignment], processes: int | None, progress: bool) -> Iterator[PlantedCase]:
    folders = [job.destination / "labelsTr"]
    if job.all_styles:
        folders += [job.destination / ALL_STYLES / style.name for style in job.spec.styles]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    processes = min(processes or max(1, (os.cpu_count() or 2) - 1), len(assignments))
    with tqdm(total=len(assignments), unit="case", disable=not progress, file=sys.stderr) as bar:
        if processes == 1:
            for assignment in assignments:
                yield _perturb_case(job, assignment)
                bar.update()
            return
        with _pool(processes) as pool:
            futures = [pool.submit(_perturb_case, job, assignment) for assignment in assignments]
            for future in as_completed(futures):
                yield future.result()
                bar.update()


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    # Spawned, not forked: the caller may have started threads (a notebook, torch), and a fork copies their locks.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        # After an error or Ctrl-C the cases not begun yet are dropped, instead of working through all of them.
        pool.shutdown(cancel_futures=True)


def _description(dataset: RawDataset, spec: PerturbationSpec, seed: int) -> dict[str, Any]:
    return {
        "source": dataset.folder.name,
        # Steps and kinds of errors are dataclasses; the protocols they are typed as cannot say so.
        "cases": len(dataset.cases),
        "seed": seed,
        "styles": {
            style.name: {
                "proportion": str(style.proportion),
                "operations": [[type(step).__name__, asdict(step)] for step in style.operations],  # type: ignore[call-overload]
            }
            for style in spec.styles
        },
        "error_rate": str(spec.error_rate),
        "errors": [[error.name, asdict(error.kind)] for error in spec.errors],  # type: ignore[call-overload]
    }


def _link_files(dataset: RawDataset, destination: Path) -> None:
    link_images(dataset, destination)
    for case in dataset.cases.values():
        link_sidecar(case.label, destination / "labelsTr" / f"{case.name}{dataset.file_ending}")
    link_folder(dataset.folder / "imagesTs", destination / "imagesTs")
    link_folder(dataset.folder / "labelsTs", destination / "labelsTs")


def _as_csv(rows: Sequence[PlantedCase]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(PlantedCase.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def summary(rows: Sequence[PlantedCase]) -> str:
    """Return a few lines that count styles and errors, and name errors that changed nothing."""
    lines = [f"{len(rows)} cases"]
    for title, counts in (
        ("styles", Counter(row.style for row in rows)),
        ("errors", Counter(row.error for row in rows if row.error != NO_ERROR)),
    ):
        listed = ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
        lines.append(f"{title}: {listed}")
    unchanged = [row.case for row in rows if row.error != NO_ERROR and row.dice == 1]
    if unchanged:
        lines.append(f"warning: the planted error left the label as it was in {', '.join(unchanged)}")
    return "\n".join(lines)
