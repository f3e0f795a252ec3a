"""nnU-Net's losses over what is annotated.

Classes: the probabilities of classes that a case is not annotated for are added to the background in the cross-entropy,
and the Dice of a class is that of the cases that are annotated for it (marginal loss: Shi et al. 2021, Medical Image
Analysis 70). Regions: each channel counts over the cases that are annotated for it.
"""

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
from nnunetv2_hypersort.trainers.base.annotation.batch_annotation import NOT_COUNTED, BatchAnnotation, Channels


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
    dice, cross_entropy, ignore = None, None, annotation.annotated.table.ignore_label
    weights = (1.0, 1.0)
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
    terms = []
    if dice is not None and weights[0]:
        terms.append((weights[0], MaskedDice(dice, annotation, ddp=ddp, compiled=compiled)))
    if cross_entropy is not None and weights[1]:
        kind = MaskedBCE if annotation.has_regions else MarginalCrossEntropy
        terms.append((weights[1], kind(cross_entropy, annotation, ddp=ddp)))
    return MaskedLoss(terms, annotation, ignore)


class MaskedLoss(nn.Module):
    """Weighted terms over what is annotated.

    Args:
        terms: Weights and terms.
        annotation: Tells which cases the loss sees; the cases of a call stand in `with annotation.cases(...)`.
        ignore: Value of the ignore label, or None.
    """

    def __init__(
        self, terms: "list[tuple[float, MaskedTerm]]", annotation: BatchAnnotation, ignore: int | None
    ) -> None:
        super().__init__()
        self.weights = [weight for weight, _ in terms]
        self.terms = nn.ModuleList(term for _, term in terms)
        self.annotation = annotation
        self.ignore = ignore

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of one output.

        Args:
            output: Shape (b, channels, ...): logits.
            target: Shape (b, 1, ...): label values; or (b, regions, ...), with the ignored voxels as one more channel
                if there is an ignore label.
        """
        cases = self.annotation.of_batch(len(output), output.device)
        counted = None
        if self.ignore is not None and self.annotation.has_regions:
            counted = ~target[:, -1:].bool()
            target = target[:, :-1]
        elif self.ignore is not None:
            counted = target != self.ignore
        total = output.new_zeros((), dtype=torch.float32)
        for weight, term in zip(self.weights, self.terms, strict=True):
            total = total + weight * term(output, target, counted, cases)
        return total


class MaskedTerm(nn.Module):
    """One term of a loss: takes output, target, the voxels that count (or None for all) and the cases.

    Args:
        plain: nnU-Net's term, whose settings are taken over.
        annotation: Tells what the cases are annotated for.
        ddp: Whether sums are gathered over processes.
    """

    def __init__(self, plain: Any, annotation: BatchAnnotation, *, ddp: bool) -> None:
        super().__init__()
        self.plain = plain
        self.has_regions = annotation.has_regions
        self.ddp = ddp

    def over_processes(self, sums: torch.Tensor) -> torch.Tensor:
        """Add up what all processes have, with gradients, as nnU-Net's batch Dice does."""
        return AllGatherGrad.apply(sums).sum(0, dtype=torch.float32) if self.ddp else sums


