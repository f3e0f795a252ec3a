"""All metrics of one prediction of one case."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.evaluation.surface import compute_surface_scores, is_monai_installed
from nnunetv2_hypersort.images.crops import StructureCrops
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.images.overlap import (
    VoxelCounts,
    compute_dice,
    compute_iou,
    compute_volume_similarity,
    count_voxels,
)

METRICS = ("DSC", "HD95", "NSD", "ASD", "VS")
HIGHER_IS_BETTER = {"DSC": True, "HD95": False, "NSD": True, "ASD": False, "VS": True}
UNITS = {"DSC": "", "HD95": "mm", "NSD": "", "ASD": "mm", "VS": ""}


class Presence(Enum):
    """In which of the two label maps a structure occurs."""

    BOTH = "both"
    MISSED = "missed"
    FALSE_POSITIVE = "false_positive"
    ABSENT = "absent"
    NOT_ANNOTATED = "not_annotated"


@dataclass(frozen=True)
class StructureScores:
    """The metrics of one structure in one case.

    Attributes:
        presence: Where the structure occurs. Both absent: every metric is NaN. In one only (`MISSED`,
            `FALSE_POSITIVE`): DSC, NSD and VS are 0, and HD95 and ASD, which are undefined, are the image diagonal.
            `NOT_ANNOTATED`: the reference was not annotated for it; every metric is NaN, every count 0.
        counts: Voxel counts, as in nnU-Net's summary.json.
        dsc: Dice similarity coefficient in [0, 1].
        hd95: 95th percentile Hausdorff distance in mm.
        nsd: Normalised surface Dice in [0, 1].
        asd: Average symmetric surface distance in mm.
        vs: Volume similarity in [0, 1].
        reference_volume: Physical volume in the reference, in mm^3 (mm^2 for 2-D images).
        prediction_volume: Physical volume in the prediction, likewise.
    """

    presence: Presence
    counts: VoxelCounts
    dsc: float
    hd95: float
    nsd: float
    asd: float
    vs: float
    reference_volume: float
    prediction_volume: float

    @property
    def values(self) -> tuple[float, ...]:
        """The metrics in the order of `METRICS`."""
        return (self.dsc, self.hd95, self.nsd, self.asd, self.vs)

    @property
    def iou(self) -> float:
        """Intersection over union in [0, 1]."""
        return compute_iou(self.counts)


_NOT_ANNOTATED = StructureScores(
    Presence.NOT_ANNOTATED, VoxelCounts(0, 0, 0, 0), math.nan, math.nan, math.nan, math.nan, math.nan, 0.0, 0.0
)


def compute_case_scores(
    reference: NDArray[np.integer[Any]],
    prediction: NDArray[np.integer[Any]],
    *,
    labels: LabelTable,
    spacing: Sequence[float],
    nsd_tolerances: Sequence[float] | float = 2.0,
    diagonal: float | None = None,
    surfaces: bool | None = None,
    known: Collection[str] | None = None,
) -> list[StructureScores]:
    """Compute every metric of every structure of one case.

    Each structure is cropped to the joint bounding box of both masks before anything else is done, so the work grows
    with the structures and not with the image. Voxels with the ignore label in the reference are background in both.

    Args:
        reference: Reference label map with 2 or 3 axes.
        prediction: Predicted label map on the same grid.
        labels: The structures and the ignore label.
        spacing: Voxel spacing along each array axis in mm.
        nsd_tolerances: Tolerance of NSD in mm, for all structures or one per structure.
        diagonal: Image diagonal in mm; default: that of the array.
        surfaces: Whether to compute HD95, NSD and ASD (else NaN); default: if MONAI is installed.
        known: Names of the structures that the reference is annotated for; default: all.

    Returns:
        One entry per structure, in the order of `labels.structures`.

    Raises:
        ValueError: Shapes, number of spacings or number of tolerances do not fit, or a label map is not of integers.
    """
    if reference.shape != prediction.shape or reference.ndim not in (2, 3):
        raise ValueError(f"label maps need one 2-D or 3-D shape, not {reference.shape} and {prediction.shape}")
    if reference.dtype.kind not in "iu" or prediction.dtype.kind not in "iu":
        raise ValueError(f"label maps must hold integers, not {reference.dtype} and {prediction.dtype}")
    if len(spacing) != reference.ndim or not all(s > 0 for s in spacing):
        raise ValueError(f"spacing must hold {reference.ndim} positive numbers, not {tuple(spacing)}")
    if isinstance(nsd_tolerances, int | float):
        nsd_tolerances = [nsd_tolerances] * len(labels.structures)
    if len(nsd_tolerances) != len(labels.structures) or not all(t >= 0 for t in nsd_tolerances):
        raise ValueError(f"nsd_tolerances must hold {len(labels.structures)} numbers >= 0, not {nsd_tolerances}")
    spacing = tuple(float(s) for s in spacing)
    if diagonal is None:
        diagonal = math.sqrt(sum((n * s) ** 2 for n, s in zip(reference.shape, spacing, strict=True)))
    if surfaces is None:
        surfaces = is_monai_installed()

    crops = StructureCrops(reference, prediction, labels)
    scores = []
    for structure, tolerance in zip(labels.structures, nsd_tolerances, strict=True):
        if known is not None and structure.name not in known:
            scores.append(_NOT_ANNOTATED)
            continue
        mask_reference, mask_prediction = crops.get_masks(structure.values)
        counts = count_voxels(mask_reference, mask_prediction, num_voxels=crops.num_voxels)
        scores.append(
            _score_structure(mask_reference, mask_prediction, counts, spacing, tolerance, diagonal, surfaces=surfaces)
        )
    return scores


def _score_structure(
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    counts: VoxelCounts,
    spacing: tuple[float, ...],
    tolerance: float,
    diagonal: float,
    *,
    surfaces: bool,
) -> StructureScores:
    presence = {
        (True, True): Presence.BOTH,
        (True, False): Presence.MISSED,
        (False, True): Presence.FALSE_POSITIVE,
        (False, False): Presence.ABSENT,
    }[counts.reference > 0, counts.prediction > 0]
    hd95 = nsd = asd = math.nan
    if surfaces and presence is Presence.BOTH:
        surface = compute_surface_scores(reference, prediction, spacing=spacing, nsd_tolerance=tolerance)
        hd95, nsd, asd = surface.hd95, surface.nsd, surface.asd
    elif surfaces and presence is not Presence.ABSENT:
        hd95, nsd, asd = diagonal, 0.0, diagonal
    voxel = math.prod(spacing)
    return StructureScores(
        presence=presence,
        counts=counts,
        dsc=float(compute_dice(counts.tp, counts.reference, counts.prediction)),
        hd95=hd95,
        nsd=nsd,
        asd=asd,
        vs=compute_volume_similarity(counts),
        reference_volume=counts.reference * voxel,
        prediction_volume=counts.prediction * voxel,
    )
