"""The generator of the HyperSORT publication: one linear head per parameter."""

from collections.abc import Mapping

import torch
from torch import nn

from nnunetv2_hypersort.hypernetwork.weight_generator import WeightGenerator


class FullGenerator(WeightGenerator):
    """Generates every parameter of the primary network from an MLP, as published.

    Three hidden layers with a ReLU after each, then one linear head per parameter, its bias set to the parameter's
    initial value and its weight left at PyTorch's default; every generated value is `5 * tanh(head)`. Source: the
    code of HyperSORT (arXiv 2506.21430). It has about `hidden + 1` times the parameters of the primary network: it is
    here for fidelity, not for a plan of 31 million parameters.

    Args:
        parameters: The primary network's parameters by name.
        dim: Number of coordinates of a latent.
        hidden: Width of the hidden layers.
    """

    residual = False
    scale = 5.0

    def __init__(self, parameters: Mapping[str, torch.Tensor], dim: int, hidden: int = 50) -> None:
        super().__init__()
        self.shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
        self.trunk = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.heads = nn.ModuleList()
        for parameter in parameters.values():
            head = nn.Linear(hidden, parameter.numel())
            with torch.no_grad():
                head.bias.copy_(parameter.flatten())
            self.heads.append(head)

    def forward(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Generate all parameters; see `WeightGenerator.forward`."""
        features = self.trunk(latents)
        return {
            name: (self.scale * torch.tanh(head(features))).reshape(-1, *shape)
            for (name, shape), head in zip(self.shapes.items(), self.heads, strict=True)
        }
