"""Label quality from what a training says of its cases: arrays in, scores out.

Three things make a label doubtful: its loss is high, its latent is isolated, and the networks of the styles around it
segment the case otherwise. Each is measured against the other cases of the same style, in robust standard deviations,
since some styles are harder to learn than others; their mean is the outlyingness of a label. Each part alone misses
errors that another one sees: an empty label lies among those of a style that leaves structures out, and an error that
the network has fitted has a low loss.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from nnunetv2_hypersort.hypernetwork.conditioning.joint_components import MAD_TO_DEVIATION
from nnunetv2_hypersort.images.overlap import compute_dice
from nnunetv2_hypersort.latents.density import isolation

Reals = NDArray[np.float64]

OUTLYING = 3.5
"""From so many robust standard deviations a value is an outlier (Iglewicz and Hoaglin 1993, modified z-scores)."""

# Fewer cases of a style tell too little of what is usual there; and a few errors of one kind could pass for a style.
_LEAST_GROUP = 10
# Below these, differences between cases are noise, however alike the cases are: loss and agreement in hundredths,
# distances by a tenth.
_LEAST_DEVIATION = {"loss": 0.01, "isolation": 0.1, "disagreement": 0.01}


@dataclass(frozen=True)
class Outlyingness:
    """How far cases lie above what is usual in their style, in robust standard deviations; not-a-number if unknown.

    Attributes:
        loss: Shape (n,): of the training loss.
        isolation: Shape (n,): of the distance of the latent to its neighbours, logarithmic.
        disagreement: Shape (n,): of 1 - agreement of label and prediction.
    """

    loss: Reals
    isolation: Reals
    disagreement: Reals

    @property
    def combined(self) -> Reals:
        """The mean of the parts that are known, shape (n,)."""
        return mean_of_known([self.loss, self.isolation, self.disagreement])


def outlyingness(
    latents: ArrayLike | None, losses: ArrayLike, styles: ArrayLike, disagreement: ArrayLike | None = None
) -> Outlyingness:
    """Compare the training cases of one fold with each other.

    Args:
        latents: Shape (n, dim); None while they say nothing of their cases, as in a warm-up.
        losses: Shape (n,): running mean of the training loss; not-a-number for a case that was never visited, whose
            latent counts for nothing.
        styles: Shape (n,), integer: the style of each case, best that whose prediction fits its label best (an
            erroneous latent may lie nearer to another), else that of the nearest medoid.
        disagreement: Shape (n,), in [0, 1]: 1 - agreement of the label with the prediction in the best of the fold's
            styles; not-a-number where it is unknown, None if it is unknown for all.

    Returns:
        The parts of the outlyingness.
    """
    losses, styles = np.asarray(losses, float), np.asarray(styles)
    visited = np.isfinite(losses)
    distances = np.full(len(losses), np.nan)
    if latents is not None:
        distances[visited] = isolation(np.asarray(latents, float)[visited])
    unknown = np.full(len(losses), np.nan)
    return Outlyingness(
        robust_z(losses, styles, least_deviation=_LEAST_DEVIATION["loss"]),
        robust_z(_log(distances), styles, least_deviation=_LEAST_DEVIATION["isolation"]),
        unknown if disagreement is None else outlying_disagreement(disagreement, styles),
    )


def outlying_disagreement(
    disagreement: ArrayLike, styles: ArrayLike, among: tuple[ArrayLike, ArrayLike] | None = None
) -> Reals:
    """Compare the disagreement of cases with what is usual in their style.

    Args:
        disagreement: Shape (n,), in [0, 1].
        styles: Shape (n,), integer.
        among: Disagreement and styles of the cases to compare with, shape (m,) each, where the cases themselves are
            fewer than 10; None compares them with each other in any case.

    Returns:
        Robust standard deviations, shape (n,).
    """
    few = np.isfinite(np.asarray(disagreement, float)).sum() < _LEAST_GROUP
    return robust_z(
        disagreement, styles, least_deviation=_LEAST_DEVIATION["disagreement"], among=among if few else None
    )


def agreement_per_label(shared: ArrayLike, drawn: ArrayLike, predicted: ArrayLike) -> Reals:
    """Agreement of labels with predictions, in [0, 1].

    The Dice coefficient for a label that was drawn. A label that was not drawn has none to speak of, as one stray
    voxel would make it 0: there it is 1 - predicted volume / usual volume, at least 0, and the usual volume is the
    median of the cases in which the label was drawn.

    Args:
        shared: Shape (n, styles, labels): volume that label map and prediction have in common.
        drawn: Shape (n, labels): volume in the label map.
        predicted: Shape (n, styles, labels): volume in the prediction.

    Returns:
        Shape (n, styles, labels); not-a-number where a label was neither drawn nor predicted.
    """
    shared, predicted = np.asarray(shared, float), np.asarray(predicted, float)
    drawn = np.asarray(drawn, float)
    usual = np.array([np.median(column[column > 0]) if (column > 0).any() else 0.0 for column in drawn.T])
    drawn = np.broadcast_to(drawn[:, None], shared.shape)
    dice = compute_dice(shared, drawn, predicted)
    surplus = np.divide(predicted, usual, out=np.ones(shared.shape), where=usual > 0)
    return np.asarray(np.where((drawn == 0) & (predicted > 0), 1 - np.minimum(surplus, 1), dice))


def mean_agreement(per_label: ArrayLike) -> Reals:
    """The mean over the labels that were drawn or predicted; 1 if none was.

    Args:
        per_label: Shape (n, styles, labels), from `agreement_per_label`.

    Returns:
        Shape (n, styles).
    """
    per_label = np.asarray(per_label, float)
    mean = mean_of_known(np.moveaxis(per_label, 2, 0))
    return np.asarray(np.where(np.isnan(mean), 1.0, mean))


def robust_z(
    values: ArrayLike,
    groups: ArrayLike,
    *,
    least_deviation: float,
    among: tuple[ArrayLike, ArrayLike] | None = None,
) -> Reals:
    """Distance from the median of the group in robust standard deviations (1.4826 median absolute deviations).

    Args:
        values: Shape (n,); not-a-number if unknown.
        groups: Shape (n,), integer. A group with fewer than 10 known values is compared with all.
        least_deviation: The smallest standard deviation, in the unit of the values.
        among: Values and groups to compare with, shape (m,) each; None compares the values with each other.

    Returns:
        Shape (n,); not-a-number where the value is, or where there is nothing to compare with.
    """
    values, groups = np.asarray(values, float), np.asarray(groups)
    known, known_groups = (values, groups) if among is None else (np.asarray(among[0], float), np.asarray(among[1]))
    known, known_groups = known[np.isfinite(known)], known_groups[np.isfinite(known)]
    result = np.full(len(values), np.nan)
    if not len(known):
        return result
    for group in np.unique(groups):
        usual = known[known_groups == group]
        if len(usual) < _LEAST_GROUP:
            usual = known
        median = np.median(usual)
        deviation = max(MAD_TO_DEVIATION * float(np.median(np.abs(usual - median))), least_deviation)
        result[groups == group] = (values[groups == group] - median) / deviation
    return result


def mean_of_known(parts: ArrayLike) -> Reals:
    """The mean of what is known.

    Args:
        parts: Arrays of one shape; not-a-number where unknown.

    Returns:
        Of the same shape; not-a-number where nothing is known.
    """
    stacked = np.asarray(parts, float)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0).sum(0)
    return np.asarray(np.divide(total, known.sum(0), out=np.full(total.shape, np.nan), where=known.any(0)))


def quality(combined: ArrayLike) -> Reals:
    """Label quality in [0, 1], lower = worse: the logistic function of `OUTLYING` - outlyingness.

    Args:
        combined: Outlyingness, shape (n,).

    Returns:
        Shape (n,): 0.97 for a usual label, 0.5 for one that lies 3.5 robust standard deviations out; not-a-number
        where the outlyingness is.
    """
    return np.asarray(expit(OUTLYING - np.asarray(combined, float)))


def _log(distances: Reals) -> Reals:
    # Relative to the usual distance; below a thousandth of it latents are the same.
    known = distances[np.isfinite(distances)]
    usual = float(np.median(known)) if len(known) else 0.0
    if usual == 0:
        usual = float(known.max()) if len(known) and known.max() > 0 else 1.0
    return np.asarray(np.log(np.maximum(distances / usual, 1e-3)))
