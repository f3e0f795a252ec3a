"""One trained fold: what its checkpoint holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.latents import FoldRecord
from nnunetv2_hypersort.model.planned_model import PlannedModel
from nnunetv2_hypersort.model.progress import Progress, progress_of_checkpoint
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.nnunet.checksum import refuse_changed_weights
from nnunetv2_hypersort.trainers.hypersort.planned_network import PlannedHyperNetwork


@dataclass(frozen=True)
class TrainedFold:
    """A fold of a trained model.

    Attributes:
        name: `0`, `1`, ... or `all`.
        folder: Such as `MODEL/fold_0`.
        checkpoint: The checkpoint file.
        record: Cases, latents and split of the fold.
        losses: Shape (cases,), in the order of `record.case_ids`: the running mean of nnU-Net's loss (Dice +
            cross-entropy, at full resolution); not-a-number for a case that was never visited.
        epoch: Number of epochs finished.
        history: Shape (entries, cases, dim): the latents during training; not-a-number before a case joined.
        history_epochs: Shape (entries,): number of epochs finished at each entry.
        mirror_axes: Axes over which nnU-Net averages predictions of the mirrored image (test-time augmentation).
        planned: Plans, dataset and configuration.
        progress: How far the training had come.
    """

    name: str
    folder: Path
    checkpoint: Path
    record: FoldRecord
    losses: np.ndarray
    epoch: int
    history: np.ndarray
    history_epochs: np.ndarray
    mirror_axes: tuple[int, ...] | None
    planned: PlannedModel = field(repr=False)
    progress: Progress

    @classmethod
    def from_checkpoint(cls, path: Path, content: Mapping[str, Any], planned: PlannedModel) -> "TrainedFold":
        """Take what is needed from a checkpoint.

        Args:
            path: The file, in the folder of its fold.
            content: What `read_checkpoint` read there.
            planned: Plans, dataset and configuration of the model.

        Raises:
            HyperSORTError: The checkpoint is of another trainer or another fold, or damaged.
        """
        weights = content["network_weights"]
        record = FoldRecord.from_checkpoint(content, source=str(path))
        name = path.parent.name.removeprefix("fold_")
        if record.fold not in ("", name):
            raise HyperSORTError(
                f"{path} is a checkpoint of fold {record.fold}, so which cases it trained on would be told wrongly; "
                f"put it into the folder fold_{record.fold}."
            )
        try:
            losses = weights["latents.loss"].double().numpy().copy()
            axes = content.get("inference_allowed_mirroring_axes")
            return cls(
                name=name,
                folder=path.parent,
                checkpoint=path,
                record=record,
                losses=np.where(record.visits > 0, losses, np.nan),
                epoch=int(content["current_epoch"]),
                history=weights["latents.history"].double().numpy().copy(),
                history_epochs=weights["latents.history_epochs"].numpy().copy(),
                mirror_axes=None if axes is None else tuple(int(axis) for axis in axes),
                planned=planned,
                progress=progress_of_checkpoint(path, content),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise HyperSORTError(
                f"{path} is damaged ({type(error).__name__}: {error}); restore it or choose another checkpoint."
            ) from error

    @property
    def validation_cases(self) -> tuple[str, ...]:
        """The cases of the split that this fold did not train on; none for the fold `all`."""
        return tuple(self.record.held_out.get(self.name, ()))

    def network(self) -> PlannedHyperNetwork:
        """The network with the weights of the checkpoint, on the CPU; call it with latents, or materialise one.

        Raises:
            HyperSORTError: The checkpoint is gone, damaged, or does not fit the plans.
        """
        network = self.planned.build_network()
        weights = read_checkpoint(self.checkpoint)["network_weights"]
        refuse_changed_weights(weights, source=str(self.checkpoint))
        network.load_trained(weights, source=str(self.checkpoint))
        return network.eval()
