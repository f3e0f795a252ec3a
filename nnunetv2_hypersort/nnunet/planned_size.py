"""The network that plans describe, compared in size with the weights that are there before memory is asked for."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_hypersort.errors import HyperSORTError

_LARGEST_NUMBER = 10_000
"""Of whatever is counted in an architecture (features, layers, voxels along an axis); nnU-Net's stay below 3000."""

_TIMES = 4
_FREE = 50_000_000
"""Weights that a network may have whatever the checkpoint holds, or `_TIMES` as many as that: trainers may change what
the plans describe."""


def refuse_larger_network(
    plans: Mapping[str, Any],
    dataset_json: Mapping[str, Any],
    configuration: str,
    weights: Mapping[str, Any],
    *,
    source: object,
) -> None:
    """Raise if plans describe a network of far more weights than a checkpoint has.

    Args:
        plans: nnU-Net's plans, whose names were checked.
        dataset_json: The dataset.json beside them.
        configuration: The configuration of the training.
        weights: The network weights of the checkpoint.
        source: The checkpoint; named in errors.

    Raises:
        HyperSORTError: They do, or no network can be made of them.
    """
    there = sum(tensor.numel() for tensor in weights.values() if isinstance(tensor, torch.Tensor))
    try:
        described = _described(json.dumps(plans), json.dumps(dataset_json), configuration)
    except Exception as error:  # each network fails in its own way on arguments that are none of its own
        raise HyperSORTError(
            f"The plans and dataset.json of {source} describe no network ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}); put those of the training back."
        ) from error
    if described > max(_FREE, _TIMES * there):
        raise HyperSORTError(
            f"The plans of {source} describe a network of {described} weights, and it holds {there}; put the plans of "
            f"the training back."
        )


@lru_cache(maxsize=4)  # the same for all folds of a model
def _described(plans: str, dataset_json: str, configuration: str) -> int:
    manager = PlansManager(json.loads(plans))
    planned = manager.get_configuration(configuration)
    if any(abs(number) > _LARGEST_NUMBER for number in _numbers(planned.network_arch_init_kwargs)):
        raise ValueError(f"a number above {_LARGEST_NUMBER} in its architecture")
    content = json.loads(dataset_json)
    # Tensors of this device have a shape and no memory.
    with torch.device("meta"):
        network = nnUNetTrainer.build_network_architecture(
            manager,
            planned,
            determine_num_input_channels(manager, planned, content),
            manager.get_label_manager(content).num_segmentation_heads,
            enable_deep_supervision=False,
        )
    return sum(parameter.numel() for parameter in network.parameters())


def _numbers(content: Any) -> Iterator[float]:
    if isinstance(content, Mapping):
        content = list(content.values())
    if isinstance(content, list | tuple):
        for part in content:
            yield from _numbers(part)
    elif isinstance(content, int | float):
        yield content
