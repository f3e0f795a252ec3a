"""Weights as the primary network's own plus a mixture of a few learnt weight vectors."""

from collections.abc import Mapping

import torch
from torch import nn

from nnunetv2_hypersort.hypernetwork.latent_code import LatentCode, fit_code
from nnunetv2_hypersort.hypernetwork.weight_generator import WeightGenerator


class BasisGenerator(WeightGenerator):
    """Adds sum_r a_r(z) B_r to every parameter, where the B_r are `rank` weight vectors as large as the network.

    The coefficients a(z) are a linear map of the latent's code, so they vanish at the zero latent. A basis vector
    starts as noise of the standard deviation of the parameter it belongs to, so that it changes layers in proportion.

    Args:
        parameters: The primary network's parameters by name.
        dim: Number of coordinates of a latent.
        hidden: Width of the latent's code.
        rank: Number of basis vectors.
    """

    residual = True

    def __init__(self, parameters: Mapping[str, torch.Tensor], dim: int, hidden: int, rank: int) -> None:
        super().__init__()
        self.names = list(parameters)
        self.code = LatentCode(dim, hidden)
        self.coefficients = nn.Linear(hidden, rank, bias=False)
        self.basis = nn.ParameterList(
            torch.randn(rank, *parameter.shape) * _spread(parameter) for parameter in parameters.values()
        )

    def forward(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Generate offsets to all parameters; see `WeightGenerator.forward`."""
        coefficients = self.coefficients(self.code(latents))
        return {
            name: torch.tensordot(coefficients, basis, dims=1)
            for name, basis in zip(self.names, self.basis, strict=True)
        }

    @torch.no_grad()
    def align(self, latents: torch.Tensor, directions: Mapping[str, torch.Tensor]) -> None:
        """Make the first basis vectors the directions, mixed as the latents are; see `WeightGenerator.align`.

        The other basis vectors stay random with coefficients of zero, so they are learnt from the first step on.
        """
        used = min(latents.shape[1], self.coefficients.out_features)
        self.coefficients.weight.zero_()
        self.coefficients.weight[:used] = fit_code(self.code(latents), latents[:, :used]).T
        for name, basis in zip(self.names, self.basis, strict=True):
            basis[:used] = directions[name][:used] if name in directions else 0


def _spread(parameter: torch.Tensor) -> float:
    # Biases start at 0 and norm weights at 1: both have no spread to go by, and 0.1 is small beside an activation of
    # unit variance.
    spread = float(parameter.detach().std()) if parameter.numel() > 1 else 0.0
    return spread if spread > 0 else 0.1
