"""Patches that cover what matters of a labelled image."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

# Per case: a gradient over so many voxels takes seconds on a CPU, and four patches hold the organ that one cuts.
MOST_VOXELS = 2**21
MOST_PATCHES_AT_LEAST = 4
COVERED = 0.95

Patch = tuple[torch.Tensor, torch.Tensor]
"""Input of shape (1, channels, ...) and target of shape (1, 1 or regions, ...), as nnU-Net's loss takes them."""


class PlacedPatch(NamedTuple):
    """A patch, and where in the padded image it lies.

    Attributes:
        data: Input, shape (1, channels, ...).
        target: Shape (1, 1 or regions, ...), as nnU-Net's loss takes it.
        label: Label values, shape (x, y, z).
        place: The slices of the padded image, along x, y and z.
        padded: Shape of the padded image.
    """

    data: torch.Tensor
    target: torch.Tensor
    label: np.ndarray
    place: tuple[slice, ...]
    padded: tuple[int, ...]


class Planned(Protocol):
    """What is needed of a planned configuration: a model opened, or a trainer."""

    @property
    def configuration_manager(self) -> Any:
        """nnU-Net's view of the configuration."""

    @property
    def label_manager(self) -> Any:
        """nnU-Net's view of the labels."""


def labelled_patches(
    planned: Planned, data: np.ndarray, segmentation: np.ndarray, predicted_foreground: np.ndarray
) -> list[Patch]:
    """The patches of `placed_patches` as nnU-Net's loss takes them."""
    return [(one.data, one.target) for one in placed_patches(planned, data, segmentation, predicted_foreground)]


def placed_patches(
    planned: Planned, data: np.ndarray, segmentation: np.ndarray, predicted_foreground: np.ndarray
) -> list[PlacedPatch]:
    """Cut patches out of an image until nearly all that its label says is covered.

    They are chosen greedily among those of nnU-Net's sliding window. What the label or a prediction calls foreground
    counts as much as all that is annotated: a style that leaves a structure out shows where another would draw it.

    Args:
        planned: Plans of the model, or a trainer.
        data: A preprocessed image, shape (channels, x, y, z).
        segmentation: Its preprocessed label, shape (x, y, z).
        predicted_foreground: Shape (x, y, z), bool.

    Returns:
        At least one patch, none without an annotated voxel. Padding is background, as in nnU-Net's training, but
        ignored where the model has an ignore label: beside a few annotated slices it would be most of the background.
    """
    patch_size = tuple(planned.configuration_manager.patch_size)
    # The first axis of a 2d configuration is that of the slices.
    window = (1,) * (3 - len(patch_size)) + patch_size
    ignore = planned.label_manager.ignore_label
    # -1 is nnU-Net's mark of voxels outside the body; its training makes them background, too.
    label = np.maximum(segmentation, 0)
    padding = 0 if ignore is None else ignore
    annotated = np.ones(label.shape, bool) if ignore is None else label != ignore
    foreground = annotated & (predicted_foreground | (label > 0))
    weights = sum(mask / mask.sum() for mask in (annotated, foreground) if mask.any())
    data, label, annotated, weights = (
        np.asarray(pad_nd_image(array, window, kwargs={"constant_values": value}))
        for array, value in ((data, 0), (label, padding), (annotated, False), (np.asarray(weights, np.float32), 0))
    )
    count = max(MOST_PATCHES_AT_LEAST, MOST_VOXELS // int(np.prod(window)))
    patches = []
    for slices in _cover(weights, window, count):
        if annotated[slices].any():
            in_all_channels = (slice(None), *slices)
            x, y = torch.from_numpy(data[in_all_channels]).float(), torch.from_numpy(label[slices]).long()
            drop = 3 - len(patch_size)
            x, y = (x[:, 0], y[0]) if drop else (x, y)
            patches.append(PlacedPatch(x[None], _target(planned, y)[None], label[slices], slices, label.shape))
    return patches


def _cover(weights: np.ndarray, window: Sequence[int], count: int) -> list[tuple[slice, ...]]:
    steps = compute_steps_for_sliding_window(weights.shape, tuple(window), 0.5)
    places = [
        tuple(slice(start, start + length) for start, length in zip(starts, window, strict=True))
        for starts in itertools.product(*steps)
    ]
    left, enough = weights.copy(), (1 - COVERED) * float(weights.sum())
    chosen: list[tuple[slice, ...]] = []
    while places and len(chosen) < count and float(left.sum()) > enough:
        gains = [float(left[place].sum()) for place in places]
        place = places.pop(int(np.argmax(gains)))
        left[place] = 0
        chosen.append(place)
    return chosen


def _target(planned: Planned, label: torch.Tensor) -> torch.Tensor:
    manager = planned.label_manager
    if not manager.has_regions:
        return label[None]
    regions = [*manager.foreground_regions, *([manager.ignore_label] if manager.has_ignore_label else [])]
    masks = [torch.isin(label, torch.as_tensor(np.atleast_1d(region))) for region in regions]
    return torch.stack(masks)
