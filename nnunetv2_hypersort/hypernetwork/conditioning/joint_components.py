"""Common axes of several kinds of numbers about the same cases."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

MAD_TO_DEVIATION = 1.4826
"""In a normal distribution the standard deviation is so many times the median absolute deviation."""
# In robust standard deviations: a wrong label pulls no harder.
_FURTHEST = 4.0


def robustly_scaled(values: Reals) -> Reals:
    """Bring columns to one scale: deviations from the median in robust standard deviations, at most four.

    Args:
        values: Shape (cases, k); not-a-number where unknown.

    Returns:
        Of the same shape, finite. A column whose median absolute deviation is 0 is divided by its standard deviation;
        one without any variation is 0, and so is what is unknown: it says nothing.
    """
    known = np.isfinite(values)
    # Columns of which nothing is known have no median.
    nothing = ~known.any(axis=0)
    values, known = np.where(nothing, 0, values), known | nothing
    centred = np.where(known, values - np.nanmedian(values, axis=0), 0)
    deviation = MAD_TO_DEVIATION * np.nanmedian(np.where(known, np.abs(centred), np.nan), axis=0)
    deviation = np.where(deviation > 0, deviation, centred.std(axis=0))
    scaled = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    return np.clip(scaled, -_FURTHEST, _FURTHEST)


def without(values: Reals, explaining: Reals) -> Reals:
    """Take out of each column what a linear function of other numbers explains (ordinary least squares).

    Args:
        values: Shape (cases, k).
        explaining: Shape (cases, m).

    Returns:
        The residuals, shape (cases, k), with a mean of 0.
    """
    design = np.column_stack([np.ones(len(values)), robustly_scaled(explaining)])
    return np.asarray(values - design @ np.linalg.lstsq(design, values, rcond=None)[0])


def within_images(values: Reals, images: NDArray[np.integer]) -> Reals:
    """Take out the mean of each image that several cases have: what is left is how its annotations differ.

    Args:
        values: Shape (cases, k).
        images: Shape (cases,): cases of the same image have the same number.

    Returns:
        Shape (cases, k); a case whose image no other case has is as it was.
    """
    _, image, counts = np.unique(images, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, image, values)
    means = np.where(counts[:, None] > 1, sums / counts[:, None], 0)
    return np.asarray(values - means[image])


def joint_components(blocks: Sequence[Reals], dim: int) -> Reals:
    """The principal components of several blocks of columns, none of which outweighs the others by its size.

    Each block is divided by its first singular value (multiple factor analysis: Escofier and Pages 1994), so that a
    block of many noisy columns counts no more than one of few.

    Args:
        blocks: Each of shape (cases, k), centred; k may differ.
        dim: Number of components.

    Returns:
        Scores, shape (cases, dim), with a root mean square of one over all of them; 0 where there are no more
        components.
    """
    weighted = []
    for block in blocks:
        largest = np.linalg.norm(block, 2) if block.size else 0.0
        weighted.append(block / largest if largest > 0 else block)
    joint = np.hstack(weighted)
    axes, lengths, _ = np.linalg.svd(joint, full_matrices=False)
    scores = np.zeros((len(joint), dim))
    found = axes[:, :dim] * lengths[:dim]
    # The sign of an axis is arbitrary; fixed, so that devices agree.
    signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])
    scores[:, : found.shape[1]] = found * np.where(signs == 0, 1, signs)
    size = np.sqrt((scores**2).mean())
    return scores / size if size > 0 else scores
