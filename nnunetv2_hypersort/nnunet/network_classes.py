"""Classes that plans name as the network and its layers: judged by their dotted name before anything is imported."""

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from nnunetv2_hypersort.errors import HyperSORTError

TRUSTED_VARIABLE = "HYPERSORT_TRUSTED_PACKAGES"
"""Names, separated by commas, the packages whose classes plans may name besides PyTorch's and nnU-Net's layers."""

TRUSTED_PACKAGES = (
    "torch.nn",
    "dynamic_network_architectures",
    "nnunetv2.training.nnUNetTrainer.variants.network_architecture",
    "nnunetv2_hypersort.hypernetwork",
)

# Without `__main__` and the like: importing those runs programs.
_DOTTED = re.compile(r"(?!__)[A-Za-z_]\w*(?:\.(?!__)[A-Za-z_]\w*)+", re.ASCII)


def refuse_untrusted_classes(
    planned: Mapping[str, Any], *, source: object, trusted_packages: Sequence[str] = ()
) -> None:
    """Raise if plans name anything but a class of PyTorch modules, of a trusted package, as a network or a layer.

    nnU-Net imports and calls what stands there, so that plans from anyone could call anything that is installed.

    Args:
        planned: Configurations of plans; what has no `architecture` is passed over.
        source: Where the plans are from; named in errors.
        trusted_packages: Dotted names of packages to trust besides `TRUSTED_PACKAGES` and those that the environment
            variable HYPERSORT_TRUSTED_PACKAGES names.

    Raises:
        HyperSORTError: A name is none, of another package, not known there, or of something else.
    """
    trusted = (*TRUSTED_PACKAGES, *_named_in_environment(), *trusted_packages)
    for content in planned.values():
        if not isinstance(content, Mapping) or "architecture" not in content:
            continue
        for name in _named_classes(content["architecture"], source):
            _refuse_untrusted_class(name, trusted, source)


def _named_in_environment() -> list[str]:
    names = os.environ.get(TRUSTED_VARIABLE, "").split(",")
    return [name.strip() for name in names if name.strip()]


def _named_classes(architecture: Any, source: object) -> list[Any]:
    architecture = architecture if isinstance(architecture, Mapping) else {}
    arguments, layers = architecture.get("arch_kwargs"), architecture.get("_kw_requires_import")
    if not isinstance(arguments, Mapping) or not isinstance(layers, list | tuple):
        raise HyperSORTError(f"The plans in {source} describe no network; restore it or choose another checkpoint.")
    named = [arguments.get(layer) for layer in layers if isinstance(layer, str)]
    return [architecture.get("network_class_name"), *(name for name in named if name is not None)]


def _refuse_untrusted_class(name: Any, trusted: Sequence[str], source: object) -> None:
    text = ascii(name)[:100] if isinstance(name, str) else f"a {type(name).__name__}"
    what = f"The plans in {source} name {text} as a network or a layer of one"
    if not isinstance(name, str) or not _DOTTED.fullmatch(name) or not _is_in(name, trusted):
        raise HyperSORTError(
            f"{what}, which is of none of the packages {', '.join(trusted)}, and nothing of it was imported. If you "
            f"know the package and trust it, set {TRUSTED_VARIABLE} to its name."
        )
    with _without_current_folder():
        found = _find(name)
    if not isinstance(found, type) or not issubclass(found, torch.nn.Module) or not _is_in(found.__module__, trusted):
        raise HyperSORTError(
            f"{what}, and no class of PyTorch modules is known by that name in {', '.join(trusted)} (the current "
            f"folder is not searched); install the package that has it, or choose a model from a source you trust."
        )


def _is_in(name: str, packages: Sequence[str]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def _find(name: str) -> Any:
    """What a dotted name stands for, or None; imports the packages and modules in it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        holder, _, last = name.rpartition(".")
        return getattr(_find(holder), last, None) if holder else None


@contextmanager
def _without_current_folder() -> Iterator[None]:
    before = list(sys.path)
    here = Path.cwd().resolve()
    sys.path[:] = [entry for entry in before if entry and Path(entry).resolve() != here]
    try:
        yield
    finally:
        sys.path[:] = before
