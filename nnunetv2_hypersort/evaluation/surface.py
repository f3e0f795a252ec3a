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
        import monai.metrics  # noqa: F401  # only whether it can be imported
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
    from monai.metrics import get_surface_distance
    from monai.metrics.utils import get_code_to_measure_table

    areas = get_code_to_measure_table(spacing)[0].numpy().astype(np.float64)
    codes = _encode_neighbourhoods(prediction), _encode_neighbourhoods(reference)
    edges = tuple((code != 0) & (code != areas.size - 1) for code in codes)
    agreeing = total = 0.0
    for own, other, code in ((edges[0], edges[1], codes[0]), (edges[1], edges[0], codes[1])):
        distances = np.asarray(get_surface_distance(own, other, spacing=spacing))
        weights = areas[code[own]]
        total += float(weights.sum())
        agreeing += float(weights[distances <= tolerance].sum())
    return agreeing / total


def _encode_neighbourhoods(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Encode which of the 2 x 2 (x 2) voxels of each neighbourhood are foreground, one bit each.

    The codes are those of `monai.metrics.utils.ENCODING_KERNEL`, the first voxel being the highest bit. One axis after
    the other in uint8 takes a fraction of the time of MONAI's convolution in float32, which was most of that of NSD.

    Args:
        mask: Mask with a margin of background, so that the neighbourhoods at its border are complete.
    """
    code: NDArray[np.uint8] = mask.view(np.uint8)
    for bits, axis in zip((1, 2, 4), range(mask.ndim - 1, -1, -1), strict=False):
        first = tuple(slice(None, -1) if a == axis else slice(None) for a in range(mask.ndim))
        second = tuple(slice(1, None) if a == axis else slice(None) for a in range(mask.ndim))
        code = np.bitwise_or(np.left_shift(code[first], np.uint8(bits)), code[second])
    return code
