"""Trained parameters, and the size of checkpoints."""

from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from benchmarks.benchmark_prediction_cost import make_plans
from benchmarks.cost.sides import PLAIN, SIDES, build
from benchmarks.nnunet_runs.workplace import CONFIGURATION_3D, Workplace
from nnunetv2_hypersort.hypernetwork import FullGenerator
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION
from nnunetv2_hypersort.settings import GeneratorKind, Settings
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.hypersort.weight_translator import for_training

SMALL_FEATURES = [8, 16, 32]
GENERATORS = ("default", "low_rank", "basis", "published")
# A checkpoint of the published generator on the large plan would have 19 GB, one of the basis 3 GB.
CHECKPOINTS = {"small": ("default_gathering", *GENERATORS), "large": ("default_gathering", "default", "low_rank")}


def count_parameters(features: list[int]) -> dict[str, Any]:
    """Trained parameters of the sides on a plan with these channels, and their ratio to the planned network's."""
    plans = make_plans(features)
    manager = PlansManager(plans)
    configuration = manager.get_configuration(CONFIGURATION_3D)
    plain = nnUNetTrainer.build_network_architecture(manager, configuration, 1, 3, True)
    counts = {PLAIN.name: _trained(plain)}
    for name in GENERATORS:
        settings = Settings.from_dict(SIDES[name].settings or {}, source=name)
        if settings.hypernetwork.generator is GeneratorKind.FULL:
            # Shapes without values: on the large plan it has 1.6 billion. The planned network is not trained then.
            with torch.device("meta"):
                shapes = {key: value.detach().to("meta") for key, value in plain.named_parameters()}
                counts[name] = _trained(FullGenerator(shapes, settings.latent.dim, settings.hypernetwork.hidden))
            continue
        plans[PLANS_SECTION] = {"settings": settings.to_dict()}
        architecture = (manager, configuration, 1, 3, True)
        predicting = HyperSORTTrainer.build_network_architecture(*architecture)
        counts[name] = _trained(for_training(predicting, *architecture))
    return {name: {"parameters": count, "ratio": count / counts[PLAIN.name]} for name, count in counts.items()}


def measure_checkpoints(workplace: Workplace, *, plan: str, device: str) -> dict[str, Any]:
    """Bytes of a checkpoint of each side, and their ratio to stock nnU-Net's."""
    sizes = {}
    for name in (PLAIN.name, *CHECKPOINTS[plan]):
        trainer = build(workplace, SIDES[name], plan=plan, device=device)
        sizes[name] = save(trainer, Path(trainer.output_folder) / "checkpoint_latest.pth")
        del trainer
    return {name: {"bytes": size, "ratio": size / sizes[PLAIN.name]} for name, size in sizes.items()}


def save(trainer: Any, path: Path) -> int:
    """Write a checkpoint after one step of the optimiser, and give its size in bytes."""
    for parameter in trainer.network.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    trainer.optimizer.step()
    trainer.save_checkpoint(str(path))
    size = path.stat().st_size
    path.unlink()
    return size


def _trained(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
