"""Each generator against a calculation by hand."""

import pytest
import torch

from nnunetv2_hypersort.hypernetwork import BasisGenerator, FullGenerator, LowRankGenerator, ModulationGenerator
from nnunetv2_hypersort.hypernetwork.latent_code import LatentCode

PARAMETERS = {"conv.weight": torch.randn(4, 3, 3, 3), "conv.bias": torch.zeros(4), "norm.weight": torch.ones(4)}


def test_code_is_zero_at_the_origin_bounded_and_not_odd():
    code = LatentCode(2, 16)
    assert torch.equal(code(torch.zeros(3, 2)), torch.zeros(3, 16))
    far = code(torch.tensor([[50.0, -80.0]]))
    assert far.abs().max() < 2
    z = torch.tensor([[0.8, 0.3]])
    assert not torch.allclose(code(z), -code(-z), atol=1e-2)


def test_full_is_the_published_network():
    generator = FullGenerator(PARAMETERS, dim=2, hidden=50)
    # 2-50-50-50 with bias, then one Linear(50, n) per parameter.
    trunk = 2 * 50 + 50 + 2 * (50 * 50 + 50)
    heads = sum(51 * parameter.numel() for parameter in PARAMETERS.values())
    assert sum(p.numel() for p in generator.parameters()) == trunk + heads
    for head, parameter in zip(generator.heads, PARAMETERS.values(), strict=True):
        assert torch.equal(head.bias, parameter.flatten())
    z = torch.randn(3, 2)
    hidden = z
    for layer in (0, 2, 4):
        hidden = torch.relu(hidden @ generator.trunk[layer].weight.T + generator.trunk[layer].bias)
    expected = 5 * torch.tanh(hidden @ generator.heads[0].weight.T + generator.heads[0].bias)
    torch.testing.assert_close(generator(z)["conv.weight"], expected.reshape(3, 4, 3, 3, 3))
    assert not generator.residual


def test_basis_is_a_mixture_of_weight_vectors():
    generator = BasisGenerator(PARAMETERS, dim=2, hidden=5, rank=3)
    z = torch.randn(2, 2)
    coefficients = generator.code(z) @ generator.coefficients.weight.T
    expected = sum(coefficients[1, r] * generator.basis[0][r] for r in range(3))
    torch.testing.assert_close(generator(z)["conv.weight"][1], expected)


def test_low_rank_changes_a_convolution_by_that_rank():
    generator = LowRankGenerator(PARAMETERS, dim=2, hidden=5, rank=2)
    change = generator(torch.randn(1, 2))["conv.weight"][0].reshape(4, -1)
    assert torch.linalg.matrix_rank(change) == 2
    z = torch.randn(1, 2)
    factors = (generator.code(z) @ generator.factors[0])[0]
    expected = generator.left[0] @ torch.diag(factors) @ generator.right[0]
    torch.testing.assert_close(generator(z)["conv.weight"][0].reshape(4, -1), expected)


def test_modulation_is_linear_in_the_code():
    generator = ModulationGenerator({"a": torch.ones(4), "b": torch.zeros(3)}, dim=2, hidden=5)
    z = torch.randn(2, 2)
    joint = torch.cat([generator(z)["a"], generator(z)["b"]], dim=1)
    torch.testing.assert_close(joint, generator.code(z) @ generator.directions)


def test_modulation_without_norm_layers_is_refused():
    with pytest.raises(ValueError, match="choose low_rank or basis"):
        ModulationGenerator({}, dim=2, hidden=5)
