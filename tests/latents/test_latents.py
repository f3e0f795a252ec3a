"""Mode, record and choice of a latent."""

import numpy as np
import pytest
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.hypernetwork import LatentTable
from nnunetv2_hypersort.latents import FoldRecord, LatentChoice, choose_latents, densest_latent

HELD_OUT = {"0": ["liver_3"], "1": ["liver_1", "liver_2"]}


def record(fold: str, *cases: str, dim: int = 2) -> FoldRecord:
    latents = np.arange(len(cases) * dim, dtype=float).reshape(len(cases), dim)
    return FoldRecord(fold, cases, latents, np.ones(len(cases), int), HELD_OUT)


def test_mode_is_in_the_densest_cluster_not_the_widest():
    rng = np.random.default_rng(0)
    wide, dense, loners = rng.normal(0, 1, (40, 2)), rng.normal(8, 0.1, (25, 2)), rng.uniform(-30, 30, (5, 2))
    row = densest_latent(np.concatenate([wide, dense, loners]))
    assert 40 <= row < 65


@pytest.mark.parametrize("count", [1, 2, 3])
def test_mode_of_few_latents(count):
    assert 0 <= densest_latent(np.random.default_rng(0).normal(size=(count, 2))) < count


def test_mode_ignores_latents_that_were_never_trained():
    rng = np.random.default_rng(0)
    latents = np.concatenate([rng.normal(1, 0.1, (70, 2)), rng.normal(0, 0.01, (15, 2))])
    cases = tuple(f"case_{row}" for row in range(85))
    trained = FoldRecord("0", cases, latents, np.repeat([3, 0], [70, 15]), {})
    assert int(trained.mode()[0].removeprefix("case_")) < 70
    fresh = FoldRecord("0", cases, latents, np.zeros(85, int), {})
    assert int(fresh.mode()[0].removeprefix("case_")) >= 70
    with pytest.raises(HyperSORTError, match="case_80 was never visited in the training of fold 0"):
        choose_latents(LatentChoice(case_id="case_80"), [trained])


def test_mode_of_equal_latents_is_the_first():
    assert densest_latent(np.zeros((10, 2))) == 0


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("mode", LatentChoice()),
        ("", LatentChoice()),
        ("case:liver_1", LatentChoice(case_id="liver_1")),
        ("case:1,2", LatentChoice(case_id="1,2")),
        ("0.5,-1e-2", LatentChoice(coordinates=(0.5, -0.01))),
        ("1.2345678806,-0.31", LatentChoice(coordinates=(1.2345678806, -0.31))),
        (" 3 ", LatentChoice(coordinates=(3.0,))),
    ],
)
def test_choices_are_read(text, choice):
    assert LatentChoice.parse(text) == choice
    assert LatentChoice.parse(str(choice)) == choice


@pytest.mark.parametrize("text", ["case:", "liver_1", "0.5;0.2", "0.5,", "nan,0", "0,inf", "mode:"])
def test_other_texts_are_refused(text):
    with pytest.raises(HyperSORTError, match="latent"):
        LatentChoice.parse(text)


def test_a_case_has_its_latent_in_each_fold_that_trained_it():
    folds = [record("0", "liver_1", "liver_2"), record("2", "liver_9", "liver_3", "liver_1")]
    chosen = choose_latents(LatentChoice(case_id="liver_1"), folds)
    assert [latent.fold for latent in chosen] == ["0", "2"]
    assert chosen[0].coordinates.tolist() == [0, 1]
    assert chosen[1].coordinates.tolist() == [4, 5]


def test_a_fold_without_the_case_is_refused_and_the_others_named():
    with pytest.raises(HyperSORTError, match=r"liver_3 is not training data of fold 0, .*can serve: 1\."):
        choose_latents(LatentChoice(case_id="liver_3"), [record("0", "liver_1", "liver_2")])
    with pytest.raises(HyperSORTError, match=r"liver_1 is not training data of fold 1, .*can serve: 0\."):
        choose_latents(LatentChoice(case_id="liver_1"), [record("0", "liver_1", "liver_2"), record("1", "liver_3")])


def test_an_unknown_case_gets_the_nearest_ids():
    with pytest.raises(HyperSORTError, match="nearest ids are liver_"):
        choose_latents(LatentChoice(case_id="liver_01"), [record("0", "liver_1", "liver_2")])
    alone = FoldRecord("0", ("a", "b"), np.zeros((2, 2)), np.ones(2, int), {"0": ["c"]})
    with pytest.raises(HyperSORTError, match=r"c is held out in every fold of the split.*hypersort fit"):
        choose_latents(LatentChoice.parse("case:c"), [alone])
    with pytest.raises(HyperSORTError, match="names no training case"):
        choose_latents(LatentChoice(case_id="zzz"), [record("0", "liver_1", "liver_2")])


def test_coordinates_serve_one_fold_of_their_dimension():
    choice = LatentChoice(coordinates=(0.5, 0.25))
    assert choose_latents(choice, [record("0", "liver_1")])[0].coordinates.tolist() == [0.5, 0.25]
    with pytest.raises(HyperSORTError, match=r"cannot serve folds 0, 1: .* unrelated"):
        choose_latents(choice, [record("0", "liver_1"), record("1", "liver_3")])
    with pytest.raises(HyperSORTError, match="has 2 coordinates, but the latents of this model have 3"):
        choose_latents(choice, [record("0", "liver_1", dim=3)])


def test_a_record_travels_with_the_weights():
    table = LatentTable(2)
    table.set_cases(["liver_2", "liver_1"], init_std=1.0, seed=3)
    weights = {f"latents.{name}": buffer for name, buffer in table.named_buffers()}
    weights["record"] = FoldRecord.encode("4", HELD_OUT)
    read = FoldRecord.from_network_weights(weights)
    assert (read.fold, read.case_ids, read.held_out) == ("4", ("liver_2", "liver_1"), HELD_OUT)
    np.testing.assert_allclose(read.latent_of("liver_1"), table.values[1].numpy())


def test_weights_of_another_trainer_are_named_as_such():
    with pytest.raises(
        HyperSORTError, match=r"file\.pth holds no latents: it was not trained with a HyperSORT trainer"
    ):
        FoldRecord.from_network_weights({"encoder.weight": torch.zeros(1)}, source="file.pth")


def test_damaged_latents_are_found():
    table = LatentTable(2)
    table.set_cases(["a", "b"], init_std=1.0)
    weights = {f"latents.{name}": buffer.clone() for name, buffer in table.named_buffers()}
    weights["record"] = FoldRecord.encode("4", {})
    weights["latents.values"][0, 0] = float("nan")
    with pytest.raises(HyperSORTError, match="1 values not finite"):
        FoldRecord.from_network_weights(weights)
    weights["record"] = weights["record"][:-1]
    with pytest.raises(HyperSORTError, match="damaged"):
        FoldRecord.from_network_weights(weights)
