"""A trained-model folder, opened for work with its styles."""

import json
import shutil

import numpy as np
import pytest
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import FoldRecord, LatentChoice, StyleBook
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.prediction.predicting_model import PredictingModel


def edit_checkpoint(path, change) -> None:
    content = torch.load(path, weights_only=False)
    change(content)
    torch.save(content, path)


def test_the_folds_hold_what_training_left(trained_model):
    model = ModelFolder.open(trained_model)
    assert [fold.name for fold in model.folds] == ["0", "1"]
    assert (model.dataset_name, model.configuration, model.labels) == ("Dataset901_Tiny", "3d_fullres", {"liver": 1})
    assert model.settings.latent.init_std == 0.5
    assert model.book == StyleBook()
    fold = model.fold(0)
    table = np.genfromtxt(fold.folder / "latents.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert fold.record.case_ids == tuple(table["case"])
    np.testing.assert_array_equal(fold.record.latents, np.stack([table["z_0"], table["z_1"]], 1).astype(np.float32))
    np.testing.assert_allclose(fold.losses, table["loss"].astype(float), rtol=1e-6)
    assert fold.epoch == 1
    assert fold.history.shape == (1, 8, 2)
    np.testing.assert_array_equal(fold.history[0], fold.record.latents)
    assert fold.history_epochs.tolist() == [1]
    assert fold.validation_cases == ("phantom_000", "phantom_001")
    assert fold.mirror_axes == (0, 1, 2)


def test_the_loss_of_a_case_that_was_never_drawn_is_unknown(trained_model):
    def forget(content):
        content["network_weights"]["latents.visits"][2] = 0

    edit_checkpoint(trained_model / "fold_0" / "checkpoint_final.pth", forget)
    assert np.flatnonzero(np.isnan(ModelFolder.open(trained_model, folds=[0]).folds[0].losses)).tolist() == [2]


def test_the_network_is_that_of_the_checkpoint(trained_model):
    fold = ModelFolder.open(trained_model).fold("1")
    weights = torch.load(fold.checkpoint, weights_only=False)["network_weights"]
    network = fold.network()
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[name]), name
    x = torch.randn(1, 1, 16, 24, 24)
    first, second = (torch.as_tensor(fold.record.latent_of(case)).float() for case in ("phantom_002", "phantom_005"))
    with torch.no_grad():
        assert not torch.equal(network(x, first[None]), network(x, second[None]))


def test_folds_are_chosen(trained_model):
    assert [fold.name for fold in ModelFolder.open(trained_model, folds=[1]).folds] == ["1"]
    assert [fold.name for fold in ModelFolder.open(trained_model, folds=("1", "0", 1)).folds] == ["0", "1"]
    with pytest.raises(HyperSORTError, match="Fold 0 is not among the folds 1"):
        ModelFolder.open(trained_model, folds=[1]).fold(0)


def test_a_fold_that_is_not_finished_is_left_out_with_a_warning_or_refused(trained_model):
    (trained_model / "fold_1" / "checkpoint_final.pth").rename(trained_model / "fold_1" / "checkpoint_latest.pth")
    with pytest.warns(UserWarning, match=r"Fold 1 of .* has no checkpoint_final\.pth and is left out"):
        assert [fold.name for fold in ModelFolder.open(trained_model).folds] == ["0"]
    with pytest.raises(HyperSORTError, match=r"no checkpoint_final\.pth in fold 1 .*with one: 0\. Fold 1 is at"):
        ModelFolder.open(trained_model, folds=[0, 1])
    assert ModelFolder.open(trained_model, folds=[1], checkpoint_name="checkpoint_latest.pth").folds[0].name == "1"


def test_the_fold_all_is_taken_when_there_is_no_other(trained_model):
    shutil.copytree(trained_model / "fold_0", trained_model / "fold_all")
    edit_checkpoint(
        trained_model / "fold_all" / "checkpoint_final.pth",
        lambda content: content["network_weights"].update(record=FoldRecord.encode("all", {})),
    )
    assert [fold.name for fold in ModelFolder.open(trained_model).folds] == ["0", "1"]
    assert [fold.name for fold in ModelFolder.open(trained_model, folds=["all"]).folds] == ["all"]
    for fold in (0, 1):
        shutil.rmtree(trained_model / f"fold_{fold}")
    assert [fold.name for fold in ModelFolder.open(trained_model).folds] == ["all"]


def test_other_folders_are_refused(trained_model, tmp_path):
    for path in (tmp_path / "absent", trained_model / "fold_0", trained_model.parent, trained_model / "plans.json"):
        with pytest.raises(HyperSORTError, match=r"There is no .*plans\.json; give nnU-Net's trained-model folder"):
            ModelFolder.open(path)
    for fold in (0, 1):
        shutil.rmtree(trained_model / f"fold_{fold}")
    with pytest.raises(HyperSORTError, match=r"no checkpoint_final\.pth in any fold of .*; folds with one: none"):
        ModelFolder.open(trained_model)
    (trained_model / "dataset.json").unlink()
    with pytest.raises(HyperSORTError, match=r"There is no .*dataset\.json"):
        ModelFolder.open(trained_model)


