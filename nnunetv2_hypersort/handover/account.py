"""What a style that is handed over was made with, as its record states it."""

from typing import Any

from nnunetv2_hypersort.latents import ChosenLatent
from nnunetv2_hypersort.model.trained_fold import TrainedFold


def latent_account(fold: TrainedFold, latent: ChosenLatent) -> dict[str, Any]:
    """The latent of one fold and the identity of its checkpoint, in JSON types.

    Args:
        fold: The fold.
        latent: What was chosen in it.
    """
    return {
        "latent": [float(value) for value in latent.coordinates],
        "origin": latent.origin,
        "fingerprint": fold.record.fingerprint,
        "weights": fold.record.weights,
        "settings": fold.record.settings,
    }
