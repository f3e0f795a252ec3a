"""The images of a prediction, looked at before nnU-Net starts."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.image_names import case_name, case_names


def cases_to_predict(images: str | os.PathLike[str] | Sequence[Sequence[str]], file_ending: str) -> list[str]:
    """The cases that nnU-Net will find.

    Args:
        images: Folder with nnU-Net's file names (`case_0000.nii.gz`), or one list of channel files per case.
        file_ending: That of the model's dataset.json.

    Returns:
        Their names, in its order.

    Raises:
        HyperSORTError: There is no such folder, no image in it has that ending, or a file with it has no number of a
            channel.
    """
    if not isinstance(images, str | os.PathLike):
        if not images or not all(images):
            raise HyperSORTError("There is nothing to predict: give a list of channel files for each case.")
        return [case_name(files[0], file_ending) for files in images]
    folder = Path(images)
    if not folder.is_dir():
        raise HyperSORTError(
            f"There is no folder {folder} with images; give the one that holds CASE_0000{file_ending}."
        )
    names = [path.name for path in folder.iterdir() if path.is_file()]
    fitting = sorted(name for name in names if name.endswith(file_ending))
    if not fitting:
        endings = Counter("".join(Path(name).suffixes[-2:]) or "no ending" for name in names)
        there = ", ".join(f"{count} with {ending}" for ending, count in endings.most_common(3))
        raise HyperSORTError(
            f"No file in {folder} ends in {file_ending}, as the images of this model do (dataset.json: file_ending); "
            f"files there: {there or 'none'}. Convert the images, or give another folder."
        )
    without = [name for name in fitting if not re.search(r"_\d{4}\Z", name.removesuffix(file_ending))]
    if without:
        raise HyperSORTError(
            f"{folder / without[0]} has no number of a channel; call it "
            f"{without[0].removesuffix(file_ending)}_0000{file_ending} if it is the first (files like this: "
            f"{len(without)})."
        )
    return case_names(folder, file_ending)
