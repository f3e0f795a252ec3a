"""What the settings of any training may change of nnU-Net's trainer."""

from dataclasses import dataclass, field
from enum import Enum

from nnunetv2_hypersort.settings import checks


class OptimizerKind(str, Enum):
    """The optimiser of the primary network and the weight generator."""

    SGD = "sgd"
    ADAM = "adam"


class LrSchedule(str, Enum):
    """The course of a learning rate over the epochs; `poly` is nnU-Net's, down to zero with the power 0.9."""

    POLY = "poly"
    CONSTANT = "constant"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What may differ from the trainer's own values; None leaves the trainer's value.

    Attributes:
        num_epochs: Number of epochs.
        num_iterations_per_epoch: Training steps per epoch.
        num_val_iterations_per_epoch: Online validation steps per epoch.
        save_every: Checkpoint interval in epochs (trainer: 50).
        initial_lr: Learning rate of the network at the first epoch (3e-3 with `adam`, the
            trainer's 1e-2 with `sgd`).
        weight_decay: Weight decay of the network; the latents never have any.
        optimizer: Optimiser of the network (trainer: `sgd`, with Nesterov momentum 0.99).
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
    optimizer: OptimizerKind | None = field(default=None, metadata=checks.choice(OptimizerKind))
    betas: tuple[float, float] | None = field(default=None, metadata=checks.betas())
    lr_schedule: LrSchedule | None = field(default=None, metadata=checks.choice(LrSchedule))
    gradient_clipping: float | None = field(default=None, metadata=checks.number(0, 1e6))
    augmentation: bool | None = field(default=None, metadata=checks.boolean())
    mirror_axes: tuple[int, ...] | None = field(default=None, metadata=checks.axes())
    deep_supervision: bool | None = field(default=None, metadata=checks.boolean())
    seed: int | None = field(default=None, metadata=checks.integer(0, 2**31 - 1))
