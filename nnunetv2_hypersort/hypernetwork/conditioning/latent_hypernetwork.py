"""A hypernetwork that is conditioned on a latent per training case."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from nnunetv2_hypersort.hypernetwork.conditioning.case_gradients import CaseGradients
from nnunetv2_hypersort.hypernetwork.conditioning.latent_table import LatentTable
from nnunetv2_hypersort.hypernetwork.hypernetwork import HyperNetwork
from nnunetv2_hypersort.hypernetwork.weight_generator import WeightGenerator


class LatentHyperNetwork(HyperNetwork):
    """A hypernetwork with the latents of the training cases, and the warm-up they start from, in its state dict.

    Args:
        primary: See `HyperNetwork`.
        make_generator: See `HyperNetwork`.
        latents: The latents of the training cases.
    """

    def __init__(
        self,
        primary: nn.Module,
        make_generator: Callable[[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]], WeightGenerator],
        latents: LatentTable,
    ) -> None:
        super().__init__(primary, make_generator, latents.dim)
        self.latents = latents
        self.case_gradients = CaseGradients(sum(self.affine_sizes.values()))

    @torch.no_grad()
    def start(self, residuals: np.ndarray | None = None, images: np.ndarray | None = None) -> None:
        """End the warm-up: give the cases latents, and let the generator move along what belongs to them.

        Args:
            residuals: See `CaseGradients.solve`.
            images: See there.
        """
        latents, directions = self.case_gradients.solve(self.dim, residuals, images)
        self.align(latents, directions)
        self.latents.place(latents)
