"""Cases that are annotated for other labels: trained, validated, continued and predicted with nnU-Net."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from tiny_datasets import BALL, CORE, PARTIAL, SPLITS
from tiny_nnunet import SHORT, WIDE, read_segmentations

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.base.annotation.batch_annotation import BatchAnnotation
from nnunetv2_hypersort.trainers.base.annotation.masked_loss import MaskedLoss
from nnunetv2_hypersort.trainers.base.seeding import pin_timed_choices, seed_process
from nnunetv2_hypersort.trainers.lookup import find_trainer
from nnunetv2_hypersort.trainers.partial_labels.partial_labels_trainer import PartialLabelsTrainer

EPOCHS = "training: {num_epochs: 2, num_iterations_per_epoch: 3, num_val_iterations_per_epoch: 1, seed: 3}\n"
STRUCTURES = {"partial": {"ball": "1", "core": "2"}, "partial_regions_ignore": {"whole": "(1, 2)", "core": "2"}}


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """Let PARTIAL_LABELS_CONFIG name this YAML text."""

    def set_to(text):
        (tmp_path / "partial.yaml").write_text(text)
        monkeypatch.setenv("PARTIAL_LABELS_CONFIG", str(tmp_path / "partial.yaml"))

    set_to(SHORT)
    return set_to


def weights_of(trainer):
    return {name: value.detach().clone() for name, value in trainer.network.named_parameters()}


def stock_trainer(nnunet, epochs, monkeypatch):
    """nnU-Net's own trainer, its length and seeds set from outside."""
    stock = nnunet.trainer(None, kind=nnUNetTrainer)
    stock.num_epochs, stock.num_iterations_per_epoch, stock.num_val_iterations_per_epoch = epochs, 3, 1
    start, transforms = stock.on_epoch_start, stock.get_training_transforms

    def seeded_start():
        start()
        seed_process(3, stock.current_epoch + 1, 0)

    def pinned_transforms(*args, **kwargs):
        found = transforms(*args, **kwargs)
        pin_timed_choices(found)
        return found

    monkeypatch.setattr(stock, "on_epoch_start", seeded_start)
    monkeypatch.setattr(stock, "get_training_transforms", pinned_transforms)
    return stock


@pytest.mark.parametrize("mode", ["3d_fullres", "regions_ignore"])
def test_fully_annotated_it_trains_the_weights_of_nnunet(tiny_nnunet, settings, monkeypatch, mode):
    settings(EPOCHS)
    nnunet = tiny_nnunet(mode)
    ours = nnunet.trainer(None, kind=PartialLabelsTrainer)
    names = [name for name in ours.dataset_json["labels"] if name not in ("background", "ignore")]
    ours.dataset_json["annotated_labels"] = {"case_2": names}
    ours.run_training()
    stock = stock_trainer(nnunet, 2, monkeypatch)
    seed_process(3, 0, 0)
    stock.run_training()
    for name, value in weights_of(stock).items():
        assert torch.equal(value, weights_of(ours)[name]), name
    assert ours.logger.get_value("val_losses", None) == stock.logger.get_value("val_losses", None)
    assert not isinstance(getattr(ours.loss, "loss", ours.loss), MaskedLoss)


def test_it_is_found_by_name():
    assert find_trainer("PartialLabelsTrainer") is PartialLabelsTrainer


