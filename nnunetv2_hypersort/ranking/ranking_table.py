"""The ranking of the training cases as a table."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from nnunetv2_hypersort.files import write_text
from nnunetv2_hypersort.files.tables import format_table

RANKING_FILE = "case_ranking.csv"


@dataclass(frozen=True)
class RankedCase:
    """One training case of the dataset. Numbers are not-a-number, and left empty in the table, where unknown.

    Attributes:
        case: Case identifier.
        quality: Label quality in [0, 1], lower = worse.
        style: Name of its annotation style, `cluster K` if only one fold was looked at and styles have no names yet;
            empty for a case of no style.
        folds: The folds that trained on it and were looked at.
        reason: What is unusual about it, in words; empty if nothing is.
        held_out: The folds that did not train on it and whose prediction was compared with its label.
        outlyingness: Mean of the three below, which gives the quality; higher = worse.
        loss: Running mean of the training loss (Dice + cross-entropy), mean over folds.
        agreement: Of its label with the prediction in the style that fits best, in [0, 1] (Dice of the labels that were
            drawn), mean over labels and folds.
        doubtful_mm3: Volume in mm³ in which the two differ, mean over folds.
        loss_z: Outlyingness of the loss, in robust standard deviations above what is usual in its style.
        isolation_z: The same of the isolation of its latent.
        disagreement_z: The same of 1 - agreement.
    """

    case: str
    quality: float
    style: str
    folds: tuple[str, ...]
    reason: str
    held_out: tuple[str, ...] = ()
    outlyingness: float = math.nan
    loss: float = math.nan
    agreement: float = math.nan
    doubtful_mm3: float = math.nan
    loss_z: float = math.nan
    isolation_z: float = math.nan
    disagreement_z: float = math.nan


def write_ranking(path: str | os.PathLike[str], cases: Sequence[RankedCase]) -> None:
    """Write the table, one row per case in the order given, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    write_text(path, format_ranking(cases))


def format_ranking(cases: Sequence[RankedCase]) -> str:
    """The text of that table."""
    columns = list(RankedCase.__dataclass_fields__)
    rows = [[_folds_as_text(getattr(case, column)) for column in columns] for case in cases]
    return format_table(columns, rows, number="{:.5g}".format)


def _folds_as_text(value: str | float | tuple[str, ...]) -> str | float:
    return " ".join(value) if isinstance(value, tuple) else value
