"""Who has a dataset id, and what may be removed to give it to another dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_hypersort.conversion.settings import Settings
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.dataset_ids import (
    RESULTS,
    UNFINISHED,
    looked_up,
    nnunet_folders,
    of_id,
)


@dataclass(frozen=True)
class Occupants:
    """What stands in nnU-Net's folders under one id.

    Attributes:
        data: Raw and preprocessed data.
        results: Trained models.
        unfinished: Conversions that were interrupted.
        alike: Folders of other datasets that nnU-Net cannot tell from one of this id.
    """

    data: Sequence[Path]
    results: Sequence[Path]
    unfinished: Sequence[Path]
    alike: Sequence[Path]


def occupants(dataset_id: int) -> Occupants:
    """Look up an id in raw, preprocessed and results; a folder that serves as results and more counts as results."""
    folders = nnunet_folders()
    results_folder = folders.pop(RESULTS, None)
    data_folders = {folder.resolve(): folder for folder in folders.values()}
    if results_folder is not None:
        data_folders.pop(results_folder.resolve(), None)
    everywhere = [*data_folders.values(), *([results_folder] if results_folder is not None else [])]
    exact = {path for folder in everywhere for path in of_id(dataset_id, folder)}
    return Occupants(
        data=[path for folder in data_folders.values() for path in of_id(dataset_id, folder)],
        results=[] if results_folder is None else of_id(dataset_id, results_folder),
        unfinished=[path for folder in everywhere for path in of_id(dataset_id, folder, prefix=UNFINISHED)],
        alike=[path for folder in everywhere for path in looked_up(dataset_id, folder) if path not in exact],
    )


def folders_to_replace(settings: Settings, own: Path) -> list[Path]:
    """Return the folders that give way to a new dataset.

    Args:
        settings: The id, and what may be removed for it.
        own: The unfinished folder of this very conversion, which is not in its own way.

    Raises:
        HyperSORTError: Something has the id that may not be removed, or that nnU-Net cannot tell from it.
    """
    number, found = settings.dataset_id, occupants(settings.dataset_id)
    if found.alike:
        raise HyperSORTError(
            f"nnU-Net would take these folders for the dataset id {number} as well, since it compares no more than "
            f"the beginning of the name, Dataset{number:03d}:\n{_listing(found.alike)}\n"
            "Choose another id with -d (nothing was changed)"
        )
    unfinished = [path for path in found.unfinished if path != own]
    everything = [*found.data, *found.results, *unfinished]
    if everything and not settings.replaces:
        flag = "--overwrite-results" if found.results else "--overwrite"
        advice = f"add {flag} to remove these folders{', trained models included' if found.results else ''}"
        if unfinished:
            advice = f"repeat the command of the unfinished conversion ({UNFINISHED}...) to go on with it, or {advice}"
        raise HyperSORTError(
            f"the dataset id {number} is in use:\n{_listing(everything)}\nChoose another id with -d, or {advice}"
        )
    if found.results and not settings.overwrite_results:
        raise HyperSORTError(
            f"there are trained models of the dataset id {number}, which --overwrite does not remove:\n"
            f"{_listing(found.results)}\nChoose another id with -d, or add --overwrite-results to remove them as well"
        )
    return everything


def _listing(paths: Sequence[Path]) -> str:
    return "\n".join(f"  {path}" for path in paths)
