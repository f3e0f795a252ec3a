"""Half-precision moments: smaller checkpoints, and no difference between going on and continuing."""

import copy
import io

import torch
from torch import nn

from nnunetv2_hypersort.trainers.base.compact_moments import compact_moments


def steps(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(5):
        optimizer.zero_grad()
        network(torch.randn(4, 20, generator=generator)).square().mean().backward()
        optimizer.step()


def test_a_continued_training_equals_one_that_went_on_to_the_last_bit():
    network = nn.Linear(20, 10)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    steps(network, optimizer, 1)
    file = io.BytesIO()
    with compact_moments(optimizer):
        torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict()}, file)
    continued = copy.deepcopy(network)
    fresh = torch.optim.Adam(continued.parameters(), 3e-3)
    file.seek(0)
    fresh.load_state_dict(torch.load(file)["optimizer"])
    for one, other in ((network, optimizer), (continued, fresh)):
        steps(one, other, 2)
    for ours, theirs in zip(continued.parameters(), network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_moments_take_half_the_space_and_keep_their_values_and_range():
    network = nn.Linear(200, 50, bias=False)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    # Squared, a gradient this small is far below what float16 could hold.
    network.weight.grad = torch.full_like(network.weight, 1e-16)
    optimizer.step()
    state = optimizer.state[network.weight]
    before = {name: state[name].clone() for name in ("exp_avg", "exp_avg_sq")}
    with compact_moments(optimizer):
        for name, value in before.items():
            assert optimizer.state[network.weight][name].nbytes * 2 == value.nbytes
    for name, value in before.items():
        after = optimizer.state[network.weight][name]
        assert after.dtype == torch.float32
        torch.testing.assert_close(after, value, rtol=2**-8, atol=0)
        assert (after > 0).all()


def test_nnunets_optimiser_is_left_alone():
    network = nn.Linear(20, 10)
    optimizer = torch.optim.SGD(network.parameters(), 1e-2, momentum=0.99, nesterov=True)
    steps(network, optimizer, 1)
    before = optimizer.state[network.weight]["momentum_buffer"].clone()
    with compact_moments(optimizer):
        assert torch.equal(optimizer.state[network.weight]["momentum_buffer"], before)
    assert torch.equal(optimizer.state[network.weight]["momentum_buffer"], before)