@pytest.mark.parametrize("kind", [PartialLabelsTrainer, HyperSORTTrainer])
@pytest.mark.parametrize("mode", PARTIAL)
def test_train_validate_predict(tiny_nnunet, settings, tmp_path, mode, kind):
    nnunet = tiny_nnunet(mode)
    assert recursive_find_trainer_class_by_name(kind.__name__) is kind
    trainer = nnunet.train(WIDE if kind is HyperSORTTrainer else None, kind=kind)
    assert np.isfinite(trainer.logger.get_value("train_losses", None)).all()
    log = Path(trainer.log_file).read_text()
    assert "4 of 6 cases of this fold are annotated in part" in log
    assert "WARNING" not in log
    model, held_out = nnunet.model(trainer=kind.__name__), SPLITS[0]["val"]
    found = nnunet.predict(held_out, tmp_path / "out", model=model)
    np.testing.assert_array_equal(found, read_segmentations(model / "fold_0" / "validation", held_out))
    summary = json.loads((model / "fold_0" / "validation" / "summary.json").read_text())
    first, second = STRUCTURES[mode].values()
    metrics = {Path(entry["reference_file"]).name[:6]: entry["metrics"] for entry in summary["metric_per_case"]}
    # case_0 is annotated for the first structure only, case_1 for both.
    assert all(math.isnan(value) for value in metrics["case_0"][second].values())
    assert metrics["case_0"][first]["n_ref"] > 0
    for metric, mean in summary["mean"][second].items():
        np.testing.assert_equal(mean, metrics["case_1"][second][metric])
    means = [summary["mean"][key]["n_ref"] for key in (first, second)]
    assert summary["foreground_mean"]["n_ref"] == pytest.approx(np.mean(means))
    if kind is HyperSORTTrainer:
        assert trainer.table.visits.sum() >= 3
        assert torch.isfinite(trainer.table.loss[trainer.table.visits > 0]).all()


def test_both_stages_of_a_cascade_count_what_is_annotated(tiny_nnunet, settings):
    nnunet = tiny_nnunet("partial_cascade")
    for configuration, fold in (("3d_lowres", "all"), ("3d_cascade_fullres", 0)):
        trainer = nnunet.train(None, kind=PartialLabelsTrainer, configuration=configuration, fold=fold)
        assert np.isfinite(trainer.logger.get_value("train_losses", None)).all()
        folder = nnunet.model(configuration, trainer="PartialLabelsTrainer") / f"fold_{fold}" / "validation"
        entries = json.loads((folder / "summary.json").read_text())["metric_per_case"]
        (metrics,) = (entry["metrics"] for entry in entries if "case_0" in entry["reference_file"])
        assert math.isnan(metrics["2"]["Dice"])
        assert metrics["1"]["n_ref"] > 0


def test_the_loss_of_a_case_is_of_its_own_labels(tiny_nnunet):
    trainer = tiny_nnunet("partial").trainer(WIDE)
    trainer.on_train_start()
    output = torch.randn(2, 3, 8, 16, 16)
    target = torch.zeros(2, 1, 8, 16, 16)
    target[0, :, :4] = 1
    rows = trainer.table.rows(["case_2", "case_3"])
    batch = {"keys": np.array(["case_2", "case_3"])}

    def losses():
        with trainer._seen(batch):
            return trainer._losses_of_cases(rows, [output] * 3, [target] * 3)[1]

    before = losses()
    # case_2 knows the ball, case_3 the core: what the other label takes from the background says nothing of them.
    output[0, 0], output[0, 2] = output[0, 2].clone(), output[0, 0].clone()
    torch.testing.assert_close(losses(), before)
    output[1, 0], output[1, 2] = output[1, 2].clone(), output[1, 0].clone()
    assert (losses() - before).abs()[1] > 1e-3


@pytest.mark.parametrize("mode", ["3d_fullres", "ignore", "regions", "regions_ignore"])
def test_online_validation_counts_as_nnunet_where_all_is_known(tiny_nnunet, settings, mode):
    trainer = tiny_nnunet(mode).trainer(None, kind=PartialLabelsTrainer)
    trainer.on_train_start()
    trainer.on_validation_epoch_start()
    batch = next(trainer.dataloader_val)
    with torch.no_grad():
        expected = trainer.validation_step(copy.deepcopy(batch))
        annotated = AnnotatedLabels.from_dataset_json(trainer.dataset_json, "dataset.json")
        trainer.annotation = BatchAnnotation(annotated)
        trainer.loss = trainer._masked(trainer.loss, ddp=False)
        found = trainer.validation_step(batch)
    assert found.pop("loss") == pytest.approx(expected.pop("loss"), abs=1e-5)
    for name, counts in expected.items():
        np.testing.assert_array_equal(found[name], counts, err_msg=name)


