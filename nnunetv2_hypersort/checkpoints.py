"""nnU-Net's checkpoints, read without running what a pickle asks for."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnunetv2_hypersort.errors import HyperSORTError

_EXPECTED = {"network_weights": dict, "init_args": dict, "trainer_name": str, "current_epoch": int}


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint of nnU-Net, on the CPU and memory-mapped, so that only what is looked at is read.

    A checkpoint is a pickle, and unpickling can run any program. Here nothing but tensors, plain containers and numpy
    numbers (nnU-Net's logged losses) is allowed; anything else is refused before it is called.

    Args:
        path: A `checkpoint_*.pth`.

    Returns:
        What nnU-Net saved: `network_weights`, `init_args`, `current_epoch`, `trainer_name` and so on.

    Raises:
        HyperSORTError: The file is missing, damaged, holds something that no checkpoint of nnU-Net holds, or is not a
            checkpoint.
    """
    path = Path(path)
    try:
        with torch.serialization.safe_globals(_allowed()):
            checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise HyperSORTError(f"There is no checkpoint {path}; train this fold first, or choose another one.") from None
    except pickle.UnpicklingError as error:
        asked_for = re.search(r"GLOBAL ([\w.]+)", str(error))
        problem = f"it asks for {asked_for[1]}, as no checkpoint of nnU-Net does" if asked_for else "it is damaged"
        raise HyperSORTError(
            f"{path} is not a readable nnU-Net checkpoint: {problem}, and nothing in it was run; restore it, or take "
            f"another one from a source you trust."
        ) from error
    except Exception as error:  # reading a damaged file can raise anything
        raise HyperSORTError(
            f"{path} is not a readable nnU-Net checkpoint ({type(error).__name__}: {str(error)[:200]}); restore it "
            f"or choose another one."
        ) from error
    for key, kind in _EXPECTED.items():
        if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get(key), kind):
            raise HyperSORTError(
                f"{path} is not an nnU-Net checkpoint (it lacks {key}); restore it or choose another one."
            )
    return checkpoint


def _allowed() -> list[Any]:
    # nnU-Net logs losses and Dice as numpy scalars. A pickled scalar is the function that rebuilds it, its dtype and
    # the class of that dtype. The function's module was renamed with numpy 2, and a checkpoint of either may come.
    rebuild: Callable[..., Any] = np.float32(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = ("float16", "float32", "float64", "int32", "int64", "bool")
    return [*((rebuild, name) for name in names), np.dtype, *(type(np.dtype(kind)) for kind in kinds)]
