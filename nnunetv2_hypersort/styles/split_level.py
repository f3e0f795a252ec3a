"""How much evidence of two groups one style gives by chance, and how far apart two styles have to be to be seen."""

import numpy as np

# From `benchmarks.number_of_styles.levels`, smoothed: evidence that about seven in a hundred sets of one style exceed,
# by number of points and dimension. In two dimensions from 400 to 1,000 sets each, in the others from 30 to 400; there
# the check for rings and bows leaves room for a little less. Ten dimensions and few points are extrapolated.
_LEVEL_COUNTS = (10, 20, 40, 80, 160, 400)
_LEVEL_DIMS = (1, 2, 3, 5, 10)
_LEVELS = (
    (0.6, 3.3, 4.9, 8.0, 12.0),
    (1.7, 3.5, 5.7, 10.4, 20.0),
    (1.7, 3.35, 5.4, 9.4, 19.0),
    (2.4, 3.4, 5.3, 9.0, 18.0),
    (2.9, 4.0, 5.5, 8.8, 16.0),
    (4.0, 5.8, 6.5, 8.8, 14.0),
)
# Of many points any shape that the models of one style do not have is evidence: two Gaussians nearer than three
# standard deviations, which hardly have a valley between them, give less than this for each point, and so do other
# single peaks.
_LEVEL_PER_POINT = 0.018
# From `benchmarks.number_of_styles`, by dimension.
_TOLD_APART_COUNTS = (20, 40, 80, 160, 400)
_TOLD_APART = {2: (4.6, 3.7, 3.0, 3.0, 3.0)}


def split_level(count: int, dim: int) -> float:
    """The evidence of two groups that points have to exceed to be split.

    Args:
        count: Number of points.
        dim: Their dimension.
    """
    by_dim = [np.interp(np.log(count), np.log(_LEVEL_COUNTS), column) for column in np.transpose(_LEVELS)]
    return max(float(np.interp(dim, _LEVEL_DIMS, by_dim)), _LEVEL_PER_POINT * count)


def told_apart_distance(count: int, dim: int) -> float | None:
    """The distance of two groups of equal size that `find_clusters` splits in 80 % of simulated sets.

    Args:
        count: Number of points.
        dim: Their dimension.

    Returns:
        Of the means, in standard deviations within the groups (Gaussian); None for a dimension that was not simulated.
        For fewer or more points than were simulated that of the nearest number.
    """
    if dim not in _TOLD_APART:
        return None
    return float(np.interp(np.log(count), np.log(_TOLD_APART_COUNTS), _TOLD_APART[dim]))
