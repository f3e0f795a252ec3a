"""The settings of a HyperSORT training: every one with its type, range and default."""

from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.settings import checks
from nnunetv2_hypersort.settings.loading import System
from nnunetv2_hypersort.settings.system import SystemSettings
from nnunetv2_hypersort.settings.training import LrSchedule, OptimizerKind, TrainingSettings


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


@dataclass(frozen=True, kw_only=True)
class LatentSettings:
    """The latent vectors and their own optimiser (Adam, one state per case).

    Attributes:
        dim: Number of coordinates of a latent.
        start: `spectral`: all latents are zero during a warm-up, until the network has learnt its task, and then start
            from what the gradients of their cases have in common from visit to visit (`CaseGradients`) and from how
            their labels differ from what the network segments. `random`: they start at once, from a normal
            distribution, as published.
        warmup_visits: The least length of the warm-up of `spectral` in visits per case; never less than 500 steps. It
            ends with the first epoch after which little more is learnt (`has_learnt`), at the latest after 40 % of the
            training.
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
class HyperSORTTrainingSettings(TrainingSettings):
    """As for any trainer; `adam` (initial_lr 3e-3) is the optimiser of network and generator if none is chosen."""

    optimizer: OptimizerKind = field(default=OptimizerKind.ADAM, metadata=checks.choice(OptimizerKind))


@dataclass(frozen=True, kw_only=True)
class Settings(SystemSettings):
    """All settings of a HyperSORT training.

    Attributes:
        latent: The latent vectors and their optimiser.
        hypernetwork: The weight generator.
        training: Departures from the trainer's own values.
    """

    system: ClassVar[System] = System("HyperSORT", section="hypersort", variable="HYPERSORT_CONFIG")

    latent: LatentSettings = field(default_factory=LatentSettings)
    hypernetwork: HypernetworkSettings = field(default_factory=HypernetworkSettings)
    training: HyperSORTTrainingSettings = field(default_factory=HyperSORTTrainingSettings)

    def check(self, *, source: str) -> None:
        """Refuse a start that the generator cannot make.

        Raises:
            HyperSORTError: The generator is `full` and the start `spectral`.
        """
        if self.hypernetwork.generator is GeneratorKind.FULL and self.latent.start is LatentStart.SPECTRAL:
            raise HyperSORTError(
                f"{source}: the generator `full` has no weights of its own at the zero latent, which the spectral "
                f"start warms up; set latent.start to `random`, or choose another generator."
            )


CONFIG_VARIABLE = Settings.system.variable
"""Environment variable that chooses the settings of a training: a path, or the name of a shipped config."""

load_settings = Settings.load
