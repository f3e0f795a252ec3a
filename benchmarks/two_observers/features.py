"""What is measured in images and masks, to say what a latent axis means."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import spearmanr
from skimage import filters, measure, morphology

Reals = NDArray[np.floating[Any]]
THIN_PIXELS = 2.5


def mask_features(mask: NDArray[np.bool_]) -> dict[str, float]:
    """Statistics of drawn vessels, lengths in pixels.

    Args:
        mask: Shape (rows, columns), not empty.

    Returns:
        area: pixels; length: of the centre lines; width: mean area per length; thin: share of the centre lines that lie
        no further than 2.5 pixels from the border; pieces: connected components; roughness: length of the border over
        twice that of the centre lines, 1 for smooth long vessels.
    """
    lines = morphology.skeletonize(mask)
    length = float(lines.sum())
    depth = ndimage.distance_transform_edt(mask)
    return {
        "area": float(mask.sum()),
        "length": length,
        "width": float(mask.sum()) / length,
        "thin": float((depth[lines] <= THIN_PIXELS).mean()),
        "pieces": float(measure.label(mask, connectivity=2).max()),
        "roughness": float(measure.perimeter(mask)) / (2 * length),
    }


def image_features(image: NDArray[np.uint8], inside: NDArray[np.bool_]) -> dict[str, float]:
    """Statistics of a fundus image within its field of view.

    Args:
        image: Shape (rows, columns, 3).
        inside: Shape (rows, columns): the field of view.

    Returns:
        brightness, contrast: mean and standard deviation of the green channel; redness: mean of red over green;
        sharpness: variance of the Laplacian of the green channel, smoothed by one pixel.
    """
    green = image[..., 1].astype(float)
    return {
        "brightness": float(green[inside].mean()),
        "contrast": float(green[inside].std()),
        "redness": float(image[..., 0][inside].mean() / green[inside].mean()),
        "sharpness": float(ndimage.laplace(filters.gaussian(green, 1))[inside].var()),
    }


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Dice of two masks that are not both empty."""
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def principal_components(latents: Reals) -> tuple[Reals, Reals]:
    """The latents along their directions of most variance, shape (n, dim), and the share of each, shape (dim,)."""
    centred = latents - latents.mean(0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    total = (values**2).sum()
    return centred @ directions.T, values**2 / total if total > 0 else values


def correlations(axes: Mapping[str, Reals], features: Mapping[str, Reals]) -> list[dict[str, Any]]:
    """Spearman's correlation of each axis with each feature, strongest first.

    Returns:
        Entries with `axis`, `feature`, `rho`, and `p` adjusted for the number of entries (Holm 1979).
    """
    entries = []
    for axis, values in axes.items():
        for feature, of_cases in features.items():
            if np.ptp(values) == 0 or np.ptp(of_cases) == 0:
                continue
            found = spearmanr(values, of_cases)
            rho, p = float(found.statistic), float(found.pvalue)
            entries.append({"axis": axis, "feature": feature, "rho": rho, "p": p})
    largest = 0.0
    for rank, entry in enumerate(sorted(entries, key=lambda entry: entry["p"])):
        largest = max(largest, min(1.0, entry["p"] * (len(entries) - rank)))
        entry["p"] = largest
    return sorted(entries, key=lambda entry: -abs(entry["rho"]))
