"""What an image is like, in numbers that no network and no label has a part in."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnunetv2_hypersort.model.preprocessed import PreprocessedImage

# Of large images a part is looked at: voxels for intensities, a cube in the middle for what is between neighbours.
_MOST_VOXELS = 200_000
_MOST_SIDE = 96
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_EXTREME = 0.02
_SHAPES = ("shape_before_cropping", "shape_after_cropping_and_before_resampling")


def image_features(image: PreprocessedImage, raw: np.ndarray | None = None) -> dict[str, float]:
    """Intensities, their gradients and noise, how finely they are graded, where bright and dark lie, and the grid.

    Args:
        image: As the network takes it, which is where labels could come by what it shows.
        raw: The same image as in its file, shape (channels, z, y, x), of which intensities alone are taken:
            preprocessing levels them; or None.

    Returns:
        By name; the same names for all images of a model, but for those of `raw`.
    """
    found = _grid(image.properties, image.data.shape[1:])
    for number, channel in enumerate(image.data):
        for name, value in {**_intensities(channel), **_texture(channel), **_places(channel)}.items():
            found[f"channel_{number}_{name}"] = value
    for number, channel in enumerate(() if raw is None else raw):
        found.update({f"file_{number}_{name}": value for name, value in _intensities(channel).items()})
    return found


def image_identity(image: PreprocessedImage) -> str:
    """SHA-256 of an image: cases with the same one are annotations of one image."""
    digest = hashlib.sha256(str(image.data.shape).encode())
    digest.update(np.ascontiguousarray(image.data, np.float32).tobytes())
    return digest.hexdigest()


def _grid(properties: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, float]:
    found = {}
    for axis, step in enumerate(properties.get("spacing", ())):
        found[f"spacing_{axis}"] = math.log(max(float(step), 1e-9))
    for name in _SHAPES:
        for axis, side in enumerate(properties.get(name, ())):
            found[f"{name}_{axis}"] = math.log(side)
    for axis, side in enumerate(shape):
        found[f"shape_{axis}"] = math.log(side)
    return found


def _intensities(channel: np.ndarray) -> dict[str, float]:
    values = np.asarray(channel, np.float64).ravel()
    values = values[:: max(1, len(values) // _MOST_VOXELS)]
    values = values[np.isfinite(values)]
    if not len(values):
        return {}
    mean, deviation = float(values.mean()), float(values.std())
    standard = (values - mean) / (deviation or 1.0)
    distinct, counts = np.unique(values, return_counts=True)
    return {
        "mean": mean,
        "deviation": deviation,
        "skewness": float((standard**3).mean()),
        "kurtosis": float((standard**4).mean()),
        **{
            f"quantile_{share:g}": float(value)
            for share, value in zip(_QUANTILES, np.quantile(values, _QUANTILES), strict=True)
        },
        # Whole numbers of eight bits are graded more coarsely than floating point.
        "distinct": math.log(len(distinct) / len(values)),
        "most_common": float(counts.max() / len(values)),
        "whole_numbers": float((values == np.rint(values)).mean()),
    }


def _texture(channel: np.ndarray) -> dict[str, float]:
    middle = tuple(
        slice(max(0, (side - _MOST_SIDE) // 2), max(0, (side - _MOST_SIDE) // 2) + _MOST_SIDE) for side in channel.shape
    )
    part = np.asarray(channel[middle], np.float64)
    axes = [axis for axis, side in enumerate(part.shape) if side > 2]
    if not axes:
        return {}
    steps = [np.diff(part, axis=axis) for axis in axes]
    bends = [np.diff(step, axis=axis) for step, axis in zip(steps, axes, strict=True)]
    sizes = np.concatenate([np.abs(step).ravel() for step in steps])
    return {
        "gradient": float(np.median(sizes)),
        "steep_gradient": float(np.quantile(sizes, 0.95)),
        "noise": float(np.median(np.concatenate([np.abs(bend).ravel() for bend in bends]))),
        **{f"gradient_{axis}": float(np.abs(step).mean()) for axis, step in zip(axes, steps, strict=True)},
    }


def _places(channel: np.ndarray) -> dict[str, float]:
    # A part of the voxels of a large image is enough, whole slices left out.
    stride = max(1, math.ceil((channel.size / _MOST_VOXELS) ** (1 / 3)))
    part = np.asarray(channel[tuple(slice(None, None, stride if side > stride else 1) for side in channel.shape)])
    low, high = np.quantile(part, (_EXTREME, 1 - _EXTREME))
    found = {}
    for name, where in (("dark", np.nonzero(part <= low)), ("bright", np.nonzero(part >= high))):
        for axis, side in enumerate(part.shape):
            if side > 1:
                found[f"{name}_{axis}"] = float(where[axis].mean() / side)
    for axis, side in enumerate(part.shape):
        if side > 1:
            halves = np.array_split(part, 2, axis=axis)
            found[f"halves_{axis}"] = float(halves[1].mean() - halves[0].mean())
    return found
