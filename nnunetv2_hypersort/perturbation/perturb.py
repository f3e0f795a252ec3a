"""Write a raw nnU-Net dataset anew with planted annotation styles and errors, and the truth about them."""

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.claiming import claimed_folder
from nnunetv2_hypersort.files.tables import write_table
from nnunetv2_hypersort.files.workers import count_processes, run_jobs
from nnunetv2_hypersort.images.geometry import Grid, Labels
from nnunetv2_hypersort.nnunet.linked_files import link_folder, link_images
from nnunetv2_hypersort.nnunet.raw_dataset import (
    RawDataset,
    check_dataset_name,
    open_dataset,
    read_labels,
)
from nnunetv2_hypersort.perturbation.assignment import Assignment, assign, case_generator
from nnunetv2_hypersort.perturbation.effects import EMPTIED, UNCHANGED, check_effects, measure_effect
from nnunetv2_hypersort.perturbation.error_steps import Subject
from nnunetv2_hypersort.perturbation.spec import PerturbationSpec, load_spec, restore_ignored

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
        outcome: What the error did: `changed`, `unchanged` or `emptied`; empty without error.
        moved_mm: How far it moved the centre of gravity of all labels together, in mm; None without error, and if there
            is no label before or after.
        volume_ratio: Labelled voxels with the error, divided by those without; None without error, and if there are
            none without it.
        style_voxels: In how many voxels the label of the case's style, without error, differs from that of the source.
    """

    case: str
    style: str
    error: str
    donor: str
    dice: float
    outcome: str
    moved_mm: float | None
    volume_ratio: float | None
    style_voxels: int


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
        processes: Number of worker processes; default: nnU-Net's `nnUNet_def_n_proc`. 1 works in this process.
        progress: Show a progress bar on standard error.

    Returns:
        The rows of styles.csv, sorted by case.

    Raises:
        HyperSORTError: The source is no raw dataset, the spec is not valid or names labels that the source lacks, a
            style with operations changes none of its cases, an error works along an axis along which the images have
            one voxel (nothing is written then), or the destination holds something else.
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
    for sentence in check_effects(dataset, spec, assignments):
        warnings.warn(sentence, stacklevel=2)
    description = _description(dataset, spec, seed)
    with claimed_folder(destination, "perturb.json", description, of="source, spec or seed"):
        _link_files(dataset, destination)
        job = _Job(dataset, destination, spec, seed, all_styles)
        rows = sorted(_run(job, assignments, processes, progress), key=lambda row: row.case)
        content = {key: value for key, value in dataset.content.items() if key != "dataset"}
        write_json(destination / "dataset.json", {**content, "name": destination.name.split("_", 1)[1]})
        write_table(destination / "styles.csv", list(PlantedCase.__dataclass_fields__), rows)
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
        other = dataset.labels_of(str(assignment.donor))
        return spec.styles[assignment.style].apply(other.labels, other.grid, dataset.table), other.grid

    rng = case_generator(seed, assignment.case)
    wrong = spec.errors[assignment.error].apply(Subject(labels, grid, dataset.table, rng, donor))
    return restore_ignored(wrong, labels, dataset.table)


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
    original = job.dataset.labels_of(assignment.case)
    # What nobody looked for stays unknown, also where a style or an error would draw it.
    keep = partial(job.dataset.annotated.keep_annotated, assignment.case)
    # The truth is told of the file that is there, also where an earlier run wrote it.
    done = read_labels(target, job.dataset.content, job.dataset.table).labels if target.exists() else None
    drawn = done if error is None else None
    if drawn is None:
        drawn = keep(style.apply(original.labels, original.grid, job.dataset.table))
    written = done
    if written is None:
        written = keep(draw_error(drawn, original.grid, job.dataset, job.spec, assignment, job.seed))
    for path, each in missing.items():
        same = each is style
        original.write(drawn if same else keep(each.apply(original.labels, original.grid, job.dataset.table)), path)
    if done is None:
        original.write(written, target)
    style_voxels = int(np.count_nonzero(drawn != original.labels))
    if error is None:
        return PlantedCase(assignment.case, style.name, NO_ERROR, "", 1.0, "", None, None, style_voxels)
    effect = measure_effect(drawn, written, original.grid, job.dataset.table.foreground)
    return PlantedCase(
        assignment.case,
        style.name,
        error.name,
        assignment.donor or "",
        round(effect.dice, 4),
        effect.outcome,
        None if effect.moved_mm is None else round(effect.moved_mm, 2),
        None if effect.volume_ratio is None else round(effect.volume_ratio, 4),
        style_voxels,
    )


def _run(job: _Job, assignments: Sequence[Assignment], processes: int | None, progress: bool) -> Iterator[PlantedCase]:
    folders = [job.destination / "labelsTr"]
    if job.all_styles:
        folders += [job.destination / ALL_STYLES / style.name for style in job.spec.styles]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    results = run_jobs(
        partial(_perturb_case, job),
        assignments,
        total=len(assignments),
        name=lambda assignment: assignment.case,
        processes=count_processes(len(assignments), processes),
        progress=progress,
    )
    for _, row in results:
        yield row


def _description(dataset: RawDataset, spec: PerturbationSpec, seed: int) -> dict[str, Any]:
    return {
        "source": dataset.folder.name,
        "cases": len(dataset.cases),
        "seed": seed,
        "styles": {
            style.name: {
                "proportion": str(style.proportion),
                "operations": [[_class_name(step.name), step.settings] for step in style.operations],
            }
            for style in spec.styles
        },
        "error_rate": str(spec.error_rate),
        "errors": [[error.name, error.record()] for error in spec.errors],
    }


def _class_name(name: str) -> str:
    # As such records have always named operations: a run begun by an older version is taken up.
    return "".join(part.capitalize() for part in name.split("_"))


def _link_files(dataset: RawDataset, destination: Path) -> None:
    link_images(dataset, destination)
    link_folder(dataset.folder / "imagesTs", destination / "imagesTs")
    link_folder(dataset.folder / "labelsTs", destination / "labelsTs")


def summary(rows: Sequence[PlantedCase]) -> str:
    """Return a few lines that count styles and errors and what they did, and name errors that missed their aim."""
    styles = Counter(row.style for row in rows)
    errors = Counter(row.error for row in rows if row.error != NO_ERROR)
    changed = Counter(row.style for row in rows if row.style_voxels)
    lines = [
        f"{len(rows)} cases",
        f"styles: {_listed(f'{name} {count}' for name, count in styles.items())}",
        f"labels that the style changed: {_listed(f'{name} {changed[name]} of {styles[name]}' for name in styles)}",
        f"errors: {_listed(f'{name} {count}' for name, count in errors.items())}",
    ]
    ways = [row.moved_mm for row in rows if row.error == "shift" and row.moved_mm is not None]
    if ways:
        lines.append(f"labels shifted by: {min(ways):.1f} to {max(ways):.1f} mm")
    unchanged = [row.case for row in rows if row.outcome == UNCHANGED]
    if unchanged:
        lines.append(f"warning: the planted error left the label as it was in {', '.join(unchanged)}")
    for name in sorted(errors.keys() - {"empty"}):
        emptied = [row.case for row in rows if row.error == name and row.outcome == EMPTIED]
        if emptied:
            lines.append(f"warning: the error {name} left no label at all in {', '.join(emptied)}")
    return "\n".join(lines)


def _listed(items: Iterable[str]) -> str:
    return ", ".join(sorted(items)) or "none"
