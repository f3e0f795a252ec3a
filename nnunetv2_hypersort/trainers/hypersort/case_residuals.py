"""One look at all training cases with one network: how each label differs from what the network segments."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot
from torch import distributed as dist
from torch import nn

from nnunetv2_hypersort.images.label_residuals import FEATURES, label_residuals
from nnunetv2_hypersort.images.labels import LabelTable, LabelValues
from nnunetv2_hypersort.nnunet.patches import placed_patches

_UNSEEN = -1


@dataclass(frozen=True)
class CaseResiduals:
    """How the labels of the training cases differ from what one network segments.

    Attributes:
        values: Shape (cases, structures * features), float64: `label_residuals` of each case, in voxels of the
            preprocessed images and mm; not-a-number for a structure that a case is not annotated for.
        sizes: Shape (cases, structures), float64: log(segmented voxels + 1).
        images: Shape (cases,), int64: cases of the same image, as where several people annotated it, have the same
            number.
    """

    values: np.ndarray
    sizes: np.ndarray
    images: np.ndarray


def residuals_of_cases(trainer: Any, network: nn.Module, cases: Sequence[str]) -> CaseResiduals:
    """Segment training cases without augmentation, and compare their labels with that.

    As many patches of a case are looked at as `placed_patches` gives: nearly all of a small image, of a large one those
    that hold what is annotated. With DistributedDataParallel the cases are shared among the processes.

    Args:
        trainer: nnU-Net's trainer, with its plans, data and device.
        network: What segments: it takes the input alone.
        cases: The cases.

    Returns:
        In the order of the cases, the same in all processes.
    """
    structures = LabelTable.from_dataset_json(trainer.dataset_json, "dataset.json").targets
    dataset = trainer.dataset_class(
        trainer.preprocessed_dataset_folder,
        list(cases),
        folder_with_segs_from_previous_stage=trainer.folder_with_segs_from_previous_stage,
    )
    annotation = trainer.annotation
    rank, world = (dist.get_rank(), dist.get_world_size()) if trainer.is_ddp else (0, 1)
    table = torch.zeros(len(cases), len(structures) * (len(FEATURES) + 1), dtype=torch.float64)
    images = torch.zeros(len(cases), dtype=torch.int64)
    was_training = network.training
    network.eval()
    try:
        for row in range(rank, len(cases), world):
            data, segmentation, images[row] = _load(trainer, dataset, cases[row])
            known = structures if annotation is None else annotation.annotated.targets_of(cases[row])
            sizes, residuals = _compare(trainer, network, data, segmentation, structures)
            told = [value if name.rpartition(".")[0] in known else np.nan for name, value in residuals.items()]
            table[row] = torch.tensor([*sizes, *told], dtype=torch.float64)
    finally:
        network.train(was_training)
    if world > 1:
        for each in (table, images):
            joint = each.to(trainer.device)
            # Each process has filled rows of its own, and left zeros elsewhere.
            dist.all_reduce(joint)
            each.copy_(joint)
    values = table.numpy()
    return CaseResiduals(values[:, len(structures) :], values[:, : len(structures)], images.numpy())


def _load(trainer: Any, dataset: Any, case: str) -> tuple[np.ndarray, np.ndarray, int]:
    data, segmentation, previous, _ = dataset.load_case(case)
    image = np.ascontiguousarray(data[:], np.float32)
    # Half of the digest fits an int64; a chance collision would need billions of cases.
    number = int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8], "little", signed=True)
    if previous is not None:
        labels = trainer.label_manager.foreground_labels
        image = np.concatenate([image, convert_labelmap_to_one_hot(np.asarray(previous[:]), labels, image.dtype)])
    return image, np.asarray(segmentation[0]), number


@torch.no_grad()
def _compare(
    trainer: Any,
    network: nn.Module,
    data: np.ndarray,
    segmentation: np.ndarray,
    structures: Mapping[str, LabelValues],
) -> tuple[list[float], dict[str, float]]:
    """The sizes of the structures, and their residuals."""
    patches = placed_patches(trainer, data, segmentation, np.zeros(segmentation.shape, bool))
    if not patches:
        return [0.0] * len(structures), {f"{name}.{feature}": 0.0 for name in structures for feature in FEATURES}
    label = np.full(patches[0].padded, _UNSEEN, np.int32)
    predicted = np.zeros(patches[0].padded, np.int32)
    manager = trainer.label_manager
    for patch in patches:
        with trainer._autocast():
            output = network(patch.data.to(trainer.device))
        logits = (output[0] if isinstance(output, list | tuple) else output)[0].float().cpu()
        found = np.asarray(manager.convert_logits_to_segmentation(logits))
        # A later patch writes over an earlier one where they overlap.
        predicted[patch.place] = found.reshape(patch.label.shape)
        label[patch.place] = patch.label
    if manager.ignore_label is not None:
        label[label == manager.ignore_label] = _UNSEEN
    spacing = ([1.0] * 3 + list(trainer.configuration_manager.spacing))[-3:]
    residuals = label_residuals(label, predicted, spacing, structures, ignore_label=_UNSEEN)
    predicted[label == _UNSEEN] = 0
    sizes = [float(np.log(np.isin(predicted, values).sum() + 1)) for values in structures.values()]
    return sizes, residuals
