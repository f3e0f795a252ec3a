"""The spectral start: where each case's loss pulls the shared network, and latents made from it."""

from typing import Any

import numpy as np
import torch
from torch import nn

from nnunetv2_hypersort.hypernetwork.conditioning.joint_components import joint_components, within_images

_LARGEST_SKETCH = 512
_SMALLEST_SKETCH = 8
_SUM_ENTRIES = 2**21
_SAMPLES_PER_DIRECTION = 3
_FLOOR = 1e-4
_CHANGE = 0.25
_SEED = 2506


class CaseGradients(nn.Module):
    """Gathers the gradients of each case during the warm-up and turns them into latents.

    During the warm-up all latents are zero, so one network serves all cases. Each visit of a case gives the gradient g
    of its loss with respect to its own offsets to the affine parameters of the normalisation layers. How these vary
    between the visits of one case (patch, augmentation, state of the network) is noise; what stays the same from visit
    to visit is what the case asks of the network: its annotation style, or its error. So with C the covariance within
    cases and m_i the mean of case i, the whitened means C^(-1/2) m_i are compared: their principal components become
    the latents. -C^(-1/2) v_k is then the change of the parameters that belongs to component v_k: the natural
    gradient step (Amari 1998) with C in the place of the Fisher information.

    A case with a wrong label pulls hardest and would own the first components; each whitened mean is therefore scaled
    to length one first, about the median (spatial signs: Locantore et al. 1999, robust principal components).

    Gradients are projected to random directions (fixed, so they need not be stored) where there are more parameters
    than 512, or so many that fewer than three gradients would be gathered for each: the covariance would be singular.
    The buffers are empty before `begin` and after `solve`.

    Args:
        size: Number of affine parameters.
    """

    sums: torch.Tensor
    counts: torch.Tensor
    second_moment: torch.Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("sums", torch.zeros(0, 0))
        self.register_buffer("counts", torch.zeros(0))
        self.register_buffer("second_moment", torch.zeros(0, 0, dtype=torch.float64))
        self._sketch: torch.Tensor | None = None

    @property
    def gathering(self) -> bool:
        """Whether the start is still to come."""
        return len(self.counts) > 0

    def begin(self, cases: int, samples: int) -> None:
        """Gather for this many cases, from nothing.

        Args:
            cases: Number of cases.
            samples: Number of gradients that will be gathered, about.
        """
        device = self.counts.device
        affordable = min(_SUM_ENTRIES // cases, (samples - cases) // _SAMPLES_PER_DIRECTION)
        width = min(self.size, _LARGEST_SKETCH, max(_SMALLEST_SKETCH, affordable))
        self.sums = torch.zeros(cases, width, device=device)
        self.counts = torch.zeros(cases, device=device)
        self.second_moment = torch.zeros(width, width, dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, rows: torch.Tensor, gradients: torch.Tensor) -> None:
        """Add the gradients of one batch; those that are not finite are left out.

        Args:
            rows: Shape (n,), int64; may hold a row several times.
            gradients: Shape (n, size).
        """
        finite = torch.isfinite(gradients).all(1)
        rows, gradients = rows.to(self.counts.device)[finite.to(self.counts.device)], gradients[finite].float()
        sketched = self._project(gradients)
        self.sums.index_add_(0, rows, sketched)
        self.counts.index_add_(0, rows, torch.ones_like(rows, dtype=self.counts.dtype))
        exact = sketched.double()
        self.second_moment += exact.T @ exact

    @torch.no_grad()
    def fade(self, share: float) -> None:
        """Let what was gathered so far count for this share, from 0 to 1: the network has learnt since."""
        for buffer in (self.sums, self.counts, self.second_moment):
            buffer.mul_(share)

    @torch.no_grad()
    def solve(
        self, dim: int, residuals: np.ndarray | None = None, images: np.ndarray | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Make latents and the parameter changes that belong to their coordinates; empties the buffers.

        Args:
            dim: Number of coordinates of a latent.
            residuals: Shape (cases, k), on one scale: further numbers that say how a case was annotated, which count as
                much as the gradients; None leaves these alone.
            images: Shape (cases,), integer: cases with the same number are annotations of one image, and only how they
                differ from each other counts; None where each case has its own.

        Returns:
            Latents, shape (cases, dim), with a root mean square of one over the cases that were visited; a case that
            was never visited is at zero. And the directions, shape (dim, size): `latents @ directions` are offsets to
            the affine parameters, with a root mean square of 0.25 beside parameters that start at one and zero.
        """
        drawn = self.counts > 0
        counts = self.counts.double().clamp(min=1e-30)[:, None]
        means = self.sums.double() / counts
        within = self.second_moment - (means * counts).T @ means
        # An overall factor of the covariance does not matter here, so it is not divided by the degrees of freedom.
        variances, axes = torch.linalg.eigh(within)
        whitening = axes / (variances.clamp(min=0) + _FLOOR * variances[-1]).clamp(min=1e-30).sqrt()
        pulls = means @ whitening
        if drawn.any():
            pulls = pulls - pulls[drawn].median(0).values
        signs = pulls / pulls.norm(dim=1, keepdim=True).clamp(min=1e-30)
        # Of a case that was never visited no gradient is known, so it is no annotation to compare others with.
        seen = drawn.cpu().numpy()
        blocks = [signs[drawn].cpu().numpy(), *([] if residuals is None else [np.asarray(residuals, float)[seen]])]
        if images is not None:
            blocks = [within_images(block, images[seen]) for block in blocks]
        latents = signs.new_zeros(len(signs), dim)
        latents[drawn] = torch.as_tensor(joint_components(blocks, dim)).to(signs)
        # What the cases far out along a coordinate ask for in common: for gradients alone, their principal components.
        pull = latents[drawn].T @ torch.as_tensor(blocks[0]).to(signs)
        directions = -self._lift((whitening @ pull.T).T)
        # The mean square of latents @ directions, without that product: cases x parameters can be gigabytes.
        mean_square = ((latents.T @ latents @ directions) * directions).sum() / (len(latents) * self.size)
        directions *= _CHANGE / mean_square.clamp(min=0).sqrt().clamp(min=1e-30)
        # Not slices: they would keep the storage, and torch.save writes all of it into every later checkpoint.
        self.sums, self.counts = self.sums.new_zeros(0, 0), self.counts.new_zeros(0)
        self.second_moment = self.second_moment.new_zeros(0, 0)
        self._sketch = None
        return latents.float(), directions.float()

    def _project(self, gradients: torch.Tensor) -> torch.Tensor:
        return gradients if self.sums.shape[1] == self.size else gradients @ self._sketch_matrix(gradients)

    def _lift(self, directions: torch.Tensor) -> torch.Tensor:
        if self.sums.shape[1] == self.size:
            return directions
        return directions @ self._sketch_matrix(directions).T

    def _sketch_matrix(self, like: torch.Tensor) -> torch.Tensor:
        width = self.sums.shape[1]
        if self._sketch is None or self._sketch.shape[1] != width:
            generator = torch.Generator().manual_seed(_SEED)
            self._sketch = torch.randn(self.size, width, generator=generator) / width**0.5
        self._sketch = self._sketch.to(self.counts.device)
        return self._sketch.to(like)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Their sizes tell whether the start is still to come.
        for name, buffer in list(self._buffers.items()):
            saved = state_dict.get(prefix + name)
            if buffer is not None and isinstance(saved, torch.Tensor) and saved.dim() == buffer.dim():
                setattr(self, name, buffer.new_zeros(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)
