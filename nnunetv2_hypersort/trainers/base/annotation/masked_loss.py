"""nnU-Net's losses over what is annotated.

Classes: the probabilities of classes that a case is not annotated for are added to the background in the cross-entropy,
and the Dice of a class is that of the cases that are annotated for it (marginal loss: Shi et al. 2021, Medical Image
Analysis 70). Regions: each channel counts over the cases that are annotated for it.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.loss.robust_ce_loss import RobustCrossEntropyLoss
from nnunetv2.utilities.ddp_allgather import AllGatherGrad
from torch import nn
from torch._dynamo import OptimizedModule
from torch.nn import functional

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.trainers.base.annotation.batch_annotation import BatchAnnotation, Channels

_LEAST = 1e-20
"""Sums of probabilities are exact to the last digits of 32 bits above this."""


def masked_loss(loss: Any, annotation: BatchAnnotation, *, ddp: bool, trainer: str) -> Any:
    """Make of a loss of nnU-Net's the one that counts what is annotated.

    With every class of every case annotated it has the value of the loss that it is made of, up to rounding.

    Args:
        loss: Dice and cross-entropy or one of them, with or without deep supervision, as `_build_loss` gives it.
        annotation: Tells which cases it sees.
        ddp: Whether sums are gathered over the processes of a distributed training.
        trainer: Name of the trainer, for the error.

    Raises:
        HyperSORTError: It is another loss.
    """
    if isinstance(loss, DeepSupervisionWrapper):
        loss.loss = masked_loss(loss.loss, annotation, ddp=ddp, trainer=trainer)
        return loss
    dice: Any = None
    cross_entropy: Any = None
    weights: tuple[Any, Any] = (1.0, 1.0)
    plain = loss._orig_mod if isinstance(loss, OptimizedModule) else loss
    if type(plain) in (DC_and_CE_loss, DC_and_BCE_loss):
        dice, cross_entropy, weights = plain.dc, plain.ce, (plain.weight_dice, plain.weight_ce)
    elif type(plain) is MemoryEfficientSoftDiceLoss:
        dice = loss
    elif type(plain) is RobustCrossEntropyLoss:
        cross_entropy = plain
    compiled = isinstance(dice, OptimizedModule)
    dice = dice._orig_mod if isinstance(dice, OptimizedModule) else dice
    usual = cross_entropy is None or (
        cross_entropy.weight is None and getattr(cross_entropy, "pos_weight", None) is None
    )
    if (
        not usual
        or (dice is None and cross_entropy is None)
        or type(dice) not in (MemoryEfficientSoftDiceLoss, type(None))
    ):
        raise HyperSORTError(
            f"The loss of {trainer} ({type(plain).__name__}) cannot leave out labels that a case is not annotated for, "
            f"as `annotated_labels` in dataset.json asks for; take a trainer with nnU-Net's Dice and cross-entropy, "
            f"such as PartialLabelsTrainer."
        )
    kind = RegionLoss if annotation.has_regions else MarginalLoss
    return kind(
        annotation,
        dice=dice if weights[0] else None,
        cross_entropy=cross_entropy if weights[1] else None,
        weights=weights,
        ddp=ddp,
        compiled=compiled,
    )


class MaskedLoss(nn.Module, ABC):
    """Dice and cross-entropy, or one of them, over what is annotated.

    Args:
        annotation: Tells which cases the loss sees; a call stands in `with annotation.cases(...)`.
        dice: nnU-Net's Dice, whose settings are taken over; None leaves it out.
        cross_entropy: nnU-Net's cross-entropy, likewise.
        weights: Of the two.
        ddp: Whether sums are gathered over processes.
        compiled: Whether the sums of the Dice are compiled, as nnU-Net's Dice then is.
    """

    def __init__(
        self,
        annotation: BatchAnnotation,
        *,
        dice: Any,
        cross_entropy: Any,
        weights: tuple[float, float],
        ddp: bool,
        compiled: bool,
    ) -> None:
        super().__init__()
        self.annotation = annotation
        self.dice = dice
        self.cross_entropy = cross_entropy
        self.weights = weights
        self.ddp = ddp
        self.sums = torch.compile(self.overlap) if compiled else self.overlap

    @staticmethod
    @abstractmethod
    def overlap(chances: torch.Tensor, target: torch.Tensor, counted: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """Shared, predicted and drawn soft volume of each sample and structure, each of shape (b, structures)."""

    def over_processes(self, sums: torch.Tensor) -> torch.Tensor:
        """Add up what all processes have, with gradients, as nnU-Net's batch Dice does."""
        return AllGatherGrad.apply(sums).sum(0, dtype=torch.float32) if self.ddp else sums

    def minus_dice(self, overlap: tuple[torch.Tensor, ...], known: torch.Tensor) -> torch.Tensor:
        """Minus the soft Dice of each structure over the cases that are annotated for it, mean over structures.

        With the samples of all processes together: a structure's mean over its cases, or with batch Dice its sums over
        them. A structure that no case is annotated for does not count.

        Args:
            overlap: What `overlap` gives.
            known: Shape (b, structures): whether the case is annotated for it.
        """
        flags = known.float()
        if self.dice.batch_dice:
            *sums, count = self.over_processes(
                torch.stack([*((part * flags).sum(0) for part in overlap), flags.sum(0)])
            )
            dice = self._dice(*sums)
        else:
            parts = torch.stack([(self._dice(*overlap) * flags).sum(0), flags.sum(0)])
            total, count = self.over_processes(parts)
            dice = total / count.clamp_min(1)
        there = (count > 0).float()
        loss: torch.Tensor = -(dice * there).sum() / there.sum().clamp_min(1)
        return loss

    def _dice(self, shared: torch.Tensor, predicted: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        smooth = float(self.dice.smooth)
        return (2 * shared + smooth) / (drawn + predicted + smooth).clamp_min(1e-8)


class MarginalLoss(MaskedLoss):
    """The loss of classes: those that a case is not annotated for are part of its background."""

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of one output; not-a-number if a target has a class that its case is not annotated for.

        Args:
            output: Shape (b, classes, ...): logits.
            target: Shape (b, 1, ...): label values.
        """
        cases = self.annotation.of_batch(len(output), output.device)
        known = torch.stack([case.known for case in cases])[:, 1:]
        ignore = self.annotation.annotated.table.ignore_label
        counted = None if ignore is None else target != ignore
        places = target.long() if counted is None else torch.where(counted, target, 0).long()
        # In 32 bits, as probabilities of many classes add up; one for both terms.
        logs = torch.log_softmax(output.float(), 1)
        chances = logs.exp()
        overlap = self.sums(chances, places, counted)
        total = output.new_zeros((), dtype=torch.float32)
        if self.dice is not None:
            total = total + self.weights[0] * self.minus_dice(overlap, known)
        if self.cross_entropy is not None:
            total = total + self.weights[1] * self._cross_entropy(logs, chances, places, counted, cases)
        # Without waiting for the device; the trainer names the case once the loss is no number.
        foreign = (overlap[2] * ~known).sum() > 0
        return torch.where(foreign, torch.nan, total)

    def _cross_entropy(
        self,
        logs: torch.Tensor,
        chances: torch.Tensor,
        places: torch.Tensor,
        counted: torch.Tensor | None,
        cases: list[Channels],
    ) -> torch.Tensor:
        """Mean over the voxels that count."""
        smoothing = float(self.cross_entropy.label_smoothing)
        background, right = logs[:, 0], logs.gather(1, places)[:, 0]
        # Classes that stand for themselves; shape (b, classes, 1, ...).
        scored = torch.stack([case.scored for case in cases])
        own = scored.reshape(*scored.shape, *[1] * (logs.ndim - 2))
        if not all(case.whole for case in cases):
            # The log-sum-exp of what is not its own, from exponentials that are there; where these are nearly zero, and
            # their logarithm would have no gradient, the background's own probability, which is no larger.
            total = (chances * ~own).sum(1)
            there = total > _LEAST
            background = torch.where(there, torch.where(there, total, 1.0).log(), background)
            right = torch.where(places[:, 0] == 0, background, right)
        if smoothing:
            even = (background + (logs * own).sum(1)) / (1 + own.sum(1))
            right = (1 - smoothing) * right + smoothing * even
        if counted is None:
            return -right.mean()
        return -(right * counted[:, 0]).sum() / counted.sum().clamp_min(1)

    @staticmethod
    def overlap(chances: torch.Tensor, target: torch.Tensor, counted: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """See `MaskedLoss.overlap`; takes probabilities, and label values."""
        axes = tuple(range(2, chances.ndim))
        drawn = torch.zeros(chances.shape, device=chances.device, dtype=torch.float32).scatter_(1, target, 1)
        if counted is not None:
            chances, drawn = chances * counted, drawn * counted
        shared, predicted, there = (part.sum(axes)[:, 1:] for part in (chances * drawn, chances, drawn))
        return shared, predicted, there


class RegionLoss(MaskedLoss):
    """The loss of regions: each channel counts over the cases that are annotated for it."""

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of one output.

        Args:
            output: Shape (b, regions, ...): logits.
            target: Shape (b, regions, ...), with the ignored voxels as one more channel if there is an ignore label.
        """
        cases = self.annotation.of_batch(len(output), output.device)
        known, scored = (torch.stack([getattr(case, name) for case in cases]) for name in ("known", "scored"))
        counted = None
        if self.annotation.annotated.table.ignore_label is not None:
            counted, target = ~target[:, -1:].bool(), target[:, :-1]
        total = output.new_zeros((), dtype=torch.float32)
        if self.dice is not None:
            total = total + self.weights[0] * self.minus_dice(self.sums(output, target, counted), known)
        if self.cross_entropy is not None:
            total = total + self.weights[1] * self._cross_entropy(output, target, counted, known, scored)
        return total

    def _cross_entropy(
        self,
        output: torch.Tensor,
        target: torch.Tensor,
        counted: torch.Tensor | None,
        known: torch.Tensor,
        scored: torch.Tensor,
    ) -> torch.Tensor:
        """Binary cross-entropy of each region over the cases that are annotated for it, mean over regions.

        A region that no training case is annotated for is absent everywhere. With an ignore label it is the sum over
        regions, as in nnU-Net, whose mean over the voxels that count adds up its channels.
        """
        axes, wide = tuple(range(2, output.ndim)), (..., *(None,) * (output.ndim - 2))
        wanted = (target * (known | ~scored)[wide]).float()
        losses = functional.binary_cross_entropy_with_logits(output, wanted, reduction="none")
        if counted is None:
            voxels = torch.full(scored.shape, target[0, 0].numel(), dtype=torch.float32, device=output.device)
        else:
            losses = losses * counted
            voxels = counted.sum(axes, dtype=torch.float32).expand(scored.shape)
        flags = scored.float()
        of_cases = losses.sum(axes, dtype=torch.float32) * flags
        total, count = self.over_processes(torch.stack([of_cases.sum(0), (voxels * flags).sum(0)]))
        loss: torch.Tensor = (total / count.clamp_min(1)).sum() / (count > 0).sum().clamp_min(1)
        return loss if counted is None else loss * output.shape[1]

    @staticmethod
    def overlap(chances: torch.Tensor, target: torch.Tensor, counted: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """See `MaskedLoss.overlap`; takes logits, and one channel per region."""
        axes = tuple(range(2, chances.ndim))
        chances, drawn = torch.sigmoid(chances), target.float()
        if counted is not None:
            chances, drawn = chances * counted, drawn * counted
        shared, predicted, there = (part.sum(axes, dtype=torch.float32) for part in (chances * drawn, chances, drawn))
        return shared, predicted, there
