"""A trainer of one's own is small: settings, safe checkpoints, `--c` and prediction come with the base."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from small.small_trainer import SmoothTrainer

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model import ModelFolder
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.nnunet.plans import read_dataset_json, read_plans
from nnunetv2_hypersort.prediction import predict_from_model_folder
from nnunetv2_hypersort.trainers.base.loss_of_trainer import loss_at_full_resolution
from nnunetv2_hypersort.trainers.base.newest_checkpoint import newest_checkpoint, read_training_checkpoint

FOLDER = Path(__file__).parent / "small"
CONFIG = (
    "loss: {label_smoothing: 0.3}\n"
    "training: {num_epochs: 1, num_iterations_per_epoch: 4, num_val_iterations_per_epoch: 1, seed: 3,\n"
    "  mirror_axes: []}\n"
)


def lines_of_code(path: Path) -> int:
    text = path.read_text()
    documented = [
        node.body[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None
    ]
    docstrings = {line for node in documented for line in range(node.lineno, (node.end_lineno or 0) + 1)}
    lines = enumerate(text.splitlines(), start=1)
    return len([line for number, line in lines if line.strip() and number not in docstrings])


@pytest.fixture
def make_smooth(make_trainer, monkeypatch, tmp_path):
    """`make_trainer` for `SmoothTrainer`, with its own variable."""

    def make(config: str | None = CONFIG, **options):
        monkeypatch.delenv("SMOOTH_CONFIG", raising=False)
        if config is not None:
            (tmp_path / "smooth.yaml").write_text(config)
            monkeypatch.setenv("SMOOTH_CONFIG", str(tmp_path / "smooth.yaml"))
        return make_trainer(None, kind=SmoothTrainer, **options)

    return make


@pytest.fixture
def trained(make_smooth):
    trainer = make_smooth()
    trainer.run_training()
    return trainer


def test_it_takes_under_sixty_lines():
    assert lines_of_code(FOLDER / "small_trainer.py") < 60


def test_its_settings_come_from_its_own_variable_and_go_into_its_own_section_of_the_plans(make_smooth, monkeypatch):
    monkeypatch.setenv("HYPERSORT_CONFIG", "published")
    trainer = make_smooth()
    assert trainer.settings.loss.label_smoothing == 0.3
    plans = trainer.plans_manager.plans
    assert plans["smooth"]["settings"]["loss"] == {"label_smoothing": 0.3}
    assert "hypersort" not in plans
    with pytest.raises(HyperSORTError, match=r"smooth\.yaml: loss: unknown key `smoothing`; did you mean `label_smo"):
        make_smooth("loss: {smoothing: 0.3}")


def test_its_setting_is_in_its_loss(make_smooth):
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(1, 2, 4, 4, 4, generator=generator)
    target = torch.randint(0, 2, (1, 1, 4, 4, 4), generator=generator)
    losses = {}
    for smoothing in (0.0, 0.3):
        trainer = make_smooth(CONFIG.replace("0.3", str(smoothing)))
        trainer._apply_training_settings()
        trainer.enable_deep_supervision = False
        losses[smoothing] = float(trainer._build_loss()(output, target))
        elsewhere = loss_at_full_resolution(
            SmoothTrainer, trainer.plans_manager, trainer.configuration_name, trainer.dataset_json
        )
        assert float(elsewhere(output, target)) == losses[smoothing]
    # With two classes the target is 0.85 and 0.15 instead of 1 and 0; the Dice term is the same in both.
    logs = output.log_softmax(1)
    right = logs.gather(1, target)
    wrong = logs.gather(1, 1 - target)
    expected = float((right - (0.85 * right + 0.15 * wrong)).mean())
    assert losses[0.3] - losses[0.0] == pytest.approx(expected, abs=1e-5)


def test_its_checkpoints_are_safe_and_plain_nnunet_loads_them(trained, make_smooth):
    folder = Path(trained.output_folder)
    final = folder / "checkpoint_final.pth"
    weights = read_training_checkpoint(final)["network_weights"]
    plain = nnUNetTrainer.build_network_architecture(
        trained.plans_manager, trained.configuration_manager, trained.num_input_channels, 2, True
    )
    plain.load_state_dict(weights)
    continued = make_smooth(None, continue_training=True)
    assert continued.settings == trained.settings
    continued.load_checkpoint(str(final))
    assert continued.current_epoch == 1
    for name, value in continued.network.state_dict().items():
        assert torch.equal(value, weights[name]), name

    changed = torch.load(final, weights_only=False)
    next(iter(changed["network_weights"].values()))[0] += 1e-3
    torch.save(changed, final)
    with pytest.raises(HyperSORTError, match="are not those that the training saved"):
        read_training_checkpoint(final)
    assert newest_checkpoint(folder)[0].name == "checkpoint_best.pth"


def test_a_loss_that_is_no_number_stops_it(make_smooth):
    trainer = make_smooth()
    trainer.on_train_start()
    batch = next(trainer.dataloader_train)
    batch["data"][:] = float("nan")
    with pytest.raises(HyperSORTError, match=r"training loss became nan in epoch 0 .*Lower training\.initial_lr"):
        trainer.train_step(batch)


def test_gradients_are_clipped_as_the_settings_say(make_smooth):
    # SGD's first step with Nesterov momentum is lr * 1.99 times the gradient, whose norm is at most 1e-3.
    trainer = make_smooth(CONFIG.replace("seed: 3", "seed: 3, gradient_clipping: 1e-3, weight_decay: 0"))
    trainer.on_train_start()
    before = [parameter.detach().clone() for parameter in trainer.network.parameters()]
    trainer.train_step(next(trainer.dataloader_train))
    moved = [(new.detach() - old) for new, old in zip(trainer.network.parameters(), before, strict=True)]
    assert float(torch.stack([m.norm() for m in moved]).norm()) == pytest.approx(1e-2 * 1.99 * 1e-3, rel=1e-2)


def test_it_predicts_through_both_commands_and_python(trained, tmp_path, monkeypatch):
    model = Path(trained.output_folder_base)
    images = Path(os.environ["nnUNet_raw"]) / trained.plans_manager.dataset_name / "imagesTs"
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    plans = PlansManager(read_plans(model / "plans.json"))
    network = nnUNetTrainer.build_network_architecture(
        plans, plans.get_configuration("3d_fullres"), trained.num_input_channels, 2, False
    )
    weights = read_checkpoint(model / "fold_0" / "checkpoint_final.pth")["network_weights"]
    predictor.manual_initialization(
        network,
        plans,
        plans.get_configuration("3d_fullres"),
        [weights],
        read_dataset_json(model / "dataset.json"),
        "SmoothTrainer",
        None,
    )
    (image,) = images.iterdir()
    data, properties = SimpleITKIO().read_images([str(image)])
    expected = predictor.predict_single_npy_array(data, properties)
    assert len(np.unique(expected)) > 1
    monkeypatch.setenv("nnUNet_extTrainer", str(FOLDER))
    arguments = ["-d", "901", "-c", "3d_fullres", "-f", "0", "-tr", "SmoothTrainer", "-i", str(images)]
    arguments += ["-device", "cpu", "-npp", "1", "-nps", "1"]
    scripts = Path(sys.executable).parent
    outputs = [tmp_path / name for name in ("bare", "ours", "python")]
    commands = ([scripts / "nnUNetv2_predict"], [scripts / "hypersort", "predict"])
    for command, output in zip(commands, outputs[:2], strict=True):
        done = subprocess.run([*command, *arguments, "-o", str(output)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    workers = {"num_processes_preprocessing": 0, "num_processes_segmentation_export": 0}
    predict_from_model_folder(model, images, outputs[2], device="cpu", **workers)
    for output in outputs:
        (segmentation,) = output.glob("*.nii.gz")
        np.testing.assert_array_equal(SimpleITKIO().read_seg(str(segmentation))[0][0], expected)
    with pytest.raises(HyperSORTError, match="latent"):
        predict_from_model_folder(model, images, tmp_path / "styled", device="cpu", latent="case:phantom_004")


def test_what_needs_latents_says_that_it_has_none(trained):
    with pytest.raises(HyperSORTError, match="holds no latents"):
        ModelFolder.open(trained.output_folder_base)
