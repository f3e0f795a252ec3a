"""Labels that are annotated in part, on the preprocessed grid."""

from collections.abc import Sequence

import numpy as np
from acvl_utils.cropping_and_padding.bounding_boxes import bounding_box_to_slice
from scipy.ndimage import distance_transform_edt

from nnunetv2_hypersort.model.planned_model import PlannedModel
from nnunetv2_hypersort.model.preprocessed import PreprocessedImage


def resample_partial_label(planned: PlannedModel, image: PreprocessedImage, label: np.ndarray) -> np.ndarray:
    """Resample a label map with ignored voxels to the grid of its preprocessed image.

    nnU-Net resamples the ignore label as it does the others, and a coarser grid then swallows single annotated slices.
    Here a voxel counts if it lies in an annotated one or one lies in it, and its label is resampled by nnU-Net from a
    map where ignored voxels have the label of the nearest annotated one.

    Args:
        planned: Plans of the model, with an ignore label.
        image: The preprocessed image.
        label: Label values on the grid of the file, in nnU-Net's axis order.

    Returns:
        Label values, shape (x, y, z).
    """
    ignore = planned.label_manager.ignore_label
    configuration, order = planned.configuration_manager, planned.plans_manager.transpose_forward
    label = label.transpose(order)[bounding_box_to_slice(image.properties["bbox_used_for_cropping"])]
    annotated = label != ignore
    shape = image.data.shape[1:]
    if not annotated.any():
        return np.full(shape, ignore, np.int16)
    spacing = [image.properties["spacing"][axis] for axis in order]
    # A 2d configuration leaves the spacing of slices as it is.
    target_spacing = [*spacing[: 3 - len(configuration.spacing)], *configuration.spacing]
    nearest = distance_transform_edt(~annotated, sampling=spacing, return_distances=False, return_indices=True)
    filled = label[tuple(nearest)].astype(np.int16)
    filled = configuration.resampling_fn_seg(filled[None], shape, spacing, target_spacing)[0]
    resampled: np.ndarray = np.where(_on_grid(annotated, shape), filled, ignore).astype(np.int16)
    return resampled


def _on_grid(mask: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """A mask on a grid of another shape over the same box: none of its voxels is lost."""
    there = [((np.arange(new) + 0.5) * old / new).astype(int) for old, new in zip(mask.shape, shape, strict=True)]
    result: np.ndarray = mask[np.ix_(*there)].copy()
    result[tuple(((np.argwhere(mask) + 0.5) * shape / mask.shape).astype(int).T)] = True
    return result