def test_folds_of_different_settings_are_refused(trained_model):
    def retrain(content):
        content["init_args"]["plans"]["hypersort"]["settings"]["latent"]["lr"] = 0.7

    edit_checkpoint(trained_model / "fold_1" / "checkpoint_final.pth", retrain)
    with pytest.raises(
        HyperSORTError,
        match=r"fold_1.checkpoint_final\.pth was trained with other settings .*latent\.lr .* 0\.7 here",
    ):
        ModelFolder.open(trained_model)
    ModelFolder.open(trained_model, folds=[0])


def test_folds_of_different_configurations_or_trainers_are_refused(trained_model):
    path = trained_model / "fold_1" / "checkpoint_final.pth"
    edit_checkpoint(path, lambda content: content["init_args"].update(configuration="3d_lowres"))
    with pytest.raises(HyperSORTError, match=r"different trainings .*fold_0.*: 3d_fullres, .*fold_1.*: 3d_lowres"):
        ModelFolder.open(trained_model)


def test_a_model_of_another_trainer_is_refused(trained_model):
    def strip(content):
        weights = content["network_weights"]
        content["network_weights"] = {name: value for name, value in weights.items() if name.startswith("primary.")}

    edit_checkpoint(trained_model / "fold_0" / "checkpoint_final.pth", strip)
    with pytest.raises(HyperSORTError, match="was not trained with a HyperSORT trainer"):
        ModelFolder.open(trained_model)


def test_a_checkpoint_that_does_not_fit_the_plans_is_refused(trained_model):
    def widen(content):
        weights = content["network_weights"]
        name = next(name for name in weights if name.startswith("primary.") and weights[name].dim() == 5)
        weights[name] = torch.cat([weights[name], weights[name]])
        del weights["checksum"]

    edit_checkpoint(trained_model / "fold_0" / "checkpoint_final.pth", widen)
    with pytest.raises(HyperSORTError, match=r"does not fit the network that plans\.json describes"):
        ModelFolder.open(trained_model).fold(0).network()


def test_weights_that_were_changed_are_refused(trained_model):
    def change(content):
        content["network_weights"]["latents.loss"][0] += 1e-3

    edit_checkpoint(trained_model / "fold_0" / "checkpoint_final.pth", change)
    with pytest.raises(HyperSORTError, match=r"fold_0.checkpoint_final\.pth are not those that the training saved"):
        ModelFolder.open(trained_model).fold(0).network()


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("plans.json", lambda plans: plans["configurations"]["3d_fullres"].update(spacing=[3, 1, 1]), "spacing"),
        ("plans.json", lambda plans: plans.pop("configurations"), "configurations.3d_fullres"),
        ("dataset.json", lambda dataset: dataset["labels"].update(organ=2), "labels.organ"),
    ],
)
def test_other_plans_than_those_of_the_training_are_refused(trained_model, file, change, said):
    content = json.loads((trained_model / file).read_text())
    change(content)
    (trained_model / file).write_text(json.dumps(content))
    for use in (
        lambda: ModelFolder.open(trained_model),
        lambda: PredictingModel.open(
            trained_model, [0], LatentChoice.parse("mode"), checkpoint_name="checkpoint_final.pth"
        ),
    ):
        with pytest.raises(HyperSORTError, match=rf"differs from what .*fold_0.* was trained with, in .*{said}"):
            use()


def test_what_concerns_training_alone_may_change(trained_model):
    content = json.loads((trained_model / "plans.json").read_text())
    content["configurations"]["3d_fullres"]["batch_size"] = 5
    content["configurations"]["another"] = {"inherits_from": "3d_fullres"}
    (trained_model / "plans.json").write_text(json.dumps(content))
    assert len(ModelFolder.open(trained_model).folds) == 2


def test_a_book_is_written_into_the_plans_and_nothing_else_changes(trained_model, styled_model):
    plans = json.loads((trained_model / "plans.json").read_text())
    assert [style["name"] for style in plans["hypersort"].pop("styles")] == ["A", "B", "C"]
    unchanged = torch.load(trained_model / "fold_0" / "checkpoint_final.pth", weights_only=False)["init_args"]["plans"]
    unchanged.pop("continue_training", None)
    assert plans == json.loads(json.dumps(unchanged))
    model = ModelFolder.open(styled_model)
    assert model.book.names == ("A", "B", "C")
    assert all(model.book.find("A").serves(fold.record) for fold in model.folds)
    model.write_book(StyleBook())
    assert model.book == ModelFolder.open(styled_model).book == StyleBook()


def test_data_folders_may_be_gone(trained_model, monkeypatch, tmp_path):
    model = ModelFolder.open(trained_model)
    assert (model.raw_folder() / "imagesTr").is_dir()
    assert (model.preprocessed_folder() / "splits_final.json").is_file()
    assert model.preprocessed_cases_folder().name == "nnUNetPlans_3d_fullres"
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    assert model.raw_folder() is model.preprocessed_folder() is model.preprocessed_cases_folder() is None
    monkeypatch.delenv("nnUNet_raw")
    assert model.raw_folder() is None
