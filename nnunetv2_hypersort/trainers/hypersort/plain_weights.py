"""From the weights of a HyperSORT training to those of the planned network at one latent."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import nn

from nnunetv2_hypersort.latents.fold_record import RECORD_KEY
from nnunetv2_hypersort.settings import Settings
from nnunetv2_hypersort.trainers.hypersort.planned_network import PlannedHyperNetwork


def are_of_training(weights: Mapping[str, Any]) -> bool:
    """Whether these are the weights of a HyperSORT training, not those of a planned network."""
    return RECORD_KEY in weights or any(name.startswith("primary.") for name in weights)


def plain_weights(
    network: nn.Module,
    settings: Settings,
    weights: Mapping[str, Any],
    latent: Sequence[float] | np.ndarray,
    *,
    source: str,
) -> dict[str, torch.Tensor]:
    """Generate the weights of one latent, on the CPU: the same to the last bit whatever device predicts.

    Args:
        network: The planned network; it is copied, and stays as it is.
        settings: The settings of the training.
        weights: The network weights of a checkpoint of it, looked at by `refuse_changed_weights`.
        latent: Shape (dim,).
        source: Where the weights come from; named in errors.

    Returns:
        A state dict of `network`.

    Raises:
        HyperSORTError: The weights do not fit the network.
    """
    # A network is made with random numbers, and made inside nnU-Net's inference mode it could not be used outside.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.no_grad():
        hypernetwork = PlannedHyperNetwork(deepcopy(network).cpu(), settings)
        hypernetwork.load_trained(weights, source=source)
        hypernetwork.materialise(torch.as_tensor(np.asarray(latent), dtype=torch.float32))
        plain: dict[str, torch.Tensor] = hypernetwork.primary.state_dict()
    return plain
