"""Evaluates folders of predictions against a folder of references and writes the results."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.evaluation.aggregation import Aggregate, aggregate, average_groups_per_case
from nnunetv2_hypersort.evaluation.cases import Case, find_cases, name_methods, read_subjects
from nnunetv2_hypersort.evaluation.groups import group_by_size, resolve_groups
from nnunetv2_hypersort.evaluation.notes import describe_cases, describe_results
from nnunetv2_hypersort.evaluation.reading import check_images, example_of
from nnunetv2_hypersort.evaluation.score_table import ScoreTable
from nnunetv2_hypersort.evaluation.scoring import score_cases
from nnunetv2_hypersort.evaluation.summary import build_nnunet_summary, build_statistics
from nnunetv2_hypersort.evaluation.surface import is_monai_installed
from nnunetv2_hypersort.evaluation.tables import format_groups_csv, format_markdown, format_metrics_csv
from nnunetv2_hypersort.evaluation.tolerance import check_tolerance, estimate_tolerances, read_tolerances
from nnunetv2_hypersort.files import write_json, write_text
from nnunetv2_hypersort.files.workers import count_processes
from nnunetv2_hypersort.files.writable import printed_if_unsaved, require_writable
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels
from nnunetv2_hypersort.nnunet.dataset_json import DatasetJson

PathLike = str | os.PathLike[str]
TOLERANCE_FILE = "nsd_tolerance.json"

CONVENTIONS = {
    "DSC": "2 TP / (2 TP + FP + FN)",
    "HD95": "mm; larger of the two directed 95th percentiles of distances between surface voxel centres (MONAI)",
    "NSD": "normalised surface Dice of sub-voxel surface elements weighted by area (MONAI, DeepMind)",
    "ASD": "mm; average symmetric distance between surface voxel centres (MONAI)",
    "VS": "1 - |Vp - Vr| / (Vp + Vr) (Taha and Hanbury 2015)",
    "absent": "in neither label map: undefined, left out of the mean and counted",
    "missed, false_positive": "in one label map only: DSC, NSD and VS are 0, HD95 and ASD are the image diagonal",
}


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        table: The scores of every method, case and structure.
        groups: Organ group -> names of its structures.
        aggregate: Means with intervals, paired differences and ranks.
        markdown: The tables and notes as Markdown.
        files: The files written.
    """

    table: ScoreTable
    groups: dict[str, list[str]]
    aggregate: Aggregate
    markdown: str
    files: list[Path]


