"""Shipped trainers are found without any variable, by every verb; losses of users' trainers are built as they train."""

from pathlib import Path
from typing import Any

import pytest
import torch
from nnunetv2.training.loss.dice import SoftDiceLoss

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.model.planned_model import PlannedModel
from nnunetv2_hypersort.nnunet.discovery import TRAINER_VARIABLE
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.base.loss_of_trainer import loss_at_full_resolution
from nnunetv2_hypersort.trainers.hypersort import variants
from nnunetv2_hypersort.trainers.lookup import OURS, find_trainer


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv(TRAINER_VARIABLE, raising=False)


def test_all_shipped_trainers_are_on_the_list():
    assert find_trainer("HyperSORTTrainer") is HyperSORTTrainer
    assert find_trainer("HyperSORTTrainer_250epochs") is variants.HyperSORTTrainer_250epochs
    defined = {name for name, value in vars(variants).items() if getattr(value, "__module__", "") == variants.__name__}
    assert defined | {"HyperSORTTrainer", "PartialLabelsTrainer"} == set(OURS)
    assert find_trainer("PartialLabelsTrainer") is OURS["PartialLabelsTrainer"]


def test_a_trainer_that_is_nowhere_is_named():
    with pytest.raises(HyperSORTError, match="does not find the trainer HyperSORTTrainer_7epochs of this model; set"):
        find_trainer("HyperSORTTrainer_7epochs")


def test_a_model_of_a_variant_opens_as_one_of_the_trainer(trained_model):
    for path in trained_model.glob("fold_*/checkpoint_*.pth"):
        content = torch.load(path, weights_only=False)
        content["trainer_name"] = "HyperSORTTrainerDiceLoss"
        torch.save(content, path)
    model = ModelFolder.open(trained_model)
    state = model.fold(0).network().state_dict()
    assert state["latents.values"].shape == (8, 2)
    loss = model.planned.build_loss()
    output, target = torch.randn(1, 2, 8, 8, 8), torch.randint(0, 2, (1, 1, 8, 8, 8))
    # Dice alone, of the foreground: nnU-Net's own formula for one sample.
    chance = output.softmax(1)[:, 1]
    overlap = 2 * (chance * (target[:, 0] == 1)).sum() + 1e-5
    assert float(loss(output, target)) == pytest.approx(
        -float(overlap / (chance.sum() + (target == 1).sum() + 1e-5)), abs=1e-6
    )


class HalfDice(HyperSORTTrainer):
    """A user's loss: nnU-Net's, with half the weight of the Dice."""

    weight = 0.5

    def _build_loss(self) -> Any:
        loss = super()._build_loss()
        self.print_to_log_file("half")
        getattr(loss, "loss", loss).weight_dice = self.weight
        return loss


class AsksForMore(HyperSORTTrainer):
    def __init__(self, plans: Any, configuration: Any, fold: Any, dataset_json: Any, device: Any) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.sharpness = 2

    def _build_loss(self) -> Any:
        return SoftDiceLoss(smooth=self.sharpness)


def test_a_loss_that_calls_super_is_built_without_a_training(make_trainer, monkeypatch):
    trainer = make_trainer(None, kind=HalfDice)
    trainer.enable_deep_supervision = False
    before = sorted(Path(trainer.output_folder_base).parents[0].rglob("*"))
    planned = PlannedModel(
        trainer.plans_manager.plans, trainer.dataset_json, trainer.configuration_name, type(trainer).__name__
    )
    monkeypatch.setattr("nnunetv2_hypersort.model.planned_model.find_trainer", lambda name: HalfDice)
    output, target = torch.randn(1, 2, 8, 8, 8), torch.randint(0, 2, (1, 1, 8, 8, 8))
    whole = make_trainer(None)
    whole.enable_deep_supervision = False
    built = float(planned.build_loss()(output, target))
    assert built == float(trainer._build_loss()(output, target))
    assert built != float(whole._build_loss()(output, target))
    assert [path for path in before if not path.exists()] == []
    assert [path.name for path in Path(trainer.output_folder_base).rglob("*log*")] == [Path(trainer.log_file).name]


def test_a_loss_that_asks_for_what_only_a_training_has_is_refused_with_the_remedy(make_trainer):
    trainer = make_trainer(None, kind=AsksForMore)
    with pytest.raises(HyperSORTError, match=r"loss of AsksForMore cannot .*sharpness.*an attribute of the class"):
        loss_at_full_resolution(AsksForMore, trainer.plans_manager, trainer.configuration_name, trainer.dataset_json)
