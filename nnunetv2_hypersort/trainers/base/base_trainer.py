"""What any trainer of this package needs beside nnU-Net's."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.helpers import dummy_context
from torch import distributed as dist
from torch import nn

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.settings import OptimizerKind, SystemSettings
from nnunetv2_hypersort.trainers.base import stored_settings
from nnunetv2_hypersort.trainers.base.annotation.annotated_training import AnnotatedTraining
from nnunetv2_hypersort.trainers.base.checked_splits import CheckedSplits
from nnunetv2_hypersort.trainers.base.optimisation import ADAM_LR, optimizer_and_schedule
from nnunetv2_hypersort.trainers.base.ranks import gather_over_ranks
from nnunetv2_hypersort.trainers.base.safe_checkpoints import SafeCheckpoints
from nnunetv2_hypersort.trainers.base.seeding import pin_timed_choices, seed_process

_OF_NNUNET = (
    "num_epochs",
    "num_iterations_per_epoch",
    "num_val_iterations_per_epoch",
    "save_every",
    "initial_lr",
    "weight_decay",
)


class BaseTrainer(AnnotatedTraining, CheckedSplits, SafeCheckpoints):
    """nnU-Net's trainer with settings from a YAML file, seeds, and checkpoints that survive what happens to them.

    A trainer of its own names its settings and overrides nnU-Net's methods, calling `super()`:

        class SmoothTrainer(BaseTrainer):
            settings_kind = SmoothSettings

            def _build_loss(self): ...

    The settings come from the YAML file or shipped config that the system's variable names, else from the model folder,
    else they are defaults; they are stored in the plans beside the checkpoints. To combine a trainer with a variant of
    nnU-Net's, derive from both, this one first (see `trainers/hypersort/variants.py`).

    Attributes:
        settings_kind: The settings of the trainer's system.
        replaces: What it does in its own way without calling nnU-Net's; a class that replaces it, too, would be lost.
        logged: Further keys of nnU-Net's log, with one value per epoch.
        bad_loss_remedy: What to do about a loss that is not finite, beside looking for such images.
    """

    settings_kind: ClassVar[type[SystemSettings]]
    replaces: ClassVar[frozenset[str]] = frozenset({"train_step"})
    logged: ClassVar[tuple[str, ...]] = ()
    bad_loss_remedy: ClassVar[str] = "Lower training.initial_lr"

    loss: Any
    is_ddp: bool
    enable_deep_supervision: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        ours = next(other.__name__ for other in cls.__mro__ if "replaces" in vars(other))
        for other in cls.__mro__:
            replaced = sorted(cls.replaces.intersection(vars(other)))
            if replaced and not issubclass(other, BaseTrainer) and other is not nnUNetTrainer:
                raise HyperSORTError(
                    f"{cls.__name__} cannot be: {other.__name__} replaces {', '.join(replaced)} of nnU-Net's trainer, "
                    f"and so does {ours}; one of the two would be lost. Optimiser and learning rate are settings "
                    f"(`training.optimizer`, `training.lr_schedule`); networks come from the plans."
                )

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int | str,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008  # nnU-Net's signature, which must stay as it is
    ) -> None:
        asked = self.settings_kind.from_environment()
        self._continues = bool(plans.get("continue_training"))
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.settings, origin = stored_settings.resolve_settings(
            self.settings_kind, asked, Path(self.output_folder_base), fold
        )
        # The same dictionary is nnU-Net's init argument, so the checkpoint stores the settings, too.
        self.settings.store_in(plans)
        for key in self.logged:
            self.logger.local_logger.my_fantastic_logging.setdefault(key, [])
        self.print_to_log_file(f"{self.settings.system.name} settings ({origin}): {self.settings.to_dict()}")

    # --- set-up -----------------------------------------------------------------------------------------------------

    def initialize(self) -> None:
        """Build network, optimiser and loss as nnU-Net does, with the settings applied and the seed set."""
        self._apply_training_settings()
        self._begin_annotation()
        self._seed(0)
        super().initialize()
        self.loss = self._masked(self.loss, ddp=self.is_ddp)
        self._case_loss = self._masked(self._build_case_loss(), ddp=False)

    def configure_optimizers(self) -> tuple[Any, Any]:
        """nnU-Net's optimiser and schedule, unless the settings say otherwise."""
        chosen = self.settings.training
        if chosen.optimizer is None and chosen.lr_schedule is None:
            return tuple(super().configure_optimizers())
        return optimizer_and_schedule(
            self._parameter_groups(),
            chosen,
            lr=self.initial_lr,
            weight_decay=self.weight_decay,
            epoch_count=self.num_epochs,
        )

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: N802  # nnU-Net's name
        """As nnU-Net; without augmentation patches have their final size at once and nothing is mirrored."""
        planned = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        rotation, dummy_2d, initial_patch_size, mirror_axes = planned
        if self.settings.training.mirror_axes is not None:
            dimensions = len(self.configuration_manager.patch_size)
            mirror_axes = tuple(axis for axis in self.settings.training.mirror_axes if axis < dimensions) or None
        if self.settings.training.augmentation is False:
            dummy_2d, initial_patch_size, mirror_axes = False, self.configuration_manager.patch_size, None
        self.inference_allowed_mirroring_axes = mirror_axes
        return rotation, dummy_2d, initial_patch_size, mirror_axes

    def get_training_transforms(
        self,
        patch_size: Any,
        rotation_for_DA: Any,  # noqa: N803  # nnU-Net's name
        deep_supervision_scales: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """As nnU-Net; those of the validation if augmentation is off."""
        if self.settings.training.augmentation is False:
            shared = ("is_cascaded", "foreground_labels", "regions", "ignore_label")
            return self.get_validation_transforms(deep_supervision_scales, **{key: kwargs[key] for key in shared})
        transforms = super().get_training_transforms(
            patch_size, rotation_for_DA, deep_supervision_scales, *args, **kwargs
        )
        if self.settings.training.seed is not None:
            pin_timed_choices(transforms)
        return transforms

    def _apply_training_settings(self) -> None:
        chosen = self.settings.training
        if chosen.optimizer is OptimizerKind.ADAM:
            self.initial_lr = ADAM_LR
        for name in _OF_NNUNET:
            if getattr(chosen, name) is not None:
                setattr(self, name, getattr(chosen, name))
        if chosen.deep_supervision is not None:
            self.enable_deep_supervision = chosen.deep_supervision

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimiser trains; `lr_factor` is a learning rate as a multiple of the first one."""
        return [{"params": [p for p in self.bare_network.parameters() if p.requires_grad], "lr_factor": 1.0}]

    def _seed(self, epoch: int) -> None:
        seed_process(self.settings.training.seed, epoch, self.local_rank)

    # --- training ---------------------------------------------------------------------------------------------------

    def run_training(self) -> None:
        """Train as nnU-Net does.

        Raises:
            HyperSORTError: Data of the training cannot be read any more, or a file cannot be written.
        """
        self._trained_here = True
        try:
            super().run_training()
        except OSError as error:
            raise HyperSORTError(
                f"The training of fold {self.fold} stopped in epoch {self.current_epoch}: {error}. {self._kept()} Put "
                f"back what is missing, or free space, then continue with `--c`."
            ) from error

    def on_train_start(self) -> None:
        """Start as nnU-Net does."""
        super().on_train_start()
        self._clear_unfinished_files()

    def on_epoch_start(self) -> None:
        """Reseed if a seed is set, so that a continued training samples what an uninterrupted one would.

        Raises:
            HyperSORTError: Another fold of this model has begun with other settings.
        """
        super().on_epoch_start()
        stored_settings.refuse_replaced(self.settings, Path(self.output_folder_base))
        self._seed(self.current_epoch + 1)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's step, with the gradient clipping of the settings.

        Raises:
            HyperSORTError: The loss is not finite.
        """
        data, target = batch["data"].to(self.device, non_blocking=True), self._to_device(batch["target"])
        self.optimizer.zero_grad(set_to_none=True)
        with self._seen(batch):
            with self._autocast():
                output = self.network(data)
                loss = self.loss(output, target)
            self._backward(loss)
            self._note_output(batch, output, target)
        return self._finite_loss(loss, batch)

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """Log as nnU-Net does.

        Raises:
            HyperSORTError: The loss is not finite.
        """
        super().on_validation_epoch_end(val_outputs)
        # The last steps of the epoch may have broken the weights after their loss was computed; saving comes next.
        loss = self.logger.get_value("val_losses", step=-1)
        if not np.isfinite(loss):
            self._stop_at_bad_loss("validation", float(loss))

    def _note_output(self, batch: dict[str, Any], output: Any, target: Any) -> None:
        """See what the network made of a batch, after the optimiser's step; for subclasses to override."""

    def _backward(self, loss: torch.Tensor) -> None:
        clipping = self.settings.training.gradient_clipping
        largest = 12 if clipping is None else clipping
        if self.grad_scaler is None:
            loss.backward()
            if largest:
                nn.utils.clip_grad_norm_(self.network.parameters(), largest)
            self.optimizer.step()
            self._gradient_scale = 1.0
            return
        self._gradient_scale = self.grad_scaler.get_scale()
        self.grad_scaler.scale(loss).backward()
        self.grad_scaler.unscale_(self.optimizer)
        if largest:
            nn.utils.clip_grad_norm_(self.network.parameters(), largest)
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()

    def _finite_loss(self, loss: torch.Tensor, batch: dict[str, Any]) -> dict[str, Any]:
        value = loss.detach().cpu().numpy()
        if not np.isfinite(value):
            self._refuse_foreign_targets(batch)
            self._stop_at_bad_loss("training", float(value))
        return {"loss": value}

    def _stop_at_bad_loss(self, kind: str, loss: float) -> None:
        raise HyperSORTError(
            f"The {kind} loss became {loss} in epoch {self.current_epoch} of fold {self.fold}. Nothing was saved "
            f"since. {self._kept()} {self.bad_loss_remedy}, or look for images with values that are not finite, and "
            f"start again."
        )

    def _autocast(self) -> Any:
        return torch.autocast("cuda") if self.device.type == "cuda" else dummy_context()

    def _to_device(self, target: Any) -> Any:
        if isinstance(target, list):
            return [level.to(self.device, non_blocking=True) for level in target]
        return target.to(self.device, non_blocking=True)

    # --- the loss of a case -----------------------------------------------------------------------------------------

    def _build_case_loss(self) -> Any:
        # nnU-Net's own loss (or a subclass's) for one sample at full resolution. With DDP the Dice of a batch is
        # summed over processes; the loss of a case is its own.
        is_ddp, enable_deep_supervision = self.is_ddp, self.enable_deep_supervision
        self.is_ddp = self.enable_deep_supervision = False
        try:
            return self._build_loss()
        finally:
            self.is_ddp, self.enable_deep_supervision = is_ddp, enable_deep_supervision

    @torch.no_grad()
    def _losses_of_cases(self, rows: torch.Tensor, output: Any, target: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of each sample at full resolution, of all processes; rows and losses, both of shape (n,)."""
        if isinstance(self.loss, DeepSupervisionWrapper):
            output, target = output[0], target[0]
        output = output.detach()
        with self._autocast():
            losses = torch.stack([self._loss_of_sample(output, target, i) for i in range(len(rows))])
        if self.is_ddp:
            rows, gathered = gather_over_ranks(rows, losses[:, None], self.configuration_manager.batch_size)
            # gather_over_ranks averages over processes, as gradients want it; a loss is its own case's alone.
            losses = gathered[:, 0] * dist.get_world_size()
        return rows, losses

    def _loss_of_sample(self, output: torch.Tensor, target: torch.Tensor, index: int) -> torch.Tensor:
        with self._seen_sample(index):
            loss: torch.Tensor = self._case_loss(output[index : index + 1], target[index : index + 1])
        return loss
