"""Computes the scores of every case, in parallel."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nnunetv2_hypersort.evaluation.case_scores import StructureScores, compute_case_scores
from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.evaluation.reading import CaseReader, Remark, check_grids, report_problems
from nnunetv2_hypersort.evaluation.surface import is_monai_installed
from nnunetv2_hypersort.files.workers import run_jobs
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.reading import ImageReader
from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels


@dataclass(frozen=True)
class CaseJob:
    """One case to be scored, and what is needed for it."""

    case: Case
    labels: LabelTable
    reader: ImageReader
    nsd_tolerances: tuple[float, ...]
    check_only: bool
    annotated: AnnotatedLabels | None = None


@dataclass
class CaseResult:
    """What came of a case: scores per method and structure, or the problems of its files."""

    scores: list[list[StructureScores]] = field(default_factory=list)
    has_surfaces: bool = False
    problems: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def score_cases(
    cases: Sequence[Case],
    *,
    labels: LabelTable,
    reader: ImageReader,
    nsd_tolerances: Sequence[float],
    num_processes: int,
    annotated: AnnotatedLabels | None = None,
    progress: bool = True,
) -> tuple[list[list[list[StructureScores]]], bool, list[Remark]]:
    """Score all predictions of all cases.

    The headers of all files are compared first. After the first problem nothing is computed any more, but the
    remaining files are still read, so that the user learns of every problem at once.

    Args:
        cases: The cases.
        labels: The structures.
        reader: Reads the files as nnU-Net does.
        nsd_tolerances: One tolerance in mm per structure.
        num_processes: Number of worker processes.
        annotated: What the references are annotated for; default: everything.
        progress: Whether to show a progress bar on the standard error stream.

    Returns:
        `scores[method][case][structure]`; whether the surface metrics could be computed (MONAI is installed); and
        remarks on files that were read in spite of an oddity.

    Raises:
        HyperSORTError: At least one file is unusable. The message has one sentence for each of them.
    """
    # Dictionaries serve as ordered sets: the header and the content of a broken file give the same sentence.
    problems = dict.fromkeys(check_grids(cases, reader))
    results = [CaseResult() for _ in cases]

    def make_job(index: int) -> CaseJob:
        return CaseJob(cases[index], labels, reader, tuple(nsd_tolerances), bool(problems), annotated)

    for index, result in run_jobs(
        score_case,
        map(make_job, range(len(cases))),
        total=len(cases),
        name=lambda job: job.case.name,
        processes=num_processes,
        description="evaluate",
        progress=progress,
    ):
        results[index] = result
        problems |= dict.fromkeys(result.problems)
    if problems:
        raise report_problems(list(problems))
    remarks = [remark for result in results for remark in result.remarks]
    num_methods = len(cases[0].predictions)
    scores = [[result.scores[method] for result in results] for method in range(num_methods)]
    return scores, all(result.has_surfaces for result in results), remarks


def score_case(job: CaseJob) -> CaseResult:
    """Read the files of a case and, unless they are only to be checked, score each prediction."""
    reader = CaseReader(job.case, job.labels, job.reader)
    # Asked here, in the worker, so that the main process need not wait for PyTorch.
    surfaces = not job.check_only and is_monai_installed()
    name, annotated = job.case.name, job.annotated
    scores = [
        compute_case_scores(
            pair.reference,
            pair.prediction,
            labels=job.labels,
            spacing=pair.spacing,
            nsd_tolerances=job.nsd_tolerances,
            diagonal=pair.diagonal,
            surfaces=surfaces,
            known=None if annotated is None else annotated.names_of(name),
        )
        for pair in reader.read_pairs()
        if not job.check_only
    ]
    return CaseResult(scores, surfaces, reader.problems, reader.remarks)
