"""How labels differ from those they replace: volume, overlap and distance of the borders, per case and label."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from nnunetv2_hypersort.evaluation.case_scores import Presence
from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.evaluation.scoring import score_cases
from nnunetv2_hypersort.files.tables import write_table
from nnunetv2_hypersort.files.text_tables import markdown_table
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.reading import ImageReader
from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels


@dataclass(frozen=True)
class LabelChange:
    """One label of one case before and after.

    Attributes:
        case: Case identifier.
        fold: The fold that segmented it.
        label: Name of the label or region.
        volume_before: In mm³ (pixels in formats without millimetres), without voxels of the ignore label.
        volume_after: Likewise.
        dice: Dice similarity coefficient of the two, in [0, 1]; not-a-number if both are empty.
        hd95: 95th percentile of the distance between the borders, in mm; the image diagonal if one of the two is
            empty, not-a-number if both are, or without MONAI.
    """

    case: str
    fold: str
    label: str
    volume_before: float
    volume_after: float
    dice: float
    hd95: float


def compare_labels(
    cases: Sequence[Case],
    fold_of: Mapping[str, str],
    labels: LabelTable,
    reader: ImageReader,
    annotated: AnnotatedLabels | None = None,
    *,
    num_processes: int,
    progress: bool = True,
) -> list[LabelChange]:
    """Compare label maps with those they replace.

    Args:
        cases: The old label map as the reference, the new one as the only prediction.
        fold_of: The fold that segmented each case.
        labels: The labels.
        reader: Reads the files as nnU-Net does.
        annotated: What the cases are annotated for; labels that are unknown are left out.
        num_processes: Worker processes; 1 works in this process.
        progress: Whether to show a progress bar on standard error.

    Returns:
        One entry per case and label, those that changed most (lowest Dice) first.

    Raises:
        HyperSORTError: A label map cannot be read, has unknown values, or is on another grid than the other.
    """
    scores, _, _ = score_cases(
        cases,
        labels=labels,
        reader=reader,
        nsd_tolerances=[0.0] * len(labels.structures),
        annotated=annotated,
        num_processes=num_processes,
        progress=progress,
    )
    changes = [
        LabelChange(
            case.name,
            fold_of[case.name],
            structure.name,
            score.reference_volume,
            score.prediction_volume,
            score.dsc,
            score.hd95,
        )
        for case, structures in zip(cases, scores[0], strict=True)
        for structure, score in zip(labels.structures, structures, strict=True)
        if score.presence is not Presence.NOT_ANNOTATED
    ]
    return sorted(changes, key=lambda change: (math.isnan(change.dice), change.dice, change.case, change.label))


def write_changes(path: str | os.PathLike[str], changes: Sequence[LabelChange]) -> None:
    """Write the changes as CSV, one row each, with an empty field where a number is undefined.

    Raises:
        OSError: The file cannot be written.
    """
    write_table(path, [field.name for field in fields(LabelChange)], changes, number=_short)


def summarise_changes(changes: Sequence[LabelChange], *, shown: int = 5) -> str:
    """A Markdown table with a row per label, and the cases that changed most.

    Args:
        changes: What `compare_labels` returned.
        shown: How many of the changes to name.
    """
    header = ["label", "cases", "volume (median of ratios)", "Dice old/new (mean)", "HD95 in mm (median)"]
    lines = []
    for label in dict.fromkeys(change.label for change in sorted(changes, key=lambda change: change.label)):
        rows = [change for change in changes if change.label == label]
        ratios = [row.volume_after / row.volume_before for row in rows if row.volume_before]
        dice = [row.dice for row in rows if not math.isnan(row.dice)]
        hd95 = [row.hd95 for row in rows if not math.isnan(row.hd95)]
        cells = [
            f"{np.median(ratios) - 1:+.1%}" if ratios else "",
            f"{np.mean(dice):.4f}" if dice else "",
            f"{np.median(hd95):.2f}" if hd95 else "",
        ]
        lines.append([label, str(len(rows)), *cells])
    most = [f"{change.case} {change.label} (Dice {change.dice:.3f})" for change in changes[:shown]]
    return f"{markdown_table(header, lines, aligned=False)}\n\nChanged most: {', '.join(most)}."


def _short(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
