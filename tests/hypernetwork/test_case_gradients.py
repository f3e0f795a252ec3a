"""The spectral start, on gradients whose structure is known."""

import numpy as np
import pytest
import torch
from torch import nn

from nnunetv2_hypersort.hypernetwork import (
    BasisGenerator,
    CaseGradients,
    LatentHyperNetwork,
    LatentTable,
    LowRankGenerator,
    ModulationGenerator,
)

CASES, VISITS = 60, 12


def gathered(size: int, *, seed: int = 0, wrong: int = 0) -> tuple[CaseGradients, np.ndarray, np.ndarray]:
    """Gradients of two styles that differ a little along one axis, under noise that is huge along others."""
    rng = np.random.default_rng(seed)
    noise = np.geomspace(30, 0.3, size) if size < 100 else np.geomspace(3, 1, size)
    axis = np.zeros(size)
    axis[size // 2] = noise[size // 2] * (1 if size < 100 else 3)
    styles = np.arange(CASES) % 2
    gradients = CaseGradients(size)
    gradients.begin(CASES, CASES * VISITS)
    for _ in range(VISITS):
        drawn = (2.0 * styles[:, None] - 1) * axis + rng.normal(size=(CASES, size)) * noise
        drawn[:wrong] += 50 * noise
        gradients.add(torch.arange(CASES), torch.tensor(drawn, dtype=torch.float32))
    return gradients, styles, axis


@pytest.mark.parametrize("size", [40, 700])
def test_styles_are_found_under_noise_that_drowns_them(size):
    gradients, styles, _ = gathered(size)
    latents, _ = gradients.solve(2)
    assert max(abs(np.corrcoef(latents[:, k], styles)[0, 1]) for k in range(2)) > (0.9 if size == 40 else 0.5)
    assert float(latents.square().mean()) == pytest.approx(1, rel=1e-4)


def test_wrong_labels_do_not_take_the_components_over():
    gradients, styles, _ = gathered(40, wrong=4)
    latents, _ = gradients.solve(2)
    right = slice(4, None)
    assert max(abs(np.corrcoef(latents[right, k], styles[right])[0, 1]) for k in range(2)) > 0.9


def test_offsets_are_natural_gradient_steps():
    # With two styles along one axis, the step that separates them is minus C^-1 times that axis: only there.
    gradients, styles, axis = gathered(40)
    latents, directions = gradients.solve(1)
    offsets = (latents @ directions).numpy()
    assert np.sqrt((offsets**2).mean()) == pytest.approx(0.25, rel=1e-4)
    towards = offsets @ axis
    # A style moves against its gradient.
    assert np.corrcoef(towards, styles)[0, 1] < -0.9


def test_cases_never_drawn_stay_at_zero_and_the_buffers_are_given_back():
    gradients = CaseGradients(6)
    gradients.begin(4, 40)
    assert gradients.gathering
    gradients.add(torch.tensor([0, 1, 1]), torch.randn(3, 6))
    gradients.add(torch.tensor([2]), torch.full((1, 6), float("nan")))
    latents, directions = gradients.solve(2)
    assert latents.shape == (4, 2)
    assert directions.shape == (2, 6)
    assert latents.isfinite().all()
    assert directions.isfinite().all()
    assert not latents[2:].any()
    assert not gradients.gathering
    assert sum(buffer.numel() for buffer in gradients.buffers()) == 0
    # A slice of the table would be empty, too, but a checkpoint holds the whole storage of a tensor.
    assert all(buffer.untyped_storage().nbytes() == 0 for buffer in gradients.buffers())


def test_many_cases_and_parameters_need_little_memory():
    gradients = CaseGradients(7680)
    gradients.begin(100_000, 1_000_000)
    assert sum(buffer.numel() * buffer.element_size() for buffer in gradients.buffers()) < 12 * 2**20


def test_a_half_gathered_start_travels_in_the_state_dict():
    gradients, _, _ = gathered(700)
    other = CaseGradients(700)
    other.load_state_dict(gradients.state_dict())
    for ours, theirs in zip(gradients.solve(2), other.solve(2), strict=True):
        assert torch.equal(ours, theirs)


def network(generator) -> LatentHyperNetwork:
    torch.manual_seed(0)
    primary = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.InstanceNorm2d(3, affine=True),
        nn.LeakyReLU(),
        nn.Conv2d(3, 2, 3, padding=1),
        nn.InstanceNorm2d(2, affine=True),
    )
    table = LatentTable(2)
    table.set_cases(["a", "b", "c", "d"], init_std=0.0)
    return LatentHyperNetwork(primary, generator, table)


GENERATORS = {
    "modulation": lambda parameters, affine: ModulationGenerator(affine, 2, 16),
    "low_rank": lambda parameters, affine: LowRankGenerator(parameters, 2, 16, 2),
    "basis": lambda parameters, affine: BasisGenerator(parameters, 2, 16, 4),
}


@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS)
def test_gradients_of_offsets_are_those_of_single_samples(generator):
    hyper = network(generator)
    x = torch.randn(3, 1, 6, 6)
    offsets = torch.zeros(3, hyper.case_gradients.size, requires_grad=True)
    (hyper(x, torch.zeros(3, 2), offsets) ** 3).sum().backward()
    for sample in range(3):
        hyper.zero_grad()
        (hyper.primary(x[sample : sample + 1]) ** 3).sum().backward()
        alone = torch.cat([hyper.primary.get_parameter(name).grad for name in hyper.affine_sizes])
        torch.testing.assert_close(offsets.grad[sample], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS)
def test_after_the_start_latents_move_the_parameters_along_the_directions_and_no_others(generator):
    hyper = network(generator)
    hyper.case_gradients.begin(4, 40)
    torch.manual_seed(1)
    for _ in range(5):
        hyper.case_gradients.add(torch.arange(4), torch.randn(4, hyper.case_gradients.size))
    latents, directions = hyper.case_gradients.solve(2)
    parts = dict(zip(hyper.affine_sizes, directions.split(list(hyper.affine_sizes.values()), dim=1), strict=True))
    hyper.generator.align(latents, parts)
    for name, offset in hyper.generator(latents).items():
        if name in parts:
            wanted = latents @ parts[name]
            assert (offset - wanted).norm().item() < 0.25 * wanted.norm().item()
        else:
            assert not offset.any()
