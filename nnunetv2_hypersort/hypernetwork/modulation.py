"""Weights as the primary network's own, with the affine parameters of its normalisation layers moved."""

from collections.abc import Mapping

import torch
from torch import nn

from nnunetv2_hypersort.hypernetwork.latent_code import LatentCode, fit_code
from nnunetv2_hypersort.hypernetwork.weight_generator import WeightGenerator


class ModulationGenerator(WeightGenerator):
    """Adds a linear function of the latent's code to the scale and shift of every normalisation layer.

    This is feature-wise modulation (FiLM, Perez et al. 2018) placed where it has an effect and no cost: a scale or
    shift of a convolution's output would be undone by the instance normalisation behind it, while the affine
    parameters of that normalisation act after it (conditional instance normalisation, Dumoulin et al. 2017).

    Args:
        parameters: The primary network's parameters that are modulated, by name; each of shape (channels,).
        dim: Number of coordinates of a latent.
        hidden: Width of the latent's code.
    """

    residual = True

    def __init__(self, parameters: Mapping[str, torch.Tensor], dim: int, hidden: int) -> None:
        super().__init__()
        if not parameters:
            raise ValueError("modulation needs a network with affine normalisation layers; choose low_rank or basis")
        self.sizes = {name: parameter.numel() for name, parameter in parameters.items()}
        self.code = LatentCode(dim, hidden)
        # One matrix for all layers: one multiplication per step instead of one per layer.
        self.directions = nn.Parameter(torch.randn(hidden, sum(self.sizes.values())) / hidden**0.5)

    def forward(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Generate offsets to the affine parameters; see `WeightGenerator.forward`."""
        offsets = (self.code(latents) @ self.directions).split(list(self.sizes.values()), dim=1)
        return dict(zip(self.sizes, offsets, strict=True))

    @torch.no_grad()
    def align(self, latents: torch.Tensor, directions: Mapping[str, torch.Tensor]) -> None:
        """Fit the matrix of directions; see `WeightGenerator.align`."""
        # The fit is linear in what is wanted, latents @ directions, which can be gigabytes: it comes last.
        wanted = torch.cat([directions[name] for name in self.sizes], dim=1)
        self.directions.copy_(fit_code(self.code(latents), latents) @ wanted)
