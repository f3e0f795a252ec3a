"""The trainer of a name, ours or one that a user wrote."""

from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.names import check_words
from nnunetv2_hypersort.trainers.hypersort import hypersort_trainer, variants


def find_trainer(name: str) -> type[nnUNetTrainer]:
    """Find a trainer among ours, nnU-Net's, and those in the folders that nnUNet_extTrainer names.

    Args:
        name: Its class name, as a checkpoint states it.

    Raises:
        HyperSORTError: The name is none, there is no such trainer, or it is something else.
    """
    check_words({"trainer_name": name}, source="the checkpoint")
    # nnU-Net's search imports every trainer it ships and takes seconds: only for subclasses that users wrote.
    found: Any = getattr(variants, name, None) or getattr(hypersort_trainer, name, None)
    try:
        found = found or recursive_find_trainer_class_by_name(name)
        if issubclass(found, nnUNetTrainer):
            trainer: type[nnUNetTrainer] = found
            return trainer
    except (RuntimeError, ValueError, TypeError, AttributeError, AssertionError) as error:
        raise HyperSORTError(
            f"nnU-Net does not find the trainer {name} of this model; set nnUNet_extTrainer to the folder that has it."
        ) from error
    raise HyperSORTError(f"{name}, which the model names as its trainer, is none.")
