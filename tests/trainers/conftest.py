"""A tiny preprocessed dataset, and trainers on it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nnunetv2_hypersort.demo.phantom import SPACING, write_phantom_dataset
from nnunetv2_hypersort.small_plan import shrink
from nnunetv2_hypersort.trainers import HyperSORTTrainer

DATASET = "Dataset901_Tiny"
CASES = 10


@pytest.fixture(scope="session")
def preprocessed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nnUNet_raw and nnUNet_preprocessed of ten generated scans, planned and preprocessed by nnU-Net."""
    base = tmp_path_factory.mktemp("nnunet")
    raw = base / "nnUNet_raw" / DATASET
    write_phantom_dataset(raw, training_cases=CASES, test_cases=1, wrong_labels=0, seed=5)
    environment = {**os.environ, **{name: str(base / name) for name in ("nnUNet_raw", "nnUNet_preprocessed")}}
    scripts = Path(sys.executable).parent

    def run(command: str, *arguments: str) -> None:
        subprocess.run([scripts / command, "-d", "901", *arguments], env=environment, check=True, capture_output=True)

    run("nnUNetv2_extract_fingerprint", "-np", "2")
    run("nnUNetv2_plan_experiment")
    folder = base / "nnUNet_preprocessed" / DATASET
    shrink(
        folder / "nnUNetPlans.json",
        configuration="3d_fullres",
        spacing=SPACING,
        patch_size=[16, 24, 24],
        features=[4, 8, 16],
        batch_size=2,
    )
    run("nnUNetv2_preprocess", "-c", "3d_fullres", "-np", "2")
    cases = [f"phantom_{number:03d}" for number in range(CASES)]
    splits = [{"train": cases[2:], "val": cases[:2]}, {"train": cases[:8], "val": cases[8:]}]
    (folder / "splits_final.json").write_text(json.dumps(splits))
    return base


MakeTrainer = Callable[..., HyperSORTTrainer]


@pytest.fixture
def make_trainer(preprocessed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeTrainer:
    """Build a trainer as nnUNetv2_train does, with results and a private copy of the preprocessed data in tmp_path."""
    shutil.copytree(preprocessed / "nnUNet_preprocessed", tmp_path / "nnUNet_preprocessed")
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str((preprocessed if name == "nnUNet_raw" else tmp_path) / name))
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")

    def make(
        config: str | None = None,
        *,
        fold: int | str = 0,
        continue_training: bool = False,
        kind: type[HyperSORTTrainer] = HyperSORTTrainer,
    ) -> HyperSORTTrainer:
        if config is None:
            monkeypatch.delenv("HYPERSORT_CONFIG", raising=False)
        else:
            (tmp_path / "config.yaml").write_text(config)
            monkeypatch.setenv("HYPERSORT_CONFIG", str(tmp_path / "config.yaml"))
        folder = tmp_path / "nnUNet_preprocessed" / DATASET
        plans: dict[str, Any] = json.loads((folder / "nnUNetPlans.json").read_text())
        plans["continue_training"] = continue_training
        dataset_json = json.loads((folder / "dataset.json").read_text())
        trainer = kind(plans, "3d_fullres", fold, dataset_json, torch.device("cpu"))
        # nnU-Net draws a figure of 30 x 54 inches after each epoch: most of the time of so short a training.
        trainer.logger.plot_progress_png = lambda _folder: None
        return trainer

    return make
