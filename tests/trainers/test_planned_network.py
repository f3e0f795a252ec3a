"""The network of a training: what it holds, and what nnU-Net's code finds on it."""

import copy

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import FoldRecord
from nnunetv2_hypersort.settings import Settings
from nnunetv2_hypersort.trainers.hypersort.planned_network import PlannedHyperNetwork


def primary(norm: type[nn.Module] | None = nn.InstanceNorm2d) -> nn.Module:
    return PlainConvUNet(
        1, 2, [4, 8], nn.Conv2d, 3, [1, 2], 2, 2, 2, conv_bias=True, norm_op=norm, norm_op_kwargs={"affine": True},
        nonlin=nn.LeakyReLU, deep_supervision=False,
    )  # fmt: skip


def planned(generator: str = "modulation", norm: type[nn.Module] | None = nn.InstanceNorm2d) -> PlannedHyperNetwork:
    start = "random" if generator == "full" else "spectral"
    content = {"latent": {"start": start}, "hypernetwork": {"generator": generator, "hidden": 4, "rank": 2}}
    settings = Settings.from_dict(content, source="test")
    return PlannedHyperNetwork.from_plans(primary(norm), {"hypersort": {"settings": settings.to_dict()}})


def trained(fold: str, cases: list[str], generator: str = "modulation") -> PlannedHyperNetwork:
    """A fold as training leaves it."""
    torch.manual_seed(int(fold))
    network = planned(generator)
    network.latents.set_cases(cases, init_std=1.0, seed=int(fold))
    network.latents.visits.fill_(1)
    network.record = FoldRecord.encode(fold, {"0": ["c"], "1": ["d"]})
    return network


def weights_of(network: PlannedHyperNetwork) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_a_trainers_network_loads_the_weights_as_they_are():
    fold = trained("0", ["a", "b"])
    other = planned()
    other.load_state_dict(weights_of(fold))
    for name, value in fold.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_plans_of_another_trainer_are_refused():
    with pytest.raises(HyperSORTError, match="plans hold no HyperSORT settings"):
        PlannedHyperNetwork.from_plans(primary(), {"plans_name": "nnUNetPlans"})


def test_modulation_without_norm_layers_says_what_to_choose():
    with pytest.raises(HyperSORTError, match=r"set hypernetwork\.generator to low_rank or basis"):
        planned("modulation", norm=None)
    planned("low_rank", norm=None)


def test_a_network_survives_a_deep_copy():
    network = trained("0", ["a", "b"])
    twin = copy.deepcopy(network)
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(network(x, network.latents.values), twin(x, twin.latents.values))


def test_nnunets_names_are_there_and_nothing_is_registered_twice():
    network, plain = trained("0", ["a", "b"]), primary()
    names = list(network.state_dict())
    assert network.encoder is network.primary.encoder
    assert network.decoder is network.primary.decoder
    assert network.decoder.seg_layers is network.primary.decoder.seg_layers
    # The planned network has its heads in its decoder alone; code that asks is told so, as by nnU-Net's network.
    assert not hasattr(plain, "seg_layers")
    assert not hasattr(network, "seg_layers")
    network.primary.seg_layers = network.primary.decoder.seg_layers
    assert network.seg_layers is network.primary.decoder.seg_layers
    del network.primary.seg_layers
    assert network.compute_conv_feature_map_size((16, 16)) == plain.compute_conv_feature_map_size((16, 16)) > 0
    assert list(network.state_dict()) == names
    assert [name.removeprefix("primary.") for name in names if name.startswith("primary.")] == list(plain.state_dict())


def test_names_show_the_weights_of_the_materialised_latent():
    network = trained("0", ["a", "b"], "low_rank")
    with torch.no_grad():
        network.generator.left[0].normal_()
    own = network.encoder.stages[0][0].convs[0].conv.weight.clone()
    generated = network.generate(network.latents.values[:1])["encoder.stages.0.0.convs.0.conv.weight"][0]
    assert not torch.equal(own, generated)
    with network.materialised(network.latents.values[0]):
        assert torch.equal(network.encoder.stages[0][0].convs[0].conv.weight, generated)
    assert torch.equal(network.encoder.stages[0][0].convs[0].conv.weight, own)
