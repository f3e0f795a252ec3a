"""Weights as the primary network's own plus a low-rank change of each convolution."""

from collections.abc import Mapping

import torch
from torch import nn

from nnunetv2_hypersort.hypernetwork.latent_code import LatentCode, fit_code
from nnunetv2_hypersort.hypernetwork.weight_generator import WeightGenerator


class LowRankGenerator(WeightGenerator):
    """Adds U diag(s(z)) V to each convolution weight and a linear function of the code to each bias and norm parameter.

    A convolution weight is seen as a matrix of its first dimension against all others; U has `rank` columns and V
    `rank` rows. The `rank` factors s(z) of each convolution are a linear map of the latent's code.

    Args:
        parameters: The primary network's parameters by name.
        dim: Number of coordinates of a latent.
        hidden: Width of the latent's code.
        rank: Rank of the change of a convolution.
    """

    residual = True

    def __init__(self, parameters: Mapping[str, torch.Tensor], dim: int, hidden: int, rank: int) -> None:
        super().__init__()
        self.shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
        self.code = LatentCode(dim, hidden)
        self.left = nn.ParameterList()
        self.right = nn.ParameterList()
        self.factors = nn.ParameterList()
        self.vectors = nn.ParameterList()
        for parameter in parameters.values():
            if parameter.dim() < 2:
                self.vectors.append(torch.randn(hidden, parameter.numel()) / hidden**0.5)
                continue
            spread = float(parameter.detach().std())
            self.left.append(torch.randn(parameter.shape[0], rank) / rank**0.5)
            self.right.append(torch.randn(rank, parameter[0].numel()) * spread)
            self.factors.append(torch.randn(hidden, rank) / hidden**0.5)

    def forward(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Generate offsets to all parameters; see `WeightGenerator.forward`."""
        code = self.code(latents)
        matrices = zip(self.left, self.factors, self.right, strict=True)
        vectors = iter(self.vectors)
        offsets = {}
        for name, shape in self.shapes.items():
            if len(shape) < 2:
                offsets[name] = code @ next(vectors)
            else:
                left, factors, right = next(matrices)
                scaled = left * (code @ factors)[:, None, :]
                offsets[name] = (scaled @ right).reshape(-1, *shape)
        return offsets

    @torch.no_grad()
    def align(self, latents: torch.Tensor, directions: Mapping[str, torch.Tensor]) -> None:
        """Fit the vectors of the parameters that move; see `WeightGenerator.align`.

        A convolution has factors of zero then, but U and V that are not, so it learns from the first step on.
        """
        # The fit is linear in what is wanted, latents @ directions, which can be gigabytes: it comes last.
        fit = fit_code(self.code(latents), latents)
        names = [name for name, shape in self.shapes.items() if len(shape) < 2]
        for name, vectors in zip(names, self.vectors, strict=True):
            vectors.copy_(fit @ directions[name] if name in directions else vectors * 0)
        for factors in self.factors:
            factors.zero_()
