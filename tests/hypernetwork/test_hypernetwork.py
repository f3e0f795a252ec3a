"""The wrapper: any planned network, exact at the zero latent, materialised latents, kept ties."""

import copy
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import nn

from nnunetv2_hypersort.hypernetwork import (
    BasisGenerator,
    FullGenerator,
    HyperNetwork,
    LowRankGenerator,
    ModulationGenerator,
    WeightGenerator,
)

Parameters = Mapping[str, torch.Tensor]
RESIDUAL: dict[str, Callable[[Parameters, Parameters], WeightGenerator]] = {
    "basis": lambda parameters, affine: BasisGenerator(parameters, 2, 8, 4),
    "low_rank": lambda parameters, affine: LowRankGenerator(parameters, 2, 8, 4),
    "modulation": lambda parameters, affine: ModulationGenerator(affine, 2, 8),
}
ALL = {**RESIDUAL, "full": lambda parameters, affine: FullGenerator(parameters, 2, 6)}


def as_list(output: object) -> list[torch.Tensor]:
    return [output] if isinstance(output, torch.Tensor) else list(output)  # type: ignore[call-overload]


@pytest.mark.parametrize("generator", RESIDUAL)
@pytest.mark.parametrize("architecture", ["plain", "residual"])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("deep_supervision", [True, False])
def test_zero_latent_is_the_plain_network_to_the_last_bit(unet, generator, architecture, dimensions, deep_supervision):
    plain = unet(architecture, dimensions, deep_supervision=deep_supervision)
    network = HyperNetwork(copy.deepcopy(plain), RESIDUAL[generator], 2)
    x = torch.randn(2, 1, *[16] * dimensions)
    expected = as_list(plain(x))
    for latents in (torch.zeros(1, 2), torch.zeros(2, 2)):
        for ours, theirs in zip(as_list(network(x, latents)), expected, strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("generator", ALL)
@pytest.mark.parametrize("architecture", ["plain", "residual"])
def test_materialised_latent_equals_training_with_it(unet, generator, architecture):
    network = HyperNetwork(unet(architecture, 3), ALL[generator], 2)
    x, latents = torch.randn(2, 1, 16, 16, 16), torch.randn(2, 2)
    trained_with = as_list(network(x, latents))
    for sample in range(2):
        with network.materialised(latents[sample]):
            alone = as_list(network(x[sample : sample + 1]))
        for level, single in zip(trained_with, alone, strict=True):
            torch.testing.assert_close(level[sample : sample + 1], single, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(trained_with[0][0], network(x[:1], latents[1:])[0][0], atol=1e-3)


@pytest.mark.parametrize("generator", RESIDUAL)
def test_restoring_gives_the_own_weights_back_exactly(unet, generator):
    network = HyperNetwork(unet("plain", 2), RESIDUAL[generator], 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with network.materialised(torch.tensor([0.7, -0.4])):
        assert any(not torch.equal(value, before[name]) for name, value in network.state_dict().items())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("generator", ALL)
def test_every_trainable_parameter_and_the_latents_get_a_gradient(unet, generator):
    # DistributedDataParallel fails at the first step otherwise.
    network = HyperNetwork(unet("plain", 3), ALL[generator], 2)
    latents = torch.randn(2, 2, requires_grad=True)
    sum(level.square().mean() for level in network(torch.randn(2, 1, 16, 16, 16), latents)).backward()
    missing = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    assert latents.grad is not None
    assert (latents.grad.abs().sum(1) > 0).all()


def test_a_sample_is_not_touched_by_the_latents_of_the_others(unet):
    network = HyperNetwork(unet("plain", 3), RESIDUAL["modulation"], 2)
    x, latents = torch.randn(3, 1, 16, 16, 16), torch.randn(3, 2)
    changed = latents.clone()
    changed[2] += 1
    first, second = network(x, latents)[0], network(x, changed)[0]
    assert torch.equal(first[:2], second[:2])
    assert not torch.equal(first[2], second[2])


def test_parameters_tied_between_different_layers_stay_tied():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4)
            self.second.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.second(torch.relu(self.first(x)))
            return result

    plain = Tied()
    network = HyperNetwork(copy.deepcopy(plain), RESIDUAL["low_rank"], 2)
    x, latent = torch.randn(5, 4), torch.tensor([[0.9, -0.3]])
    with torch.no_grad():
        generated = {name: values[0] for name, values in network.generate(latent).items()}
        assert set(generated) == {"first.weight", "first.bias", "second.bias"}
        weight = generated["first.weight"]
        by_hand = torch.relu(x @ weight.T + generated["first.bias"]) @ weight.T + generated["second.bias"]
    torch.testing.assert_close(network(x, latent), by_hand)
    with network.materialised(latent[0]):
        assert network.primary.first.weight is network.primary.second.weight
        torch.testing.assert_close(network(x), by_hand)


def test_state_dict_names_of_the_primary_network_are_kept(unet):
    plain = unet("plain", 3)
    network = HyperNetwork(copy.deepcopy(plain), RESIDUAL["modulation"], 2)
    assert list(network.primary.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(network.primary.state_dict())


def test_a_network_without_own_weights_refuses_to_run_without_a_latent(unet):
    network = HyperNetwork(unet("plain", 2), ALL["full"], 2)
    with pytest.raises(RuntimeError, match="materialise a latent first"):
        network(torch.randn(1, 1, 16, 16))


def test_generated_values_are_not_rounded_by_autocast(unet):
    network = HyperNetwork(unet("plain", 2), RESIDUAL["modulation"], 2)
    latent = torch.tensor([[0.123456, -0.654321]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = network.generate(latent)
    for name, values in network.generate(latent).items():
        assert torch.equal(values, inside[name])


@pytest.mark.parametrize("generator", ["modulation", "low_rank"])
def test_compiled_network_gives_the_same_outputs(unet, generator):
    network = HyperNetwork(unet("plain", 2), RESIDUAL[generator], 2)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    x, latents = torch.randn(2, 1, 16, 16), torch.randn(2, 2, requires_grad=True)
    for ours, theirs in zip(compiled(x, latents), network(x, latents), strict=True):
        torch.testing.assert_close(ours, theirs)
