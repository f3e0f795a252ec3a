"""Per-sample instance normalisation against PyTorch's own, sample by sample."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from nnunetv2_hypersort.hypernetwork.per_sample_norm import allow_per_sample_affine


@pytest.mark.parametrize(("kind", "shape"), [(nn.InstanceNorm2d, (5, 6)), (nn.InstanceNorm3d, (4, 5, 6))])
def test_equals_the_stock_layer_sample_by_sample(kind, shape):
    network = nn.Sequential(kind(7, eps=1e-3, affine=True))
    stock = kind(7, eps=1e-3, affine=True)
    names = allow_per_sample_affine(network)
    assert names == {"0.weight", "0.bias"}
    x, weight, bias = torch.randn(3, 7, *shape), torch.randn(3, 7), torch.randn(3, 7)
    ours = functional_call(network, {"0.weight": weight, "0.bias": bias}, (x,))
    for sample in range(3):
        with torch.no_grad():
            stock.weight.copy_(weight[sample])
            stock.bias.copy_(bias[sample])
        torch.testing.assert_close(ours[sample : sample + 1], stock(x[sample : sample + 1]))


def test_a_shared_layer_stays_shared_and_others_are_left_alone():
    norm, plain, running = (
        nn.InstanceNorm2d(3, affine=True),
        nn.InstanceNorm2d(3),
        nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
    )
    network = nn.ModuleDict({"a": norm, "b": nn.Sequential(norm), "c": plain, "d": running, "e": nn.BatchNorm2d(3)})
    assert allow_per_sample_affine(network) == {"a.weight", "a.bias"}
    assert network["a"] is network["b"][0]
    assert network["a"].weight is norm.weight
    assert network["c"] is plain
    assert network["d"] is running
