"""The nonlinear code of a latent that the residual generators are linear in."""

import torch
from torch import nn

_RIDGE = 1e-3


class LatentCode(nn.Module):
    """Maps a latent z to tanh(W z + b) - tanh(b): zero at the origin, bounded, and not odd in z.

    Zero at the origin makes the primary network's own parameters the style of the zero latent. The offset b lets
    opposite latents have codes that are not opposite, which three or more styles around the origin need.

    Args:
        dim: Number of coordinates of a latent.
        width: Number of coordinates of the code.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, dim))
        self.bias = nn.Parameter(torch.rand(width) * 2 - 1)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Map latents, shape (n, dim), to codes, shape (n, width), each value in (-2, 2)."""
        # Both terms go through the same kernels at the same places of the same shape, so that they cancel to the last
        # bit for a zero latent.
        return torch.tanh(nn.functional.linear(latents, self.weight, self.bias)) - torch.tanh(
            nn.functional.linear(torch.zeros_like(latents), self.weight, self.bias)
        )


def fit_code(code: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The matrix M for which code @ M comes nearest to `wanted` (ridge regression).

    Args:
        code: Shape (n, width).
        wanted: Shape (n, outputs).

    Returns:
        Shape (width, outputs).
    """
    exact = code.double()
    penalty = _RIDGE * len(exact) * torch.eye(exact.shape[1], dtype=exact.dtype, device=exact.device)
    solution: torch.Tensor = torch.linalg.solve(exact.T @ exact + penalty, exact.T @ wanted.double())
    return solution.to(wanted)