def test_online_validation_counts_what_is_known(tiny_nnunet, settings):
    trainer = tiny_nnunet("partial").trainer(None, kind=PartialLabelsTrainer)
    trainer.on_train_start()
    trainer.on_validation_epoch_start()
    batch = next(trainer.dataloader_val)
    with torch.no_grad():
        batch["keys"] = np.array(["case_0", "case_0"])
        batch["target"] = [(level == 1).to(level) for level in batch["target"]]
        found = trainer.validation_step(batch)
    ball = int(batch["target"][0].sum())
    assert ball > 0
    assert found["tp_hard"][0] + found["fn_hard"][0] == ball
    assert [found[name][1] for name in ("tp_hard", "fp_hard", "fn_hard")] == [0, 0, 0]


def test_labels_that_no_training_case_has_are_warned_of(tiny_nnunet, settings):
    trainer = tiny_nnunet("partial").trainer(None, kind=PartialLabelsTrainer)
    # case_0 and case_1 are validation cases.
    cases = {case: ["ball"] for case in (*CORE, *BALL, "case_4")}
    trainer.dataset_json["annotated_labels"] = cases
    trainer._refuse_foreign_classes = lambda cases: None
    trainer.on_train_start()
    warning = "WARNING: fold 0 has only validation cases annotated for core: the network will learn that it is nowhere."
    assert warning in Path(trainer.log_file).read_text()


def test_a_label_map_with_what_its_case_is_not_annotated_for_is_refused(tiny_nnunet, settings):
    trainer = tiny_nnunet("partial").trainer(None, kind=PartialLabelsTrainer)
    # case_4 has both.
    trainer.dataset_json["annotated_labels"]["case_4"] = ["ball"]
    with pytest.raises(HyperSORTError, match=r"label map of case_4 has voxels of core, which annotated_labels in .*"):
        trainer.on_train_start()


def test_a_region_may_have_values_of_parts_that_are_unknown(tiny_nnunet, settings):
    trainer = tiny_nnunet("partial_regions_ignore").trainer(None, kind=PartialLabelsTrainer)
    trainer.dataset_json["annotated_labels"]["case_4"] = ["whole"]
    trainer.on_train_start()


@pytest.mark.parametrize("kind", [PartialLabelsTrainer, HyperSORTTrainer])
def test_a_drawn_class_that_its_case_is_not_annotated_for_stops_the_training(tiny_nnunet, settings, kind):
    trainer = tiny_nnunet("partial").trainer(SHORT, kind=kind)
    trainer.on_train_start()
    trainer.on_epoch_start()
    batch = next(trainer.dataloader_train)
    batch["keys"] = np.array(["case_4", "case_2"])
    batch["target"][0][1, :, :2] = 2
    with pytest.raises(HyperSORTError, match="label map of case_2 has voxels of core"):
        trainer.train_step(batch)


def test_mistakes_are_found_before_the_training(tiny_nnunet, settings):
    trainer = tiny_nnunet("partial").trainer(None, kind=PartialLabelsTrainer)
    trainer.dataset_json["annotated_labels"]["case_9"] = ["ball"]
    with pytest.raises(HyperSORTError, match=r'dataset\.json: annotated_labels lists the case "case_9"'):
        trainer.initialize()


@pytest.mark.parametrize("kind", [PartialLabelsTrainer, HyperSORTTrainer])
def test_annotations_that_changed_since_the_training_are_refused(tiny_nnunet, settings, kind):
    nnunet = tiny_nnunet("partial")
    trainer = nnunet.trainer(SHORT, kind=kind)
    trainer.run_training()
    file = str(Path(trainer.output_folder) / "checkpoint_final.pth")
    other = nnunet.trainer(SHORT, kind=kind)
    del other.dataset_json["annotated_labels"]["case_3"]
    with pytest.raises(HyperSORTError, match=r"such as case_3 \(then core, now everything\); restore it"):
        other.load_checkpoint(file)
    same = nnunet.trainer(SHORT, kind=kind)
    same.load_checkpoint(file)
    assert same.current_epoch == 1


def test_a_loss_that_cannot_leave_labels_out_is_refused(tiny_nnunet):
    trainer = tiny_nnunet("partial").trainer(SHORT, kind=find_trainer("HyperSORTTrainerTopk10Loss"))
    with pytest.raises(HyperSORTError, match=r"loss of HyperSORTTrainerTopk10Loss .* PartialLabelsTrainer"):
        trainer.initialize()
