"""The class of a trainer by its name, as a checkpoint or `-tr` gives it."""

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.names import check_words
from nnunetv2_hypersort.trainers.hypersort import variants
from nnunetv2_hypersort.trainers.hypersort.hypersort_trainer import HyperSORTTrainer
from nnunetv2_hypersort.trainers.partial_labels.partial_labels_trainer import PartialLabelsTrainer

OURS: dict[str, type[nnUNetTrainer]] = {
    trainer.__name__: trainer
    for trainer in (HyperSORTTrainer, PartialLabelsTrainer, *vars(variants).values())
    if isinstance(trainer, type) and issubclass(trainer, HyperSORTTrainer | PartialLabelsTrainer)
}
"""All trainers of this package, by name: what nnU-Net finds through `nnUNet_extTrainer`, too."""


def find_trainer(name: str) -> type[nnUNetTrainer]:
    """Find a trainer: ours without any variable, others by nnU-Net's search.

    Args:
        name: Class name.

    Raises:
        HyperSORTError: The name is none, there is no trainer of this name, or it is something else.
    """
    check_words({"trainer_name": name}, source="the checkpoint")
    # nnU-Net's search imports every trainer it ships and takes seconds: only for those that users wrote.
    if name in OURS:
        return OURS[name]
    try:
        found = recursive_find_trainer_class_by_name(name)
        if issubclass(found, nnUNetTrainer):
            trainer: type[nnUNetTrainer] = found
            return trainer
    except (RuntimeError, ValueError, TypeError, AttributeError, AssertionError) as error:
        raise HyperSORTError(
            f"nnU-Net does not find the trainer {name} of this model; set nnUNet_extTrainer to the folder that has it."
        ) from error
    raise HyperSORTError(f"{name}, which the model names as its trainer, is none.")
