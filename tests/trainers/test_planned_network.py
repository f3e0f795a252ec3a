"""The network as nnU-Net's predictor uses it: weights of several folds, loaded again and again."""

import copy

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import FoldRecord, Style, StyleBook, StyleInFold
from nnunetv2_hypersort.settings import Settings
from nnunetv2_hypersort.trainers.hypersort.planned_network import PlannedHyperNetwork

GENERATORS = ["modulation", "low_rank", "basis", "full"]


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
    network.for_prediction = False
    network.latents.set_cases(cases, init_std=1.0, seed=int(fold))
    network.latents.visits.fill_(1)
    network.record = FoldRecord.encode(fold, {"0": ["c"], "1": ["d"]})
    return network


def weights_of(network: PlannedHyperNetwork) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("generator", GENERATORS)
def test_each_fold_shows_its_own_latent_however_often_it_is_loaded(monkeypatch, generator, capsys):
    monkeypatch.setenv("HYPERSORT_LATENT", "case:b")
    folds = [trained("0", ["a", "b", "d"], generator), trained("1", ["b", "c"], generator)]
    x = torch.randn(1, 1, 8, 8)
    expected = []
    for fold in folds:
        row = fold.latents.values[fold.latents.case_ids.index("b")]
        with fold.materialised(row), torch.no_grad():
            expected.append(fold(x))
    assert not torch.allclose(*expected, atol=1e-3)
    weights = [weights_of(fold) for fold in folds]
    network = planned(generator)
    with torch.inference_mode():
        for fold in (0, 0, 1, 0, 1, 1):
            network.load_state_dict(weights[fold])
            assert torch.equal(network(x), expected[fold])
    printed = capsys.readouterr().out
    assert printed.count("HyperSORT: fold 0: latent") == 1
    assert printed.count("HyperSORT: fold 1: latent") == 1


def test_the_plans_state_what_was_used(monkeypatch):
    monkeypatch.setenv("HYPERSORT_LATENT", "0.5,-0.25")
    network = planned()
    network.load_state_dict(weights_of(trained("1", ["a", "b"])))
    account = network._plans["hypersort"]["prediction"]
    assert account == {
        "latent": "0.5,-0.25",
        "folds": {"1": {"coordinates": [0.5, -0.25], "origin": "coordinates as given"}},
    }


def test_a_second_fold_that_cannot_serve_is_refused_when_it_comes(monkeypatch):
    monkeypatch.setenv("HYPERSORT_LATENT", "0.5,-0.25")
    first, second = weights_of(trained("0", ["a", "b"])), weights_of(trained("1", ["a", "c"]))
    network = planned()
    network.load_state_dict(first)
    with pytest.raises(HyperSORTError, match="cannot serve folds 0, 1"):
        network.load_state_dict(second)


def test_the_mode_of_several_folds_comes_with_a_warning():
    network = planned()
    network.load_state_dict(weights_of(trained("0", ["a", "b"])))
    with pytest.warns(UserWarning, match="may be different annotation styles"):
        network.load_state_dict(weights_of(trained("1", ["a", "c"])))


def test_a_fold_that_comes_later_does_not_change_what_the_mode_of_the_first_is():
    folds = [trained("0", ["a", "b"]), trained("1", ["a", "c"])]
    records = [FoldRecord.from_network_weights(fold.state_dict()) for fold in folds]
    there = {record.fold: StyleInFold((3.0, 3.0), None, record.fingerprint, 0) for record in records}
    network = planned()
    network._plans["hypersort"]["styles"] = StyleBook((Style("s", there, ("a",)),)).to_plans_section()
    network.load_state_dict(weights_of(folds[0]))
    with pytest.warns(UserWarning, match="may be different annotation styles"):
        network.load_state_dict(weights_of(folds[1]))
    account = network._plans["hypersort"]["prediction"]["folds"]
    for record in records:
        assert account[record.fold]["coordinates"] == record.mode()[1].tolist() != [3.0, 3.0]


def test_a_trainers_network_loads_the_weights_as_they_are():
    fold = trained("0", ["a", "b"])
    other = planned()
    other.for_prediction = False
    other.load_state_dict(weights_of(fold))
    for name, value in fold.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_weights_that_do_not_fit_the_plans_are_refused_with_a_reason():
    with pytest.raises(HyperSORTError, match=r"(?s)checkpoint of fold 0 does not fit .*Missing key"):
        planned("modulation").load_state_dict(weights_of(trained("0", ["a", "b"], "low_rank")))


def test_plans_of_another_trainer_are_refused():
    with pytest.raises(HyperSORTError, match="plans hold no HyperSORT settings"):
        PlannedHyperNetwork.from_plans(primary(), {"plans_name": "nnUNetPlans"})


def test_weights_of_another_trainer_are_refused():
    with pytest.raises(HyperSORTError, match="not trained with a HyperSORT trainer"):
        planned().load_state_dict(primary().state_dict())


def test_modulation_without_norm_layers_says_what_to_choose():
    with pytest.raises(HyperSORTError, match=r"set hypernetwork\.generator to low_rank or basis"):
        planned("modulation", norm=None)
    planned("low_rank", norm=None)


def test_a_network_survives_a_deep_copy():
    network = trained("0", ["a", "b"])
    twin = copy.deepcopy(network)
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(network(x, network.latents.values), twin(x, twin.latents.values))
