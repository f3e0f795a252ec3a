"""One style of a fold as a checkpoint of plain nnU-Net."""

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.logging.nnunet_logger import LocalLogger
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from torch import nn

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.whole_or_absent import errors_name
from nnunetv2_hypersort.latents import ChosenLatent
from nnunetv2_hypersort.model.planned_model import PlannedModel
from nnunetv2_hypersort.model.trained_fold import TrainedFold
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint, write_checkpoint
from nnunetv2_hypersort.nnunet.checksum import refuse_changed_weights
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION
from nnunetv2_hypersort.trainers.hypersort.plain_weights import plain_weights
from nnunetv2_hypersort.trainers.hypersort.planned_network import settings_of_training

PLAIN_TRAINER = nnUNetTrainer.__name__


def plain_plans(plans: Mapping[str, Any], style: str) -> dict[str, Any]:
    """nnU-Net's plans without what HyperSORT keeps in them, under a plans name that tells the style.

    Args:
        plans: Content of the model's `plans.json`.
        style: Name of the style.
    """
    plain = {key: deepcopy(value) for key, value in plans.items() if key not in (PLANS_SECTION, "continue_training")}
    # nnU-Net and its companions split folder names at `__`.
    plain["plans_name"] = f"{plans['plans_name']}_{re.sub('_+', '_', style).strip('_') or 'style'}"
    return plain


def build_plain_network(planned: PlannedModel) -> nn.Module:
    """The network that plain nnU-Net builds from the plans, with weights as initialised.

    Raises:
        HyperSORTError: The trainer of the model builds another one.
    """
    plain: nn.Module = nnUNetTrainer.build_network_architecture(
        planned.plans_manager,
        planned.configuration_manager,
        determine_num_input_channels(planned.plans_manager, planned.configuration_manager, planned.dataset_json),
        planned.label_manager.num_segmentation_heads,
        enable_deep_supervision=False,
    )
    # Layers without weights count, too: another nonlinearity would load and segment something else.
    if repr(plain) != repr(planned.build_predicting_network()):
        raise HyperSORTError(
            f"The trainer {planned.trainer_name} builds another network than {PLAIN_TRAINER} does from the same plans, "
            f"so plain nnU-Net cannot run it; predict with `hypersort predict --latent` instead."
        )
    return plain


def write_plain_checkpoint(
    fold: TrainedFold, latent: ChosenLatent, plans: Mapping[str, Any], target: Path
) -> dict[str, Any]:
    """Write a fold with one latent as plain nnU-Net would have written it.

    The optimiser's state is that of a fresh optimiser: nnU-Net wants one when it loads a checkpoint to validate or to
    train, and the original belongs to the whole HyperSORT network.

    Args:
        fold: The fold.
        latent: One of its latents.
        plans: What `plain_plans` returned.
        target: The file, such as `fold_0/checkpoint_final.pth`.

    Returns:
        What nnU-Net logged in the training, one list with an entry per epoch for each of its quantities.

    Raises:
        HyperSORTError: The checkpoint is gone or was changed, or the trainer builds another network than plain
            nnU-Net.
        OSError: The file cannot be written.
    """
    content = read_checkpoint(fold.checkpoint)
    weights, source = content["network_weights"], str(fold.checkpoint)
    refuse_changed_weights(weights, source=source)
    plain = build_plain_network(fold.planned)
    settings = settings_of_training(fold.planned.plans)
    plain.load_state_dict(plain_weights(plain, settings, weights, latent.coordinates, source=source))
    logging = content.get("logging", {})
    logged = {quantity: logging.get(quantity, []) for quantity in LocalLogger().my_fantastic_logging}
    optimizer = torch.optim.SGD(plain.parameters(), lr=1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True)
    checkpoint = {
        "network_weights": plain.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "grad_scaler_state": content.get("grad_scaler_state"),
        "logging": logged,
        "_best_ema": content.get("_best_ema"),
        "current_epoch": content["current_epoch"],
        "init_args": {**content["init_args"], "plans": dict(plans)},
        "trainer_name": PLAIN_TRAINER,
        "inference_allowed_mirroring_axes": content.get("inference_allowed_mirroring_axes"),
    }
    write_checkpoint(target, checkpoint)
    return logged


def draw_progress(logged: Mapping[str, Any], folder: Path) -> None:
    """Draw nnU-Net's `progress.png` from what it logged in a training."""
    from matplotlib import style

    logger = LocalLogger()
    logger.load_checkpoint(dict(logged))
    with style.context("default"), errors_name(folder / "progress.png"):
        logger.plot_progress_png(str(folder))
