"""Adam's moments in half the space of a checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_MOMENTS = ("exp_avg", "exp_avg_sq")


@contextmanager
def compact_moments(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Hold Adam's moments as bfloat16 for the length of a `with` block, and go on with the rounded values after it.

    Adam keeps two values per parameter where nnU-Net's SGD keeps one. In half precision a checkpoint saved in the
    block is no larger than nnU-Net's. Because the optimiser itself goes on with what was saved, a training continued
    from the checkpoint computes the same as one that never stopped; `Optimizer.load_state_dict` gives the moments
    back in the precision of the parameters. Rounding changes a moment by at most 0.4 % of its value, once per
    checkpoint; bfloat16 has the range of float32, so no second moment becomes zero.

    Args:
        optimizer: One that is not Adam is left as it is. With several processes call it in all of them, so that they
            stay equal.
    """
    moments = [(state, name) for state in optimizer.state.values() for name in _MOMENTS if name in state]
    for state, name in moments:
        state[name] = state[name].bfloat16()
    try:
        yield
    finally:
        for state, name in moments:
            state[name] = state[name].float()
