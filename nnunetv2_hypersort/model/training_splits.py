"""nnU-Net's splits without flagged cases in the training."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.latents import fold_order
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.nnunet import splits as split_files
from nnunetv2_hypersort.nnunet.splits import SPLITS_FILE, Split

Splits = list[Split]

_LEAST_CASES = 2


def check_splits_file(path: str | os.PathLike[str]) -> None:
    """Refuse a place where splits cannot be written.

    Raises:
        HyperSORTError: There is a file already, or no such folder.
    """
    path = Path(path)
    if path.exists():
        raise HyperSORTError(f"{path} exists already and is not overwritten; give another file for the splits.")
    if not path.parent.is_dir():
        raise HyperSORTError(f"There is no folder {path.parent} for the splits; make it or give another file.")


def read_splits(model: ModelFolder) -> Splits:
    """The splits of a model's dataset: nnU-Net's file, or what the folds remember of it.

    Raises:
        HyperSORTError: The file is damaged, or gone and the model is of the fold `all`.
    """
    folder = model.preprocessed_folder()
    if folder is not None and (folder / SPLITS_FILE).is_file():
        path = folder / SPLITS_FILE
        return [
            split_files.as_split(entry, where=f"{path}, fold {fold}")
            for fold, entry in enumerate(split_files.read_splits(path))
        ]
    record = model.folds[0].record
    names = sorted(record.held_out, key=fold_order)
    if not names:
        raise HyperSORTError(
            f"The splits of {model.dataset_name} are gone; set nnUNet_preprocessed to the folder that holds "
            f"{model.dataset_name} with its {SPLITS_FILE}."
        )
    known = {*record.case_ids}.union(*record.held_out.values())
    return [
        {"train": sorted(known.difference(record.held_out[name])), "val": sorted(record.held_out[name])}
        for name in names
    ]


def splits_or_none(model: ModelFolder, cases: Collection[str] | None = None) -> Splits | None:
    """The splits of a model's dataset, of these cases alone if some are given; None where nothing is left of them."""
    try:
        splits = read_splits(model)
    except HyperSORTError:
        return None
    if cases is None:
        return splits
    cases = set(cases)
    return [{part: [case for case in split[part] if case in cases] for part in ("train", "val")} for split in splits]


def write_splits_without(path: str | os.PathLike[str], splits: Splits, flagged: Collection[str]) -> None:
    """Write splits in nnU-Net's format, with cases dropped from training and kept for validation.

    Args:
        path: The file; see `check_splits_file`.
        splits: For each fold the cases under `train` and `val`.
        flagged: The cases to drop.

    Raises:
        HyperSORTError: There is a file already, or a fold is left with fewer than two training cases.
        OSError: It cannot be written.
    """
    check_splits_file(path)
    flagged = set(flagged)
    kept: Sequence[dict[str, list[str]]] = [
        {"train": [case for case in split["train"] if case not in flagged], "val": split["val"]} for split in splits
    ]
    for number, split in enumerate(kept):
        if len(split["train"]) < _LEAST_CASES:
            raise HyperSORTError(
                f"Without the {len(flagged)} flagged cases fold {number} has {len(split['train'])} training case(s) "
                f"left; flag fewer with a higher --precision or a lower --threshold."
            )
    write_json(path, kept)
