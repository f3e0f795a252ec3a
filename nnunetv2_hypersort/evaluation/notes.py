"""The notes below the tables: what a reader has to know about the numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nnunetv2_hypersort.evaluation.case_scores import Presence
from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.evaluation.reading import Remark
from nnunetv2_hypersort.evaluation.score_table import ScoreTable
from nnunetv2_hypersort.evaluation.surface import INSTALL_HINT
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.reading import PIXEL_FORMATS

# Measured by benchmarks/benchmark_interval_coverage.py; see docs/evaluate.md.
SMALL_SAMPLE = 50
SMALL_SAMPLE_NOTE = (
    "Fewer than 50 subjects: the intervals are too narrow. In simulated test sets they held the true mean with a "
    "probability of 87 to 89 % (10 subjects), 91 to 92 % (20), 92 to 93 % (30) and 94 % (50) instead of 95 %."
)
# So many files with the same oddity are named.
_NAMED = 10
SINGLE_SUBJECT_NOTE = "A single subject says nothing about the spread over subjects: there are no intervals."


def describe_results(
    table: ScoreTable,
    labels: LabelTable,
    file_ending: str,
    tolerances: Sequence[float],
    groups: Mapping[str, Sequence[str]],
    *,
    groups_given: bool,
    surfaces: bool,
) -> list[str]:
    """Say how many cases there are, how reliable the intervals are, which conventions hold, and what was left out.

    Args:
        table: The scores.
        labels: The structures.
        file_ending: Ending of the label files.
        tolerances: NSD tolerance of each structure in mm.
        groups: Organ group -> names of its structures.
        groups_given: Whether the user gave the groups.
        surfaces: Whether the surface metrics were computed.
    """
    num_subjects = len(table.subject_names)
    size = f"{_count(len(table.cases), 'case')} of {_count(num_subjects, 'subject')}"
    notes = [f"{size}; mean [95 % percentile interval over subjects]."]
    if num_subjects < SMALL_SAMPLE:
        notes.append(SMALL_SAMPLE_NOTE if num_subjects > 1 else SINGLE_SUBJECT_NOTE)
    if not surfaces:
        notes.append(INSTALL_HINT)
    else:
        notes.append(
            "HD95 and ASD: distances between surface voxel centres; NSD: sub-voxel surface elements, tolerance "
            + (f"{tolerances[0]:g} mm." if len(set(tolerances)) == 1 else "per label (metrics.csv).")
        )
    if file_ending.lower() in PIXEL_FORMATS:
        notes.append(f"{file_ending} files have no millimetres: read mm as pixels (TIFF: see docs/evaluate.md).")
    counts = {presence: int(number.sum()) for presence, number in table.count_presence().items()}
    total = f"{table.presence.size} (methods x cases x labels)"
    if single := counts[Presence.MISSED] + counts[Presence.FALSE_POSITIVE]:
        notes.append(
            f"In one label map only: {single} of {total}, {counts[Presence.MISSED]} missed and "
            f"{counts[Presence.FALSE_POSITIVE]} false positive; "
            + ("DSC, NSD and VS count as 0, HD95 and ASD as the image diagonal." if surfaces else "DSC and VS are 0.")
        )
    if absent := counts[Presence.ABSENT]:
        notes.append(f"In neither label map (absent): {absent} of {total}; undefined, left out of the means.")
    if unknown := counts[Presence.NOT_ANNOTATED]:
        notes.append(f"Not annotated in the reference: {unknown} of {total}; unknown, left out of the means.")
    if groups:
        origin = "given" if groups_given else "terciles of the median volume"
        members = "; ".join(f"{name}: {', '.join(group)}" for name, group in groups.items())
        notes.append(f"Groups ({origin}): {members}.")
    if labels.ignore_label is not None:
        notes.append(f"Voxels with the ignore label ({labels.ignore_label}) in the reference are left out.")
    return notes


def describe_cases(cases: Sequence[Case], left_out: Sequence[str], remarks: Sequence[Remark]) -> list[str]:
    """Say which files are missing, which cases were left out, and which files are odd."""
    notes = []
    missing = sum((case.reference is None) + case.predictions.count(None) for case in cases)
    if missing:
        notes.append(f"Counted as empty (--allow-missing): {_count(missing, 'missing file')}.")
    if left_out:
        notes.append(f"Left out, because not in every folder (--common-cases): {', '.join(left_out)}.")
    by_text: dict[str, list[Path]] = {}
    for path, text in dict.fromkeys(remarks):
        by_text.setdefault(text, []).append(path)
    for text, paths in by_text.items():
        others = [str(path) for path in paths[1:_NAMED]]
        if len(paths) > _NAMED:
            others.append(_count(len(paths) - _NAMED, "more file"))
        notes.append(f"{paths[0]} {text}" + (f" The same holds for {', '.join(others)}." if others else ""))
    return notes


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
