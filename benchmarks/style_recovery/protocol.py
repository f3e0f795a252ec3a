"""What is planted, and which runs there are."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import yaml

from nnunetv2_hypersort.perturbation.perturb import find_spec
from nnunetv2_hypersort.perturbation.spec import load_spec
from nnunetv2_hypersort.settings import load_settings

AS_DRAWN = "as_drawn"


@dataclass(frozen=True)
class Mixture:
    """A mixture of annotation styles.

    Attributes:
        name: Its name in files and tables.
        spec: The perturbation spec that plants it; None leaves the labels as drawn.
        no_mirroring_along: Anatomical axes along which no method mirrors, in training and in prediction. The axes
            along which a style has a direction; the runs with nnU-Net's mirroring are then made in addition.
        long_run: Whether there is a run of `Protocol.long_epochs`.
        ari_target: What the ARI is to reach.
        is_hidden: Whether it counts only if mask statistics cannot tell its styles apart.
    """

    name: str
    spec: str | None
    no_mirroring_along: tuple[str, ...] = ()
    long_run: bool = False
    ari_target: float = 0.95
    is_hidden: bool = False

    @property
    def styles(self) -> tuple[str, ...]:
        """The names of the styles, the most frequent one first."""
        if self.spec is None:
            return (AS_DRAWN,)
        styles = load_spec(find_spec(self.spec)).styles
        return tuple(style.name for style in sorted(styles, key=lambda style: -style.proportion))


MIXTURES = (
    Mixture("mixture_1", "perturb_hippocampus", long_run=True, ari_target=0.98),
    Mixture(
        "mixture_2",
        "perturb_hippocampus_turn",
        no_mirroring_along=("left-right", "inferior-superior"),
        long_run=True,
        ari_target=0.95,
        is_hidden=True,
    ),
    Mixture("clean", None),
)

SOURCE_DATASET = "Dataset004_Hippocampus"
CROSS_FIT_PARTS = 3


@dataclass(frozen=True)
class Protocol:
    """How long and how often.

    Attributes:
        seeds: Each plants styles and errors anew and seeds the training; runs that exist once take the first.
        epochs: Epochs of a run.
        iterations: Training steps per epoch; with 208 training cases and batch size 2, 26 epochs of 100 steps are 25
            visits per case.
        val_iterations: Online validation steps per epoch.
        long_epochs: Epochs of the long run: 200 visits per case.
        cases: Take only this many cases; None takes all.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 26
    iterations: int = 100
    val_iterations: int = 5
    long_epochs: int = 208
    cases: int | None = None


FULL = Protocol()
DRY_RUN = Protocol(seeds=(0,), epochs=2, iterations=5, val_iterations=1, long_epochs=3, cases=24)


class Method(str, Enum):
    """What is trained."""

    HYPERSORT = "hypersort"
    LONG = "hypersort_long"
    MIRRORED = "hypersort_mirrored"
    PUBLISHED = "published"
    PLAIN = "plain"
    PLAIN_MIRRORED = "plain_mirrored"
    ORACLE = "oracle"
    CROSS_FIT = "cross_fit"

    @property
    def has_latents(self) -> bool:
        """Whether HyperSORTTrainer trains it."""
        return self in (Method.HYPERSORT, Method.LONG, Method.MIRRORED, Method.PUBLISHED)

    @property
    def mirrors_always(self) -> bool:
        """Whether nnU-Net's own mirroring is kept, whatever the mixture."""
        return self in (Method.MIRRORED, Method.PLAIN_MIRRORED)


