"""Search for the latent whose network agrees best with given labels."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import qmc

from nnunetv2_hypersort.hypernetwork import HyperNetwork
from nnunetv2_hypersort.nnunet.patches import Patch
from nnunetv2_hypersort.styles.clustering import find_clusters
from nnunetv2_hypersort.trainers.base.annotation.batch_annotation import BatchAnnotation

MOST_GRADIENTS = 20
_GRID = 16


class LatentLoss:
    """nnU-Net's loss on given patches as a function of the latent alone; all weights are frozen.

    Args:
        network: Network of one fold, on the device to compute on; its parameters lose their gradients.
        loss: nnU-Net's loss for one output at full resolution.
        cases: The patches of each case. The loss is the mean over cases of the mean over patches.
        annotation: Tells what the cases are annotated for; None where all are fully.
        case_ids: Their names, with an annotation.
    """

    def __init__(
        self,
        network: HyperNetwork,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        cases: Sequence[Sequence[Patch]],
        annotation: BatchAnnotation | None = None,
        case_ids: Sequence[str] = (),
    ) -> None:
        self._network = network.eval().requires_grad_(False)
        self._loss = loss
        self._annotation = annotation
        names = case_ids if annotation is not None else [""] * len(cases)
        self._patches = [
            (name, patch, 1 / (len(cases) * len(patches)))
            for name, patches in zip(names, cases, strict=True)
            for patch in patches
        ]
        self._device = next(network.parameters()).device

    def __call__(self, latent: np.ndarray) -> float:
        """The loss at a latent, shape (dim,); infinite where it is not finite."""
        with torch.no_grad():
            value = sum(
                float(self._of_patch(case, patch, self._as_tensor(latent))) * share
                for case, patch, share in self._patches
            )
        return value if np.isfinite(value) else np.inf

    def with_gradient(self, latent: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss at a latent, and its gradient by the latent, shape (dim,)."""
        variable = self._as_tensor(latent).requires_grad_()
        value = 0.0
        for case, patch, share in self._patches:
            # Patch by patch, so that memory holds the activations of one.
            part = self._of_patch(case, patch, variable) * share
            part.backward()
            value += float(part.detach())
        assert variable.grad is not None
        gradient = variable.grad[0].cpu().double().numpy()
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return np.inf, np.zeros_like(gradient)
        return value, gradient

    def _of_patch(self, case: str, patch: Patch, latent: torch.Tensor) -> torch.Tensor:
        data, target = (tensor.to(self._device) for tensor in patch)
        with nullcontext() if self._annotation is None else self._annotation.cases([case]):
            return self._loss(self._network(data, latent), target)

    def _as_tensor(self, latent: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(latent, dtype=torch.float32, device=self._device)[None]


@dataclass(frozen=True)
class FoundLatent:
    """The result of a search.

    Attributes:
        coordinates: Shape (dim,).
        loss: The loss there, the lowest of all that were evaluated.
        candidates: The losses of the candidates by their names.
    """

    coordinates: np.ndarray
    loss: float
    candidates: Mapping[Any, float]


def find_latent(
    loss: Callable[[np.ndarray], float],
    loss_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]],
    candidates: Mapping[Any, np.ndarray],
    training: np.ndarray,
    *,
    beyond: float = 0.0,
) -> FoundLatent:
    """Find the latent of the lowest loss.

    The loss is deterministic and has few variables but, as styles are islands, several minima. So the candidates, the
    medoids of the clusters of training latents and a coarse grid over their range are evaluated, and L-BFGS-B (Byrd et
    al. 1995) goes on from the best two.

    Args:
        loss: What to minimise, of a latent of shape (dim,).
        loss_and_gradient: The same with its gradient, shape (dim,).
        candidates: Latents to start from by name, each of shape (dim,).
        training: The latents of the training cases, shape (n, dim): the search stays within their range, axis by axis,
            since the network was never trained elsewhere. Candidates may lie outside.
        beyond: How far it may leave that range on each side, as a share of it; >= 0.

    Returns:
        The best of all latents that were evaluated, so never worse than a candidate.
    """
    low, high = training.min(0), training.max(0)
    reach = beyond * (high - low)
    low, high = low - reach, high + reach
    scale = np.where(high > low, training.std(0), 1.0)
    named = {name: loss(latent) for name, latent in candidates.items()}
    evaluated = [(value, candidates[name]) for name, value in named.items()]
    evaluated += [
        (loss(latent), latent) for latent in (*training[list(find_clusters(training).medoids)], *_grid(low, high))
    ]
    starts = _two_best(evaluated, scale)

    def scaled(point: np.ndarray) -> tuple[float, np.ndarray]:
        latent = point * scale
        value, gradient = loss_and_gradient(latent)
        evaluated.append((value, latent))
        return value, gradient * scale

    for start in starts:
        minimize(
            scaled,
            np.clip(start, low, high) / scale,
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(low / scale, high / scale, strict=True)),
            options={"maxfun": MOST_GRADIENTS // len(starts), "ftol": 1e-5, "gtol": 1e-4},
        )
    value, latent = min(evaluated, key=lambda pair: pair[0])
    return FoundLatent(np.asarray(latent, np.float64), value, named)


def _grid(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Points spread evenly over a box: in two dimensions one in each cell of 4 x 4 (Sobol 1967)."""
    points = qmc.Sobol(len(low), scramble=False).random(_GRID) + 0.5 / _GRID
    grid: np.ndarray = low + points * (high - low)
    return grid


def _two_best(evaluated: Sequence[tuple[float, np.ndarray]], scale: np.ndarray) -> list[np.ndarray]:
    """The best latent, and the best of those that are a standard deviation away from it."""
    ordered = [latent for _, latent in sorted(evaluated, key=lambda pair: pair[0])]
    far = [latent for latent in ordered if np.linalg.norm((latent - ordered[0]) / scale) > 1]
    return [ordered[0], *far[:1]]
