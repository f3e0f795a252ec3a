"""Which files are compared with which: cases, methods, subjects."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.tables import read_users_table


@dataclass(frozen=True)
class Case:
    """One reference label map and the predictions of it.

    Attributes:
        name: The case identifier: the file name without its ending.
        reference: The reference file, or None if there is none (counted as empty).
        predictions: One file per method, or None where a method has none (counted as empty).
    """

    name: str
    reference: Path | None
    predictions: tuple[Path | None, ...]


def find_cases(
    reference_folder: str | os.PathLike[str],
    prediction_folders: Sequence[str | os.PathLike[str]],
    *,
    file_ending: str,
    allow_missing: bool = False,
    common_cases: bool = False,
) -> tuple[list[Case], list[str]]:
    """Join the files of the reference folder and of the prediction folders by name.

    Args:
        reference_folder: Folder with the reference label maps, such as `labelsTs`.
        prediction_folders: One folder per method.
        file_ending: The ending of the label files in all folders; other files are not looked at.
        allow_missing: Keep cases that are missing somewhere, and count them as empty there.
        common_cases: Keep only the cases that every folder has.

    Returns:
        The cases in the order of their names, and the names of those left out by `common_cases`.

    Raises:
        HyperSORTError: A folder is missing or has no file with that ending; or the folders hold different cases and
            neither option says what to do with them. The message lists all of them.
    """
    if allow_missing and common_cases:
        raise HyperSORTError("--allow-missing and --common-cases exclude each other; choose one.")
    folders = [Path(reference_folder), *map(Path, prediction_folders)]
    found = [_list_files(folder, file_ending) for folder in folders]
    problems = [_describe_empty(folder, file_ending) for folder, files in zip(folders, found, strict=True) if not files]
    if problems:
        raise HyperSORTError("\n".join(problems))
    names = sorted(set().union(*found))
    incomplete = [name for name in names if any(name not in files for files in found)]
    if common_cases:
        names = [name for name in names if name not in set(incomplete)]
        if not names:
            raise HyperSORTError(f"No case is in all of {', '.join(map(str, folders))}; compare the file names.")
    elif incomplete and not allow_missing:
        lines = []
        for folder, files in zip(folders, found, strict=True):
            absent = [name for name in incomplete if name not in files]
            if absent:
                lines.append(f"{folder} lacks {len(absent)} of {len(names)} cases: {', '.join(absent)}")
        lines.append(
            "Give folders with the same cases, or count what is missing as empty (--allow-missing), or evaluate only "
            "the cases that every folder has (--common-cases)."
        )
        raise HyperSORTError("\n".join(lines))
    cases = [Case(name, found[0].get(name), tuple(files.get(name) for files in found[1:])) for name in names]
    return cases, incomplete if common_cases else []


def name_methods(folders: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Name each prediction folder by as few of its last path components as tell them apart.

    Raises:
        HyperSORTError: The same folder is given twice.
    """
    parts = [Path(folder).resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        raise HyperSORTError("The same prediction folder is given twice; each method needs a folder of its own.")
    depth = 1
    while len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    return ["/".join(part[-depth:]).lstrip("/") or "predictions" for part in parts]


def read_subjects(path: str | os.PathLike[str], cases: Iterable[str]) -> dict[str, str]:
    """Read which subject each case belongs to.

    Args:
        path: A CSV file with the columns `case` and `subject`; others are not looked at.
        cases: The cases that need a subject; rows of other cases are not looked at.

    Returns:
        Case -> subject.

    Raises:
        HyperSORTError: The file cannot be read, lacks a column, gives a case two subjects, or lacks cases.
    """
    table = read_users_table(path, ("case", "subject"), remedy="give a CSV file with the columns case,subject")
    subjects: dict[str, str] = {}
    for line, row in enumerate(table.rows, start=2):
        case, subject = row["case"], row["subject"]
        if not case or not subject:
            raise HyperSORTError(f"{path}, line {line}: the case or the subject is empty; fill it in.")
        if subjects.setdefault(case, subject) != subject:
            raise HyperSORTError(f'{path}, line {line}: case {case} already has the subject "{subjects[case]}".')
    wanted = list(cases)
    missing = [case for case in wanted if case not in subjects]
    if missing:
        raise HyperSORTError(f"{path} gives no subject for {len(missing)} cases: {', '.join(missing)}; add them.")
    return {case: subjects[case] for case in wanted}


def _list_files(folder: Path, ending: str) -> dict[str, Path]:
    names = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return {
        name[: -len(ending)]: folder / name
        for name in names
        if name.endswith(ending) and name != ending and not name.startswith(".")
    }


def _describe_empty(folder: Path, ending: str) -> str:
    if not folder.is_dir():
        return f"{folder} is not a folder; give the folder that holds the label files."
    others = sorted({"".join(path.suffixes[-2:]) for path in folder.iterdir() if path.is_file()} - {""})
    what = f"only files ending in {', '.join(others)}" if others else "no files"
    return (
        f'{folder} holds {what}, but label files end in "{ending}" according to "file_ending" in dataset.json; '
        "give the folder with the label files."
    )
