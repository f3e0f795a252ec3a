"""nnU-Net's trainer with one latent per training case."""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import distributed as dist
from torch import nn

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import LATENT_VARIABLE, FoldRecord, LatentChoice, choose_latents
from nnunetv2_hypersort.latents.styles_file import read_styles, set_styles_aside
from nnunetv2_hypersort.nnunet import insides
from nnunetv2_hypersort.settings import LatentStart, Settings, SystemSettings
from nnunetv2_hypersort.trainers.base.base_trainer import BaseTrainer
from nnunetv2_hypersort.trainers.hypersort import latent_schedule, run_files
from nnunetv2_hypersort.trainers.hypersort.latent_training import LatentTraining
from nnunetv2_hypersort.trainers.hypersort.training_cases import cases_with_latents, held_out_cases
from nnunetv2_hypersort.trainers.hypersort.weight_translator import for_training, translating


class HyperSORTTrainer(LatentTraining):
    """Learns a latent vector per training case along with the network (HyperSORT, arXiv 2506.21430).

    Planning, preprocessing, augmentation, folds, loss, logging and checkpoints are nnU-Net's; settings come as
    `BaseTrainer` says, from HYPERSORT_CONFIG.
    """

    settings_kind: ClassVar[type[SystemSettings]] = Settings
    replaces: ClassVar[frozenset[str]] = BaseTrainer.replaces | {"configure_optimizers", "build_network_architecture"}
    logged: ClassVar[tuple[str, ...]] = ("latent_spread", "latent_l1")
    bad_loss_remedy: ClassVar[str] = "Lower training.initial_lr or latent.lr"

    _latents_settled = False

    # --- set-up -----------------------------------------------------------------------------------------------------

    def initialize(self) -> None:
        """Build network, optimiser and loss as nnU-Net does.

        The latents come when a training starts or a checkpoint is loaded: nnU-Net takes `-pretrained_weights` in
        between, and wants every tensor of the file in the shape that the network has then.
        """
        with insides.built_network_becomes(self, for_training):
            super().initialize()
        self.table = self.hypernetwork.latents

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

    def _parameter_groups(self) -> list[dict[str, Any]]:
        groups = [
            {"params": [p for p in part.parameters() if p.requires_grad], "lr_factor": factor}
            for part, factor in (
                (self.hypernetwork.primary, 1.0),
                (self.hypernetwork.generator, self.settings.hypernetwork.lr_factor),
            )
        ]
        # Only `full` has nothing to train in the primary network.
        return [group for group in groups if group["params"]]

    def _take_training_cases(self) -> None:
        training, validation = self.do_split()
        folder = Path(self.preprocessed_dataset_folder_base)
        cases = cases_with_latents(training, where=f"Fold {self.fold} of {self.plans_manager.dataset_name}")
        had_cases = len(self.table) > 0
        spectral = self.settings.latent.start is LatentStart.SPECTRAL
        init_std = 0.0 if spectral else self.settings.latent.init_std
        joined, left = self.table.set_cases(cases, init_std=init_std, seed=self.settings.training.seed)
        gradients = self.hypernetwork.case_gradients
        if spectral and (not had_cases or (gradients.gathering and (joined or left))):
            self._begin_warm_up()
        if self.is_ddp:
            dist.broadcast(self.table.values, src=0)
        if had_cases and (joined or left):
            self.print_to_log_file(
                f"The training cases of fold {self.fold} changed since the checkpoint. New, with a fresh latent: "
                f"{', '.join(joined) or 'none'}. Gone: {', '.join(left) or 'none'}. All other cases keep their latents."
            )
        self._latents_settled = self.schedule.all_settled(self.table.steps)
        held_out = held_out_cases(self.fold, training, validation, folder)
        self.hypernetwork.record = FoldRecord.encode(str(self.fold), held_out).to(self.device)

    def _begin_warm_up(self) -> None:
        gradients = self.hypernetwork.case_gradients
        if not gradients.size:
            raise HyperSORTError(
                "The planned network has no affine normalisation layers, whose gradients the spectral start compares; "
                "set latent.start to random."
            )
        counted = (1 - latent_schedule.IGNORED_WARM_UP) * self.schedule.warm_up_steps
        gradients.begin(len(self.table), int(counted * self.configuration_manager.batch_size))

    # --- training ---------------------------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Start as nnU-Net does, with a latent for each training case; a continued training rebuilds its tables.

        Raises:
            HyperSORTError: The fold has fewer than two training cases.
        """
        if not self.was_initialized:
            self.initialize()
        if not len(self.table):
            self._take_training_cases()
        if self.local_rank == 0:
            # nnU-Net is about to write plans.json anew, and the checkpoints in which styles were found will go.
            set_styles_aside(self.output_folder_base)
        super().on_train_start()
        if self.current_epoch > 0:
            # They may be of another state than the checkpoint, or lost. Not done where a checkpoint is loaded only to
            # validate: `--val_best` would leave the tables of an older epoch behind.
            self._write_run_files(with_map=True)

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
        book = None if at_mode else read_styles(self.output_folder_base).book
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
        """Record the latents at each checkpoint interval, then end the epoch as nnU-Net does.

        When the latents have settled a checkpoint is saved: from then on they are what the whole training has learnt.
        """
        last = self.current_epoch == self.num_epochs - 1
        saves_latest = (self.current_epoch + 1) % self.save_every == 0
        if saves_latest or last:
            self.table.record_history(self.current_epoch + 1)
        super().on_epoch_end()
        if not self._latents_settled and self.schedule.all_settled(self.table.steps):
            self._latents_settled = True
            self.print_to_log_file(f"The latents have settled after {self.current_epoch} epochs and stand still now.")
            if not (saves_latest or last):
                self._save_settled()
        if saves_latest or last:
            self._write_run_files(with_map=True)

    def _save_settled(self) -> None:
        # As nnU-Net does for its final checkpoint: the epoch has been counted already. A training goes on exactly as
        # it would have without this checkpoint.
        self.current_epoch -= 1
        with self.exact_moments():
            self.save_checkpoint(os.path.join(self.output_folder, "checkpoint_latest.pth"))
        self.current_epoch += 1

    def save_checkpoint(self, filename: str) -> None:
        """Save as nnU-Net does, but whole or not at all, and write the latents beside it.

        Raises:
            HyperSORTError: The folder is read-only or the disk is full; the previous checkpoint is as it was.
        """
        super().save_checkpoint(filename)
        self._write_run_files(epoch=self.current_epoch + 1)

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Load a checkpoint of this trainer; latents of cases that are still there are kept.

        Raises:
            HyperSORTError: As `BaseTrainer`, or the checkpoint holds no latents.
        """
        super().load_checkpoint(filename_or_checkpoint)
        self._take_training_cases()

    def _check_checkpoint(self, checkpoint: dict[str, Any], path: Path) -> None:
        FoldRecord.from_network_weights(checkpoint["network_weights"], source=str(path))
        super()._check_checkpoint(checkpoint, path)

    def _with_checksum(self) -> AbstractContextManager[None]:
        return self.hypernetwork.with_checksum()

    def _write_run_files(self, *, epoch: int | None = None, with_map: bool = False) -> None:
        if self.local_rank != 0 or self.disable_checkpointing:
            return
        epoch = self.current_epoch if epoch is None else epoch
        title = f"{self.plans_manager.dataset_name}, fold {self.fold}" if with_map else None
        try:
            run_files.write_run_files(self.output_folder, self.table, epoch=epoch, map_title=title)
        except OSError as error:
            # The checkpoint has all of it: a training does not end because a table could not be written.
            self.print_to_log_file(f"WARNING: could not write the latents to {self.output_folder}: {error}")
