"""nnU-Net's plans beside a trained model, and where our part of them stands."""

import json
import os
import pydoc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nnunetv2_hypersort.errors import HyperSORTError

PLANS_SECTION = "hypersort"
"""Key of our section in nnU-Net's plans."""

_DATASET_KEYS = ("labels", "regions_class_order", "channel_names", "modality", "file_ending")


def read_plans(plans_file: str | os.PathLike[str]) -> dict[str, Any]:
    """Read nnU-Net's plans.

    Raises:
        HyperSORTError: There is no such file, or it is not a JSON object.
    """
    return _read_object(Path(plans_file))


def read_dataset_json(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the dataset.json beside the plans.

    Raises:
        HyperSORTError: There is no such file, or it names no labels.
    """
    content = _read_object(Path(file))
    if not isinstance(content.get("labels"), dict):
        raise HyperSORTError(f"{file} names no labels; restore the dataset.json of the training.")
    return content


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise HyperSORTError(
            f"There is no {path}; give nnU-Net's trained-model folder, the one that holds fold_0."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise HyperSORTError(f"{path} cannot be read ({error}); restore it.") from error
    if not isinstance(content, dict):
        raise HyperSORTError(f"{path} is not a JSON object; restore it.")
    return content


def refuse_other_plans(
    plans: Mapping[str, Any], dataset_json: Mapping[str, Any] | None, init_args: Mapping[str, Any], *, source: str
) -> None:
    """Raise if a model folder's files would make another network, or another image for it, than the training had.

    A checkpoint holds the plans and the dataset.json that it was trained with. Shapes of weights tell little: with
    another spacing, normalisation or slope of an activation the weights still fit, and segment worse.

    Args:
        plans: Content of the model's `plans.json`.
        dataset_json: Content of its `dataset.json`; None leaves it unchecked.
        init_args: What nnU-Net saved of the training's beginning.
        source: The checkpoint; named in errors.

    Raises:
        HyperSORTError: They differ in something that prediction depends on.
    """
    trained, configuration = init_args.get("plans"), init_args.get("configuration")
    if not isinstance(trained, Mapping):
        raise HyperSORTError(f"{source} does not say what it was planned as; restore it or choose another checkpoint.")
    planned, there = (_of_prediction(content, configuration) for content in (plans, trained))
    different = _differences(planned, there)
    if dataset_json is not None and isinstance(init_args.get("dataset_json"), Mapping):
        here, there = (
            {key: content.get(key) for key in _DATASET_KEYS} for content in (dataset_json, init_args["dataset_json"])
        )
        different += _differences(here, there)
    if different:
        raise HyperSORTError(
            f"plans.json or dataset.json of the model differs from what {source} was trained with, in "
            f"{', '.join(different[:5])}{' and more' if len(different) > 5 else ''}: predictions would be wrong; put "
            f"the files of that training back, or leave this fold out with `-f`."
        )
    _refuse_what_is_no_network(planned, source)


def _refuse_what_is_no_network(planned: Mapping[str, Any], source: str) -> None:
    # nnU-Net imports and calls whatever the plans name as the network and its layers, so that plans from anyone could
    # call anything that is installed.
    for content in planned.values():
        architecture = content.get("architecture") if isinstance(content, Mapping) else None
        if not isinstance(architecture, Mapping):
            continue
        arguments = architecture.get("arch_kwargs")
        layers = architecture.get("_kw_requires_import")
        if not isinstance(arguments, Mapping) or not isinstance(layers, list):
            raise HyperSORTError(f"The plans in {source} describe no network; restore it or choose another checkpoint.")
        named = [architecture.get("network_class_name"), *(arguments.get(str(layer)) for layer in layers)]
        for name in named:
            if name is None:
                continue
            found = pydoc.locate(name) if isinstance(name, str) else None
            if not isinstance(found, type) or not issubclass(found, torch.nn.Module):
                raise HyperSORTError(
                    f"The plans in {source} name {str(name)[:100]!r} as a network or a layer of one, and no class of "
                    f"PyTorch modules is known by that name; install the package that has it, or choose a model from "
                    f"a source you trust."
                )


def _of_prediction(plans: Mapping[str, Any], configuration: Any) -> dict[str, Any]:
    content = {key: value for key, value in plans.items() if key not in (PLANS_SECTION, "configurations")}
    content.pop("continue_training", None)
    configurations = plans.get("configurations")
    while isinstance(configurations, Mapping) and isinstance(configurations.get(configuration), Mapping):
        if f"configurations.{configuration}" in content:
            break
        planned = dict(configurations[configuration])
        # It is of the training alone.
        planned.pop("batch_size", None)
        content[f"configurations.{configuration}"] = planned
        configuration = planned.get("inherits_from")
    return content


def _differences(here: Any, there: Any, where: str = "") -> list[str]:
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        return [
            found
            for key in sorted({*map(str, here), *map(str, there)})
            for found in _differences(here.get(key), there.get(key), f"{where}.{key}" if where else key)
        ]
    return [] if json.dumps(here, default=str) == json.dumps(there, default=str) else [where]
