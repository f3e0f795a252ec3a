"""nnU-Net's trainer with one latent per training case."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgenerators.utilities.file_and_folder_operations import load_json
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.helpers import dummy_context
from torch import distributed as dist
from torch import nn
from torch._dynamo import OptimizedModule

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import atomic_path
from nnunetv2_hypersort.latents import LATENT_VARIABLE, FoldRecord, LatentChoice, StyleBook, choose_latents
from nnunetv2_hypersort.nnunet import insides
from nnunetv2_hypersort.nnunet.checkpoints import only_weights_are_loaded
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION
from nnunetv2_hypersort.settings import LatentStart, LrSchedule, OptimizerKind
from nnunetv2_hypersort.trainers.base import stored_settings
from nnunetv2_hypersort.trainers.base.compact_moments import compact_moments
from nnunetv2_hypersort.trainers.base.newest_checkpoint import newest_checkpoint, read_training_checkpoint
from nnunetv2_hypersort.trainers.hypersort import run_files
from nnunetv2_hypersort.trainers.hypersort.latent_steps import gather_over_ranks
from nnunetv2_hypersort.trainers.hypersort.planned_network import PlannedHyperNetwork
from nnunetv2_hypersort.trainers.hypersort.weight_translator import for_training, translating

POLY_EXPONENT = 0.9
ADAM_LR = 3e-3
# Of the warm-up: in steps, as a share of all steps, and the share at its beginning whose gradients tell nothing yet.
SHORTEST_WARM_UP = 500
LONGEST_WARM_UP = 0.4
IGNORED_WARM_UP = 0.4
# Steps after it that latents have at least: with few cases a network has learnt little after 30 visits of each.
SHORTEST_SETTLING = 1500
# What HyperSORTTrainer does in its own way without calling nnU-Net's; all else it adds to.
_REPLACED = {"train_step", "configure_optimizers", "build_network_architecture"}


class HyperSORTTrainer(nnUNetTrainer):  # type: ignore[misc]  # nnU-Net is not typed
    """Learns a latent vector per training case along with the network (HyperSORT, arXiv 2506.21430).

    Planning, preprocessing, augmentation, folds, loss, logging and checkpoints are nnU-Net's. The settings come from
    the YAML file or shipped config that HYPERSORT_CONFIG names, else from the model folder, else they are defaults;
    they are stored in the plans beside the checkpoints. To combine it with a variant of nnU-Net's trainer, derive from
    both, this one first (see `trainers/variants.py`).
    """

    is_ddp: bool
    enable_deep_supervision: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for other in cls.__mro__:
            replaced = sorted(_REPLACED.intersection(vars(other)))
            if replaced and not issubclass(other, HyperSORTTrainer) and other is not nnUNetTrainer:
                raise HyperSORTError(
                    f"{cls.__name__} cannot be: {other.__name__} replaces {', '.join(replaced)} of nnU-Net's trainer, "
                    f"and so does HyperSORTTrainer; one of the two would be lost. Optimiser and learning rate are "
                    f"settings (`training.optimizer`, `training.lr_schedule`); networks come from the plans."
                )

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int | str,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008  # nnU-Net's signature, which must stay as it is
    ) -> None:
        asked = stored_settings.settings_from_environment()
        self._continues = bool(plans.get("continue_training"))
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.settings, origin = stored_settings.resolve_settings(asked, Path(self.output_folder_base), fold)
        # The same dictionary is nnU-Net's init argument, so the checkpoint stores the settings, too.
        plans[PLANS_SECTION] = {"settings": self.settings.to_dict()}
        for key in ("latent_spread", "latent_l1"):
            self.logger.local_logger.my_fantastic_logging.setdefault(key, [])
        self._trained_here = False
        self._step_in_epoch = 0
        self.print_to_log_file(f"HyperSORT settings ({origin}): {self.settings.to_dict()}")

    # --- set-up -----------------------------------------------------------------------------------------------------

    def initialize(self) -> None:
        """Build network, optimiser and loss as nnU-Net does.

        The latents come when a training starts or a checkpoint is loaded: nnU-Net takes `-pretrained_weights` in
        between, and wants every tensor of the file in the shape that the network has then.
        """
        self._apply_training_settings()
        self._seed(0)
        with insides.built_network_becomes(self, for_training):
            super().initialize()
        self.table = self.hypernetwork.latents
        self._case_loss = self._build_case_loss()

    @staticmethod
    def build_network_architecture(
        plans_manager: Any,
        configuration_manager: Any,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """Build the planned network, which takes the weights of a training, too; nnU-Net calls this for prediction.

        A training puts generator and latents around it. A subclass may change the network that this returns in place.
        """
        network = nnUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
        return translating(network, plans_manager.plans, configuration_manager.configuration)

    def configure_optimizers(self) -> tuple[Any, Any]:
        """The optimiser of primary network and generator: nnU-Net's, unless the settings say otherwise."""
        chosen = self.settings.training
        groups = [
            {"params": [p for p in part.parameters() if p.requires_grad], "lr_factor": factor}
            for part, factor in (
                (self.hypernetwork.primary, 1.0),
                (self.hypernetwork.generator, self.settings.hypernetwork.lr_factor),
            )
        ]
        # Only `full` has nothing to train in the primary network.
        groups = [group for group in groups if group["params"]]
        if chosen.optimizer is OptimizerKind.ADAM:
            optimizer: torch.optim.Optimizer = torch.optim.Adam(
                groups, self.initial_lr, betas=chosen.betas or (0.9, 0.999), weight_decay=self.weight_decay
            )
        else:
            optimizer = torch.optim.SGD(
                groups, self.initial_lr, weight_decay=self.weight_decay, momentum=0.99, nesterov=True
            )
        exponent = 0 if chosen.lr_schedule is LrSchedule.CONSTANT else POLY_EXPONENT
        return optimizer, _FactoredPolyLR(optimizer, self.initial_lr, self.num_epochs, exponent)

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
            _pin_timed_choices(transforms)
        return transforms

    @property
    def hypernetwork(self) -> PlannedHyperNetwork:
        """The network without the wrappers of torch.compile and DistributedDataParallel."""
        # nnU-Net wraps it step by step, and asks for an optimiser in between.
        network = self.network
        if isinstance(network, nn.parallel.DistributedDataParallel):
            network = network.module
        if isinstance(network, OptimizedModule):
            network = network._orig_mod
        assert isinstance(network, PlannedHyperNetwork)
        return network

    def _apply_training_settings(self) -> None:
        chosen = self.settings.training
        if chosen.optimizer is OptimizerKind.ADAM:
            self.initial_lr = ADAM_LR
        for name, value in (
            ("num_epochs", chosen.num_epochs),
            ("num_iterations_per_epoch", chosen.num_iterations_per_epoch),
            ("num_val_iterations_per_epoch", chosen.num_val_iterations_per_epoch),
            ("save_every", chosen.save_every),
            ("initial_lr", chosen.initial_lr),
            ("weight_decay", chosen.weight_decay),
            ("enable_deep_supervision", chosen.deep_supervision),
        ):
            if value is not None:
                setattr(self, name, value)

    def _take_training_cases(self) -> None:
        training, held_out = self.do_split()
        if len(training) < 2:
            raise HyperSORTError(
                f"Fold {self.fold} of {self.plans_manager.dataset_name} has {len(training)} training case(s); "
                f"HyperSORT compares the labels of cases and needs at least two. Check splits_final.json in "
                f"{self.preprocessed_dataset_folder_base}."
            )
        had_cases = len(self.table) > 0
        spectral = self.settings.latent.start is LatentStart.SPECTRAL
        joined, left = self.table.set_cases(
            sorted(training),
            init_std=0.0 if spectral else self.settings.latent.init_std,
            seed=self.settings.training.seed,
        )
        gradients = self.hypernetwork.case_gradients
        if spectral and (not had_cases or (gradients.gathering and (joined or left))):
            if not gradients.size:
                raise HyperSORTError(
                    "The planned network has no affine normalisation layers, whose gradients the spectral start "
                    "compares; set latent.start to random."
                )
            samples = (1 - IGNORED_WARM_UP) * self._warm_up_steps() * self.configuration_manager.batch_size
            gradients.begin(len(self.table), int(samples))
        if self.is_ddp:
            dist.broadcast(self.table.values, src=0)
        if had_cases and (joined or left):
            self.print_to_log_file(
                f"The training cases of fold {self.fold} changed since the checkpoint. "
                f"New, with a fresh latent: {', '.join(joined) or 'none'}. Gone: {', '.join(left) or 'none'}. "
                f"All other cases keep their latents."
            )
        record = FoldRecord.encode(str(self.fold), self._held_out(training, held_out))
        self.hypernetwork.record = record.to(self.device)

    def _held_out(self, training: list[str], validation: list[str]) -> dict[str, list[str]]:
        splits_file = Path(self.preprocessed_dataset_folder_base) / "splits_final.json"
        splits = load_json(str(splits_file)) if self.fold != "all" and splits_file.is_file() else []
        trained = {str(fold): set(split["train"]) for fold, split in enumerate(splits)}
        # A fold beyond the split file is nnU-Net's random 80:20 split, which may have cases that the file lacks.
        trained[str(self.fold)] = set(training)
        cases = {*training, *validation, *(case for split in splits for part in split.values() for case in part)}
        return {fold: sorted(cases - known) for fold, known in trained.items()}

    def _build_case_loss(self) -> Any:
        # nnU-Net's own loss (or a subclass's) for one sample at full resolution. With DDP the Dice of a batch is
        # summed over processes; the loss of a case is its own.
        is_ddp, enable_deep_supervision = self.is_ddp, self.enable_deep_supervision
        self.is_ddp = self.enable_deep_supervision = False
        try:
            return self._build_loss()
        finally:
            self.is_ddp, self.enable_deep_supervision = is_ddp, enable_deep_supervision

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
        """Start as nnU-Net does, with a latent for each training case; a continued training rebuilds its tables.

        Raises:
            HyperSORTError: The fold has fewer than two training cases.
        """
        if not self.was_initialized:
            self.initialize()
        if not len(self.table):
            self._take_training_cases()
        super().on_train_start()
        if self.local_rank == 0:
            # What a killed process was about to write.
            for rest in Path(self.output_folder).glob(".tmp-*"):
                rest.unlink(missing_ok=True)
        if self.current_epoch > 0:
            # They may be of another state than the checkpoint, or lost. Not done where a checkpoint is loaded only to
            # validate: `--val_best` would leave the tables of an older epoch behind.
            self._write_run_files(with_map=True)

    def on_epoch_start(self) -> None:
        """Reseed if a seed is set, so that a continued training draws what an uninterrupted one would."""
        super().on_epoch_start()
        self._step_in_epoch = 0
        self._seed(self.current_epoch + 1)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One step of nnU-Net's optimiser for the network and of the latents' own for the cases in the batch."""
        data = batch["data"].to(self.device, non_blocking=True)
        target = self._to_device(batch["target"])
        rows = self.table.rows(batch["keys"])
        # A batch of one case needs its weights only once.
        warming_up = self.hypernetwork.case_gradients.gathering
        fed = rows[:1] if not warming_up and bool((rows == rows[0]).all()) else rows
        latents = self.table.values[fed.to(self.device)].requires_grad_()
        offsets = None
        if warming_up:
            offsets = data.new_zeros(len(data), self.hypernetwork.case_gradients.size, dtype=torch.float32)
            offsets.requires_grad_()

        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            output = self.network(data, latents) if offsets is None else self.network(data, latents, offsets)
            loss = self.loss(output, target)
            penalty = self._penalty(fed, latents.float())
        self._backward(loss + penalty)
        if offsets is None:
            self._step_latents(fed, latents)
        else:
            self._gather_gradients(rows, offsets)
        with torch.no_grad(), self._autocast():
            visited, losses = self._losses_of_cases(rows, output, target)
        self.table.count_visits(visited)
        self.table.record_losses(visited, losses)
        self._step_in_epoch += 1
        value = loss.detach().cpu().numpy()
        if not np.isfinite(value):
            self._stop_at_bad_loss("training", float(value))
        return {"loss": value}

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Log the loss as nnU-Net does, and how far the latents have spread."""
        super().on_train_epoch_end(train_outputs)
        if self.is_ddp:
            # All processes take the same steps, but sums on a GPU need not end in the same digits on each.
            table = self.table
            for tensor in (table.values, table.first_moment, table.second_moment, table.loss):
                dist.broadcast(tensor, src=0)
        latents = self.table.values
        spread = float(latents.std(0).mean())
        self.logger.log("latent_spread", spread, self.current_epoch)
        self.logger.log("latent_l1", float(latents.abs().sum(1).mean()), self.current_epoch)
        self.print_to_log_file(
            f"latents: spread {spread:.4f}, visits per case {float(self.table.visits.float().mean()):.1f}"
        )

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

    def _step_latents(self, rows: torch.Tensor, latents: torch.Tensor) -> None:
        assert latents.grad is not None
        gradients = latents.grad / self._gradient_scale
        if self.is_ddp:
            rows, gradients = gather_over_ranks(rows, gradients, self.configuration_manager.batch_size)
        chosen = self.settings.latent
        self.table.step(rows, gradients, lr=chosen.lr * self._latent_decay(rows), betas=chosen.betas)

    def _latent_decay(self, rows: torch.Tensor) -> torch.Tensor:
        """The share of the latents' first learning rate that is left for these cases; shape (n,)."""
        stepped = self.table.steps[rows.to(self.table.steps.device)].float()
        if self.settings.latent.lr_schedule is LrSchedule.CONSTANT:
            return torch.ones_like(stepped)
        warm_up = self._warm_up_steps() if self.settings.latent.start is LatentStart.SPECTRAL else 0.0
        end = warm_up + max(self.settings.latent.settling_visits / self._visits_per_step(), SHORTEST_SETTLING)
        if self.num_epochs * self.num_iterations_per_epoch <= end:
            left = torch.full_like(stepped, 1 - self.current_epoch / self.num_epochs)
        else:
            # Each case by its own visits, so that one that joins a continued training has its time, too.
            left = (1 - (warm_up + stepped / self._visits_per_step()) / end).clamp(min=0)
        return left**POLY_EXPONENT

    def _penalty(self, rows: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        chosen = self.settings.latent
        # The norm has no gradient at zero, which PyTorch gives as 0.
        norm: torch.Tensor = torch.linalg.vector_norm(latents, dim=1)
        norm_weight = chosen.norm_weight * self._latent_decay(rows).to(norm)
        return (norm_weight * norm).mean() + chosen.l1_weight * latents.abs().sum(1).mean()

    def _gather_gradients(self, rows: torch.Tensor, offsets: torch.Tensor) -> None:
        last = self._warm_up_steps()
        step = self.current_epoch * self.num_iterations_per_epoch + self._step_in_epoch + 1
        assert offsets.grad is not None
        gradients = offsets.grad / self._gradient_scale
        if self.is_ddp:
            rows, gradients = gather_over_ranks(rows, gradients, self.configuration_manager.batch_size)
        if step > IGNORED_WARM_UP * last:
            self.hypernetwork.case_gradients.add(rows, gradients)
        if step >= last:
            self.hypernetwork.start_from_gradients()
            if self.is_ddp:
                # Linear algebra need not end in the same digits, or signs, on two devices.
                for tensor in (self.table.values, *self.hypernetwork.generator.parameters()):
                    dist.broadcast(tensor.data, src=0)
            self.print_to_log_file(f"Warm-up ended after {step} steps: the latents have their places.")

    def _warm_up_steps(self) -> float:
        wanted = max(self.settings.latent.warmup_visits / self._visits_per_step(), SHORTEST_WARM_UP)
        return float(min(wanted, LONGEST_WARM_UP * self.num_epochs * self.num_iterations_per_epoch))

    def _visits_per_step(self) -> float:
        return float(self.configuration_manager.batch_size / len(self.table))

    def _losses_of_cases(self, rows: torch.Tensor, output: Any, target: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if isinstance(self.loss, DeepSupervisionWrapper):
            output, target = output[0], target[0]
        output = output.detach()
        losses = torch.stack(
            [self._case_loss(output[sample : sample + 1], target[sample : sample + 1]) for sample in range(len(rows))]
        )
        if self.is_ddp:
            rows, gathered = gather_over_ranks(rows, losses[:, None], self.configuration_manager.batch_size)
            # gather_over_ranks averages over processes, as gradients want it; a loss is its own case's alone.
            losses = gathered[:, 0] * dist.get_world_size()
        return rows, losses

    def _stop_at_bad_loss(self, kind: str, loss: float) -> None:
        raise HyperSORTError(
            f"The {kind} loss became {loss} in epoch {self.current_epoch} of fold {self.fold}. Nothing was saved "
            f"since. {self._kept()} Lower training.initial_lr or latent.lr, or look for images with values that are "
            f"not finite, and start again."
        )

    def _kept(self) -> str:
        kept = sorted(path.name for path in Path(self.output_folder).glob("checkpoint_*.pth"))
        return f"The checkpoints in {self.output_folder} are intact ({', '.join(kept) or 'none yet'})."

    def _autocast(self) -> Any:
        return torch.autocast("cuda") if self.device.type == "cuda" else dummy_context()

    def _to_device(self, target: Any) -> Any:
        if isinstance(target, list):
            return [level.to(self.device, non_blocking=True) for level in target]
        return target.to(self.device, non_blocking=True)

    def _seed(self, epoch: int) -> None:
        seed = self.settings.training.seed
        if seed is None:
            return
        stream = np.random.SeedSequence([seed, epoch, self.local_rank]).generate_state(3)
        random.seed(int(stream[0]))
        np.random.seed(int(stream[1]))  # noqa: NPY002  # nnU-Net's data loaders draw from NumPy's global generator
        torch.manual_seed(int(stream[2]))

    # --- validation -------------------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Validate online with the mode: no validation label ever touches a latent."""
        super().on_validation_epoch_start()
        _, mode = self._fold_record().mode()
        self.hypernetwork.materialise(torch.as_tensor(mode, dtype=torch.float32, device=self.device))

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """Give the network its own weights back, then log as nnU-Net does."""
        self.hypernetwork.restore()
        super().on_validation_epoch_end(val_outputs)
        # The last steps of the epoch may have broken the weights after their loss was computed; saving comes next.
        loss = self.logger.get_value("val_losses", step=-1)
        if not np.isfinite(loss):
            self._stop_at_bad_loss("validation", float(loss))

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Run nnU-Net's final validation with the mode; `--val` takes HYPERSORT_LATENT instead if it is set.

        Raises:
            HyperSORTError: The latent cannot be had, or is not the mode where the next stage of a cascade learns from
                these segmentations.
        """
        asked = "" if self._trained_here else os.environ.get(LATENT_VARIABLE, "")
        next_stages = self.configuration_manager.next_stage_names
        if next_stages and LatentChoice.parse(asked) != LatentChoice():
            raise HyperSORTError(
                f"{LATENT_VARIABLE}={asked}: the validation of {self.configuration_name} writes what "
                f"{', '.join(next_stages)} learns from, and that is segmented at the mode; unset the variable, or "
                f"segment the images with `hypersort predict`."
            )
        # The mode is the densest latent here, whatever styles were found since: stages of a cascade stay comparable.
        at_mode = LatentChoice.parse(asked) == LatentChoice()
        book = None if at_mode else StyleBook.read(Path(self.output_folder_base) / "plans.json")
        latent = choose_latents(LatentChoice.parse(asked), [self._fold_record()], book)[0]
        self.print_to_log_file(f"Validating with {latent}")
        self.print_to_log_file(
            "Mind that validation labels of several annotation styles are compared with predictions in one: this Dice "
            "tells how well that style fits the mixture, not how well the model segments."
        )
        coordinates = torch.as_tensor(latent.coordinates, dtype=torch.float32, device=self.device)
        with self.hypernetwork.materialised(coordinates):
            super().perform_actual_validation(save_probabilities)

    def _fold_record(self) -> FoldRecord:
        return FoldRecord.from_network_weights(self.hypernetwork.state_dict(), source=f"fold {self.fold}")

    # --- checkpoints ------------------------------------------------------------------------------------------------

    def on_epoch_end(self) -> None:
        """Record the latents at each checkpoint interval, then end the epoch as nnU-Net does."""
        last = self.current_epoch == self.num_epochs - 1
        at_interval = (self.current_epoch + 1) % self.save_every == 0 or last
        if at_interval:
            self.table.record_history(self.current_epoch + 1)
        super().on_epoch_end()
        if at_interval:
            self._write_run_files(with_map=True)

    def save_checkpoint(self, filename: str) -> None:
        """Save as nnU-Net does, but whole or not at all, and write the latents beside it.

        Raises:
            HyperSORTError: The folder is read-only or the disk is full; the previous checkpoint is as it was.
        """
        if self.local_rank != 0 or self.disable_checkpointing:
            # Nothing is written, but the optimiser goes on with the rounded moments in every process.
            with compact_moments(self.optimizer):
                super().save_checkpoint(filename)
            return
        try:
            with (
                atomic_path(filename) as temporary,
                compact_moments(self.optimizer),
                self.hypernetwork.with_checksum(),
            ):
                super().save_checkpoint(str(temporary))
        except (OSError, RuntimeError) as error:
            # torch reports a full disk as a RuntimeError of its zip writer.
            raise HyperSORTError(
                f"Could not save {filename}: {error}. The previous checkpoint is unchanged; free space or make the "
                f"folder writable, then continue with --c."
            ) from error
        self._write_run_files(epoch=self.current_epoch + 1)

    def _write_run_files(self, *, epoch: int | None = None, with_map: bool = False) -> None:
        if self.local_rank != 0 or self.disable_checkpointing:
            return
        epoch = self.current_epoch if epoch is None else epoch
        title = f"{self.plans_manager.dataset_name}, fold {self.fold}"
        try:
            run_files.write_latents(self.output_folder, self.table, epoch=epoch)
            run_files.write_history(self.output_folder, self.table)
            if with_map:
                run_files.write_map(self.output_folder, self.table, epoch=epoch, title=title)
        except OSError as error:
            # The checkpoint has all of it: a training does not end because a table could not be written.
            self.print_to_log_file(f"WARNING: could not write the latents to {self.output_folder}: {error}")

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Load a checkpoint of this trainer, running nothing in it; latents of cases that are still there are kept.

        `--c` loads the newest complete one of the fold: nnU-Net would take final, latest, best, whichever comes first.

        Raises:
            HyperSORTError: The file cannot be read, is of another trainer, or was trained with other settings; or, with
                `--c`, no checkpoint of the fold is complete.
        """
        path = Path(filename_or_checkpoint)
        if self._continues and not self._trained_here and path.parent == Path(self.output_folder):
            path, damaged = newest_checkpoint(path.parent)
            for problem in damaged:
                self.print_to_log_file(f"WARNING: {problem}")
            self.print_to_log_file(f"Continuing from {path}")
        self._check_checkpoint(path)
        try:
            with only_weights_are_loaded():
                super().load_checkpoint(str(path))
        except HyperSORTError:
            raise
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise HyperSORTError(
                f"{path} does not fit the training of fold {self.fold} that is to go on ({type(error).__name__}: "
                f"{str(error)[:300]}); train with the plans that it was trained with, or start anew without `--c`."
            ) from error
        self._take_training_cases()

    def _check_checkpoint(self, path: Path) -> None:
        checkpoint = read_training_checkpoint(path)
        FoldRecord.from_network_weights(checkpoint["network_weights"], source=str(path))
        stored = stored_settings.settings_in_plans(checkpoint["init_args"].get("plans"), source=str(path))
        if stored is not None:
            stored_settings.refuse_differences(self.settings, stored, there=str(path))


class _FactoredPolyLR(PolyLRScheduler):  # type: ignore[misc]  # nnU-Net is not typed
    """nnU-Net's schedule, which gives all parameter groups one learning rate, with each group's `lr_factor` on top."""

    def step(self, current_step: int | None = None) -> None:
        super().step(current_step)
        for group in self.optimizer.param_groups:
            group["lr"] *= group["lr_factor"]


def _pin_timed_choices(transforms: Any) -> None:
    """Switch off augmentation code that picks an algorithm by timing it: it makes runs differ in the last digits."""
    for transform in getattr(transforms, "transforms", []):
        inner = getattr(transform, "transform", transform)
        if hasattr(inner, "benchmark"):
            inner.benchmark = False
