"""Every setting with its type, range and default."""

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.settings import checks


class GeneratorKind(str, Enum):
    """How a latent becomes the weights of the primary network."""

    FULL = "full"
    BASIS = "basis"
    LOW_RANK = "low_rank"
    MODULATION = "modulation"


class LatentStart(str, Enum):
    """Where the latents come from: the gradients of a warm-up with one network for all cases, or chance."""

    SPECTRAL = "spectral"
    RANDOM = "random"


class OptimizerKind(str, Enum):
    """The optimiser of the primary network and the weight generator."""

    SGD = "sgd"
    ADAM = "adam"


class LrSchedule(str, Enum):
    """The course of a learning rate over the epochs; `poly` is nnU-Net's, down to zero with the power 0.9."""

    POLY = "poly"
    CONSTANT = "constant"


@dataclass(frozen=True, kw_only=True)
class LatentSettings:
    """The latent vectors and their own optimiser (Adam, one state per case).

    Attributes:
        dim: Number of coordinates of a latent.
        start: `spectral`: all latents are zero during a warm-up, and then start from the principal components of what
            the gradients of their cases have in common from visit to visit (`CaseGradients`). `random`: they start at
            once, from a normal distribution, as published.
        warmup_visits: Length of the warm-up of `spectral` in visits per case; never less than 500 steps, nor more than
            40 % of the training.
        init_std: Standard deviation of the normal distribution a coordinate starts from (`random`; a latent of
            `spectral` starts with a root mean square of one).
        lr: Learning rate at the first epoch.
        betas: Adam's decay rates of the first and second moment.
        norm_weight: Weight of the Euclidean norm of a latent in the loss at the first epoch; it takes the course of the
            learning rate. It favours no axis: the L1 norm draws the latents of a set of one style onto a cross, whose
            arms look like clusters.
        l1_weight: Weight of the L1 norm of a latent in the loss, as published.
        lr_schedule: Course of the latent learning rate, and of the weight of the norm.
        settling_visits: Visits of a case after the warm-up by which `poly` has taken the learning rate of its latent to
            zero: from then on the latent stands still. Never less than 1500 steps; a shorter training takes all of its
            epochs for that.
    """

    dim: int = field(default=2, metadata=checks.integer(1, 64))
    start: LatentStart = field(default=LatentStart.SPECTRAL, metadata=checks.choice(LatentStart))
    warmup_visits: float = field(default=10.0, metadata=checks.number(0, 1e6))
    init_std: float = field(default=0.05, metadata=checks.number(0, 10))
    lr: float = field(default=0.4, metadata=checks.number(0, 10))
    betas: tuple[float, float] = field(default=(0.5, 0.99), metadata=checks.betas())
    norm_weight: float = field(default=1e-2, metadata=checks.number(0, 1e3))
    l1_weight: float = field(default=0.0, metadata=checks.number(0, 1e3))
    lr_schedule: LrSchedule = field(default=LrSchedule.POLY, metadata=checks.choice(LrSchedule))
    settling_visits: float = field(default=30.0, metadata=checks.number(1, 1e9))


