"""nnU-Net's jobs on a tiny dataset, in this process."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from csv_rows import csv_rows
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from tiny_datasets import MODES, PARTIAL, PARTIAL_CASCADE

from nnunetv2_hypersort.nnunet.discovery import TRAINER_VARIABLE, with_our_trainers
from nnunetv2_hypersort.prediction import latent_for_prediction
from nnunetv2_hypersort.trainers import HyperSORTTrainer

SHORT = "training: {num_epochs: 1, num_iterations_per_epoch: 3, num_val_iterations_per_epoch: 1, seed: 3}\n"
# Wide initial latents: networks of any two cases differ from the first step on.
WIDE = SHORT + "latent: {start: random, init_std: 1.0}\n"


class TinyNNUNet:
    """nnU-Net's jobs on the dataset of one mode."""

    def __init__(self, mode: str, base: Path, dataset: str, results: Path, patch: pytest.MonkeyPatch) -> None:
        self.mode = {**MODES, **PARTIAL, **PARTIAL_CASCADE}[mode]
        self.dataset = dataset
        self.raw = base / "nnUNet_raw" / dataset
        self.preprocessed = base / "nnUNet_preprocessed" / dataset
        self.results = results
        self._patch = patch
        patch.setenv("nnUNet_raw", str(base / "nnUNet_raw"))
        patch.setenv("nnUNet_preprocessed", str(base / "nnUNet_preprocessed"))
        patch.setenv("nnUNet_results", str(results))
        patch.setenv("nnUNet_n_proc_DA", "0")
        patch.setenv(TRAINER_VARIABLE, with_our_trainers(""))

    def configure(self, config: str | None) -> None:
        """Let HYPERSORT_CONFIG name this YAML text."""
        if config is None:
            self._patch.delenv("HYPERSORT_CONFIG", raising=False)
            return
        path = self.results.parent / "config.yaml"
        path.write_text(config)
        self._patch.setenv("HYPERSORT_CONFIG", str(path))

    def trainer(
        self,
        config: str | None = SHORT,
        *,
        fold: int | str = 0,
        configuration: str | None = None,
        kind: type[Any] = HyperSORTTrainer,
        **planned: Any,
    ) -> Any:
        """Build a trainer as nnUNetv2_train does; `planned` replaces parts of the configuration in the plans."""
        self.configure(config)
        plans = json.loads((self.preprocessed / f"{self.mode.plans}.json").read_text())
        plans["continue_training"] = False
        plans["configurations"][configuration or self.mode.configuration].update(planned)
        dataset_json = json.loads((self.preprocessed / "dataset.json").read_text())
        return kind(plans, configuration or self.mode.configuration, fold, dataset_json, torch.device("cpu"))

    def train(self, config: str | None = SHORT, **options: Any) -> Any:
        """Train and validate; a cascade's first stage is trained first, on all cases, so that all are segmented."""
        if self.mode.configuration == "3d_cascade_fullres" and "configuration" not in options:
            self.train(config, configuration="3d_lowres", fold="all")
        trainer = self.trainer(config, **options)
        trainer.run_training()
        trainer.perform_actual_validation()
        return trainer

    def model(self, configuration: str | None = None, trainer: str = "HyperSORTTrainer") -> Path:
        """The trained-model folder."""
        return self.results / self.dataset / f"{trainer}__{self.mode.plans}__{configuration or self.mode.configuration}"

    def visited_cases(self, fold: int | str = 0, configuration: str | None = None) -> list[str]:
        """The training cases that were visited; the latent of another means nothing."""
        rows = csv_rows(self.model(configuration) / f"fold_{fold}" / "latents.csv")
        return [row["case"] for row in rows if int(row["visits"])]

    def predict(
        self,
        cases: list[str],
        output: Path,
        *,
        model: Path | None = None,
        folds: tuple[int | str, ...] = (0,),
        latent: str = "mode",
        previous: Path | None = None,
        save_probabilities: bool = False,
        checkpoint: str = "checkpoint_final.pth",
    ) -> np.ndarray:
        """Segment training images with nnU-Net's predictor; returns them stacked, shape (cases, z, y, x)."""
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        channels = range(self.mode.channels)
        files = [
            [str(self.raw / "imagesTr" / f"{case}_{channel:04d}.nii.gz") for channel in channels] for case in cases
        ]
        output.mkdir(exist_ok=True)
        with latent_for_prediction(latent):
            predictor.initialize_from_trained_model_folder(str(model or self.model()), folds, checkpoint)
            predictor.predict_from_files_sequential(
                files,
                [str(output / case) for case in cases],
                save_probabilities=save_probabilities,
                folder_with_segs_from_prev_stage=None if previous is None else str(previous),
            )
        return read_segmentations(output, cases)


def read_segmentations(folder: Path, cases: list[str]) -> np.ndarray:
    """Read segmentations, shape (cases, z, y, x)."""
    return np.stack([SimpleITKIO().read_seg(str(folder / f"{case}.nii.gz"))[0][0] for case in cases])
