"""A model of two folds, each trained on one half of the cases."""

import json
import os
from pathlib import Path

import torch

from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.trainers import HyperSORTTrainer

CONFIG = (
    "training: {num_epochs: 1, num_iterations_per_epoch: 12, num_val_iterations_per_epoch: 1, seed: 3}\n"
    "latent: {start: random, init_std: 0.5}\n"
)


def train_halves(dataset: Path, results: Path) -> Path:
    """Train both folds in this process.

    Args:
        dataset: The dataset's folder in nnUNet_preprocessed, planned and preprocessed for `3d_fullres`; gets other
            splits.
        results: nnUNet_results; nnU-Net's environment variables must be set accordingly.

    Returns:
        The trained-model folder.
    """
    config = results / "halves.yaml"
    config.write_text(CONFIG)
    os.environ["HYPERSORT_CONFIG"] = str(config)
    splits = json.loads((dataset / "splits_final.json").read_text())
    cases = sorted({*splits[0]["train"], *splits[0]["val"]})
    half = len(cases) // 2
    first, second = cases[:half], cases[half:]
    write_json(dataset / "splits_final.json", [{"train": first, "val": second}, {"train": second, "val": first}])
    for fold in (0, 1):
        plans = {**json.loads((dataset / "nnUNetPlans.json").read_text()), "continue_training": False}
        dataset_json = json.loads((dataset / "dataset.json").read_text())
        trainer = HyperSORTTrainer(plans, "3d_fullres", fold, dataset_json, torch.device("cpu"))
        trainer.logger.plot_progress_png = lambda _folder: None
        trainer.run_training()
        # Predictions in eight orientations would take most of the campaign's time.
        trainer.inference_allowed_mirroring_axes = None
        trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    return results / dataset.name / "HyperSORTTrainer__nnUNetPlans__3d_fullres"
