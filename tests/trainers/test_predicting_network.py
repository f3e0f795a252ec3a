"""The network that nnU-Net's predictor builds: plain nnU-Net's, that also takes the weights of trainings."""

import copy
import pickle
import re

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from test_planned_network import primary, trained

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import FoldRecord, Style, StyleBook, StyleInFold
from nnunetv2_hypersort.nnunet.checksum import CHECKSUM_KEY, weights_checksum
from nnunetv2_hypersort.settings import Settings
from nnunetv2_hypersort.trainers.hypersort.weight_translator import translating

GENERATORS = ["modulation", "low_rank", "basis", "full"]


def predicting(generator="modulation", styles=()):
    start = "random" if generator == "full" else "spectral"
    content = {"latent": {"start": start}, "hypernetwork": {"generator": generator, "hidden": 4, "rank": 2}}
    section = {"settings": Settings.from_dict(content, source="test").to_dict()}
    section["styles"] = StyleBook(tuple(styles)).to_plans_section()
    plans = {"plans_name": "nnUNetPlans", "hypersort": section}
    return translating(primary(), plans, {}), plans


def weights_of(network):
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    return {**weights, CHECKSUM_KEY: weights_checksum(weights)}


def plain_at(fold, latent):
    """Plain nnU-Net's network with the weights that the training network generates: the answer by another way."""
    plain = primary()
    values = {name: value[0] for name, value in fold.generate(latent[None]).items()}
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            parameter.copy_(values.get(name, fold.primary.get_parameter(name)))
    return plain


def latent_of(fold, case):
    return fold.latents.values[fold.latents.case_ids.index(case)]


@pytest.fixture
def image():
    torch.manual_seed(7)
    return torch.randn(1, 1, 8, 8)


@pytest.mark.parametrize("generator", GENERATORS)
def test_each_fold_shows_its_own_latent_however_often_it_is_loaded(monkeypatch, generator, capsys, image):
    monkeypatch.setenv("HYPERSORT_LATENT", "case:b")
    folds = [trained("0", ["a", "b", "d"], generator), trained("1", ["b", "c"], generator)]
    expected = [plain_at(fold, latent_of(fold, "b"))(image) for fold in folds]
    assert not torch.allclose(*expected, atol=1e-3)
    weights = [weights_of(fold) for fold in folds]
    network, _ = predicting(generator)
    assert type(network) is PlainConvUNet
    with torch.inference_mode():
        for fold in (0, 0, 1, 0, 1, 1):
            network.load_state_dict(weights[fold])
            assert torch.equal(network(image), expected[fold])
    printed = capsys.readouterr().out
    assert printed.count("HyperSORT: fold 0: latent") == 1
    assert printed.count("HyperSORT: fold 1: latent") == 1


@pytest.mark.parametrize(
    "passed_on",
    [
        copy.deepcopy,
        lambda network: pickle.loads(pickle.dumps(network)),
        lambda network: copy.deepcopy(pickle.loads(pickle.dumps(copy.deepcopy(network)))),
    ],
    ids=["copied", "pickled", "both"],
)
def test_a_copy_predicts_alike_and_takes_weights_alike(monkeypatch, passed_on, image):
    monkeypatch.setenv("HYPERSORT_LATENT", "case:b")
    fold = trained("0", ["a", "b"])
    expected = plain_at(fold, latent_of(fold, "b"))(image)
    network, _ = predicting()
    network.load_state_dict(weights_of(fold))
    twin = passed_on(network)
    assert torch.equal(twin(image), expected)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(network(image), expected)
    twin.load_state_dict(weights_of(fold))
    assert torch.equal(twin(image), expected)


def test_its_state_dict_is_plain_nnunets_and_loads_back(tmp_path, image):
    network, _ = predicting()
    network.load_state_dict(weights_of(trained("0", ["a", "b"])))
    expected = network(image)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    saved = torch.load(tmp_path / "weights.pth", weights_only=True)
    plain = primary()
    assert list(saved) == list(plain.state_dict())
    plain.load_state_dict(saved)
    assert torch.equal(plain(image), expected)
    other, _ = predicting()
    other.load_state_dict(saved)
    assert torch.equal(other(image), expected)


def test_means_of_predicting_networks_are_those_of_plain_nnunet_and_of_trainings_are_refused(image):
    folds = [trained("0", ["a", "b"]), trained("1", ["a", "b"])]
    states = []
    for fold in folds:
        network, _ = predicting()
        network.load_state_dict(weights_of(fold))
        states.append(network.state_dict())

    def mean(one, other):
        return {name: (one[name] + other[name]) / 2 for name in one}

    network.load_state_dict(mean(*states))
    plain = primary()
    plain.load_state_dict(mean(*(plain_at(fold, fold.latents.values[0]).state_dict() for fold in folds)))
    assert torch.equal(network(image), plain(image))
    one, other = (weights_of(fold) for fold in folds)
    floats = {name: (one[name] + other[name]) / 2 if one[name].is_floating_point() else one[name] for name in one}
    without_record = {name: value for name, value in floats.items() if name not in ("record", CHECKSUM_KEY)}
    for mixture, said in (
        ({name: (one[name].float() + other[name].float()) / 2 for name in one}, "are a mean or another mixture"),
        (floats, "not those that the training saved.*A mean of"),
        (without_record, "holds no latents"),
    ):
        with pytest.raises(HyperSORTError, match=said):
            network.load_state_dict(mixture)


