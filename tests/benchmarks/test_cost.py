"""The benchmark of costs: counts against hand calculation, two forms of one convolution, ratios, tables."""

import os
import shutil
from unittest import mock

import pytest
import torch

from benchmarks.cost import sides
from benchmarks.cost.low_rank_forms import make_layer, sample_by_sample, together
from benchmarks.cost.size import SMALL_FEATURES, count_parameters
from benchmarks.cost.step_time import take_turns, versus
from benchmarks.cost.tables import markdown
from benchmarks.nnunet_runs.workplace import Workplace


def test_parameters_are_those_of_a_calculation_by_hand():
    counts = {name: found["parameters"] for name, found in count_parameters(SMALL_FEATURES).items()}
    # Two convolutions per stage, of 8, 16 and 32 channels in the encoder and 16 and 8 in the decoder, each with a norm
    # layer of a scale and a shift per channel. The code of width 16 has 16 x 2 weights and 16 offsets.
    affine = 2 * 2 * (8 + 16 + 32 + 16 + 8)
    assert counts["default"] - counts["plain"] == 16 * affine + 16 * 2 + 16
    # 2-50-50-50 and a head of 50 weights and one offset for each of the planned network's parameters.
    assert counts["published"] == 51 * counts["plain"] + (2 * 50 + 50) + 2 * (50 * 50 + 50)
    assert counts["basis"] == 9 * counts["plain"] + 16 * 8 + 16 * 2 + 16


def test_thin_convolutions_equal_weights_for_each_sample():
    layers = [make_layer(4, 5) for _ in range(2)]
    outputs = [form(*tensors) for form, tensors in zip((sample_by_sample, together), layers, strict=True)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(outputs[0], torch.nn.functional.conv3d(layers[0][0], layers[0][1], padding=1), atol=1)
    for output in outputs:
        output.square().mean().backward()
    for ours, theirs in zip(*layers, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-3)


def test_sides_take_turns_and_the_first_round_does_not_count():
    order: list[str] = []
    seconds = take_turns({"plain": lambda: order.append("a"), "other": lambda: order.append("b")}, 2, "cpu")
    assert "".join(order) == "abbaab"
    assert [len(values) for taken in seconds.values() for values in taken.values()] == [2, 2, 2, 2]


def test_ratios_are_taken_block_by_block():
    # The machine halves its speed after two repetitions: the ratio of each block stays 1.5.
    seconds = {"plain": [1.0, 1.0, 2.0, 2.0], "slow": [1.5, 1.5, 3.0, 3.0]}
    assert versus(seconds, "slow")["ratio_median"] == pytest.approx(1.5)
    assert versus(seconds, "slow")["ratio_quartiles"] == [pytest.approx(1.5)] * 2


def test_tables_hold_what_was_measured_and_nothing_else():
    sizes = {"plain": {"bytes": 2e6, "ratio": 1.0}, "default": {"bytes": 2.1e6, "ratio": 1.05}}
    text = markdown({"checkpoints": {"small": sizes, "large": {"plain": {"bytes": 3e8, "ratio": 1.0}}}, "machine": {}})
    assert "| default, latents learnt | 2.1 MB (1.050x) | not written |" in text
    assert "Growth" not in text


@pytest.mark.parametrize("name", ["plain", "default_warm_up", "default_gathering", "default", "default_one_by_one"])
def test_a_side_takes_its_steps_in_its_phase(preprocessed, tmp_path, monkeypatch, name):
    workplace = Workplace(tmp_path)
    (dataset,) = (preprocessed / "nnUNet_preprocessed").iterdir()
    shutil.copytree(dataset, workplace.preprocessed / dataset.name)
    monkeypatch.setattr(sides, "SOURCE_DATASET", dataset.name)
    with mock.patch.dict(os.environ):
        trainer = sides.build(workplace, sides.SIDES[name])
        before = [parameter.detach().clone() for parameter in trainer.network.parameters()]
        for batch in sides.make_batches(trainer, 2):
            sides.take_step(trainer, sides.SIDES[name], batch)
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.network.parameters(), strict=True))
    if name != "plain":
        gradients = trainer.hypernetwork.case_gradients
        assert gradients.gathering == (sides.SIDES[name].phase is not sides.Phase.LATENTS)
        assert bool(trainer.table.values.any()) == (not gradients.gathering)
