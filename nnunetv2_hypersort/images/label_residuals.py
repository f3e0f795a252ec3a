"""What a label has that a segmentation of the same image does not: the residual of a label, as named numbers.

A network that did not train on a case predicts what the labels of the whole training set have in common; what is left
is how this label was annotated. Every number is 0 where label and segmentation agree, and all but `only_prediction` are
positive where the label has more.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from nnunetv2_hypersort.images.distances import border_area
from nnunetv2_hypersort.images.labels import LabelValues, as_tuple

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FEATURES = (
    "log_volume_ratio",
    "border_mean",
    *(f"border_q{round(100 * quantile):02d}" for quantile in QUANTILES),
    "only_label",
    "only_prediction",
    "log_roughness_ratio",
)
"""The names of the numbers of each structure."""


def label_residuals(
    label: NDArray[np.integer],
    prediction: NDArray[np.integer],
    spacing: Sequence[float],
    structures: Mapping[str, LabelValues],
    ignore_label: int | None = None,
) -> dict[str, float]:
    """Compare a label map with a segmentation of the same image, structure by structure.

    Args:
        label: Label values, of any shape.
        prediction: Label values of the segmentation, of the same shape.
        spacing: Distance of neighbouring voxel centres along each axis, in mm. Along an axis of one voxel it plays no
            role.
        structures: By name the value of each label, or the values of a region.
        ignore_label: Voxels with this value in the label count nowhere.

    Returns:
        For each structure, as `NAME.FEATURE`, all finite:

        - `log_volume_ratio`: log((label + 1) / (segmentation + 1)), in voxels.
        - `border_mean`, `border_q05` to `border_q95`: mean and quantiles of how far the label's border lies outside
          that of the segmentation, in mm, over the area of both; 0 where one of the two is empty.
        - `only_label`, `only_prediction`: voxels that only one of the two has, as a share of the mean of both volumes,
          from 0 to 2. With both, Dice = 1 - (only_label + only_prediction) / 2.
        - `log_roughness_ratio`: log of how rough the label is in relation to the segmentation. Roughness is
          area^(3/2) / volume, in two dimensions length^2 / area (the isoperimetric quotient's inverse but for a
          constant), and does not depend on size; 0 where one of the two is empty.

    Raises:
        ValueError: The shapes differ.
    """
    if label.shape != prediction.shape:
        raise ValueError(f"a label of shape {label.shape} and a prediction of shape {prediction.shape}")
    extended = [axis for axis, length in enumerate(label.shape) if length > 1]
    steps = [float(spacing[axis]) for axis in extended]
    shape = [label.shape[axis] for axis in extended]
    counted = np.ones(shape, bool) if ignore_label is None else (label != ignore_label).reshape(shape)
    found = {}
    for name, values in structures.items():
        members = as_tuple(values)
        drawn, predicted = (np.isin(array, members).reshape(shape) & counted for array in (label, prediction))
        for feature, value in zip(FEATURES, _compare(drawn, predicted, steps), strict=True):
            found[f"{name}.{feature}"] = value
    return found


def _compare(drawn: NDArray[np.bool_], predicted: NDArray[np.bool_], spacing: Sequence[float]) -> list[float]:
    view = ndimage.find_objects((drawn | predicted).astype(np.uint8))
    if not drawn.ndim or not view:
        return [0.0] * len(FEATURES)
    # Background on all sides: what reaches the edge of the image ends there.
    drawn, predicted = np.pad(drawn[view[0]], 1), np.pad(predicted[view[0]], 1)
    volumes = int(drawn.sum()), int(predicted.sum())
    shared = int((drawn & predicted).sum())
    half = sum(volumes) / 2
    ratio = float(np.log((volumes[0] + 1) / (volumes[1] + 1)))
    shares = [(volume - shared) / half for volume in volumes]
    if not all(volumes):
        return [ratio, *[0.0] * (1 + len(QUANTILES)), *shares, 0.0]
    distances, areas = _border_distances(drawn, predicted, spacing)
    quantiles = _weighted_quantiles(distances, areas)
    rough = [_log_roughness(mask, volume, spacing) for mask, volume in zip((drawn, predicted), volumes, strict=True)]
    return [ratio, float(np.average(distances, weights=areas)), *quantiles, *shares, rough[0] - rough[1]]


def _border_distances(
    drawn: NDArray[np.bool_], predicted: NDArray[np.bool_], spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far the border of `drawn` lies outside that of `predicted`, at each face of both, and the area of the face.

    From both borders, so that exchanging the two changes the sign and nothing else.
    """
    (ours, areas, outside), (theirs, other_areas, inside) = (
        _faces(mask, other, spacing) for mask, other in ((drawn, predicted), (predicted, drawn))
    )
    to_theirs, to_ours = cKDTree(theirs).query(ours)[0], cKDTree(ours).query(theirs)[0]
    return np.concatenate([outside * to_theirs, -inside * to_ours]), np.concatenate([areas, other_areas])


def _faces(
    mask: NDArray[np.bool_], other: NDArray[np.bool_], spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int8]]:
    """The faces between the voxels of a mask and the rest: their centres in mm, areas, and where they are in another.

    The last is 1 outside the other mask, -1 inside, and 0 for a face that both have.
    """
    centres, areas, sides = [], [], []
    for axis, step in enumerate(spacing):
        before, after = (
            tuple(_NEIGHBOURS[end] if one == axis else slice(None) for one in range(mask.ndim)) for end in (0, 1)
        )
        faces = mask[before] != mask[after]
        centre = np.argwhere(faces).astype(float)
        centre[:, axis] += 0.5
        centres.append(centre * spacing)
        areas.append(np.full(len(centre), np.prod(spacing) / step))
        sides.append(1 - other[before][faces].astype(np.int8) - other[after][faces])
    return np.concatenate(centres), np.concatenate(areas), np.concatenate(sides)


_NEIGHBOURS = (slice(None, -1), slice(1, None))


def _weighted_quantiles(values: NDArray[np.float64], weights: NDArray[np.float64]) -> list[float]:
    order = np.argsort(values)
    shares = np.cumsum(weights[order]) - weights[order] / 2
    return [float(value) for value in np.interp(QUANTILES, shares / weights.sum(), values[order])]


def _log_roughness(mask: NDArray[np.bool_], voxels: int, spacing: Sequence[float]) -> float:
    dimensions = mask.ndim
    if dimensions < 2:
        return 0.0
    power = dimensions / (dimensions - 1)
    return float(power * np.log(border_area(mask, spacing)) - np.log(voxels * np.prod(spacing)))
