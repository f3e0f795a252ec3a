"""nnU-Net's `splits_final.json`, which people write by hand or by scripts of their own."""

import difflib
import json
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError

Split = dict[str, list[str]]

SPLITS_FILE = "splits_final.json"
_PARTS = ("train", "val")


def read_splits(path: Path) -> list[Any]:
    """Read a file of splits; what its entries are is left to `as_split`.

    Args:
        path: The file.

    Returns:
        One entry per fold.

    Raises:
        HyperSORTError: It is no JSON list, or cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise HyperSORTError(f"{path} cannot be read ({type(error).__name__}: {error}); restore it.") from error
    if not isinstance(content, list):
        raise HyperSORTError(
            f"{path} is not a list of folds, each with `train` and `val`; write it as nnU-Net does, or remove it for "
            f"nnU-Net's own five folds."
        )
    return content


def as_split(entry: object, *, where: str) -> Split:
    """The training and validation cases of a fold as text; numbers are case identifiers written without quotes.

    Args:
        entry: One entry of `read_splits`; keys other than `train` and `val` do not count.
        where: The file and the fold; named in errors.

    Returns:
        The cases under `train` and `val`, as often and in the order as they stand there.

    Raises:
        HyperSORTError: A part is missing, or is no list of case identifiers.
    """
    split = {}
    for part in _PARTS:
        cases = entry.get(part) if isinstance(entry, dict) else None
        wrong = (
            [case for case in cases if isinstance(case, bool) or not isinstance(case, (str, int, float))]
            if isinstance(cases, (list, tuple))
            else [cases]
        )
        if wrong:
            raise HyperSORTError(
                f"{where}: `{part}` is not a list of case identifiers (found {str(wrong[0])[:60]!r}); write them as "
                f'nnU-Net does: {{"train": ["case_1", "case_2"], "val": ["case_3"]}}.'
            )
        split[part] = [str(case) for case in cases or []]
    return split


def refuse_unusable(split: Split, known: Collection[str], *, where: str) -> None:
    """Raise if a fold cannot be trained, before it has begun: nnU-Net notices when it visits or segments a case.

    Args:
        split: The cases of the fold.
        known: The cases that are preprocessed.
        where: The file and the fold; named in errors.

    Raises:
        HyperSORTError: A part is empty, or names a case that there is not.
    """
    for part in _PARTS:
        if not split[part]:
            raise HyperSORTError(
                f"{where}: there are no cases under `{part}`; nnU-Net trains on the ones and looks at the others after "
                f"each epoch, so give at least one to each (a case may stand in both)."
            )
        missing = sorted(set(split[part]) - set(known))
        if missing:
            nearest = difflib.get_close_matches(missing[0], list(known), n=1, cutoff=0.5)
            hint = f" Is {nearest[0]} meant?" if nearest else ""
            raise HyperSORTError(
                f"{where}: {len(missing)} of the cases under `{part}` are not preprocessed ({', '.join(missing[:5])}"
                f"{', ...' if len(missing) > 5 else ''}).{hint} Case identifiers are file names without channel number "
                f"and ending; mend the file, or preprocess these cases."
            )


def repeated(cases: Sequence[str]) -> list[str]:
    """The cases that stand more than once in a list, sorted."""
    return sorted(case for case, count in Counter(cases).items() if count > 1)
