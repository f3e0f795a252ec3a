"""Two processes take the latent step that one process takes with the joint batch."""

import os
from pathlib import Path

import pytest
import torch
from torch import distributed as dist
from torch import multiprocessing as mp

from nnunetv2_hypersort.hypernetwork import LatentTable
from nnunetv2_hypersort.trainers.base.ranks import gather_over_ranks

# The rows that each of two processes drew; they share case 1, and draw different numbers of cases.
DRAWN = ([0, 1], [1])


def gradients_of(rank: int) -> torch.Tensor:
    return torch.arange(2.0 * len(DRAWN[rank])).reshape(-1, 2) + 1 + 10 * rank


def new_table() -> LatentTable:
    table = LatentTable(2)
    table.set_cases(["a", "b", "c"], init_std=1.0, seed=0)
    return table


def one_process(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    rows, gradients = gather_over_ranks(torch.tensor(DRAWN[rank]), gradients_of(rank), global_batch_size=3)
    table = new_table()
    table.step(rows, gradients, lr=0.1, betas=(0.5, 0.5))
    torch.save(table.state_dict(), Path(folder) / f"rank_{rank}.pth")
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_gloo_available(), reason="this PyTorch has no gloo")
def test_two_processes_step_as_one(tmp_path: Path) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    mp.spawn(one_process, args=(str(tmp_path),), nprocs=2)
    expected = new_table()
    # By hand: each process averaged its loss over its own samples, so the joint gradient is half of each.
    expected.step(
        torch.tensor([*DRAWN[0], *DRAWN[1]]),
        torch.cat([gradients_of(0), gradients_of(1)]) / 2,
        lr=0.1,
        betas=(0.5, 0.5),
    )
    for rank in range(2):
        table = torch.load(tmp_path / f"rank_{rank}.pth", weights_only=True)
        for name, value in expected.state_dict().items():
            torch.testing.assert_close(table[name], value, equal_nan=True)
