"""The interface of everything that turns a latent into network parameters."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import nn


class WeightGenerator(nn.Module, ABC):
    """Generates parameters of a primary network from latents.

    A generator knows the names and shapes of the primary network's parameters and nothing else of it. What it returns
    is either added to the primary network's own parameters (`residual`) or used in their place.

    Attributes:
        residual: Whether the generated values are offsets to the primary network's own parameters.
    """

    residual: bool

    @abstractmethod
    def forward(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Generate parameters.

        Args:
            latents: Shape (n, dim), float32.

        Returns:
            For each generated parameter its name in the primary network, and the values, shape (n, *parameter.shape).
        """

    def align(self, latents: torch.Tensor, directions: Mapping[str, torch.Tensor]) -> None:
        """Set a residual generator so that latents move some parameters along given directions, and no others.

        Args:
            latents: Shape (n, dim): where the generator has to be right.
            directions: For each parameter that moves, shape (dim, *parameter.shape): its change by each coordinate.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be aligned")
