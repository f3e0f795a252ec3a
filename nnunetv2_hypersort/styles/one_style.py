"""How well values are told by one style of any shape: the likelihood of the best shape without a valley."""

import math

import numpy as np
from scipy.special import gammaln

# How far before the outermost value a skewed shape begins, in standard deviations: from very skewed to nearly Gaussian.
_SHIFTS = np.array([0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 6.0, 20.0])
# Flat-topped shapes: powers of the generalised normal distribution. They cost as much likelihood as this.
_POWERS = (3.0, 4.0, 6.0, 10.0)
_PRICE_OF_FLAT = 6.0
_PRICE_OF_RING = 4.0


def one_style_likelihood(values: np.ndarray) -> np.ndarray:
    """The largest log-likelihood among shapes that have no valley, so that one style may have any of them.

    These are shifted lognormal and shifted gamma distributions to either side, with shifts so far away that they are
    Gaussian, too; and generalised normal distributions with a flat top. The latter at a price of six units: a few dozen
    cases of two styles that touch look flat, hundreds that are flat do not look like two styles at any price.

    Args:
        values: Shape (rows, n), finite, of mean 0 and variance 1 in each row.

    Returns:
        Shape (rows,).
    """
    return np.asarray(np.maximum(_skewed(values), _flat(values) - _PRICE_OF_FLAT))


def ring_likelihood(points: np.ndarray) -> float:
    """The largest log-likelihood of a ring or a hollow sphere around the origin, less a price of four units.

    All directions are as probable, and the squared radius has a gamma distribution, which a Gaussian has, too: with a
    larger shape parameter the middle is empty.

    Args:
        points: Shape (n, dim), of mean 0 and covariance 1.
    """
    count, dim = points.shape
    squares = np.maximum((points**2).sum(axis=1), 1e-12)
    log_sum = np.log(squares).sum()
    # What a shell has for its volume beside the square of its radius.
    shell = count * (gammaln(dim / 2) - dim / 2 * math.log(math.pi)) - (dim / 2 - 1) * log_sum
    return float(_gamma(log_sum, squares.mean(), count) + shell) - _PRICE_OF_RING


def _skewed(values: np.ndarray) -> np.ndarray:
    count = values.shape[1]
    sides = np.concatenate([values - values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True) - values])
    shifted = sides[:, None, :] + _SHIFTS[:, None]
    logs = np.log(shifted)
    sums, mean = logs.sum(axis=2), shifted.mean(axis=2)
    lognormal = -count / 2 * (np.log(2 * math.pi * logs.var(axis=2)) + 1) - sums
    gamma = _gamma(sums, mean, count)
    best = np.maximum(lognormal, gamma).max(axis=1)
    return np.asarray(np.maximum(best[: len(values)], best[len(values) :]))


def _gamma(log_sums: np.ndarray, mean: np.ndarray, count: int) -> np.ndarray:
    # The shape of the distribution within 1.5 % of the most likely one (Minka 2002).
    gap = np.maximum(np.log(mean) - log_sums / count, 1e-12)
    shape = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    return np.asarray((shape - 1) * log_sums - count * (shape + shape * np.log(mean / shape) + gammaln(shape)))


def _flat(values: np.ndarray) -> np.ndarray:
    count = values.shape[1]
    middle = (values.max(axis=1, keepdims=True) + values.min(axis=1, keepdims=True)) / 2
    fits = []
    for power in _POWERS:
        centre = middle / 2
        for _ in range(4):  # Newton's steps to the most likely centre
            off = values - centre
            bend = np.abs(off) ** (power - 2)
            centre = centre + (bend * off).sum(axis=1, keepdims=True) / (power - 1) / bend.sum(axis=1, keepdims=True)
        scale = (power * (np.abs(values - centre) ** power).mean(axis=1)) ** (1 / power)
        fits.append(count * (math.log(power / 2) - np.log(scale) - gammaln(1 / power) - 1 / power))
    return np.asarray(np.max(fits, axis=0))
