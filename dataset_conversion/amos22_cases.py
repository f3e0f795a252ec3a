"""The cases of an AMOS22 download: what dataset.json lists, and the files that are there."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.conversion.cases import (
    TEST,
    TRAIN,
    VALIDATION,
    LabelMapFile,
    Problem,
    SourceCase,
)
from nnunetv2_hypersort.conversion.discovery import missing_file, volumes
from nnunetv2_hypersort.dataset_conversion.amos22_options import BOTH, Amos22Options
from nnunetv2_hypersort.errors import HyperSORTError

LAST_CT = 500
"""Ids up to this one are CT, those above are MRI."""

LIST_FILE = "dataset.json"

_CASE = re.compile(r"amos_\d+")
_ENDING = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
_SPLITS = {"training": TRAIN, "validation": VALIDATION, "test": TEST}
_FOLDERS = {TRAIN: ("Tr",), VALIDATION: ("Va", "Val"), TEST: ("Ts",)}
_LOOK_AGAIN = "unpack the archive again, or leave the case out with --skip-bad"


@dataclass(frozen=True)
class Listing:
    """What a download holds.

    Attributes:
        cases: Cases with all their files.
        problems: Cases that lack a file, or are listed more than once.
        notes: What the user should know.
    """

    cases: list[SourceCase] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def list_cases(
    root: Path,
    content: Mapping[str, Any],
    options: Amos22Options,
    lookup: tuple[int, ...],
    rows: Mapping[str, Mapping[str, str]],
) -> Listing:
    """List the cases to be converted; image files are only looked for, not opened.

    Args:
        root: The folder with dataset.json.
        content: What that file holds.
        options: What is taken.
        lookup: Label value -> new value.
        rows: Case -> its row of the table.

    Raises:
        HyperSORTError: No case is listed, or one whose name has no number.
    """
    listing = Listing()
    places: dict[str, list[str]] = {}
    taken: dict[str, str] = {}
    for key, split in _SPLITS.items():
        if split == TEST and not options.test_images:
            continue
        wanted = [name for name in _listed(content.get(key, ())) if _is_wanted(name, options.modality)]
        for name in wanted:
            places.setdefault(name, []).append(key)
        unlisted = _unlisted(root, split, wanted, options.modality)
        if options.all_files:
            for name in unlisted:
                places.setdefault(name, []).append(f"images{_FOLDERS[split][0]}")
            wanted = [*wanted, *unlisted]
        elif unlisted:
            listing.notes.append(
                f"{len(unlisted)} {key} cases are in the folders but not in {LIST_FILE} (--all-files takes them)"
            )
        taken.update(dict.fromkeys(wanted, split))
    for name, split in taken.items():
        if len(places[name]) > 1:
            reason = f"has the case more than once ({', '.join(places[name])})"
            remedy = "keep it in one place, or leave it out with --skip-bad"
            listing.problems.append(Problem(name, LIST_FILE, reason, remedy))
        else:
            _find_files(root, name, split, lookup, rows.get(name, {}), listing)
    if not listing.cases and not listing.problems:
        raise HyperSORTError(
            f"{root / LIST_FILE} lists no {options.modality.upper()} case (that of task 1 lists CT only); "
            "take the dataset.json of Zenodo, or add --all-files"
        )
    return listing


def _find_files(
    root: Path, name: str, split: str, lookup: tuple[int, ...], row: Mapping[str, str], listing: Listing
) -> None:
    image = _find(root, "images", split, name)
    label = None if split == TEST else _find(root, "labels", split, name)
    if image is None:
        what = "is missing: a label without an image" if label else "is missing"
        listing.problems.append(_missing(root, "images", split, name, what))
    if label is None and split != TEST:
        what = "is missing: an image without a label" if image else "is missing"
        listing.problems.append(_missing(root, "labels", split, name, what))
    if image is not None and (label is not None or split == TEST):
        label_map = None if label is None else LabelMapFile(label, lookup)
        listing.cases.append(SourceCase(name, split, _modality(name), image, label_map, metadata=dict(row)))


def _missing(root: Path, kind: str, split: str, name: str, what: str) -> Problem:
    folders = [root / f"{kind}{ending}" for ending in _FOLDERS[split]]
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    reason, remedy = missing_file(folder, name, what, _LOOK_AGAIN)
    return Problem(name, f"{folder.name}/{name}.nii.gz", reason, remedy)


def _listed(entries: Sequence[Any]) -> list[str]:
    paths = [entry.get("image", "") if isinstance(entry, dict) else str(entry) for entry in entries]
    return [_ENDING.sub("", Path(path).name) for path in paths if path]


def _unlisted(root: Path, split: str, listed: Sequence[str], modality: str) -> list[str]:
    present: set[str] = set()
    for kind in ("images", "labels"):
        for ending in _FOLDERS[split]:
            present.update(volumes(root / f"{kind}{ending}"))
    return sorted(name for name in present - set(listed) if _CASE.fullmatch(name) and _is_wanted(name, modality))


def _find(root: Path, kind: str, split: str, name: str) -> Path | None:
    # dataset.json of task 1 says imagesVal where the folder is called imagesVa: the name of the file decides.
    paths = [root / f"{kind}{ending}" / f"{name}.nii.gz" for ending in _FOLDERS[split]]
    return next((path for path in paths if path.exists()), None)


def _is_wanted(identifier: str, modality: str) -> bool:
    return modality == BOTH or _modality(identifier).casefold() == modality


def _modality(identifier: str) -> str:
    digits = identifier.rpartition("_")[2]
    if not digits.isdecimal():
        raise HyperSORTError(f"the case name {identifier!r} does not end in a number, as those of AMOS22 do; remove it")
    return "CT" if int(digits) <= LAST_CT else "MRI"
