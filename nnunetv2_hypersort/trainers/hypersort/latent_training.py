"""The training step: one of the network's optimiser, and one of the latents' own."""

from typing import Any

import torch
from torch import distributed as dist
from torch.optim.swa_utils import AveragedModel

from nnunetv2_hypersort.hypernetwork import LatentTable
from nnunetv2_hypersort.hypernetwork.conditioning.joint_components import robustly_scaled, without
from nnunetv2_hypersort.settings import Settings
from nnunetv2_hypersort.trainers.base.base_trainer import BaseTrainer
from nnunetv2_hypersort.trainers.base.ranks import gather_over_ranks
from nnunetv2_hypersort.trainers.hypersort.case_residuals import residuals_of_cases
from nnunetv2_hypersort.trainers.hypersort.latent_schedule import LatentSchedule
from nnunetv2_hypersort.trainers.hypersort.planned_network import PlannedHyperNetwork


class LatentTraining(BaseTrainer):
    """A trainer that steps the latents of the cases in a batch along with the network.

    Attributes:
        settings: Of latents, hypernetwork and training.
        table: The latents, once the trainer is initialised; their cases come when a training starts.
    """

    settings: Settings
    table: LatentTable
    _step_in_epoch = 0
    _last_warm_up_step: int | None = None
    _average: AveragedModel | None = None

    @property
    def hypernetwork(self) -> PlannedHyperNetwork:
        """The network without the wrappers of torch.compile and DistributedDataParallel."""
        network = self.bare_network
        assert isinstance(network, PlannedHyperNetwork)
        return network

    @property
    def schedule(self) -> LatentSchedule:
        """The course of the latents over this training."""
        return LatentSchedule(
            self.settings.latent,
            case_count=len(self.table),
            batch_size=self.configuration_manager.batch_size,
            steps_per_epoch=self.num_iterations_per_epoch,
            epoch_count=self.num_epochs,
        )

    def on_epoch_start(self) -> None:
        """Start the epoch as nnU-Net does."""
        super().on_epoch_start()
        self._step_in_epoch = 0

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One step of nnU-Net's optimiser for the network and of the latents' own for the cases in the batch."""
        data, target = batch["data"].to(self.device, non_blocking=True), self._to_device(batch["target"])
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
        with self._seen(batch), self._autocast():
            output = self.network(data, latents) if offsets is None else self.network(data, latents, offsets)
            loss = self.loss(output, target)
            penalty = self._penalty(fed, latents.float())
        self._backward(loss + penalty)
        if offsets is None:
            self._step_latents(fed, latents)
        else:
            self._gather_gradients(rows, offsets)
        with self._seen(batch):
            visited, losses = self._losses_of_cases(rows, output, target)
        self.table.count_visits(visited)
        self.table.record_losses(visited, losses)
        self._step_in_epoch += 1
        return self._finite_loss(loss, batch)

    def _step_latents(self, rows: torch.Tensor, latents: torch.Tensor) -> None:
        rows, gradients = self._gradients_of_all_ranks(rows, latents)
        chosen = self.settings.latent
        self.table.step(rows, gradients, lr=chosen.lr * self._latent_decay(rows), betas=chosen.betas)

    def _gradients_of_all_ranks(self, rows: torch.Tensor, leaf: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert leaf.grad is not None
        gradients = leaf.grad / self._gradient_scale
        if self.is_ddp:
            return gather_over_ranks(rows, gradients, self.configuration_manager.batch_size)
        return rows, gradients

    def _latent_decay(self, rows: torch.Tensor) -> torch.Tensor:
        return self.schedule.decay(self.table.steps[rows.to(self.table.steps.device)], self.current_epoch)

    def _penalty(self, rows: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        chosen = self.settings.latent
        # The norm has no gradient at zero, which PyTorch gives as 0.
        norm: torch.Tensor = torch.linalg.vector_norm(latents, dim=1)
        norm_weight = chosen.norm_weight * self._latent_decay(rows).to(norm)
        return (norm_weight * norm).mean() + chosen.l1_weight * latents.abs().sum(1).mean()

    def _gather_gradients(self, rows: torch.Tensor, offsets: torch.Tensor) -> None:
        if self._step_in_epoch == 0:
            self._look_ahead()
        step = self.current_epoch * self.num_iterations_per_epoch + self._step_in_epoch + 1
        rows, gradients = self._gradients_of_all_ranks(rows, offsets)
        if self.schedule.gathers(step):
            self.hypernetwork.case_gradients.add(rows, gradients)
        if self._last_warm_up_step is None:
            return
        if self._average is None:
            self._average = AveragedModel(self.hypernetwork.primary)
        self._average.update_parameters(self.hypernetwork.primary)
        if step >= self._last_warm_up_step:
            self._place_latents()
            if self.is_ddp:
                # Linear algebra need not end in the same digits, or signs, on two devices.
                for tensor in (self.table.values, *self.hypernetwork.generator.parameters()):
                    dist.broadcast(tensor.data, src=0)
            self.print_to_log_file(f"Warm-up ended after {step} steps: the latents have their places.")

    def _look_ahead(self) -> None:
        """At the first step of an epoch, see whether it is the last of the warm-up."""
        # Weights that grow with the square of the epoch, however long the warm-up will be.
        self.hypernetwork.case_gradients.fade((self.current_epoch / (self.current_epoch + 1)) ** 2)
        losses = self.logger.get_value("train_losses", step=None)[: self.current_epoch]
        self._last_warm_up_step = self.schedule.last_warm_up_step(self.current_epoch, losses)
        self._average = None

    def _place_latents(self) -> None:
        """Give the latents their places, from gradients and from how labels differ from what the network segments."""
        assert self._average is not None
        found = residuals_of_cases(self, self._average.module, self.table.case_ids)
        # A large organ has large residuals, however it was annotated.
        residuals = without(robustly_scaled(found.values), found.sizes)
        self.table.note_images(torch.as_tensor(found.images), torch.as_tensor(found.sizes))
        self.hypernetwork.start(residuals, found.images)
        self._average = None
