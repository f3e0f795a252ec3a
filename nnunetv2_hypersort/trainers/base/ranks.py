"""Latent gradients of all processes of a distributed training."""

import torch
from torch import distributed as dist


def gather_over_ranks(
    rows: torch.Tensor, values: torch.Tensor, global_batch_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Collect what each process has for the cases it visited, so that all take the same latent step.

    Each process averages its loss over its own samples, and DistributedDataParallel averages over processes: what the
    joint batch would give is the values divided by their number.

    Args:
        rows: Shape (n,), int64: rows of the latent table; n may differ between processes.
        values: Shape (n, k).
        global_batch_size: Number of samples of all processes together, an upper bound of n.

    Returns:
        Rows and values of all processes, in the order of their ranks; values divided by the number of processes.
    """
    world = dist.get_world_size()
    # One message: row and values side by side, padded to a common length. Doubles hold row numbers exactly.
    padded = torch.full((global_batch_size, 1 + values.shape[1]), -1.0, dtype=torch.float64, device=values.device)
    padded[: len(rows), 0] = rows.to(values.device).double()
    padded[: len(rows), 1:] = values.double()
    gathered = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(gathered, padded)
    joint = torch.cat(gathered)
    joint = joint[joint[:, 0] >= 0]
    return joint[:, 0].long(), (joint[:, 1:] / world).to(values.dtype)