@dataclass(frozen=True, kw_only=True)
class HypernetworkSettings:
    """The map from a latent to weights.

    Attributes:
        generator: Which weight generator.
        hidden: Width of the latent's code (`full`: of each of its three hidden layers).
        rank: Number of weight vectors (`basis`) or of components per convolution (`low_rank`); unused elsewhere.
        lr_factor: The generator's learning rate as a multiple of the primary network's.
    """

    generator: GeneratorKind = field(default=GeneratorKind.MODULATION, metadata=checks.choice(GeneratorKind))
    hidden: int = field(default=16, metadata=checks.integer(1, 4096))
    rank: int = field(default=8, metadata=checks.integer(1, 256))
    lr_factor: float = field(default=1.0, metadata=checks.number(0, 1e4))


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What may differ from the trainer's own values; None leaves the trainer's value.

    Attributes:
        num_epochs: Number of epochs.
        num_iterations_per_epoch: Training steps per epoch.
        num_val_iterations_per_epoch: Online validation steps per epoch.
        save_every: Checkpoint interval in epochs (trainer: 50).
        initial_lr: Learning rate of the network at the first epoch (3e-3 with `adam`, the trainer's 1e-2 with `sgd`).
        weight_decay: Weight decay of the network; the latents never have any.
        optimizer: Optimiser of network and generator; `sgd` is the trainer's (Nesterov momentum 0.99).
        betas: Adam's decay rates for the network.
        lr_schedule: Course of the network's learning rate (trainer: poly).
        gradient_clipping: Largest norm of the network's gradient (trainer: 12); 0 switches clipping off.
        augmentation: Whether training patches are augmented (trainer: yes).
        mirror_axes: Spatial axes of the patch along which augmentation and prediction mirror (trainer: all); leave
            out those along which a style has a direction, such as an offset to one side.
        deep_supervision: Whether the decoder's lower outputs are supervised (trainer: yes).
        seed: Seed of all random numbers of this process; None leaves them unseeded, as nnU-Net does.
    """

    num_epochs: int | None = field(default=None, metadata=checks.integer(1, 10**7))
    num_iterations_per_epoch: int | None = field(default=None, metadata=checks.integer(1, 10**7))
    num_val_iterations_per_epoch: int | None = field(default=None, metadata=checks.integer(1, 10**7))
    save_every: int | None = field(default=None, metadata=checks.integer(1, 10**7))
    initial_lr: float | None = field(default=None, metadata=checks.number(0, 10))
    weight_decay: float | None = field(default=None, metadata=checks.number(0, 10))
    optimizer: OptimizerKind = field(default=OptimizerKind.ADAM, metadata=checks.choice(OptimizerKind))
    betas: tuple[float, float] | None = field(default=None, metadata=checks.betas())
    lr_schedule: LrSchedule | None = field(default=None, metadata=checks.choice(LrSchedule))
    gradient_clipping: float | None = field(default=None, metadata=checks.number(0, 1e6))
    augmentation: bool | None = field(default=None, metadata=checks.boolean())
    mirror_axes: tuple[int, ...] | None = field(default=None, metadata=checks.axes())
    deep_supervision: bool | None = field(default=None, metadata=checks.boolean())
    seed: int | None = field(default=None, metadata=checks.integer(0, 2**31 - 1))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a HyperSORT training.

    Attributes:
        latent: The latent vectors and their optimiser.
        hypernetwork: The weight generator.
        training: Departures from the trainer's own values.
    """

    latent: LatentSettings = field(default_factory=LatentSettings)
    hypernetwork: HypernetworkSettings = field(default_factory=HypernetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    @classmethod
    def from_dict(cls, content: object, *, source: str) -> "Settings":
        """Build settings from nested mappings, every key and value checked.

        Args:
            content: What a YAML or JSON file holds: `{section: {key: value}}`. None is an empty mapping.
            source: Where `content` comes from; named in errors.

        Raises:
            HyperSORTError: An unknown section or key (the nearest valid one is named), a value of the wrong type
                or out of its range.
        """
        given = checks.mapping(content, where=source)
        sections = {section.name: section.type for section in dataclasses.fields(cls)}
        checks.known_keys(given, sections, where=source)
        settings = cls(
            latent=_section(LatentSettings, given.get("latent"), f"{source}: latent"),
            hypernetwork=_section(HypernetworkSettings, given.get("hypernetwork"), f"{source}: hypernetwork"),
            training=_section(TrainingSettings, given.get("training"), f"{source}: training"),
        )
        if settings.hypernetwork.generator is GeneratorKind.FULL and settings.latent.start is LatentStart.SPECTRAL:
            raise HyperSORTError(
                f"{source}: the generator `full` has no weights of its own at the zero latent, which the spectral "
                f"start warms up; set latent.start to `random`, or choose another generator."
            )
        return settings

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The settings as nested dictionaries of JSON types; `from_dict` reads them back."""
        return {
            section.name: {
                key: value.value if isinstance(value, Enum) else list(value) if isinstance(value, tuple) else value
                for key, value in dataclasses.asdict(getattr(self, section.name)).items()
            }
            for section in dataclasses.fields(self)
        }

    def differences(self, other: "Settings") -> list[tuple[str, Any, Any]]:
        """The keys in which two settings differ, as `(section.key, value here, value there)`."""
        here, there = self.to_dict(), other.to_dict()
        return [
            (f"{section}.{key}", value, there[section][key])
            for section, values in here.items()
            for key, value in values.items()
            if value != there[section][key]
        ]


def _section(kind: Any, content: object, where: str) -> Any:
    given = checks.mapping(content, where=where)
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    checks.known_keys(given, fields, where=where)
    values = {}
    for key, value in given.items():
        if value is None:
            # `key:` with nothing behind it, and null in plans.json, both mean "as the default".
            continue
        values[key] = fields[key].metadata["check"](value, f"{where}.{key}")
    return kind(**values)
