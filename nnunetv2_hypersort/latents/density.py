"""How densely latents lie: the mode, how typical a latent is, and how isolated."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

_ISOLATION_NEIGHBOUR = 5


def densest_latent(latents: np.ndarray) -> int:
    """Find the latent around which the others lie most densely: the mode.

    The density at a latent is judged by the distance to its k-th nearest neighbour (Loftsgaarden and Quesenberry
    1965), k = sqrt(n) rounded up, which needs no bandwidth and ignores how far away the other clusters are.

    Args:
        latents: Shape (n, dim), n >= 1, finite.

    Returns:
        The row of the densest latent; the first of them if several are equally dense.
    """
    neighbours = _neighbours(len(latents))
    if neighbours < 1:
        return 0
    return int(np.argmin(_distances(latents, neighbours)))


def typicality(latent: np.ndarray, latents: np.ndarray) -> float:
    """Rank the density at a latent among the densities at the training latents.

    The density is judged as for the mode.

    Args:
        latent: Shape (dim,); a training latent itself is not its own neighbour.
        latents: Those of the training cases, shape (n, dim), n >= 2, finite.

    Returns:
        The share of training latents, in [0, 1], that lie no more densely: 1 at the mode, 0 where every training
        latent lies more densely, as far outside.
    """
    neighbours = _neighbours(len(latents))
    own = _distances(latents, neighbours)
    is_training_latent = bool((latents == latent).all(1).any())
    here, _ = cKDTree(latents).query(latent, k=[neighbours + is_training_latent])
    return float(np.mean(own >= here[0]))


def isolation(latents: ArrayLike) -> NDArray[np.float64]:
    """Distance of each latent to the 5th nearest other one (fewer, if there are fewer), shape (n,).

    Args:
        latents: Shape (n, dim), finite.
    """
    latents = np.asarray(latents, float)
    neighbour = min(_ISOLATION_NEIGHBOUR, len(latents) - 1)
    return _distances(latents, neighbour) if neighbour >= 1 else np.zeros(len(latents))


def _neighbours(count: int) -> int:
    return min(count - 1, int(np.ceil(np.sqrt(count))))


def _distances(latents: np.ndarray, neighbour: int) -> NDArray[np.float64]:
    # The nearest is the latent itself.
    distances, _ = cKDTree(latents).query(latents, k=[neighbour + 1])
    return np.asarray(distances[:, 0], float)
