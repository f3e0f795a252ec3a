"""Training through nnU-Net's own loop, on a tiny dataset."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from csv_rows import csv_rows
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from safetensors.numpy import load_file

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.hypersort import latent_schedule

SHORT = (
    "training: {num_epochs: 4, num_iterations_per_epoch: 4, num_val_iterations_per_epoch: 1, seed: 3,\n"
    "  save_every: 2}\n"
    "latent: {lr: 0.05, start: random}\n"
)


class Killed(BaseException):
    """Stands for a kill signal: nothing may catch it."""


class DiesAfterTwoEpochs(HyperSORTTrainer):
    def on_epoch_start(self) -> None:
        if self.current_epoch == 2:
            raise Killed
        super().on_epoch_start()


# The folder of results carries the name of the class.
DiesAfterTwoEpochs.__name__ = "HyperSORTTrainer"


def rows_of(trainer: HyperSORTTrainer) -> list[dict[str, str]]:
    return csv_rows(Path(trainer.output_folder) / "latents.csv")


def test_a_run_leaves_whole_readable_files(make_trainer):
    trainer = make_trainer(SHORT)
    trainer.run_training()
    folder = Path(trainer.output_folder)
    rows = rows_of(trainer)
    assert [row["case"] for row in rows] == [f"phantom_{number:03d}" for number in range(2, 10)]
    assert list(rows[0]) == ["case", "z_0", "z_1", "visits", "loss", "epoch"]
    assert sum(int(row["visits"]) for row in rows) <= 4 * 4 * 2
    assert {row["epoch"] for row in rows} == {"4"}
    history = load_file(folder / "latent_history.safetensors")
    assert history["epochs"].tolist() == [2, 4]
    assert history["latents"].shape == (2, 8, 2)
    np.testing.assert_allclose(history["latents"][-1], [[float(r["z_0"]), float(r["z_1"])] for r in rows], rtol=1e-6)
    assert (folder / "latent_map.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.glob(".tmp-*"))
    stored = json.loads((folder.parent / "plans.json").read_text())["hypersort"]["settings"]
    assert stored["latent"]["lr"] == 0.05
    checkpoint = torch.load(folder / "checkpoint_final.pth", weights_only=False)
    assert checkpoint["init_args"]["plans"]["hypersort"]["settings"] == stored
    assert len(checkpoint["logging"]["latent_spread"]) == 4


def test_only_the_cases_drawn_move_and_validation_moves_none(make_trainer):
    trainer = make_trainer(SHORT)
    trainer.on_train_start()
    before = trainer.table.values.clone()
    batch = next(trainer.dataloader_train)
    trainer.train_step(batch)
    drawn = set(batch["keys"])
    moved = {
        case
        for case, old, new in zip(trainer.table.case_ids, before, trainer.table.values, strict=True)
        if not torch.equal(old, new)
    }
    assert moved == drawn
    assert {case for case, visits in zip(trainer.table.case_ids, trainer.table.visits, strict=True) if visits} == drawn
    after = trainer.table.values.clone()
    weights = {name: value.clone() for name, value in trainer.hypernetwork.state_dict().items()}
    trainer.on_validation_epoch_start()
    trainer.validation_step(next(trainer.dataloader_val))
    trainer.hypernetwork.restore()
    assert torch.equal(after, trainer.table.values)
    assert all(torch.equal(value, weights[name]) for name, value in trainer.hypernetwork.state_dict().items())


def test_weight_decay_and_clipping_of_the_network_do_not_reach_the_latents(make_trainer):
    # With a huge decay and a tiny clipping norm the network is crushed; Adam's step of a latent is as ever.
    steps = {}
    for name, extra in (("plain", ""), ("crushed", ", weight_decay: 10, gradient_clipping: 1e-6")):
        trainer = make_trainer(SHORT.replace("seed: 3", f"seed: 3{extra}"))
        trainer.on_train_start()
        before = trainer.table.values.clone()
        batch = next(trainer.dataloader_train)
        trainer.train_step(batch)
        steps[name] = trainer.table.values - before
    torch.testing.assert_close(steps["plain"], steps["crushed"])
    # First Adam step: the learning rate in the direction of the sign, in each coordinate.
    np.testing.assert_allclose(steps["plain"][steps["plain"] != 0].abs(), 0.05, rtol=1e-3)


def test_a_batch_of_one_case_twice_steps_it_once(make_trainer):
    trainer = make_trainer(SHORT)
    trainer.on_train_start()
    batch = next(trainer.dataloader_train)
    batch["keys"] = ["phantom_004", "phantom_004"]
    trainer.train_step(batch)
    assert int(trainer.table.visits.sum()) == 1


def test_loss_of_the_network_is_nnunets_own(make_trainer):
    # At the zero latent the network is the plain one, and the L1 norm is no part of the loss that is logged.
    ours = make_trainer(SHORT)
    ours.on_train_start()
    batch = next(ours.dataloader_train)
    ours.table.values.zero_()
    plain = nnUNetTrainer.build_network_architecture(
        ours.plans_manager, ours.configuration_manager, ours.num_input_channels, 2, True
    )
    plain.load_state_dict(ours.hypernetwork.primary.state_dict())
    with torch.no_grad():
        loss = float(ours.loss(plain(batch["data"]), batch["target"]))
    assert float(ours.train_step(batch)["loss"]) == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("start", ["random", "spectral"])
def test_a_killed_run_continues_to_the_same_latents_and_losses(make_trainer, start):
    # Eight epochs of four steps: a warm-up of 40 % ends in the fourth, so the run dies in the midst of it.
    config = SHORT.replace("start: random", f"start: {start}").replace("num_epochs: 4", "num_epochs: 8")
    whole = make_trainer(config)
    whole.run_training()
    expected = rows_of(whole)
    losses = whole.logger.get_value("train_losses", None)
    weights = {name: value.clone() for name, value in whole.hypernetwork.state_dict().items()}
    for file in Path(whole.output_folder).iterdir():
        if file.is_file():
            file.unlink()

    dying = make_trainer(config, kind=DiesAfterTwoEpochs)
    with pytest.raises(Killed):
        dying.run_training()
    assert dying.hypernetwork.case_gradients.gathering == (start == "spectral")
    continued = make_trainer(None, continue_training=True)
    continued.load_checkpoint(os.path.join(continued.output_folder, "checkpoint_latest.pth"))
    assert continued.current_epoch == 2
    continued.run_training()
    np.testing.assert_allclose(continued.logger.get_value("train_losses", None), losses, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(rows_of(continued), expected, strict=True):
        assert {key: ours[key] for key in ("case", "visits")} == {key: theirs[key] for key in ("case", "visits")}
        for key in ("z_0", "z_1", "loss"):
            assert float(ours[key] or 0) == pytest.approx(float(theirs[key] or 0), rel=1e-4, abs=1e-5)
    for name, value in continued.hypernetwork.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=1e-4, atol=1e-5, equal_nan=True)


def test_cases_that_came_and_went_are_named_and_known_latents_kept(make_trainer, capsys):
    make_trainer(SHORT).run_training()
    trainer = make_trainer(None)
    splits_file = Path(trainer.preprocessed_dataset_folder_base) / "splits_final.json"
    splits = json.loads(splits_file.read_text())
    splits[0] = {"train": [*splits[0]["train"][1:], "phantom_000"], "val": ["phantom_001", "phantom_002"]}
    splits_file.write_text(json.dumps(splits))
    before = {row["case"]: row for row in rows_of(trainer)}
    continued = make_trainer(None, continue_training=True)
    continued.load_checkpoint(os.path.join(continued.output_folder, "checkpoint_final.pth"))
    assert "New, with a fresh latent: phantom_000. Gone: phantom_002." in capsys.readouterr().out
    for case, latent in zip(continued.table.case_ids, continued.table.values, strict=True):
        if case != "phantom_000":
            np.testing.assert_allclose(latent, [float(before[case]["z_0"]), float(before[case]["z_1"])], rtol=1e-6)


def test_a_further_fold_takes_the_settings_of_the_model_folder(make_trainer):
    make_trainer(SHORT).run_training()
    assert make_trainer(None, fold=1).settings == make_trainer(None).settings
    assert make_trainer(None, fold=1).settings.latent.lr == 0.05


def test_settings_that_disagree_are_refused_with_both_values(make_trainer):
    make_trainer(SHORT).run_training()
    other = SHORT.replace("lr: 0.05", "lr: 0.07")
    with pytest.raises(HyperSORTError, match=r"fold_0 of .*latent\.lr is 0\.07 here and 0\.05 there"):
        make_trainer(other, fold=1)
    continued = make_trainer(other.replace("latent: {", "latent: {dim: 3, "), continue_training=True)
    with pytest.raises(HyperSORTError, match=r"checkpoint_final\.pth: latent\.dim is 3 here and 2 there; latent\.lr"):
        continued.load_checkpoint(os.path.join(continued.output_folder, "checkpoint_final.pth"))


def test_the_same_fold_may_start_anew_with_other_settings(make_trainer):
    make_trainer(SHORT).run_training()
    assert make_trainer(SHORT.replace("lr: 0.05", "lr: 0.07")).settings.latent.lr == 0.07


def test_a_fold_with_one_training_case_is_refused(make_trainer):
    trainer = make_trainer(SHORT)
    splits_file = Path(trainer.preprocessed_dataset_folder_base) / "splits_final.json"
    splits_file.write_text(json.dumps([{"train": ["phantom_001", "phantom_001"], "val": ["phantom_002"]}]))
    with pytest.raises(HyperSORTError, match=r"Fold 0 of Dataset901_Tiny has 1 training case.*at least two"):
        trainer.on_train_start()


def test_a_loss_that_is_no_number_stops_with_the_epoch_and_keeps_checkpoints(make_trainer):
    class Breaks(HyperSORTTrainer):
        def train_step(self, batch):
            if self.current_epoch == 3:
                batch["data"][:] = float("nan")
            return super().train_step(batch)

    Breaks.__name__ = "HyperSORTTrainer"
    trainer = make_trainer(SHORT, kind=Breaks)
    with pytest.raises(HyperSORTError, match=r"became nan in epoch 3 of fold 0.*checkpoint_latest\.pth"):
        trainer.run_training()
    intact = make_trainer(None, continue_training=True)
    intact.load_checkpoint(os.path.join(intact.output_folder, "checkpoint_latest.pth"))
    assert intact.current_epoch in (2, 3), "the newer one of latest and best"
    assert torch.isfinite(intact.table.values).all()


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed")]
)
def test_a_save_that_fails_keeps_the_previous_checkpoint(make_trainer, monkeypatch, failure):
    trainer = make_trainer(SHORT)
    trainer.run_training()
    path = Path(trainer.output_folder) / "checkpoint_final.pth"
    content = path.read_bytes()

    def half(_checkpoint: object, filename: str) -> None:
        Path(filename).write_bytes(b"half a checkpoint")
        raise failure

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(HyperSORTError, match="The previous checkpoint is unchanged"):
        trainer.save_checkpoint(str(path))
    assert path.read_bytes() == content
    assert not list(path.parent.glob(".tmp-*"))


def test_weights_broken_by_the_last_step_of_an_epoch_are_not_saved(make_trainer):
    class Breaks(HyperSORTTrainer):
        def on_train_epoch_end(self, train_outputs):
            super().on_train_epoch_end(train_outputs)
            if self.current_epoch == 3:
                next(self.network.parameters()).data.fill_(float("nan"))

    Breaks.__name__ = "HyperSORTTrainer"
    trainer = make_trainer(SHORT, kind=Breaks)
    with pytest.raises(HyperSORTError, match="validation loss became nan in epoch 3"):
        trainer.run_training()
    assert not (Path(trainer.output_folder) / "checkpoint_final.pth").exists()


def test_lost_tables_are_rebuilt_from_the_checkpoint(make_trainer):
    trainer = make_trainer(SHORT)
    trainer.run_training()
    folder = Path(trainer.output_folder)
    names = ("latents.csv", "latent_history.safetensors")
    before = {name: (folder / name).read_bytes() for name in names}
    for name in (*names, "latent_map.png"):
        (folder / name).unlink()
    continued = make_trainer(None, continue_training=True)
    continued.load_checkpoint(str(folder / "checkpoint_final.pth"))
    continued.on_train_start()
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert (folder / "latent_map.png").is_file()


def test_validating_an_older_checkpoint_leaves_the_tables_of_the_newest(make_trainer):
    dying = make_trainer(SHORT, kind=DiesAfterTwoEpochs)
    with pytest.raises(Killed):
        dying.run_training()
    folder = Path(dying.output_folder)
    older = (folder / "checkpoint_latest.pth").rename(folder / "checkpoint_older.pth")
    make_trainer(SHORT).run_training()
    before = (folder / "latents.csv").read_bytes()
    validating = make_trainer(None)
    validating.load_checkpoint(str(older))
    assert validating.current_epoch == 2
    assert (folder / "latents.csv").read_bytes() == before


def test_in_a_long_training_latents_settle_and_then_stand_still(make_trainer, monkeypatch):
    monkeypatch.setattr(latent_schedule, "SHORTEST_SETTLING", 0)
    # Eight cases and batches of two: three visits of a case per epoch, 18 in all.
    config = SHORT.replace("num_epochs: 4, num_iterations_per_epoch: 4", "num_epochs: 6, num_iterations_per_epoch: 12")
    trainer = make_trainer(config.replace("lr: 0.05", "lr: 0.05, settling_visits: 4"))
    trainer.on_train_start()
    start = trainer.table.values.clone()
    trainer.run_training()
    history = trainer.table.history
    assert trainer.table.history_epochs.tolist() == [2, 4, 6]
    assert trainer.table.steps.min() > 4
    assert ((history[0] - start).norm(dim=1) > 0.05).all()
    assert torch.equal(history[1], history[2])


def test_a_case_that_joins_a_long_training_late_has_its_own_time_to_settle(make_trainer, monkeypatch):
    monkeypatch.setattr(latent_schedule, "SHORTEST_SETTLING", 0)
    trainer = make_trainer(SHORT.replace("lr: 0.05", "lr: 0.05, settling_visits: 1"))
    trainer.on_train_start()
    table = trainer.table
    table.steps += 1
    table.set_cases([*table.case_ids, "joined"], init_std=0.0)
    before = table.values.clone()
    batch = next(trainer.dataloader_train)
    batch["keys"] = [table.case_ids[0], "joined"]
    trainer.train_step(batch)
    assert torch.equal(table.values[:-1], before[:-1])
    assert table.values[-1].abs().min() > 0.01


def test_a_fold_beyond_the_split_file_knows_who_trains_what(make_trainer):
    trainer = make_trainer(SHORT, fold=5)
    trainer.on_train_start()
    record = trainer._fold_record()
    assert set(record.held_out) == {"0", "1", "5"}
    assert record.held_out["0"] == ["phantom_000", "phantom_001"]
    assert sorted([*record.case_ids, *record.held_out["5"]]) == [f"phantom_{number:03d}" for number in range(10)]


def test_mirroring_can_be_left_out_along_an_axis(make_trainer):
    trainer = make_trainer(SHORT.replace("seed: 3", "seed: 3, mirror_axes: [1]"))
    *_, mirror_axes = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert mirror_axes == trainer.inference_allowed_mirroring_axes == (1,)


def test_the_generator_can_learn_faster_than_the_network(make_trainer):
    trainer = make_trainer(SHORT + "hypernetwork: {lr_factor: 3}\n")
    trainer.initialize()
    for epoch, rate in ((0, 3e-3), (2, 3e-3 * 0.5**0.9)):
        trainer.lr_scheduler.step(epoch)
        assert [group["lr"] for group in trainer.optimizer.param_groups] == pytest.approx([rate, 3 * rate])


def test_checkpoints_of_other_trainers_and_damaged_ones_are_named(make_trainer, tmp_path):
    trainer = make_trainer(SHORT)
    trainer.initialize()
    plain = {
        "network_weights": trainer.hypernetwork.primary.state_dict(),
        "init_args": {"plans": {}},
        "trainer_name": "nnUNetTrainer",
        "current_epoch": 1,
        "optimizer_state": {},
        "logging": {},
    }
    torch.save(plain, tmp_path / "plain.pth")
    with pytest.raises(HyperSORTError, match=r"plain\.pth holds no latents"):
        trainer.load_checkpoint(str(tmp_path / "plain.pth"))
    (tmp_path / "cut.pth").write_bytes((tmp_path / "plain.pth").read_bytes()[:1000])
    with pytest.raises(HyperSORTError, match=r"cut\.pth is not a readable nnU-Net checkpoint"):
        trainer.load_checkpoint(str(tmp_path / "cut.pth"))


def test_training_ignores_the_variable_and_val_honours_it(make_trainer, monkeypatch, capsys):
    monkeypatch.setenv("HYPERSORT_LATENT", "case:phantom_005")
    monkeypatch.setattr(nnUNetTrainer, "perform_actual_validation", lambda self, save_probabilities=False: None)
    trainer = make_trainer(SHORT)
    trainer.run_training()
    trainer.perform_actual_validation()
    assert "Validating with fold 0: latent" in (trained := capsys.readouterr().out)
    assert "mode (case" in trained
    assert "not how well the model segments" in trained
    only_validating = make_trainer(None)
    only_validating.load_checkpoint(os.path.join(only_validating.output_folder, "checkpoint_final.pth"))
    only_validating.perform_actual_validation()
    assert "case phantom_005" in capsys.readouterr().out


def test_published_recipe_trains(make_trainer):
    trainer = make_trainer(
        "hypernetwork: {generator: full, hidden: 4}\n"
        "latent: {start: random, lr: 0.001, betas: [0.7, 0.9], l1_weight: 1.0, lr_schedule: constant}\n"
        "training: {num_epochs: 2, num_iterations_per_epoch: 2, num_val_iterations_per_epoch: 1, initial_lr: 0.001,\n"
        "  weight_decay: 0, optimizer: adam, betas: [0.9, 0.999], lr_schedule: constant, gradient_clipping: 0,\n"
        "  augmentation: false, deep_supervision: false, seed: 0}\n"
    )
    trainer.run_training()
    assert isinstance(trainer.optimizer, torch.optim.Adam)
    assert trainer.optimizer.param_groups[0]["lr"] == 0.001
    assert trainer.logger.get_value("lrs", None) == [0.001, 0.001]
    assert not any(parameter.requires_grad for parameter in trainer.hypernetwork.primary.parameters())
    assert trainer.inference_allowed_mirroring_axes is None


def test_every_case_is_trained_in_fold_all(make_trainer):
    trainer = make_trainer(SHORT, fold="all")
    trainer.on_train_start()
    assert len(trainer.table) == 10
