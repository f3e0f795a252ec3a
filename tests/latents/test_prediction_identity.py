"""Two predictions are one only where all that they depend on agrees."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import ChosenLatent
from nnunetv2_hypersort.latents.prediction_identity import PredictionIdentity

PLANS = {
    "plans_name": "p",
    "configurations": {"2d": {"spacing": [1, 1], "batch_size": 2}},
    "hypersort": {"settings": {"seed": 1}},
}
DATASET = {"labels": {"background": 0, "a": 1}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
LATENTS = [ChosenLatent("0", np.array([0.1, 0.2]), "case a"), ChosenLatent("1", np.array([3.0, 4.0]), "case a")]


def identity(latents=LATENTS, weights=("aa", "bb"), plans=PLANS, dataset_json=DATASET):
    return PredictionIdentity.of("case:a", latents, weights, plans, plans["configurations"]["2d"], dataset_json)


@pytest.fixture
def output(tmp_path):
    plans = copy.deepcopy(PLANS)
    identity().state_in(plans)
    (tmp_path / "plans.json").write_text(json.dumps(plans))
    return tmp_path


def test_the_same_goes_on_and_what_is_no_part_of_it_does_not_count(output, capsys):
    identity().refuse_other(output)
    styled = copy.deepcopy(PLANS)
    styled["hypersort"]["styles"] = [1]
    styled["hypersort"]["prediction"] = {"folds": {}}
    identity(plans={**styled, "continue_training": True}).refuse_other(output)
    other_training = {"2d": {"spacing": [1, 1], "batch_size": 9}, "3d_fullres": {}}
    identity(plans={**PLANS, "configurations": other_training}).refuse_other(output)
    identity(dataset_json={**DATASET, "numTraining": 7}).refuse_other(output)
    # nnU-Net's command does not always know the dataset.json; what is not known is not compared.
    identity(dataset_json=None).refuse_other(output)
    replace(identity(), choice="style:A").refuse_other(output)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latents": [LATENTS[0], replace(LATENTS[1], coordinates=np.array([3.0, 4.1]))]}, "another latent .*4.1000"),
        ({"latents": [LATENTS[0], replace(LATENTS[1], coordinates=np.array([3.0]))]}, "another latent"),
        ({"latents": LATENTS[:1], "weights": ("aa",)}, "another latent .*fold 1"),
        ({"weights": ("aa", "cc")}, "other weights of fold 1"),
        ({"plans": {**PLANS, "hypersort": {"settings": {"seed": 2}}}}, "other plans or settings"),
        ({"plans": {**PLANS, "plans_name": "q"}}, "other plans or settings"),
        ({"plans": {**PLANS, "configurations": {"2d": {"spacing": [1, 2]}}}}, "other plans or settings"),
        ({"dataset_json": {**DATASET, "labels": {"background": 0, "b": 1}}}, "other labels or channels"),
        ({"dataset_json": {**DATASET, "file_ending": ".nrrd"}}, "other labels or channels"),
    ],
)
def test_whatever_differs_is_refused_by_its_name(output, change, said):
    with pytest.raises(HyperSORTError, match=f"was begun with {said}.*Continue with `--latent=case:a`"):
        identity(**change).refuse_other(output)
    with pytest.raises(HyperSORTError, match="It has other cases: add to them with"):
        identity(**change).refuse_other(output, continuing=False)


def test_an_account_of_the_first_version_goes_on_where_latents_agree(output, capsys):
    folds = {latent.fold: {"coordinates": list(latent.coordinates), "origin": latent.origin} for latent in LATENTS}
    (output / "plans.json").write_text(json.dumps({"hypersort": {"prediction": {"latent": "case:a", "folds": folds}}}))
    identity(weights=("cc", "dd")).refuse_other(output)
    assert "a former version, which stated latents alone. They agree" in capsys.readouterr().out
    with pytest.raises(HyperSORTError, match="another latent"):
        identity(latents=[LATENTS[0], replace(LATENTS[1], coordinates=np.zeros(2))]).refuse_other(output)


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ({"version": 3, "folds": {}}, "newer version of this package"),
        ({"version": 2}, "damaged"),
        ({"version": "x", "folds": {}}, "damaged"),
        ({"folds": {"0": {"coordinates": "a", "origin": ""}}}, "damaged"),
        ({"folds": 7}, "damaged"),
        (7, "was not made with a HyperSORT model"),
    ],
)
def test_an_account_that_cannot_be_understood_is_refused(output, account, said):
    (output / "plans.json").write_text(json.dumps({"hypersort": {"prediction": account}}))
    with pytest.raises(HyperSORTError, match=said):
        identity().refuse_other(output)


def test_an_empty_folder_holds_no_prediction(tmp_path):
    identity().refuse_other(tmp_path)
