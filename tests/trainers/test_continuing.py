"""What `--c` continues from, and what it does with what it finds damaged."""

import json
import os
from pathlib import Path

import pytest
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.prediction import latent_for_prediction, predict_from_model_folder
from nnunetv2_hypersort.trainers.base.newest_checkpoint import newest_checkpoint

SHORT = "training: {num_epochs: 2, num_iterations_per_epoch: 1, num_val_iterations_per_epoch: 1, seed: 3}\n"


class MakesFolder:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def saved(path: Path, *, epoch: int, began: float = 0.0, ended: float = 0.0) -> None:
    content = {
        "network_weights": {},
        "init_args": {},
        "trainer_name": "T",
        "current_epoch": epoch,
        "optimizer_state": {},
        "logging": {"epoch_start_timestamps": [began, ended], "epoch_end_timestamps": [ended, ended]},
    }
    torch.save(content, path)


@pytest.mark.parametrize(
    ("checkpoints", "newest"),
    [
        ({"latest": (50, 100.0), "best": (78, 150.0)}, "best"),
        ({"latest": (100, 200.0), "best": (78, 150.0)}, "latest"),
        # The clock was set back between two epochs.
        ({"latest": (50, 100.0), "best": (78, 20.0)}, "best"),
        ({"latest": (100, -200.0), "best": (78, 150.0)}, "latest"),
        # In one epoch nnU-Net writes latest before it knows that the epoch is the best one.
        ({"latest": (50, 100.0), "best": (50, 90.0)}, "best"),
        ({"final": (100, 100.0), "best": (100, 200.0)}, "final"),
    ],
)
def test_the_newest_of_a_run_is_the_one_with_most_epochs_whatever_the_clock_says(tmp_path, checkpoints, newest):
    for name, (epoch, ended) in checkpoints.items():
        saved(tmp_path / f"checkpoint_{name}.pth", epoch=epoch, ended=ended)
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1))
    assert newest_checkpoint(tmp_path) == (tmp_path / f"checkpoint_{newest}.pth", [])


def test_an_older_run_in_the_same_folder_is_passed_over_though_it_had_more_epochs(tmp_path):
    for name, epoch, began in (("final", 1000, 10.0), ("best", 900, 10.0), ("latest", 50, 300.0)):
        saved(tmp_path / f"checkpoint_{name}.pth", epoch=epoch, began=began)
    assert newest_checkpoint(tmp_path) == (tmp_path / "checkpoint_latest.pth", [])


def test_a_damaged_one_is_passed_over_and_named(tmp_path):
    saved(tmp_path / "checkpoint_latest.pth", epoch=50)
    saved(tmp_path / "checkpoint_best.pth", epoch=78)
    content = (tmp_path / "checkpoint_best.pth").read_bytes()
    (tmp_path / "checkpoint_best.pth").write_bytes(content[:-10])
    newest, (problem,) = newest_checkpoint(tmp_path)
    assert newest.name == "checkpoint_latest.pth"
    assert "checkpoint_best.pth is not a readable nnU-Net checkpoint" in problem
    (tmp_path / "checkpoint_latest.pth").write_bytes(b"")
    with pytest.raises(HyperSORTError, match=r"is complete.*latest\.pth is not.*best\.pth is not.*anew"):
        newest_checkpoint(tmp_path)


def test_continuing_passes_over_what_is_damaged_and_clears_the_rest_of_a_killed_write(make_trainer, capsys):
    trainer = make_trainer(SHORT)
    trainer.run_training()
    folder = Path(trainer.output_folder)
    (folder / "checkpoint_best.pth").rename(folder / "checkpoint_latest.pth")
    content = (folder / "checkpoint_final.pth").read_bytes()
    (folder / "checkpoint_final.pth").write_bytes(content[:-1000])
    (folder / ".tmp-checkpoint_best.pth").write_bytes(b"half")
    # nnU-Net writes plans.json in place, and a process may be killed there, too.
    plans = folder.parent / "plans.json"
    plans.write_bytes(plans.read_bytes()[:500])
    continued = make_trainer(None, continue_training=True)
    assert continued.settings == trainer.settings
    continued.load_checkpoint(str(folder / "checkpoint_final.pth"))
    printed = capsys.readouterr().out
    assert "checkpoint_final.pth is not a readable nnU-Net checkpoint" in printed
    assert f"Continuing from {folder / 'checkpoint_latest.pth'}" in printed
    continued.run_training()
    assert continued.current_epoch == 2
    newest_checkpoint(folder)
    assert not list(folder.glob(".tmp-*"))
    assert json.loads(plans.read_text())["hypersort"]["settings"] == trainer.settings.to_dict()


def test_a_damaged_checkpoint_that_is_asked_for_is_not_replaced_by_another(trained_model, make_trainer):
    # As `--val_best` does.
    trainer = make_trainer(None)
    best = trained_model / "fold_0" / "checkpoint_best.pth"
    best.write_bytes(b"")
    with pytest.raises(HyperSORTError, match=r"checkpoint_best\.pth is not a readable"):
        trainer.load_checkpoint(str(best))


@pytest.mark.parametrize("use", ["continue", "validate", "open", "predict"])
def test_a_crafted_checkpoint_runs_nothing(trained_model, make_trainer, tmp_path, use):
    mark = tmp_path / "mark"
    for path in trained_model.glob("fold_0/checkpoint_*.pth"):
        content = torch.load(path, weights_only=False)
        # Where nnU-Net would not stumble over it, and the training would go on.
        content["trap"] = MakesFolder(mark)
        torch.save(content, path)
    torch.load(path, weights_only=False)
    assert mark.is_dir(), "the trap does not work, so the test proves nothing"
    mark.rmdir()
    uses = {
        "continue": lambda: make_trainer(None, continue_training=True).load_checkpoint(str(path)),
        "validate": lambda: make_trainer(None).load_checkpoint(str(path)),
        "open": lambda: ModelFolder.open(trained_model),
        "predict": lambda: predict_from_model_folder(trained_model, "unused", tmp_path / "out", device="cpu"),
    }
    with pytest.raises(HyperSORTError, match=r"asks for \w+\.mkdir, as no checkpoint of nnU-Net does"):
        uses[use]()
    assert not mark.exists()


def test_stock_prediction_notices_changed_weights(trained_model):
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    path = trained_model / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    content["network_weights"]["latents.loss"][0] += 1e-3
    torch.save(content, path)
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    with (
        latent_for_prediction("mode"),
        pytest.raises(HyperSORTError, match="checkpoint of fold 0 are not those that the training saved"),
    ):
        predictor.initialize_from_trained_model_folder(str(trained_model), (0,))
