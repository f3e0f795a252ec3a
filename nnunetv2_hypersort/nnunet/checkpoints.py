"""nnU-Net's checkpoints, read without running what a pickle asks for."""

import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import atomic_path
from nnunetv2_hypersort.nnunet.checkpoint_contents import damage_of_archive, refuse_strange_contents
from nnunetv2_hypersort.nnunet.names import check_checkpoint_names
from nnunetv2_hypersort.nnunet.pickled_numbers import SCALARS

_EXPECTED = {"network_weights": dict, "init_args": dict, "trainer_name": str, "current_epoch": int}
_FORCE_SAFE, _FORCE_UNSAFE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint of nnU-Net, on the CPU and memory-mapped, so that only what is looked at is kept in memory.

    A checkpoint is a pickle, and unpickling can run any program. Here nothing but tensors, plain containers and numpy
    numbers (nnU-Net's logged losses) is allowed; anything else is refused before it is called. PyTorch writes a CRC-32
    of every part of the file and does not look at it when it reads; here all of them are compared first, and so is
    the size of each tensor with what the file holds of it.

    Args:
        path: A `checkpoint_*.pth`.

    Returns:
        What nnU-Net saved: `network_weights`, `init_args`, `current_epoch`, `trainer_name` and so on.

    Raises:
        HyperSORTError: The file is missing, damaged, holds something that no checkpoint of nnU-Net holds, asks for
            more than it holds, has names that are paths, or is not a checkpoint.
    """
    path = Path(path)
    try:
        _look_through(path)
        with torch.serialization.safe_globals(_allowed()):
            checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except HyperSORTError:
        raise
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
    check_checkpoint_names(checkpoint, source=path)
    return checkpoint


def write_checkpoint(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write what nnU-Net is to load, whole or not at all.

    Raises:
        HyperSORTError: PyTorch could not write it, as on a full disk.
        OSError: The folder is missing or read-only.
    """
    try:
        # An open file: given a path, PyTorch writes its name, here the temporary one, into the file.
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            torch.save(dict(content), file)
    except RuntimeError as error:  # PyTorch's own writer knows neither file nor cause
        raise HyperSORTError(
            f"{path} could not be written ({str(error).splitlines()[0][:200]}); make room on the disk, or choose "
            "another place."
        ) from error


@contextmanager
def only_weights_are_loaded() -> Iterator[None]:
    """Let every `torch.load` in a `with` block, nnU-Net's own included, call what `read_checkpoint` would, and no more.

    nnU-Net asks PyTorch to unpickle anything; PyTorch lets an environment variable overrule that. Sizes of tensors are
    compared by `read_checkpoint` alone: call it first.
    """
    before = {name: os.environ.pop(name, None) for name in (_FORCE_SAFE, _FORCE_UNSAFE)}
    os.environ[_FORCE_SAFE] = "1"
    try:
        with torch.serialization.safe_globals(_allowed()):
            yield
    finally:
        del os.environ[_FORCE_SAFE]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _look_through(path: Path) -> None:
    """Raise if the archive that a checkpoint is, or what it asks for, is not as nnU-Net writes it."""
    try:
        archive = zipfile.ZipFile(path)
    except OSError:
        raise
    except Exception as error:  # zipfile raises anything on a damaged archive
        _refuse(path, f"it is cut short, damaged or no checkpoint at all ({str(error)[:100]})")
    with archive:
        try:
            damage = damage_of_archive(archive)
        except OSError:
            raise
        except Exception as error:
            damage = f"it is cut short, damaged or no checkpoint at all ({str(error)[:100]})"
        if damage:
            _refuse(path, damage)
        refuse_strange_contents(archive, source=path)


def _refuse(path: Path, why: str) -> NoReturn:
    raise HyperSORTError(f"{path} is not a readable nnU-Net checkpoint: {why}; restore it or choose another one.")


def _allowed() -> list[Any]:
    # nnU-Net logs losses and Dice as numpy scalars. A pickled scalar is the function that rebuilds it and its dtype,
    # and stand-ins of ours do that here.
    return [(known, f"{module}.{name}") for (module, name), known in SCALARS.items()]
