"""Ids of datasets, and how nnU-Net looks them up.

It looks a dataset up by the beginning of a folder's name, `DatasetNNN`: for the id 100 it also takes
`Dataset1000_Other`, and with two candidates it opens neither.
"""

import os
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError

RAW, PREPROCESSED, RESULTS = VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")

UNFINISHED = ".converting-"
"""What the name of a dataset begins with while it is being converted."""


def raw_folder() -> Path:
    """Return the folder that the variable nnUNet_raw names.

    Raises:
        HyperSORTError: It is not set, or not a folder.
    """
    value = os.environ.get(RAW)
    if not value:
        raise HyperSORTError(
            "nnUNet_raw is not set; say where nnU-Net keeps its datasets: export nnUNet_raw=/path/to/nnUNet_raw"
        )
    folder = Path(value)
    if not folder.is_dir():
        raise HyperSORTError(f"nnUNet_raw is {value}, which is not a folder; create it or correct the variable")
    return folder


def nnunet_folders() -> dict[str, Path]:
    """Return variable -> folder, of those of nnU-Net's three variables that are set and name a folder."""
    values = {variable: Path(os.environ.get(variable) or "") for variable in VARIABLES if os.environ.get(variable)}
    return {variable: folder for variable, folder in values.items() if folder.is_dir()}


def check_dataset_id(dataset_id: int) -> None:
    """Refuse ids that nnU-Net cannot name.

    Raises:
        HyperSORTError: The id is not between 1 and 999.
    """
    if not 1 <= dataset_id <= 999:
        raise HyperSORTError(f"the dataset id {dataset_id} is out of range; nnU-Net knows 1 to 999")


def looked_up(dataset_id: int, folder: Path) -> list[Path]:
    """Return the folders inside `folder` that nnU-Net takes for the dataset of this id, as its own look-up does."""
    return _begin_with(f"Dataset{dataset_id:03d}", folder)


def of_id(dataset_id: int, folder: Path, *, prefix: str = "") -> list[Path]:
    """Return the folders inside `folder` named exactly `DatasetNNN_...`, after a prefix such as `UNFINISHED`."""
    return _begin_with(f"{prefix}Dataset{dataset_id:03d}_", folder)


def _begin_with(start: str, folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.startswith(start) and path.is_dir())