def evaluate_folders(
    reference_folder: PathLike,
    prediction_folders: Sequence[PathLike],
    dataset_json: PathLike,
    output_folder: PathLike,
    *,
    subjects_csv: PathLike | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    nsd_tolerance: float = 2.0,
    nsd_tolerance_file: PathLike | None = None,
    allow_missing: bool = False,
    common_cases: bool = False,
    num_resamples: int = 1000,
    seed: int = 0,
    num_processes: int | None = None,
    figures: bool = True,
    images_folder: PathLike | None = None,
    progress: bool = True,
) -> Evaluation:
    """Evaluate one or more folders of predictions and write summary.json, CSV files, a Markdown table and figures.

    Args:
        reference_folder: Folder with the reference label maps.
        prediction_folders: One folder with predictions per method.
        dataset_json: dataset.json of the data set, in nnU-Net v2's form; what `annotated_labels` does not list for a
            case is not scored.
        output_folder: Folder for the results; made if it is not there. Files of the same name are replaced.
        subjects_csv: CSV file with the columns case and subject; default: every case is a subject.
        groups: Organ group -> names of its labels or regions; default: terciles of the median physical volume.
        nsd_tolerance: Tolerance of NSD in mm, for every structure.
        nsd_tolerance_file: JSON file with one tolerance in mm per structure name; goes before `nsd_tolerance`.
        allow_missing: Count cases that a folder lacks as empty there.
        common_cases: Evaluate only the cases that every folder has.
        num_resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.
        num_processes: Number of worker processes; default: nnU-Net's nnUNet_def_n_proc, at most one per CPU core.
        figures: Whether to draw figures.
        images_folder: Folder with the images (nnU-Net's names, CASE_0000.ENDING) to lay below the contours of the worst
            cases.
        progress: Whether to show a progress bar.

    Returns:
        The evaluation.

    Raises:
        HyperSORTError: The input is unusable; nothing was written.
    """
    if not prediction_folders:
        raise HyperSORTError("Give at least one folder with predictions (-pred).")
    if num_resamples < 1:
        raise HyperSORTError(f"--resamples must be 1 or greater, not {num_resamples}.")
    dataset = DatasetJson.read(dataset_json)
    labels = dataset.labels
    annotated = AnnotatedLabels.from_dataset_json(dataset.content, str(dataset_json))
    methods = name_methods(prediction_folders)
    chosen_groups = None if groups is None else resolve_groups(groups, labels.names)
    if nsd_tolerance_file is not None:
        tolerances = read_tolerances(nsd_tolerance_file, labels.names)
    else:
        check_tolerance(nsd_tolerance, where="--nsd-tolerance")
        tolerances = [float(nsd_tolerance)] * len(labels.structures)
    cases, left_out = find_cases(
        reference_folder,
        prediction_folders,
        file_ending=dataset.file_ending,
        allow_missing=allow_missing,
        common_cases=common_cases,
    )
    subject_of = _find_subjects(cases, subjects_csv)
    reader = dataset.reader(example_of(cases))
    images = None
    if images_folder is not None:
        images = check_images(cases, images_folder, dataset.file_ending, reader)
    workers = count_processes(len(cases), num_processes)
    output = _make_folder(output_folder)

    scores, surfaces, remarks = score_cases(
        cases,
        labels=labels,
        reader=reader,
        nsd_tolerances=tolerances,
        num_processes=workers,
        annotated=annotated if annotated.partly else None,
        progress=progress,
    )
    names = [case.name for case in cases]
    table = ScoreTable.from_scores(
        scores,
        methods=methods,
        cases=names,
        subjects=[subject_of[name] for name in names],
        structures=labels.names,
    )
    if chosen_groups is None:
        chosen_groups = group_by_size(table.reference_volumes, labels.names)
    result = aggregate(table, chosen_groups, num_resamples=num_resamples, seed=seed)
    group_names = {name: [labels.names[i] for i in members] for name, members in chosen_groups.items()}
    notes = describe_results(
        table, labels, dataset.file_ending, tolerances, group_names, groups_given=groups is not None, surfaces=surfaces
    ) + describe_cases(cases, left_out, remarks)
    settings = {
        "dataset_json": str(dataset_json),
        "confidence": 0.95,
        "num_resamples": num_resamples,
        "seed": seed,
        "nsd_tolerance_mm": dict(zip(labels.names, tolerances, strict=True)),
        "groups": group_names,
        "conventions": CONVENTIONS,
        "cases_left_out": left_out,
        "notes": notes,
    }
    markdown = format_markdown(table, result, notes)
    try:
        with printed_if_unsaved(lambda: markdown):
            files = _write_tables(output, table, tolerances, chosen_groups, markdown)
            files += _write_summaries(output, table, result, cases, labels, settings)
        if figures:
            from nnunetv2_hypersort.evaluation.figures import draw_figures

            files += draw_figures(
                output / "figures", table, result, cases=cases, labels=labels, reader=reader, images=images
            )
    except OSError as error:
        raise _not_written(output, error) from None
    return Evaluation(table, group_names, result, markdown, files)


