"""Which runs there are, and how long each trains."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import yaml

from benchmarks.unseen_styles.datasets import CROSS_FIT_PARTS
from benchmarks.unseen_styles.mixtures import Half, Mixture, Planted, mixtures_of
from benchmarks.unseen_styles.sources import CONFIGURATION_2D
from nnunetv2_hypersort.settings import load_settings


@dataclass(frozen=True)
class Protocol:
    """How long and how often.

    Attributes:
        seeds: Of the trainings with latents; on the testing half also of who annotated which image, where each is
            there once (`once_seeds`).
        once_seeds: See there.
        visits: Visits of each case in three dimensions, unless they come to fewer steps than `least_steps`.
        least_steps: Training steps of the shortest run.
        steps_2d: Training steps of a run in two dimensions: three minutes at most.
        epochs: Epochs of every run.
        val_iterations: Online validation steps per epoch.
        images: Take only so many images; None takes all.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    once_seeds: tuple[int, ...] = tuple(range(10))
    visits: int = 40
    least_steps: int = 1500
    steps_2d: int = 2000
    epochs: int = 25
    val_iterations: int = 1
    images: int | None = None


FULL = Protocol()
DRY_RUN = Protocol(
    seeds=(0,), once_seeds=(0,), visits=1, least_steps=4, steps_2d=4, epochs=2, val_iterations=1, images=16
)


class Method(str, Enum):
    """What is trained."""

    HYPERSORT = "hypersort"
    CROSS_FIT = "cross_fit"
    ORACLE = "oracle"


@dataclass(frozen=True)
class Run:
    """One training with what is computed from it.

    Attributes:
        mixture: What is mixed.
        method: What is trained.
        seed: Seed of the training, and of the draw of who annotated what.
        part: The number of the part that a cross-fit leaves out, the style of an oracle; else empty.
        epochs: Number of epochs.
        iterations: Training steps per epoch.
        settings: What HYPERSORT_CONFIG names.
    """

    mixture: Mixture
    method: Method
    seed: int
    part: str
    epochs: int
    iterations: int
    settings: dict[str, dict[str, Any]] = field(hash=False)

    @property
    def has_latents(self) -> bool:
        """Whether HyperSORTTrainer trains it."""
        return self.method is Method.HYPERSORT

    @property
    def name(self) -> str:
        """Names its files; a run with latents is told from one with other settings by a fingerprint of them."""
        parts = [self.mixture.name, self.method.value, self.part, f"seed{self.seed}"]
        if self.has_latents:
            parts.append(hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:8])
        return "-".join(filter(None, parts))

    @property
    def dataset(self) -> str:
        """The dataset with its images and labels."""
        return self.mixture.dataset(self.seed)

    @property
    def trained_on(self) -> str:
        """The preprocessed dataset whose splits it takes."""
        return self.dataset if self.has_latents else self.mixture.parts

    @property
    def fold(self) -> int:
        """The row of the splits."""
        if self.has_latents:
            return 0
        return (
            int(self.part)
            if self.method is Method.CROSS_FIT
            else CROSS_FIT_PARTS + self.mixture.styles.index(self.part)
        )

    @property
    def settings_yaml(self) -> str:
        """The settings as YAML."""
        return yaml.safe_dump(self.settings, sort_keys=False)


def steps(mixture: Mixture, protocol: Protocol) -> int:
    """The training steps of a run."""
    plan = mixture.source.plan
    if plan.configuration == CONFIGURATION_2D:
        return protocol.steps_2d
    images = min(filter(None, (mixture.images, mixture.source.count, protocol.images)))
    return max(protocol.least_steps, round(0.8 * images * protocol.visits / plan.batch_size))


def plan_runs(half: Half, protocol: Protocol, config: str, seeds: Sequence[int] | None = None) -> list[Run]:
    """All runs of a half.

    Args:
        half: Which.
        protocol: How long and how often.
        config: The settings of HyperSORT: a YAML file or the name of a shipped config.
        seeds: Only these seeds; None takes those of the protocol.

    Raises:
        HyperSORTError: The config is missing or not valid.
    """
    asked = load_settings(config).to_dict()
    runs = []
    for mixture in mixtures_of(half):
        many = half is Half.TESTING and not isinstance(mixture, Planted) and mixture.draws > 1
        every = protocol.once_seeds if many else protocol.seeds
        kinds: list[tuple[Method, int, str]] = [
            (Method.HYPERSORT, seed, "") for seed in every if seeds is None or seed in seeds
        ]
        kinds += [(Method.CROSS_FIT, every[0], str(part)) for part in range(CROSS_FIT_PARTS)]
        kinds += [(Method.ORACLE, every[0], style) for style in mixture.styles]
        iterations = max(1, round(steps(mixture, protocol) / protocol.epochs))
        for method, seed, part in kinds:
            length = {
                "num_epochs": protocol.epochs,
                "num_iterations_per_epoch": iterations,
                "num_val_iterations_per_epoch": protocol.val_iterations,
                "save_every": 1,
                "seed": seed,
            }
            settings = {"training": length}
            if method is Method.HYPERSORT:
                settings = {**asked, "training": {**asked["training"], **length}}
            runs.append(Run(mixture, method, seed, part, protocol.epochs, iterations, settings))
    return runs
