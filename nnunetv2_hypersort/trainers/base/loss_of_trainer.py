"""The loss of a trainer, without a training."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.trainers.base.annotation.batch_annotation import BatchAnnotation
from nnunetv2_hypersort.trainers.base.annotation.masked_loss import masked_loss
from nnunetv2_hypersort.trainers.base.base_trainer import BaseTrainer

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_QUIET = MappingProxyType({"print_to_log_file": lambda *_args, **_more: None, "_do_i_compile": lambda: False})


def loss_at_full_resolution(
    kind: type[nnUNetTrainer],
    plans: PlansManager,
    configuration: str,
    dataset_json: dict[str, Any],
    annotation: BatchAnnotation | None = None,
) -> Loss:
    """Build a trainer's loss of one output at full resolution, without deep supervision.

    The constructor of a trainer makes folders and log files, so it is not called: `_build_loss` finds plans, labels,
    device, settings and the attributes of the class, and may call `super()`. What a trainer's own constructor sets it
    does not find; what the loss depends on belongs into attributes of the class, or into settings.

    Args:
        kind: The trainer's class.
        plans: Plans of the model.
        configuration: Such as `3d_fullres`.
        dataset_json: Content of the model's `dataset.json`.
        annotation: Tells what the cases that the loss will see are annotated for, see `masked_loss`; None where all
            are fully.

    Raises:
        HyperSORTError: `_build_loss` asks for what the constructor would have set; or the loss cannot leave labels out.
    """
    trainer = object.__new__(kind)
    vars(trainer).update(
        _QUIET,
        plans_manager=plans,
        configuration_name=configuration,
        configuration_manager=plans.get_configuration(configuration),
        dataset_json=dataset_json,
        label_manager=plans.get_label_manager(dataset_json),
        device=torch.device("cpu"),
        is_ddp=False,
        local_rank=0,
        enable_deep_supervision=False,
    )
    if issubclass(kind, BaseTrainer):
        stored = kind.settings_kind.from_plans(plans.plans, source="plans.json")
        trainer.settings = stored or kind.settings_kind()
    try:
        loss: Loss = trainer._build_loss()
    except AttributeError as error:
        raise HyperSORTError(
            f"The loss of {kind.__name__} cannot be built without a training ({error}); make what its _build_loss asks "
            f"for an attribute of the class, or a setting."
        ) from error
    return loss if annotation is None else masked_loss(loss, annotation, ddp=False, trainer=kind.__name__)
