"""Weights that carry a checksum, so that changed ones are noticed wherever they are loaded."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from nnunetv2_hypersort.errors import HyperSORTError

CHECKSUM_KEY = "checksum"
"""Key in the network weights: SHA-256 of all other entries, shape (32,), uint8.

Weights of a network that knows no such entry carry it in the metadata that PyTorch gives a state dict, which
`load_state_dict` passes over.
"""


def weights_checksum(weights: Mapping[str, Any]) -> torch.Tensor:
    """The SHA-256 of names, kinds, shapes and values of weights.

    Args:
        weights: A state dict; its own checksum, if it has one, does not count.

    Returns:
        Shape (32,), uint8, on the CPU.
    """
    digest = hashlib.sha256()
    # nnU-Net's networks list a layer under several names; its values are read once.
    known: dict[tuple[Any, ...], str] = {}
    for name in sorted(weights):
        tensor = weights[name]
        if name == CHECKSUM_KEY or not isinstance(tensor, torch.Tensor):
            continue
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if place not in known:
            known[place] = hashlib.sha256(_bytes(tensor)).hexdigest()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape), known[place]]).encode())
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8).clone()


def refuse_changed_weights(weights: Mapping[str, Any], *, source: str) -> str:
    """Raise if weights are not those that were saved; weights without a checksum are older than it and pass.

    Args:
        weights: The network weights of a checkpoint.
        source: Where they come from; named in errors.

    Returns:
        Their checksum, hexadecimal.

    Raises:
        HyperSORTError: The weights and their checksum differ.
    """
    found = weights_checksum(weights).numpy().tobytes()
    stated = weights.get(CHECKSUM_KEY, getattr(weights, "_metadata", {}).get(CHECKSUM_KEY))
    if stated is not None and not (isinstance(stated, torch.Tensor) and stated.cpu().numpy().tobytes() == found):
        raise HyperSORTError(
            f"The weights in {source} are not those that the training saved: they and their checksum differ, so the "
            f"file was damaged or changed; restore it or choose another checkpoint. (A mean of trainings' weights is "
            f"no network either; average what `state_dict()` of predicting networks gives.)"
        )
    return found.hex()


@contextmanager
def checksum_in_metadata(network: nn.Module) -> Iterator[None]:
    """Let `network.state_dict()` carry a checksum in its metadata for the length of a `with` block.

    The weights load into any network that they fit, with this package or without it.
    """

    def add(_module: nn.Module, state: Any, prefix: str, _metadata: Any) -> None:
        if not prefix:
            state._metadata[CHECKSUM_KEY] = weights_checksum(state)

    handle = network.register_state_dict_post_hook(add)
    try:
        yield
    finally:
        handle.remove()


def _bytes(tensor: torch.Tensor) -> memoryview:
    values: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return memoryview(values)
