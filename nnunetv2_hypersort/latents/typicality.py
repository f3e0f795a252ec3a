"""How typical a latent is among those of the training cases."""

import numpy as np
from scipy.spatial import cKDTree


def typicality(latent: np.ndarray, latents: np.ndarray) -> float:
    """Rank the density at a latent among the densities at the training latents.

    The density is judged as for the mode: by the distance to the k-th nearest training latent, k = sqrt(n) rounded up
    (Loftsgaarden and Quesenberry 1965).

    Args:
        latent: Shape (dim,); a training latent itself is not its own neighbour.
        latents: Those of the training cases, shape (n, dim), n >= 2, finite.

    Returns:
        The share of training latents, in [0, 1], that lie no more densely: 1 at the mode, 0 where every training
        latent lies more densely, as far outside.
    """
    count = len(latents)
    neighbours = min(count - 1, int(np.ceil(np.sqrt(count))))
    tree = cKDTree(latents)
    own, _ = tree.query(latents, k=[neighbours + 1])
    is_training_latent = bool((latents == latent).all(1).any())
    here, _ = tree.query(latent, k=[neighbours + is_training_latent])
    return float(np.mean(own[:, 0] >= here[0]))
