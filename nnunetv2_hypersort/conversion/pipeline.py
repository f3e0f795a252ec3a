"""From a described download to a finished nnU-Net raw dataset: check everything, then convert, then publish."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.conversion.cases import TEST, VALIDATION, CaseCheck, Problem, SourceCase
from nnunetv2_hypersort.conversion.checking import FULL, CheckTask, check_case, lost_check
from nnunetv2_hypersort.conversion.converting import ConvertTask, convert_case, lost_conversion
from nnunetv2_hypersort.conversion.disk_space import check_disk_space
from nnunetv2_hypersort.conversion.labels import LabelPlan
from nnunetv2_hypersort.conversion.occupants import folders_to_replace
from nnunetv2_hypersort.conversion.outputs import (
    REORIENTING_READER,
    Description,
    training_cases,
    write_cases_csv,
    write_conversion_json,
    write_dataset_json,
    write_official_split,
)
from nnunetv2_hypersort.conversion.settings import Settings
from nnunetv2_hypersort.conversion.workspace import Workspace
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.links import COPY
from nnunetv2_hypersort.files.locks import locked
from nnunetv2_hypersort.files.workers import run_jobs
from nnunetv2_hypersort.nnunet.dataset_ids import UNFINISHED, check_dataset_id, raw_folder


@dataclass(frozen=True)
class Conversion:
    """A download, read but not yet converted.

    Attributes:
        source: The folder that holds the data.
        default_name: What follows the id in the folder's name unless the user says otherwise.
        description: What dataset.json says.
        labels: The labels of the new dataset.
        cases: Its cases.
        options: Options of this data set, for conversion.json.
        problems: Faults found while listing the files (an image or a label is missing, ...).
        warnings: What the user should know about the download as a whole or a case by name.
        tolerated: Case -> why its faults are known: such a case is left out with a warning, never refused.
        official_split: Write the source's own training and validation cases as the only fold.
        always_reorient: Always ask for nnU-Net's nibabel reader, not only where SimpleITK refuses a header.
    """

    source: Path
    default_name: str
    description: Description
    labels: LabelPlan
    cases: Sequence[SourceCase]
    options: Mapping[str, Any]
    problems: Sequence[Problem] = ()
    warnings: Sequence[str] = ()
    tolerated: Mapping[str, str] = field(default_factory=dict)
    official_split: bool = False
    always_reorient: bool = False


def run_conversion(conversion: Conversion, settings: Settings, report: Callable[[str], None] = print) -> Path:
    """Check all cases, convert them, and publish the dataset folder.

    Args:
        conversion: The download.
        settings: Where to, and how.
        report: Receives every line for the user.

    Returns:
        The finished dataset folder.

    Raises:
        HyperSORTError: Bad cases (all of them are listed), an id in use, too little disk space, no case left.
    """
    try:
        return _run(conversion, replace(settings, name=settings.name or conversion.default_name), report)
    except OSError as error:
        where = error.filename2 or error.filename or "unknown file"
        raise HyperSORTError(
            f"the conversion stopped: {error.strerror or error} ({where}); finished cases are kept: make room or "
            "correct the permissions, and run the same command again"
        ) from error


def _run(conversion: Conversion, settings: Settings, report: Callable[[str], None]) -> Path:
    check_dataset_id(settings.dataset_id)
    raw, number = raw_folder(), settings.dataset_id
    taken = (
        f"the dataset id {number} is in use: another conversion to it is running in {raw} right now; choose another "
        "id with -d, or wait until it is done"
    )
    with locked(raw / f"{UNFINISHED}Dataset{number:03d}", taken=taken) as held:
        if not held:
            report(f"warning: the file system of {raw} has no locks; run no other conversion to the id {number} now")
        return _run_alone(conversion, settings, raw, report)


def _run_alone(conversion: Conversion, settings: Settings, raw: Path, report: Callable[[str], None]) -> Path:
    workspace = Workspace(
        final=raw / f"Dataset{settings.dataset_id:03d}_{settings.name}",
        settings={"source": str(conversion.source), **conversion.options, **settings.identity()},
    )
    if workspace.is_published:
        workspace.tidy_published(settings.dataset_id)
        report(f"{workspace.final}: complete since an earlier run, which was interrupted while it tidied up")
        return workspace.final
    replaced = folders_to_replace(settings, workspace.folder)
    if replaced:
        listing = "\n".join(f"  {path}" for path in replaced)
        report(f"when the new dataset is complete, these folders will be removed:\n{listing}")
    workspace.require_same_settings(overwrite=settings.replaces)
    excluded = set(settings.exclude)
    unknown = excluded - {case.identifier for case in conversion.cases} - {item.case for item in conversion.problems}
    if unknown:
        hint = "; names are separated by blanks" if any("," in name for name in unknown) else ""
        raise HyperSORTError(
            f"--exclude: there is no case {', '.join(sorted(unknown))} among the cases to convert{hint}"
        )
    cases = [case for case in conversion.cases if case.identifier not in excluded]
    listed = [problem for problem in conversion.problems if problem.case not in excluded]

    check_disk_space(cases, settings, workspace, report)
    started = time.monotonic()
    checks = _check(cases, conversion, settings, workspace)
    seconds = {"check": time.monotonic() - started}
    problems = [*listed, *(problem for check in checks.values() for problem in check.problems)]
    bad = {problem.case for problem in problems}
    if any(case not in conversion.tolerated for case in bad) and not settings.skip_bad:
        total = {case.identifier for case in conversion.cases} | {problem.case for problem in conversion.problems}
        raise _refusal(problems, len(total), conversion.tolerated)
    cases = [case for case in cases if case.identifier not in bad]
    _require_training_cases(cases, problems)

    workspace.begin(cases, checks, settings.check)
    workspace.tidy(cases)
    started = time.monotonic()
    late = _convert(cases, checks, conversion, settings, workspace)
    seconds["convert"] = time.monotonic() - started
    if late:
        if not settings.skip_bad:
            raise _refusal(late, len(cases), {})
        problems.extend(late)
        failed = {problem.case for problem in late}
        cases = [case for case in cases if case.identifier not in failed]
        workspace.tidy(cases)
        _require_training_cases(cases, problems)
    return _publish(cases, checks, problems, seconds, conversion, settings, workspace, report)


def _check(
    cases: Sequence[SourceCase], conversion: Conversion, settings: Settings, workspace: Workspace
) -> dict[str, CaseCheck]:
    checks = workspace.earlier_checks(cases, settings.check)
    tasks = [
        # A quick look would not find what a known fault did to a file.
        CheckTask(
            case,
            conversion.source,
            FULL if case.identifier in conversion.tolerated else settings.check,
            conversion.labels.whole,
        )
        for case in cases
        if case.identifier not in checks
    ]
    for _, check in run_jobs(
        check_case,
        tasks,
        total=len(tasks),
        name=lambda task: task.case.identifier,
        processes=settings.processes,
        description="Checking",
        failed=lambda task, _: lost_check(task),
    ):
        checks[check.identifier] = check
    return {case.identifier: checks[case.identifier] for case in cases}


def _convert(
    cases: Sequence[SourceCase],
    checks: Mapping[str, CaseCheck],
    conversion: Conversion,
    settings: Settings,
    workspace: Workspace,
) -> list[Problem]:
    for case in cases:
        if case.split == TEST:
            (workspace.folder / "imagesTs").mkdir(exist_ok=True)
            if case.has_label:
                (workspace.folder / "labelsTs").mkdir(exist_ok=True)
    finished = workspace.finished(cases)
    tasks = [
        ConvertTask(
            case=case,
            check=checks[case.identifier],
            source=conversion.source,
            folder=workspace.folder,
            records=workspace.records,
            copy=settings.copy,
            spacing=settings.spacing,
        )
        for case in cases
        if case.identifier not in finished
    ]
    # Linking and copying keep no processor busy; starting other processes would only cost time.
    processes = settings.processes if any(task.computes for task in tasks) else 1
    results = run_jobs(
        convert_case,
        tasks,
        total=len(tasks),
        name=lambda task: task.case.identifier,
        processes=processes,
        description="Converting",
        failed=lambda task, _: lost_conversion(task),
    )
    return [problem for _, problem in results if problem is not None]


def _publish(
    cases: Sequence[SourceCase],
    checks: Mapping[str, CaseCheck],
    problems: Sequence[Problem],
    seconds: Mapping[str, float],
    conversion: Conversion,
    settings: Settings,
    workspace: Workspace,
    report: Callable[[str], None],
) -> Path:
    kept = {case.identifier for case in cases}
    warnings = [*conversion.warnings]
    warnings += [
        f"{name}: left out, {why}" for name, why in conversion.tolerated.items() if name in {p.case for p in problems}
    ]
    named = {text.partition(":")[0] for text in conversion.warnings}  # known faults need not be reported twice
    warnings += [f"{name}: {text}" for name in sorted(kept - named) for text in checks[name].warnings]
    incomplete = [case for case in cases if case.not_annotated]
    if incomplete:
        warnings.append(
            f"{len(incomplete)} cases are not annotated for every chosen class: annotated_labels in dataset.json lists "
            f"what they have, for trainers of this package; nnU-Net's own would read the rest as background"
        )
    refused = [name for name in kept if not checks[name].itk_reads]
    if refused:
        warnings.append(
            f"SimpleITK refuses the headers of {len(refused)} cases; nnU-Net will read this dataset with nibabel"
        )
    records = workspace.finished(cases)
    copied = sum(record["image"]["how"] == COPY for record in records.values())
    if copied and not settings.copy:
        warnings.append(f"{copied} images were copied, as the system refuses hard links to them")
    folder = workspace.folder
    training = training_cases(cases)
    reader = REORIENTING_READER if refused or conversion.always_reorient else None
    write_dataset_json(folder, conversion.description, conversion.labels, training, reader)
    write_cases_csv(folder, cases)
    if conversion.official_split and any(case.split == VALIDATION for case in training):
        write_official_split(folder, training)
    write_conversion_json(
        folder,
        source=conversion.source,
        options={**conversion.options, **settings.content()},
        release=conversion.description.release,
        labels=conversion.labels,
        records=records,
        left_out=problems,
        warnings=warnings,
        seconds=seconds,
    )
    # Looked up again: nobody was told of what has come since, such as models trained meanwhile.
    workspace.publish(settings.dataset_id, folders_to_replace(settings, workspace.folder))
    report(f"{workspace.final}: {len(training)} training and {len(cases) - len(training)} test cases")
    for warning in warnings:
        report(f"warning: {warning}")
    if problems:
        report(f"{len({problem.case for problem in problems})} cases were left out:")
        for problem in problems:
            report(f"  {problem}")
    return workspace.final


def _refusal(problems: Sequence[Problem], total: int, tolerated: Mapping[str, str]) -> HyperSORTError:
    bad = [problem for problem in problems if problem.case not in tolerated]
    lines = "\n".join(f"  {problem}" for problem in bad)
    count = len({problem.case for problem in bad})
    return HyperSORTError(
        f"{count} of {total} cases cannot be converted. Mend them, or add --skip-bad to go on without them:\n{lines}"
    )


def _require_training_cases(cases: Sequence[SourceCase], problems: Sequence[Problem]) -> None:
    if not training_cases(cases):
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise HyperSORTError(f"no training case is left to convert{lines}")
