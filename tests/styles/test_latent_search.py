"""The search for the latent of lowest loss."""

import numpy as np
import pytest
import torch

from nnunetv2_hypersort.fitting.latent_search import LatentLoss, find_latent
from nnunetv2_hypersort.hypernetwork import HyperNetwork, ModulationGenerator

WIDTH = 0.2
SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def islands(*places):
    """A loss with a well at each (centre, depth); flat elsewhere."""

    def with_gradient(latent):
        value, gradient = 0.0, np.zeros(2)
        for centre, depth in places:
            offset = latent - np.array(centre)
            well = depth * np.exp(-(offset**2).sum() / (2 * WIDTH**2))
            value -= well
            gradient += well * offset / WIDTH**2
        return value, gradient

    return (lambda latent: with_gradient(latent)[0]), with_gradient


@pytest.mark.parametrize("deepest", [(-1.1, 0.2), (0.4, -1.1), (-0.4, -0.5)])
def test_it_finds_the_deepest_well_though_the_start_lies_in_another(deepest):
    rng = np.random.default_rng(0)
    training = np.concatenate([rng.normal(centre, 0.1, (30, 2)) for centre in ((-1, 0.1), (0.5, -1), (0.3, 0.9))])
    found = find_latent(*islands((deepest, 1.0), ((0.3, 0.9), 0.7)), {"mode": np.array([0.3, 0.9])}, training)
    inside = np.clip(deepest, training.min(0), training.max(0))
    np.testing.assert_allclose(found.coordinates, inside, atol=0.02)
    assert found.candidates["mode"] == pytest.approx(
        islands((deepest, 1.0), ((0.3, 0.9), 0.7))[0](np.array([0.3, 0.9]))
    )


@pytest.mark.parametrize(("beyond", "expected"), [(0.0, 1.0), (0.5, 1.5), (3.0, 2.0)])
def test_it_stays_in_the_range_of_the_training_latents_unless_asked(beyond, expected):
    minimum = np.array([2.0, 0.5])

    def with_gradient(latent):
        return float(((latent - minimum) ** 2).sum()), 2 * (latent - minimum)

    found = find_latent(
        lambda latent: with_gradient(latent)[0], with_gradient, {"origin": np.zeros(2)}, SQUARE, beyond=beyond
    )
    np.testing.assert_allclose(found.coordinates, [expected, 0.5], atol=1e-3)


def test_it_is_never_worse_than_a_candidate():
    loss, with_gradient = islands(((5.0, 5.0), 1.0))
    found = find_latent(loss, with_gradient, {"saved elsewhere": np.array([5.0, 5.0])}, SQUARE)
    assert found.loss == -1
    np.testing.assert_array_equal(found.coordinates, [5.0, 5.0])


def test_equal_training_latents_leave_one_place():
    loss, with_gradient = islands(((1.0, 1.0), 1.0))
    found = find_latent(loss, with_gradient, {"mode": np.ones(2)}, np.ones((12, 2)))
    np.testing.assert_array_equal(found.coordinates, [1.0, 1.0])


def test_the_gradient_is_that_of_the_loss_and_no_weight_moves():
    torch.manual_seed(0)
    primary = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.InstanceNorm2d(4, affine=True), torch.nn.GELU())
    network = HyperNetwork(primary, lambda _, affine: ModulationGenerator(affine, 2, 8), 2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    patches = [(torch.randn(1, 1, 8, 8), torch.randn(1, 4, 6, 6)) for _ in range(3)]
    loss = LatentLoss(network, torch.nn.functional.mse_loss, [patches[:1], patches[1:]])
    latent = np.array([0.4, -0.7])
    value, gradient = loss.with_gradient(latent)
    assert value == pytest.approx(loss(latent))
    # Each case weighs the same, however many patches it has.
    parts = [LatentLoss(network, torch.nn.functional.mse_loss, [[patch]])(latent) for patch in patches]
    assert value == pytest.approx((parts[0] + (parts[1] + parts[2]) / 2) / 2)
    step = 1e-2
    for axis in range(2):
        shift = step * np.eye(2)[axis]
        slope = (loss(latent + shift) - loss(latent - shift)) / (2 * step)
        assert slope == pytest.approx(gradient[axis], rel=1e-2)
        assert abs(slope) > 1e-3
    for name, after in network.state_dict().items():
        torch.testing.assert_close(after, before[name], rtol=0, atol=0)


def test_a_loss_that_is_not_finite_is_passed_over():
    primary = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.InstanceNorm2d(4, affine=True))
    network = HyperNetwork(primary, lambda _, affine: ModulationGenerator(affine, 2, 8), 2)
    patch = (torch.full((1, 1, 8, 8), torch.nan), torch.zeros(1, 4, 6, 6))
    loss = LatentLoss(network, torch.nn.functional.mse_loss, [[patch]])
    assert loss(np.zeros(2)) == np.inf
    assert loss.with_gradient(np.zeros(2))[0] == np.inf
