"""Weights of another training in the form that nnU-Net's `-pretrained_weights` takes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_results
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.writable import require_writable
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint, write_checkpoint
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION, read_dataset_json, read_plans
from nnunetv2_hypersort.settings import CONFIG_VARIABLE, Settings
from nnunetv2_hypersort.trainers.base import stored_settings
from nnunetv2_hypersort.trainers.hypersort.hypersort_trainer import HyperSORTTrainer
from nnunetv2_hypersort.trainers.hypersort.planned_network import PlannedHyperNetwork
from nnunetv2_hypersort.trainers.hypersort.weight_translator import for_training

HEAD = ".seg_layers."
"""What nnU-Net's names of segmentation heads contain; it does not take their weights over."""


def write_pretrained_weights(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    dataset: str,
    configuration: str,
    plans: str = "nnUNetPlans",
    trainer: str = "HyperSORTTrainer",
) -> list[str]:
    """Write a checkpoint that nnU-Net's `-pretrained_weights` takes for the training of a dataset, in any fold.

    Weights of plain nnU-Net become the style at the origin, beside a generator that is new. Of a HyperSORT training
    the generator is taken over, too, and the latents are not: they belong to its cases. Segmentation heads, and what
    generates them alone, are new, as in nnU-Net.

    Args:
        source: A checkpoint of plain nnU-Net or of a HyperSORT trainer.
        output: The file to write; it must not exist.
        dataset: Name or id of the dataset to be trained, planned in nnUNet_preprocessed.
        configuration: The configuration to be trained.
        plans: Name of the plans to be trained with.
        trainer: Name of the trainer to be used.

    Returns:
        The names of the tensors that are new.

    Raises:
        HyperSORTError: The dataset or configuration is not planned, the output exists or cannot be written, the source
            cannot be read, its network is another one, or its latents or generator have other settings.
    """
    output = Path(output)
    if output.exists():
        raise HyperSORTError(f"{output} exists already; choose another name for the weights.")
    require_writable(output)
    network, settings = _network_to_be_trained(dataset, configuration, plans, trainer)
    checkpoint = read_checkpoint(source)
    weights = checkpoint["network_weights"]
    from_plain = not any(name.startswith("primary.") for name in weights)
    if from_plain:
        if not network.generator.residual:
            raise HyperSORTError(
                f"{source} is of plain nnU-Net, and the generator `{settings.hypernetwork.generator.value}` has no "
                f"network of its own that could start from it; set hypernetwork.generator to modulation, low_rank or "
                f"basis."
            )
        weights = {f"primary.{name}": value for name, value in weights.items()}
    else:
        _refuse_other_settings(settings, checkpoint, source)
    state = network.state_dict()
    new = [name for name in state if not name.startswith(("primary.", "generator."))]
    new += [name for name in state if from_plain and name.startswith("generator.")]
    heads = [name for name, _ in network.primary.named_parameters() if HEAD in name]
    new += [name for name in network.parameters_serving_only(heads) if name not in new]
    for name in state.keys() - new:
        _refuse_other_shape(name, state[name], weights.get(name), source)
        state[name] = weights[name]
    write_checkpoint(output, {"network_weights": state})
    return new


def _network_to_be_trained(
    dataset: str, configuration: str, plans: str, trainer: str
) -> tuple[PlannedHyperNetwork, Settings]:
    try:
        name = maybe_convert_to_dataset_name(dataset)
    except (RuntimeError, ValueError) as error:
        raise HyperSORTError(f"There is no dataset {dataset}: {' '.join(str(error).split())}") from error
    folder = Path(nnUNet_preprocessed) / name
    content = read_plans(folder / f"{plans}.json")
    # As the trainer decides when it starts.
    asked = Settings.from_environment()
    model_folder = Path(nnUNet_results) / name / f"{trainer}__{plans}__{configuration}"
    settings = asked or stored_settings.resolve_settings(Settings, None, model_folder, fold=0)[0]
    content[PLANS_SECTION] = {"settings": settings.to_dict()}
    manager = PlansManager(content)
    if configuration not in manager.available_configurations:
        planned = ", ".join(manager.available_configurations)
        raise HyperSORTError(f"{folder / plans}.json has no configuration {configuration}; it has {planned}.")
    dataset_json = read_dataset_json(folder / "dataset.json")
    chosen = manager.get_configuration(configuration)
    kind = recursive_find_trainer_class_by_name(trainer)
    if not issubclass(kind, HyperSORTTrainer):
        raise HyperSORTError(f"{trainer} is no HyperSORT trainer; nnU-Net's own take checkpoints as they are.")
    architecture = (
        manager,
        chosen,
        determine_num_input_channels(manager, chosen, dataset_json),
        manager.get_label_manager(dataset_json).num_segmentation_heads,
    )
    return for_training(kind.build_network_architecture(*architecture), *architecture), settings


def _refuse_other_settings(settings: Settings, checkpoint: Mapping[str, Any], source: object) -> None:
    plans = checkpoint.get("init_args", {}).get("plans", {})
    stored = Settings.from_plans(plans, source=str(source))
    # What the shapes of the generator depend on.
    shaping = {"latent.dim", *(f"hypernetwork.{key}" for key in ("generator", "hidden", "rank"))}
    differences = settings.differences(stored) if stored else []
    different = "; ".join(
        f"{key} is {ours!r} for the training and {theirs!r} in {source}"
        for key, ours, theirs in differences
        if key in shaping
    )
    if different:
        raise HyperSORTError(f"The generators differ: {different}. Let {CONFIG_VARIABLE} name a file with its values.")


def _refuse_other_shape(name: str, here: torch.Tensor, there: torch.Tensor | None, source: object) -> None:
    found = "is missing there" if there is None else f"has the shape {tuple(there.shape)} there"
    if there is None or there.shape != here.shape:
        raise HyperSORTError(
            f"The network of {source} is not the one to be trained: {name.removeprefix('primary.')} has the shape "
            f"{tuple(here.shape)} here and {found}. Train with the plans of that network (nnU-Net's "
            f"nnUNetv2_move_plans_between_datasets copies them), and with as many input channels."
        )
