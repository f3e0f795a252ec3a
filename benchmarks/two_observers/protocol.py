"""Which labels are drawn together, and which runs there are."""

import hashlib
import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import yaml

from nnunetv2_hypersort.settings import load_settings

FIRST, SECOND = "observer_1", "observer_2"
DILATED = "observer_1_dilated"


class Design(str, Enum):
    """How two ways of drawing are put into one training set."""

    ONCE = "once"  # each image once, with the labels of one observer chosen at random, half of the images each
    TWICE = "twice"  # each image twice, once per observer
    CONTROL = "control"  # each image twice, as the first observer drew it and dilated: a difference that exists

    @property
    def is_paired(self) -> bool:
        """Whether each image is there with both ways of drawing."""
        return self is not Design.ONCE

    @property
    def drawn_by(self) -> tuple[str, str]:
        """The two ways of drawing."""
        return (FIRST, DILATED) if self is Design.CONTROL else (FIRST, SECOND)


@dataclass(frozen=True)
class Protocol:
    """How long and how often.

    Attributes:
        seeds: Of the training, and for `once` of the choice of observers.
        epochs: Epochs of a run.
        visits: Visits per case of all epochs together.
        val_iterations: Online validation steps per epoch.
        children: How many of the 14 children, with both eyes; two of them are held out.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 30
    visits: int = 250
    val_iterations: int = 5
    children: int = 14


FULL = Protocol()
DRY_RUN = Protocol(seeds=(0,), epochs=2, visits=4, val_iterations=1, children=6)

HELD_OUT_CHILDREN = 2
SPACING, PATCH, FEATURES, BATCH = 2.0, [128, 128], [8, 16, 32, 64], 4


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        design: What is drawn.
        seed: Seed of the training, and for `once` of the choice of observers.
        epochs: Number of epochs.
        iterations: Training steps per epoch.
        settings: What HYPERSORT_CONFIG names.
    """

    design: Design
    seed: int
    epochs: int
    iterations: int
    settings: dict[str, dict[str, Any]] = field(hash=False)

    @property
    def name(self) -> str:
        """Names its files; a fingerprint tells it from one with other settings."""
        fingerprint = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.design.value}-seed{self.seed}-{fingerprint}"

    @property
    def dataset(self) -> str:
        """`DatasetXXX_Name`; the designs in which each image is there twice have one for all seeds."""
        number = {Design.ONCE: 740 + self.seed, Design.TWICE: 750, Design.CONTROL: 751}[self.design]
        return f"Dataset{number}_Chase{self.design.value.title()}"

    @property
    def settings_yaml(self) -> str:
        """The settings as YAML."""
        return yaml.safe_dump(self.settings, sort_keys=False)


def plan_runs(protocol: Protocol, config: str) -> list[Run]:
    """All runs of the benchmark; the control has one seed.

    Args:
        protocol: How long and how often.
        config: The settings of HyperSORT: a YAML file or the name of a shipped config.

    Raises:
        HyperSORTError: The config is missing or not valid.
    """
    asked = load_settings(config).to_dict()
    runs = []
    for design in Design:
        case_count = 2 * (protocol.children - HELD_OUT_CHILDREN) * (2 if design.is_paired else 1)
        iterations = max(1, round(protocol.visits * case_count / BATCH / protocol.epochs))
        for seed in protocol.seeds[: 1 if design is Design.CONTROL else None]:
            length = {
                "num_epochs": protocol.epochs,
                "num_iterations_per_epoch": iterations,
                "num_val_iterations_per_epoch": protocol.val_iterations,
                "save_every": 1,
                "seed": seed,
            }
            settings = {**asked, "training": {**asked["training"], **length}}
            runs.append(Run(design, seed, protocol.epochs, iterations, settings))
    return runs
