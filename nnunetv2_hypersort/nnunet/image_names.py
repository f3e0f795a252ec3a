"""nnU-Net's names of image files: the case, the number of the channel, the ending."""

import os
from pathlib import Path

_CHANNEL = "_0000"


def case_names(folder: str | os.PathLike[str], file_ending: str) -> list[str]:
    """The cases that nnU-Net finds in a folder of images, in its order; none if there is no such folder.

    Args:
        folder: Folder with `case_0000.nii.gz` and so on.
        file_ending: That of the dataset, with its dot.
    """
    path = Path(folder)
    names = [entry.name for entry in path.iterdir() if entry.is_file()] if path.is_dir() else []
    return sorted({case_name(name, file_ending) for name in names if name.endswith(file_ending)})


def case_name(file: str | os.PathLike[str], file_ending: str) -> str:
    """The case that an image file is of."""
    return Path(file).name[: -len(_CHANNEL + file_ending)]
