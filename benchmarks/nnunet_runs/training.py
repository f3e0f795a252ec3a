"""One nnU-Net training in this process, taken up where it stopped."""

import os
from pathlib import Path
from typing import Any

import torch

from benchmarks.nnunet_runs.workplace import PLANS


def train(dataset: str, configuration: str, trainer: str, *, fold: int = 0, device: str = "cpu") -> tuple[Path, float]:
    """Train one fold with nnU-Net's own functions, as `nnUNetv2_train ... --c` does, without the final validation.

    The environment must name nnU-Net's folders and the settings. nnU-Net's command would take as many threads as there
    are cores, and validate with the mode, which a benchmark that predicts in every style does not need.

    Args:
        dataset: `DatasetXXX_Name`.
        configuration: Such as `3d_fullres`.
        trainer: Class name, as `-tr` takes it.
        fold: Row of splits_final.json.
        device: `cpu` or `cuda`.

    Returns:
        nnU-Net's trained-model folder, and the seconds that all epochs took.
    """
    from nnunetv2.run.run_training import get_trainer_from_args, maybe_load_checkpoint

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    model_folder = Path(os.environ["nnUNet_results"]) / dataset / f"{trainer}__{PLANS}__{configuration}"
    fold_folder = model_folder / f"fold_{fold}"
    final = fold_folder / "checkpoint_final.pth"
    if not final.exists():
        begun = any(fold_folder.glob("checkpoint_*.pth"))
        training: Any = get_trainer_from_args(
            dataset, configuration, fold, trainer, PLANS, begun, device=torch.device(device)
        )
        # A figure of 30 x 54 inches after each epoch: a third of the time of so short a training.
        training.logger.plot_progress_png = lambda _folder: None
        maybe_load_checkpoint(training, begun, False)
        training.run_training()
    # Written by this very process or an earlier one of the same campaign.
    log = torch.load(final, map_location="cpu", weights_only=False)["logging"]
    return model_folder, sum(log["epoch_end_timestamps"]) - sum(log["epoch_start_timestamps"])
