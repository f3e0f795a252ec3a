"""Metrics that measure distances between surfaces, in mm, with MONAI's building blocks.

Two conventions are in use, and both are reported as the field does (see docs/evaluate.md):

- HD95 and ASD: the surface is the set of centres of the foreground voxels with a background face neighbour, as in
  `monai.metrics.compute_hausdorff_distance` and `compute_average_surface_distance`.
- NSD: the surface consists of sub-voxel elements between voxel centres, weighted by area, as in DeepMind's
  surface-distance and in `monai.metrics.compute_surface_dice(use_subvoxels=True)`.

The numbers are those of the named MONAI functions. Calling their building blocks instead lets HD95 and ASD share one
distance search, and the crop be made once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

INSTALL_HINT = (
    "HD95, NSD and ASD need MONAI, which is not installed: pip install 'nnunetv2-hypersort[metrics]'. "
    "DSC and VS are computed; the other columns stay empty."
)


@dataclass(frozen=True)
class SurfaceScores:
    """Surface metrics of one structure.

    Attributes:
        hd95: Symmetric 95th percentile Hausdorff distance in mm: the larger of the two directed percentiles.
        nsd: Normalised surface Dice in [0, 1] at the given tolerance.
        asd: Average symmetric surface distance in mm: the mean over the surface voxels of both masks.
    """

    hd95: float
    nsd: float
    asd: float


def is_monai_installed() -> bool:
    """Whether the optional extra `[metrics]` is there."""
    try:
        import monai.metrics  # noqa: F401
    except ImportError:
        return False
    return True


def compute_surface_scores(
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    *,
    spacing: tuple[float, ...],
    nsd_tolerance: float,
) -> SurfaceScores:
    """Compute HD95, NSD and ASD of two masks.

    Args:
        reference: Reference mask with 2 or 3 axes and at least one foreground voxel; may be cropped to the joint
            bounding box of both masks, because what lies outside counts as background.
        prediction: Predicted mask of the same shape with at least one foreground voxel.
        spacing: Voxel spacing along each axis in mm.
        nsd_tolerance: Distance in mm up to which surfaces agree.
    """
    reference, prediction = np.pad(reference, 1), np.pad(prediction, 1)
    to_reference, to_prediction = compute_surface_distances(reference, prediction, spacing=spacing)
    return SurfaceScores(
        hd95=float(max(np.quantile(to_reference, 0.95), np.quantile(to_prediction, 0.95))),
        nsd=_compute_nsd(reference, prediction, spacing, nsd_tolerance),
        asd=float(np.concatenate([to_reference, to_prediction]).mean(dtype=np.float64)),
    )


def compute_surface_distances(
    reference: NDArray[np.bool_], prediction: NDArray[np.bool_], *, spacing: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the distances between the surface voxels of two masks, in both directions, in mm.

    Args:
        reference: Reference mask with 2 or 3 axes and at least one foreground voxel. Voxels at the border of the array
            are surface voxels.
        prediction: Predicted mask of the same shape with at least one foreground voxel.
        spacing: Voxel spacing along each axis in mm.

    Returns:
        From each surface voxel of the prediction to the reference, and from each of the reference to the prediction.
    """
    from monai.metrics import get_mask_edges, get_surface_distance

    edges_prediction, edges_reference = get_mask_edges(prediction, reference, crop=False)
    return (
        np.asarray(get_surface_distance(edges_prediction, edges_reference, spacing=spacing)),
        np.asarray(get_surface_distance(edges_reference, edges_prediction, spacing=spacing)),
    )


def _compute_nsd(
    reference: NDArray[np.bool_], prediction: NDArray[np.bool_], spacing: tuple[float, ...], tolerance: float
) -> float:
    import torch
    from monai.metrics import get_mask_edges, get_surface_distance

    # Sub-voxel surfaces are looked up for each 2 x 2 x 2 neighbourhood; the margin of one voxel completes those at the
    # border of the box.
    parts: list[Any] = [torch.from_numpy(prediction), torch.from_numpy(reference)]
    edges_prediction, edges_reference, areas_prediction, areas_reference = (
        np.asarray(part) for part in get_mask_edges(*parts, crop=False, spacing=spacing)
    )
    agreeing = total = 0.0
    for edges, others, areas in (
        (edges_prediction, edges_reference, areas_prediction),
        (edges_reference, edges_prediction, areas_reference),
    ):
        distances = np.asarray(get_surface_distance(edges, others, spacing=spacing))
        weights = areas[edges].astype(np.float64)
        total += weights.sum()
        agreeing += weights[distances <= tolerance].sum()
    return float(agreeing / total)