class MaskedDice(MaskedTerm):
    """Soft Dice of each structure over the cases that are annotated for it; one that no case has does not count.

    With the samples of all processes together: a structure's mean over its cases, or with batch Dice its sums over
    them, and the mean over structures.
    """

    def __init__(self, plain: Any, annotation: BatchAnnotation, *, ddp: bool, compiled: bool) -> None:
        super().__init__(plain, annotation, ddp=ddp)
        self._sums = torch.compile(_overlap_sums) if compiled else _overlap_sums

    def forward(
        self, output: torch.Tensor, target: torch.Tensor, counted: torch.Tensor | None, cases: list[Channels]
    ) -> torch.Tensor:
        """Minus the Dice."""
        known = torch.stack([case.known for case in cases]).float()
        if not self.has_regions:
            known = known[:, 1:]
        overlap = self._sums(output, target, counted, self.has_regions)
        if self.plain.batch_dice:
            sums = [part * known for part in overlap]
            parts = self.over_processes(torch.stack([*(part.sum(0) for part in sums), known.sum(0)]))
            dice = self._dice(*parts[:3])
            count = parts[3]
        else:
            # A structure that is unknown must not reach the gradient, whatever its sums are.
            dice, count = self.over_processes(torch.stack([(self._dice(*overlap) * known).sum(0), known.sum(0)]))
            dice = dice / count.clamp_min(1)
        there = (count > 0).float()
        return -(dice * there).sum() / there.sum().clamp_min(1)

    def _dice(self, shared: torch.Tensor, predicted: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        smooth = float(self.plain.smooth)
        return (2 * shared + smooth) / (drawn + predicted + smooth).clamp_min(1e-8)


class MarginalCrossEntropy(MaskedTerm):
    """Cross-entropy in which classes that a case is not annotated for are part of the background."""

    def forward(
        self, output: torch.Tensor, target: torch.Tensor, counted: torch.Tensor | None, cases: list[Channels]
    ) -> torch.Tensor:
        """Mean over the voxels that count; not-a-number if a target has a class that its case is not annotated for."""
        total = output.new_zeros((), dtype=torch.float32)
        for logits, values, case in zip(output, target[:, 0].long(), cases, strict=True):
            places, unknown = case.targets[values], None
            if not case.whole:
                # In 32 bits: exponentials of many classes add up here.
                background = logits[case.merged].float().logsumexp(0, keepdim=True)
                logits = torch.cat([background, logits[case.kept].float()])
                unknown = case.foreign[values].any()
            loss = functional.cross_entropy(
                logits[None],
                places[None],
                ignore_index=NOT_COUNTED,
                reduction="sum",
                label_smoothing=self.plain.label_smoothing,
            )
            total = total + loss
            if unknown is not None:
                # Without waiting for the device; the trainer names the case once the loss is no number.
                total = torch.where(unknown, torch.nan, total)
        voxels = target.numel() if counted is None else counted.sum().clamp_min(1)
        return total / voxels


class MaskedBCE(MaskedTerm):
    """Binary cross-entropy of each region over the cases that are annotated for it, and the mean over regions.

    A region that no training case is annotated for is absent everywhere. With an ignore label it is the sum over
    regions, as in nnU-Net, whose mean over the voxels that count adds up its channels.
    """

    def forward(
        self, output: torch.Tensor, target: torch.Tensor, counted: torch.Tensor | None, cases: list[Channels]
    ) -> torch.Tensor:
        """The loss; 0 if no voxel counts."""
        axes, wide = tuple(range(2, output.ndim)), (..., *(None,) * (output.ndim - 2))
        known, scored = (torch.stack([getattr(case, name) for case in cases]) for name in ("known", "scored"))
        wanted = target * (known | ~scored)[wide]
        losses = functional.binary_cross_entropy_with_logits(output, wanted.float(), reduction="none")
        if counted is None:
            voxels = torch.full_like(scored, target[0, 0].numel(), dtype=torch.float32)
        else:
            losses = losses * counted
            voxels = counted.sum(axes, dtype=torch.float32).expand(scored.shape)
        scores = scored.float()
        of_cases = losses.sum(axes, dtype=torch.float32) * scores
        total, count = self.over_processes(torch.stack([of_cases.sum(0), (voxels * scores).sum(0)]))
        there = (count > 0).float()
        loss = (total / count.clamp_min(1)).sum() / there.sum().clamp_min(1)
        return loss if counted is None else loss * output.shape[1]


def _overlap_sums(
    output: torch.Tensor, target: torch.Tensor, counted: torch.Tensor | None, has_regions: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Shared, predicted and drawn soft volume of each sample and structure, each of shape (b, structures)."""
    axes = tuple(range(2, output.ndim))
    if has_regions:
        chances, drawn = torch.sigmoid(output), target.float()
    else:
        chances = torch.softmax(output, 1)
        places = target.long() if counted is None else torch.where(counted, target, 0).long()
        drawn = torch.zeros(output.shape, device=output.device, dtype=torch.float32).scatter_(1, places, 1)[:, 1:]
        chances = chances[:, 1:]
    if counted is not None:
        chances, drawn = chances * counted, drawn * counted
    sums = (chances * drawn, chances, drawn)
    shared, predicted, there = (part.sum(axes, dtype=torch.float32) for part in sums)
    return shared, predicted, there