def test_a_changed_variable_is_refused_at_the_next_load_and_plain_weights_still_pass(monkeypatch, image):
    weights = weights_of(trained("0", ["a", "b"]))
    monkeypatch.setenv("HYPERSORT_LATENT", "case:b")
    network, _ = predicting()
    for before_first in (True, False):
        monkeypatch.setenv("HYPERSORT_LATENT", "case:a")
        with pytest.raises(HyperSORTError, match="built to predict with the latent case:b, and HYPERSORT_LATENT says"):
            network.load_state_dict(weights)
        monkeypatch.delenv("HYPERSORT_LATENT")
        with pytest.raises(HyperSORTError, match="case:b, and HYPERSORT_LATENT says mode now"):
            network.load_state_dict(weights)
        network.load_state_dict(network.state_dict())
        monkeypatch.setenv("HYPERSORT_LATENT", " case:b ")
        if before_first:
            network.load_state_dict(weights)


def test_inside_another_network_it_takes_weights_too(monkeypatch, image):
    monkeypatch.setenv("HYPERSORT_LATENT", "case:b")
    fold = trained("0", ["a", "b"])
    ensemble = torch.nn.ModuleList([predicting()[0], predicting()[0]])
    ensemble.load_state_dict({f"{i}.{name}": value for name, value in weights_of(fold).items() for i in range(2)})
    assert torch.equal(ensemble[1](image), plain_at(fold, latent_of(fold, "b"))(image))


def test_random_numbers_and_gradients_stay_as_they_were(image):
    weights = weights_of(trained("0", ["a", "b"]))
    network, _ = predicting()
    state = torch.random.get_rng_state()
    network.load_state_dict(weights)
    assert torch.equal(torch.random.get_rng_state(), state)
    network(image).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_plans_state_what_was_used(monkeypatch):
    monkeypatch.setenv("HYPERSORT_LATENT", "0.5,-0.25")
    network, plans = predicting()
    weights = weights_of(trained("1", ["a", "b"]))
    network.load_state_dict(weights)
    account = plans["hypersort"]["prediction"]
    assert (account["version"], account["latent"], account["dataset"]) == (2, "0.5,-0.25", None)
    assert account["folds"] == {
        "1": {
            "coordinates": [0.5, -0.25],
            "origin": "coordinates as given",
            "weights": weights[CHECKSUM_KEY].numpy().tobytes().hex(),
        }
    }


def test_a_second_fold_that_cannot_serve_is_refused_when_it_comes(monkeypatch, image):
    monkeypatch.setenv("HYPERSORT_LATENT", "0.5,-0.25")
    first, second = weights_of(trained("0", ["a", "b"])), weights_of(trained("1", ["a", "c"]))
    network, plans = predicting()
    network.load_state_dict(first)
    expected, account = network(image), copy.deepcopy(plans)
    with pytest.raises(HyperSORTError, match="cannot serve folds 0, 1"):
        network.load_state_dict(second)
    network.load_state_dict(first)
    assert torch.equal(network(image), expected)
    assert plans == account


def test_the_densest_latents_of_several_folds_come_with_a_warning():
    network, _ = predicting()
    network.load_state_dict(weights_of(trained("0", ["a", "b"])))
    with pytest.warns(UserWarning, match="may be different annotation styles"):
        network.load_state_dict(weights_of(trained("1", ["a", "c"])))


@pytest.mark.parametrize("order", [(0,), (1, 0), (0, 1, 0)])
def test_the_mode_of_a_fold_does_not_depend_on_the_others(order, image, capsys):
    folds = [trained("0", ["a", "b"]), trained("1", ["a", "c"])]
    records = [FoldRecord.from_network_weights(fold.state_dict()) for fold in folds]
    there = {record.fold: StyleInFold((3.0, -1.0), None, record.fingerprint, 0) for record in records}
    network, plans = predicting(styles=[Style("s", there, ("a",))])
    for place in order:
        network.load_state_dict(weights_of(folds[place]))
    assert torch.equal(network(image), plain_at(folds[0], torch.tensor([3.0, -1.0]))(image))
    assert plans["hypersort"]["prediction"]["folds"]["0"]["origin"] == "mode: style s"
    densest = re.escape("({:.4f}, {:.4f})".format(*records[0].mode()[1]))
    assert re.search(rf"fold 0: .*before styles were found: {densest}", capsys.readouterr().out)


def test_weights_that_do_not_fit_the_plans_are_refused_with_a_reason():
    with pytest.raises(HyperSORTError, match=r"(?s)The checkpoint of fold 0 does not fit .*Missing key"):
        predicting("modulation")[0].load_state_dict(weights_of(trained("0", ["a", "b"], "low_rank")))


def test_plans_of_another_trainer_are_refused():
    with pytest.raises(HyperSORTError, match="plans hold no HyperSORT settings"):
        translating(primary(), {"plans_name": "nnUNetPlans"}, {})


def test_damaged_styles_are_named_when_a_latent_is_asked_for_and_not_before():
    _, plans = predicting()
    plans["hypersort"]["styles"] = [{"name": "s"}]
    network = translating(primary(), plans, {})
    with pytest.raises(HyperSORTError, match=r"styles in the plans are damaged .* run `hypersort styles MODEL`"):
        network.load_state_dict(weights_of(trained("0", ["a", "b"])))
