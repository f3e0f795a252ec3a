"""The device to compute on."""

import torch

from nnunetv2_hypersort.errors import HyperSORTError


def usable_device(asked: str | None = None) -> str:
    """A device that PyTorch can use here: the one asked for, else `cuda` if there is a GPU, else `cpu`.

    Raises:
        HyperSORTError: The device asked for does not exist or cannot be used.
    """
    if not asked:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=torch.device(asked))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise HyperSORTError(f"The device {asked} cannot be used ({reason}); give cpu, cuda or mps.") from None
    return asked
