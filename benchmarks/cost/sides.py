"""The trainers that are compared, each held in one phase of its training."""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import torch
import yaml
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from benchmarks.benchmark_prediction_cost import make_plans
from benchmarks.nnunet_runs.workplace import CONFIGURATION_3D, PLANS, Workplace
from benchmarks.style_recovery.protocol import SOURCE_DATASET
from nnunetv2_hypersort.settings import CONFIG_VARIABLE
from nnunetv2_hypersort.trainers import HyperSORTTrainer

LARGE_FEATURES = [32, 64, 128, 256, 320, 320]
LARGE_PATCH = 128
# On a CPU the large plan is only looked at for its memory, where weights and optimiser count, not activations.
LARGE_PATCH_CPU = 64


class Phase(Enum):
    """Where in its training a side is held."""

    WARM_UP = "warm-up"
    GATHERING = "warm-up, gathering gradients"
    LATENTS = "latents learnt"


@dataclass(frozen=True)
class Side:
    """One of the trainers that are compared.

    Attributes:
        name: Such as `default`.
        settings: Of HyperSORT; None is stock nnU-Net.
        phase: Where in its training it is held.
        one_by_one: Whether the samples of a batch are run one after the other, each with weights of its own, where
            the generator would not need that.
    """

    name: str
    settings: dict[str, Any] | None = field(default_factory=dict)
    phase: Phase = Phase.LATENTS
    one_by_one: bool = False


def _other_generator(name: str, hidden: int) -> dict[str, Any]:
    return {"hypernetwork": {"generator": name, "hidden": hidden}, "latent": {"start": "random", "init_std": 0.5}}


PLAIN = Side("plain", None)
SIDES = {
    side.name: side
    for side in (
        PLAIN,
        Side("default_warm_up", phase=Phase.WARM_UP),
        Side("default_gathering", phase=Phase.GATHERING),
        Side("default"),
        Side("default_one_by_one", one_by_one=True),
        Side("sgd", {"training": {"optimizer": "sgd"}}),
        Side("low_rank", _other_generator("low_rank", 16)),
        Side("basis", _other_generator("basis", 16)),
        Side("published", _other_generator("full", 50)),
    )
}


def build(
    workplace: Workplace,
    side: Side,
    *,
    plan: str = "small",
    device: str = "cpu",
    cases: Sequence[str] | None = None,
) -> Any:
    """Build a trainer as `nnUNetv2_train` does, and take it to its phase.

    Args:
        workplace: Holds the preprocessed hippocampus data set.
        side: Which trainer.
        plan: `small`, the one in the work folder, or `large`, nnU-Net's usual 31 million parameters.
        device: `cpu` or `cuda`.
        cases: Training cases in the place of those of fold 0.
    """
    dataset = workplace.preprocessed / SOURCE_DATASET
    plans = json.loads((dataset / f"{PLANS}.json").read_text(encoding="utf-8"))
    plans["continue_training"] = False
    if plan == "large":
        size = LARGE_PATCH_CPU if device == "cpu" else LARGE_PATCH
        large = make_plans(LARGE_FEATURES)["configurations"][CONFIGURATION_3D]
        plans["configurations"][CONFIGURATION_3D] |= {**large, "patch_size": [size] * 3, "batch_size": 2}
    dataset_json = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
    # A results folder of its own: folds of one model folder must have the same settings.
    results = Path(tempfile.mkdtemp(prefix=f"cost_{side.name}_", dir=workplace.results))
    environment = workplace.environment(results.name)
    if side.settings:
        (results / "config.yaml").write_text(yaml.safe_dump(side.settings), encoding="utf-8")
        environment[CONFIG_VARIABLE] = str(results / "config.yaml")
    os.environ.pop(CONFIG_VARIABLE, None)
    os.environ.update(environment)
    kind = nnUNetTrainer if side.settings is None else HyperSORTTrainer
    trainer: Any = kind(plans, CONFIGURATION_3D, 0, dataset_json, torch.device(device))
    if cases is not None:
        trainer.do_split = lambda: (list(cases), [])
    trainer.initialize()
    trainer.network.train()
    if side.settings is not None:
        # Training gives the cases their latents when it starts.
        trainer._take_training_cases()
        hold(trainer, side)
    return trainer


def hold(trainer: HyperSORTTrainer, side: Side) -> None:
    """Take a HyperSORT trainer to the phase of a side; to be called before each step, which would leave it."""
    if side.phase is Phase.GATHERING:
        trainer._step_in_epoch = int(0.8 * trainer.schedule.warm_up_steps)
    elif side.phase is Phase.WARM_UP:
        trainer._step_in_epoch = 0
    elif trainer.hypernetwork.case_gradients.gathering:
        # What the gradients are makes no difference to the time of a step.
        gradients = trainer.hypernetwork.case_gradients
        rows = torch.cat([torch.arange(len(trainer.table)), torch.arange(min(len(trainer.table), 1000)).repeat(2)])
        for part in rows.split(4096):
            gradients.add(part, torch.randn(len(part), gradients.size, device=trainer.device))
        trainer.hypernetwork.start()
    if side.one_by_one:
        trainer.hypernetwork._per_sample_names = set()


def take_step(trainer: Any, side: Side, batch: dict[str, Any]) -> None:
    """One training step of a side in its phase."""
    if side.settings is not None:
        hold(trainer, side)
    trainer.train_step(batch)


def make_batches(trainer: Any, count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Batches of noise in the shape of the trainer's plan, with cases of its training set; no two alike in a batch."""
    generator = torch.Generator().manual_seed(seed)
    planned = trainer.configuration_manager
    size, patch = planned.batch_size, planned.patch_size
    scales = trainer._get_deep_supervision_scales()
    classes = trainer.label_manager.num_segmentation_heads
    cases = sorted(trainer.do_split()[0])
    batches = []
    for _ in range(count):
        shapes = [[round(length * factor) for length, factor in zip(patch, scale, strict=True)] for scale in scales]
        targets = [torch.randint(0, classes, (size, 1, *shape), generator=generator).short() for shape in shapes]
        data = torch.randn(size, trainer.num_input_channels, *patch, generator=generator)
        first = torch.randint(0, len(cases) - size, (1,), generator=generator).item()
        batches.append({"data": data, "target": targets, "keys": cases[int(first) : int(first) + size]})
    return batches


def real_batches(trainer: Any, count: int) -> list[dict[str, Any]]:
    """Augmented batches from nnU-Net's own data loader."""
    loader, _ = trainer.get_dataloaders()
    return [next(loader) for _ in range(count)]