def estimate_tolerance_of_annotators(
    first_folder: PathLike,
    second_folder: PathLike,
    dataset_json: PathLike,
    output_folder: PathLike,
    *,
    subjects_csv: PathLike | None = None,
    common_cases: bool = False,
    num_processes: int | None = None,
    progress: bool = True,
) -> tuple[dict[str, float], list[str], Path]:
    """Estimate NSD tolerances from the label maps of two annotators and write them to nsd_tolerance.json.

    Args:
        first_folder: Label maps of one annotator.
        second_folder: Label maps of the other, with the same names.
        dataset_json: dataset.json of the data set.
        output_folder: Folder for nsd_tolerance.json, which `nsd_tolerance_file` takes.
        subjects_csv: CSV file with the columns case and subject; default: every case is a subject.
        common_cases: Use only the cases that both folders have.
        num_processes: Number of worker processes.
        progress: Whether to show a progress bar.

    Returns:
        Name -> tolerance in mm; the names of the structures for which there is none, because no case has them in both
        folders; and the file.

    Raises:
        HyperSORTError: The input is unusable, no structure is in both folders, or MONAI is not installed.
    """
    if not is_monai_installed():
        raise HyperSORTError(
            "Tolerances are surface distances, which need MONAI: pip install 'nnunetv2-hypersort[metrics]'."
        )
    dataset = DatasetJson.read(dataset_json)
    labels = dataset.labels
    cases, _ = find_cases(first_folder, [second_folder], file_ending=dataset.file_ending, common_cases=common_cases)
    subject_of = _find_subjects(cases, subjects_csv)
    workers = count_processes(len(cases), num_processes)
    output = _make_folder(output_folder)
    tolerances = estimate_tolerances(
        cases,
        labels=labels,
        reader=dataset.reader(example_of(cases)),
        subjects=subject_of,
        num_processes=workers,
        progress=progress,
    )
    if not tolerances:
        raise HyperSORTError(f"No label is in both {first_folder} and {second_folder}; there is nothing to estimate.")
    target = output / TOLERANCE_FILE
    try:
        with printed_if_unsaved(lambda: json.dumps(tolerances, indent=4)):
            write_json(target, tolerances)
    except OSError as error:
        raise _not_written(output, error) from None
    return tolerances, [name for name in labels.names if name not in tolerances], target


def _find_subjects(cases: Sequence[Case], subjects_csv: PathLike | None) -> dict[str, str]:
    names = [case.name for case in cases]
    return {name: name for name in names} if subjects_csv is None else read_subjects(subjects_csv, names)


def _make_folder(folder: PathLike) -> Path:
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HyperSORTError(f"{path} cannot be made a folder for the results ({error.strerror}).") from None
    require_writable(path)
    return path


def _not_written(output: Path, error: OSError) -> HyperSORTError:
    return HyperSORTError(f"The results cannot be written to {output} ({error}); make room or choose another folder.")


def _write_tables(
    output: Path,
    table: ScoreTable,
    tolerances: Sequence[float],
    groups: Mapping[str, Sequence[int]],
    markdown: str,
) -> list[Path]:
    files = {
        "metrics.csv": format_metrics_csv(table, tolerances),
        "metrics_groups.csv": format_groups_csv(table, average_groups_per_case(table, groups)),
        "table.md": markdown,
    }
    for name, text in files.items():
        write_text(output / name, text)
    return [output / name for name in files]


def _write_summaries(
    output: Path,
    table: ScoreTable,
    result: Aggregate,
    cases: Sequence[Case],
    labels: LabelTable,
    settings: Mapping[str, Any],
) -> list[Path]:
    # nnU-Net's format holds one method. With several, each has its own file; the one at the top is that of the first,
    # and holds the statistics of all.
    summaries = [build_nnunet_summary(table, m, cases=cases, labels=labels) for m in range(len(table.methods))]
    files = []
    if len(table.methods) > 1:
        for method, summary in zip(table.methods, summaries, strict=True):
            files.append(output / f"summary_{method.replace('/', '__')}.json")
            write_json(files[-1], summary)
    files.append(output / "summary.json")
    write_json(files[-1], {**summaries[0], "hypersort": build_statistics(table, result, settings)})
    return files
