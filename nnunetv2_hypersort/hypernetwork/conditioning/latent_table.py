"""One row per training case: its latent and all that is learnt with it."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

_HISTORY_BYTES = 4 * 2**20
_HISTORY_ENTRIES = (8, 64)
_LOSS_WINDOW = 10


class LatentTable(nn.Module):
    """The latents of the training cases, with the state of their optimiser, visits, losses and history.

    Latents are buffers, not parameters: weight decay, gradient clipping and gradient averaging of the network cannot
    reach them. A row carries its own Adam state and is stepped only when its case was visited, as in the publication,
    which gives each case an Adam of its own; so a case that joins or leaves takes all of its state along. Everything
    is tensors in the state dict, so a checkpoint of the network holds the table, whatever its size.

    Args:
        dim: Number of coordinates of a latent.
    """

    values: torch.Tensor
    first_moment: torch.Tensor
    second_moment: torch.Tensor
    steps: torch.Tensor
    visits: torch.Tensor
    loss: torch.Tensor
    images: torch.Tensor
    sizes: torch.Tensor
    encoded_ids: torch.Tensor
    history: torch.Tensor
    history_epochs: torch.Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("values", torch.zeros(0, dim))
        self.register_buffer("first_moment", torch.zeros(0, dim))
        self.register_buffer("second_moment", torch.zeros(0, dim))
        self.register_buffer("steps", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("visits", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("loss", torch.zeros(0))
        # Cases of one image have the same number; 0 where nobody has looked.
        self.register_buffer("images", torch.zeros(0, dtype=torch.int64))
        # How large each structure is to one network for all: log voxels. No columns where nobody has looked.
        self.register_buffer("sizes", torch.zeros(0, 0))
        self.register_buffer("encoded_ids", encode_json([]))
        self.register_buffer("history", torch.zeros(0, 0, dim))
        self.register_buffer("history_epochs", torch.zeros(0, dtype=torch.int64))
        self._rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def case_ids(self) -> list[str]:
        """The case ids in the order of the rows."""
        return list(self._rows)

    def set_cases(
        self, case_ids: Sequence[str], *, init_std: float, seed: int | None = None
    ) -> tuple[list[str], list[str]]:
        """Make the table hold exactly these cases; rows that are known keep all of their state.

        Args:
            case_ids: The training cases, each once.
            init_std: Standard deviation of the normal distribution a new latent is sampled from.
            seed: Makes a new latent depend on the seed and its case id alone; None takes it from torch's generator.

        Returns:
            The ids that joined and the ids that left.
        """
        known = self._rows
        joined = [case for case in case_ids if case not in known]
        left = sorted(set(known) - set(case_ids))
        sources = torch.tensor([known.get(case, -1) for case in case_ids], dtype=torch.int64)
        fresh = self.values.new_tensor(
            np.stack([_draw(case, self.dim, init_std, seed) for case in joined]) if joined else np.zeros((0, self.dim))
        )
        is_new = sources < 0
        for name in ("values", "first_moment", "second_moment", "steps", "visits", "loss", "images", "sizes"):
            old = getattr(self, name)
            new = old.new_zeros(len(case_ids), *old.shape[1:])
            new[~is_new] = old[sources[~is_new]]
            setattr(self, name, new)
        self.values[is_new] = fresh
        history = self.history.new_full((len(self.history), len(case_ids), self.dim), float("nan"))
        history[:, ~is_new] = self.history[:, sources[~is_new]]
        self.history = history
        self._rows = {case: row for row, case in enumerate(case_ids)}
        self.encoded_ids = encode_json(list(case_ids)).to(self.values.device)
        return joined, left

    def rows(self, case_ids: Sequence[str]) -> torch.Tensor:
        """The rows of cases, shape (n,), int64, on the CPU.

        Raises:
            KeyError: A case is not in the table.
        """
        return torch.tensor([self._rows[case] for case in case_ids], dtype=torch.int64)

    @torch.no_grad()
    def step(
        self,
        rows: torch.Tensor,
        gradients: torch.Tensor,
        *,
        lr: float | torch.Tensor,
        betas: tuple[float, float],
        eps: float = 1e-8,
    ) -> None:
        """Take one Adam step (Kingma and Ba 2015, algorithm 1) in the rows of the cases that were visited.

        A row that occurs several times is stepped once, with the sum of its gradients. A row whose gradient is not
        finite (half precision overflows now and then) is left as it is. Visits are not counted here: during a warm-up
        cases are visited and not stepped.

        Args:
            rows: Shape (n,), int64; may hold a row several times.
            gradients: Shape (n, dim): the gradient of the loss by the latent of each sample.
            lr: Learning rate, or that of each sample, shape (n,), equal for samples of one row.
            betas: Decay rates of the moments.
            eps: Added to the root of the second moment.
        """
        rows, gradients = rows.to(self.values.device), gradients.to(self.values)
        drawn, place = torch.unique(rows, return_inverse=True)
        summed = torch.zeros(len(drawn), self.dim, device=self.values.device).index_add_(0, place, gradients)
        finite = torch.isfinite(summed).all(1)
        rates = torch.zeros(len(drawn)).to(summed)
        rates[place] = torch.as_tensor(lr).to(summed).expand(len(rows))
        drawn, summed, rates = drawn[finite], summed[finite], rates[finite]
        steps = self.steps[drawn] + 1
        first = torch.lerp(summed, self.first_moment[drawn], betas[0])
        second = torch.lerp(summed**2, self.second_moment[drawn], betas[1])
        bias_first = 1 - betas[0] ** steps[:, None]
        bias_second = 1 - betas[1] ** steps[:, None]
        self.values[drawn] -= rates[:, None] * (first / bias_first) / ((second / bias_second).sqrt() + eps)
        self.first_moment[drawn], self.second_moment[drawn], self.steps[drawn] = first, second, steps

    @torch.no_grad()
    def place(self, latents: torch.Tensor) -> None:
        """Put all latents, shape (cases, dim), somewhere else; their optimisers start anew."""
        self.values.copy_(latents)
        for state in (self.first_moment, self.second_moment, self.steps):
            state.zero_()

    @torch.no_grad()
    def note_images(self, images: torch.Tensor, sizes: torch.Tensor) -> None:
        """Keep what one look at all cases told of their images.

        Args:
            images: Shape (cases,), int64: cases of one image have the same number, which is not 0.
            sizes: Shape (cases, structures): log voxels of each structure as one network for all segments it.
        """
        self.images.copy_(images)
        self.sizes = sizes.to(self.values)

    @torch.no_grad()
    def count_visits(self, rows: torch.Tensor) -> None:
        """Count one visit of each case in `rows`, shape (n,), int64; a case that occurs several times counts once."""
        self.visits[torch.unique(rows.to(self.visits.device))] += 1

    @torch.no_grad()
    def record_losses(self, rows: torch.Tensor, losses: torch.Tensor) -> None:
        """Update the running mean of the loss of each case: the plain mean at first, then over about 10 visits.

        A case that occurs several times counts once, with the mean of its losses. Call it after `count_visits`.

        Args:
            rows: Shape (n,), int64.
            losses: Shape (n,): the loss of each sample.
        """
        drawn, place = torch.unique(rows.to(self.loss.device), return_inverse=True)
        counts = torch.bincount(place, minlength=len(drawn))
        means = torch.zeros(len(drawn), device=self.loss.device).index_add_(0, place, losses.to(self.loss)) / counts
        self.loss[drawn] += (means - self.loss[drawn]) / self.visits[drawn].clamp(1, _LOSS_WINDOW)

    @torch.no_grad()
    def record_history(self, epoch: int) -> None:
        """Append the present latents to the history; when it is full every second entry is dropped first.

        The history stays below 4 MiB, but holds at least 8 and at most 64 entries.
        """
        entry_bytes = max(1, self.values.numel() * self.values.element_size())
        low, high = _HISTORY_ENTRIES
        if len(self.history) >= min(high, max(low, _HISTORY_BYTES // entry_bytes)):
            self.history, self.history_epochs = self.history[::2].clone(), self.history_epochs[::2].clone()
        self.history = torch.cat([self.history, self.values[None]])
        self.history_epochs = torch.cat([self.history_epochs, self.history_epochs.new_tensor([epoch])])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # A table of before it knew images.
        if f"{prefix}images" not in state_dict and f"{prefix}visits" in state_dict:
            state_dict[f"{prefix}images"] = torch.zeros_like(state_dict[f"{prefix}visits"])
            state_dict[f"{prefix}sizes"] = torch.zeros(len(state_dict[f"{prefix}visits"]), 0)
        # The number of cases, of bytes of their ids and of history entries differ from run to run.
        for name, buffer in list(self._buffers.items()):
            saved = state_dict.get(prefix + name)
            if buffer is None or not isinstance(saved, torch.Tensor) or saved.dim() != buffer.dim():
                continue
            if saved.dim() < 2 or saved.shape[-1] == self.dim or name == "sizes":
                setattr(self, name, buffer.new_zeros(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._rows = {case: row for row, case in enumerate(decode_json(self.encoded_ids))}


def encode_json(content: Any) -> torch.Tensor:
    """Encode JSON content as a tensor of bytes, so that it can live in a state dict."""
    return torch.frombuffer(bytearray(json.dumps(content, separators=(",", ":")).encode()), dtype=torch.uint8).clone()


def decode_json(encoded: torch.Tensor) -> Any:
    """Decode what `encode_json` made."""
    return json.loads(encoded.cpu().numpy().tobytes())


def _draw(case: str, dim: int, std: float, seed: int | None) -> np.ndarray:
    if seed is None:
        return torch.randn(dim).numpy() * std
    # The bytes of the id make the latent of a case independent of the order and number of the other cases.
    return np.random.default_rng([seed, *case.encode(errors="surrogateescape")]).normal(0.0, std, dim)
