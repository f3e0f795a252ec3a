"""Which cases a fold trains, and which it held out."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.splits import SPLITS_FILE, Split, as_split, read_splits


def cases_with_latents(training: Sequence[str], *, where: str) -> list[str]:
    """The training cases, each once and sorted; a case that stands in the split twice has one latent.

    Args:
        training: The training cases of the split.
        where: Fold and dataset; named in errors.

    Raises:
        HyperSORTError: There are fewer than two.
    """
    cases = sorted(set(training))
    if len(cases) < 2:
        raise HyperSORTError(
            f"{where} has {len(cases)} training case(s); HyperSORT compares the labels of cases and needs at least "
            f"two. Check {SPLITS_FILE} of the preprocessed dataset."
        )
    return cases


def held_out_cases(
    fold: int | str, training: Sequence[str], validation: Sequence[str], preprocessed: Path
) -> dict[str, list[str]]:
    """The cases that each fold of the dataset does not train, by the name of the fold.

    Args:
        fold: The fold that is trained.
        training: Its training cases.
        validation: Its validation cases.
        preprocessed: The dataset's folder in nnUNet_preprocessed; entries of its splits that are none do not count.
    """
    splits = {} if fold == "all" else _readable_splits(preprocessed / SPLITS_FILE)
    trained = {number: set(split["train"]) for number, split in splits.items()}
    # A fold beyond the split file is nnU-Net's random 80:20 split, which may have cases that the file lacks.
    trained[str(fold)] = set(training)
    cases = {*training, *validation, *(case for split in splits.values() for part in split.values() for case in part)}
    return {number: sorted(cases - known) for number, known in trained.items()}


def _readable_splits(path: Path) -> dict[str, Split]:
    found = {}
    with suppress(HyperSORTError):
        for fold, entry in enumerate(read_splits(path)):
            with suppress(HyperSORTError):
                found[str(fold)] = as_split(entry, where=f"{path}, fold {fold}")
    return found