@dataclass(frozen=True)
class Run:
    """One training with what is predicted from it.

    Attributes:
        mixture: What is planted.
        method: What is trained.
        seed: Seed of planting and training.
        epochs: Number of epochs.
        part: The style of an oracle, the number of the part that a cross-fit leaves out; else empty.
        settings: What HYPERSORT_CONFIG names, without mirroring, which depends on the images' orientation.
    """

    mixture: Mixture
    method: Method
    seed: int
    epochs: int
    part: str
    settings: dict[str, dict[str, Any]] = field(hash=False)

    @property
    def name(self) -> str:
        """Names its files; a run with latents is told from one with other settings by a fingerprint of them."""
        parts = [self.mixture.name, self.method.value, self.part, f"seed{self.seed}"]
        if self.method.has_latents:
            parts.append(hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:8])
        return "-".join(filter(None, parts))

    @property
    def dataset(self) -> str:
        """The dataset with the images and labels, `DatasetXXX_Name`."""
        if self.mixture.spec is None:
            return SOURCE_DATASET
        return dataset_name(self.mixture, self.seed)

    @property
    def uses_parts(self) -> bool:
        """Whether it trains on a part of fold 0's training cases: a row of another split file."""
        return self.method in (Method.ORACLE, Method.CROSS_FIT)

    @property
    def fold(self) -> int:
        """The row of its split file: of nnU-Net's the first; parts have first the cross-fit, then the oracles."""
        if self.method is Method.CROSS_FIT:
            return int(self.part)
        return CROSS_FIT_PARTS + self.mixture.styles.index(self.part) if self.method is Method.ORACLE else 0


def dataset_name(mixture: Mixture, seed: int) -> str:
    """The dataset that a mixture is planted in with a seed."""
    return f"Dataset{700 + 10 * (1 + MIXTURES.index(mixture)) + seed}_{mixture.name.title().replace('_', '')}"


def parts_name(dataset: str) -> str:
    """The same preprocessed data with the split file of oracles and cross-fit."""
    return f"Dataset{int(dataset[7:10]) + 100}{dataset[10:]}Parts"


def plan_runs(protocol: Protocol, config: str) -> list[Run]:
    """All runs of the benchmark.

    Args:
        protocol: How long and how often.
        config: The settings of HyperSORT: a YAML file or the name of a shipped config.

    Raises:
        HyperSORTError: The config is missing or not valid.
    """
    runs = []
    for mixture in MIXTURES:
        for seed in protocol.seeds:
            runs += [(mixture, method, seed, "") for method in (Method.HYPERSORT, Method.PLAIN)]
        if mixture.spec is None:
            continue
        once: list[tuple[Method, str]] = [(Method.PUBLISHED, "")]
        once += [(Method.LONG, "")] * mixture.long_run
        once += [(method, "") for method in (Method.MIRRORED, Method.PLAIN_MIRRORED) if mixture.no_mirroring_along]
        once += [(Method.CROSS_FIT, str(part)) for part in range(CROSS_FIT_PARTS)]
        once += [(Method.ORACLE, style) for style in mixture.styles]
        runs += [(mixture, method, protocol.seeds[0], part) for method, part in once]
    asked = load_settings(config).to_dict()
    published = load_settings("published").to_dict()
    return [_with_settings(protocol, *run, settings=published if run[1] is Method.PUBLISHED else asked) for run in runs]


def _with_settings(
    protocol: Protocol, mixture: Mixture, method: Method, seed: int, part: str, *, settings: dict[str, dict[str, Any]]
) -> Run:
    epochs = protocol.long_epochs if method is Method.LONG else protocol.epochs
    length = {
        "num_epochs": epochs,
        "num_iterations_per_epoch": protocol.iterations,
        "num_val_iterations_per_epoch": protocol.val_iterations,
        # One entry of the latent history per visit, or as many as it keeps.
        "save_every": max(1, epochs // 26),
        "seed": seed,
    }
    if not method.has_latents:
        return Run(mixture, method, seed, epochs, part, {"training": length})
    return Run(mixture, method, seed, epochs, part, {**settings, "training": {**settings["training"], **length}})


def settings_yaml(run: Run, mirror_axes: Sequence[int] | None) -> str:
    """The settings of a run as YAML.

    Args:
        run: The run.
        mirror_axes: The axes of the patch to mirror along; None leaves that to the settings.
    """
    training = run.settings["training"]
    if mirror_axes is not None:
        training = {**training, "mirror_axes": list(mirror_axes)}
    return yaml.safe_dump({**run.settings, "training": training}, sort_keys=False)
