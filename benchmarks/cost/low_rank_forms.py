"""Low-rank changes of a convolution, sample by sample: with weights of its own for each, or by two thin convolutions.

conv(x, W + U diag(s) V) = conv(x, W) + U (s * conv(x, V)): V is a convolution to `rank` channels and U one of size 1,
so the batch stays together and no sample needs weights of its own. Which is faster depends on how much `rank` more
channels cost beside the layer's own.
"""

from typing import Any

import torch
from torch.nn.functional import conv3d

from benchmarks.cost.step_time import take_turns, versus

RANK = 8
# Channels and edge of the cube: the stages of the small plan and of nnU-Net's usual one; the latter with a quarter of
# the edge on a CPU, where the ratio matters and not the seconds.
LAYERS = {"cpu": ((8, 24), (16, 12), (32, 6), (32, 32), (128, 8), (320, 4)), "cuda": ((32, 128), (128, 32), (320, 8))}


def sample_by_sample(
    x: torch.Tensor, weight: torch.Tensor, left: torch.Tensor, right: torch.Tensor, factors: torch.Tensor
) -> torch.Tensor:
    """The convolution with the weights of each sample.

    Args:
        x: Shape (batch, channels, edge, edge, edge).
        weight: Shape (outputs, channels, 3, 3, 3).
        left: U, shape (outputs, rank).
        right: V, shape (rank, channels * 27).
        factors: s, shape (batch, rank).
    """
    weights = weight + ((left * factors[:, None, :]) @ right).reshape(-1, *weight.shape)
    return torch.cat([conv3d(x[i : i + 1], weights[i], padding=1) for i in range(len(x))])


def together(
    x: torch.Tensor, weight: torch.Tensor, left: torch.Tensor, right: torch.Tensor, factors: torch.Tensor
) -> torch.Tensor:
    """The same without weights for each sample; arguments as of `sample_by_sample`."""
    thin = conv3d(x, right.reshape(-1, *weight.shape[1:]), padding=1) * factors[:, :, None, None, None]
    return conv3d(x, weight, padding=1) + conv3d(thin, left[:, :, None, None, None])


def make_layer(channels: int, edge: int, device: str = "cpu", batch: int = 2) -> list[torch.Tensor]:
    """Input, weight, U, V and s of one layer, all to be differentiated."""
    generator = torch.Generator().manual_seed(0)
    shapes = (
        (batch, channels, edge, edge, edge),
        (channels, channels, 3, 3, 3),
        (channels, RANK),
        (RANK, channels * 27),
        (batch, RANK),
    )
    return [torch.randn(shape, generator=generator).to(device).requires_grad_() for shape in shapes]


def measure(*, device: str, repetitions: int) -> dict[str, Any]:
    """Time forward and backward of single layers in both forms; the ratio is that of `together`."""
    results = {}
    for channels, edge in LAYERS[device]:
        tensors = make_layer(channels, edge, device)

        def run(form: Any, tensors: Any = tensors) -> None:
            for _ in range(3):
                form(*tensors).square().mean().backward()

        seconds = take_turns(
            {"sample_by_sample": lambda run=run: run(sample_by_sample), "together": lambda run=run: run(together)},
            repetitions,
            device,
        )
        results[f"{channels} channels, {edge}^3"] = {
            clock: versus(taken, "together", "sample_by_sample") for clock, taken in seconds.items()
        }
    return results
