"""Evaluation of segmentations: DSC, HD95, NSD, ASD and volume similarity, with intervals over subjects."""

from nnunetv2_hypersort.evaluation.case_scores import (
    METRICS,
    Presence,
    StructureScores,
    compute_case_scores,
)
from nnunetv2_hypersort.evaluation.evaluate import (
    Evaluation,
    estimate_tolerance_of_annotators,
    evaluate_folders,
)
from nnunetv2_hypersort.images.labels import LabelTable, Structure
from nnunetv2_hypersort.nnunet.dataset_json import read_label_table

# Their names of before.
LabelScheme = LabelTable
read_label_scheme = read_label_table

__all__ = [
    "METRICS",
    "Evaluation",
    "LabelScheme",
    "LabelTable",
    "Presence",
    "Structure",
    "StructureScores",
    "compute_case_scores",
    "estimate_tolerance_of_annotators",
    "evaluate_folders",
    "read_label_scheme",
    "read_label_table",
]
