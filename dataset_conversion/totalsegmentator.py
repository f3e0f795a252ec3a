"""TotalSegmentator's CT and MRI data sets, all releases, become nnU-Net raw datasets."""

import argparse
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunetv2_hypersort.conversion.settings import (
    LabelOptions,
    Settings,
    add_common_arguments,
    common_settings,
    label_options,
)
from nnunetv2_hypersort.dataset_conversion.totalsegmentator_releases import RELEASES, Release
from nnunetv2_hypersort.errors import HyperSORTError

if TYPE_CHECKING:
    from nnunetv2_hypersort.conversion.cases import Problem, SourceCase
    from nnunetv2_hypersort.conversion.discovery import Table
    from nnunetv2_hypersort.conversion.labels import LabelPlan
    from nnunetv2_hypersort.conversion.pipeline import Conversion

NAMES = {"CT": "TotalSegmentator", "MRI": "TotalSegmentatorMRI"}
IMAGES = {"CT": "ct.nii.gz", "MRI": "mri.nii.gz"}
MASKS = "segmentations"
TABLE = "meta.csv"
SPLITS = ("train", "val", "test")

_LISTED_NAMES = 5
_AGAIN = "unpack the archive again, or leave the case out with --skip-bad"


@dataclass(frozen=True)
class TotalSegmentatorOptions:
    """What is taken from the download.

    Attributes:
        labels: Classes, groups (organs, cardiac, muscles, ribs, vertebrae) and merged labels.
        allow_missing: Take cases without a file for every chosen structure; they are listed as not annotated for it.
        release: Version of the release, such as "2.0.1"; None recognises it.
    """

    labels: LabelOptions = LabelOptions()  # noqa: RUF009  (immutable)
    allow_missing: bool = False
    release: str | None = None

    def content(self) -> dict[str, Any]:
        """Return the options as JSON content."""
        return {**self.labels.content(), "allow_missing": self.allow_missing, "release": self.release}


def convert_totalsegmentator(
    source: str | Path, settings: Settings, options: TotalSegmentatorOptions | None = None
) -> Path:
    """Convert an unpacked TotalSegmentator download into `$nnUNet_raw/DatasetXXX_NAME`.

    Modality, release and classes are read from the files. All cases are checked first; one bad case stops the
    conversion before anything is written, unless `settings.skip_bad`. An interrupted conversion goes on where it
    stopped.

    Args:
        source: Folder of the download, the one that holds meta.csv and s0000, s0001, ...
        settings: Dataset id, name, and how to write.
        options: What is taken; default: all classes.

    Returns:
        The dataset folder.

    Raises:
        HyperSORTError: Anything the user can mend: the text lists every bad case with file, reason and remedy.

    Example:
        >>> options = TotalSegmentatorOptions(labels=LabelOptions(classes=["liver"]))
        >>> settings = Settings(dataset_id=291)
        >>> convert_totalsegmentator("Totalsegmentator_dataset_v201", settings, options)  # doctest: +SKIP
    """
    from nnunetv2_hypersort.conversion.pipeline import run_conversion

    return run_conversion(read_totalsegmentator(Path(source), options or TotalSegmentatorOptions()), settings)


def read_totalsegmentator(source: Path, options: TotalSegmentatorOptions) -> "Conversion":
    """Read folders, file names and meta.csv of a download; no image is opened.

    Raises:
        HyperSORTError: The folder is not a TotalSegmentator data set, mixes CT and MRI, or a class is unknown.
    """
    from nnunetv2_hypersort.conversion.discovery import Table, find_root, read_table, visible, volumes
    from nnunetv2_hypersort.conversion.labels import plan_labels
    from nnunetv2_hypersort.conversion.outputs import Description
    from nnunetv2_hypersort.conversion.pipeline import Conversion

    root = find_root(source, _is_totalsegmentator, "no folders with ct.nii.gz or mri.nii.gz and segmentations in it")
    folders = {folder.name: folder for folder in visible(root) if folder.is_dir() and _is_case(folder)}
    modality = _modality(root, folders.values())
    masks = {name: volumes(folder / MASKS) for name, folder in folders.items()}
    found = {structure for files in masks.values() for structure in files}
    if not found:
        raise _nothing_named(
            root, [folder / MASKS for folder in folders.values()], f"a mask (NAME.nii.gz) in its folder {MASKS}"
        )
    table = root / TABLE
    by_letters = {name.casefold(): name for name in folders}

    def identify(text: str) -> str:
        return text if text in folders else by_letters.get(text.casefold(), text)

    rows = read_table(table, "image_id", identify) if table.is_file() else Table()
    release, warnings = _recognise(root, modality, found, len(rows.rows), options.release)
    if not rows.rows:
        warnings.append(
            f"{TABLE} is not there: every case joins training, and cases.csv has no institute and no scanner"
        )
    classes, class_warnings = _classes(release, found)
    plan = plan_labels(classes, options.labels.classes, merges=options.labels.merges, groups=release.groups)
    cases, problems, notes = _list_cases(folders, masks, rows, modality, plan, options)
    present = {case.identifier for case in cases}
    return Conversion(
        source=root,
        default_name=NAMES[modality],
        description=Description(
            name=NAMES[modality],
            description=f"TotalSegmentator {modality} data set; number of labels: {len(plan.names)}",
            channel_name=modality,
            licence=release.licence,
            reference=release.reference,
            release=release.version,
        ),
        labels=plan,
        cases=cases,
        options=options.content(),
        problems=problems,
        warnings=[
            *warnings,
            *class_warnings,
            *notes,
            *(f"{name}: {text}" for name, text in release.doubtful.items() if name in present),
        ],
        tolerated=release.damaged,
        official_split=True,
        always_reorient=True,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `hypersort convert totalsegmentator`."""
    add_common_arguments(
        parser,
        name="TotalSegmentator or TotalSegmentatorMRI",
        groups=" or groups: organs cardiac muscles ribs vertebrae",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="take cases that lack the file of a chosen structure; they are listed",
    )
    parser.add_argument(
        "--release", metavar="VERSION", help="release of the download, such as 2.0.1 (default: recognised)"
    )


def run(args: argparse.Namespace) -> None:
    """Run `hypersort convert totalsegmentator`."""
    options = TotalSegmentatorOptions(
        labels=label_options(args), allow_missing=args.allow_missing, release=args.release
    )
    convert_totalsegmentator(args.source, common_settings(args), options)


def _is_case(folder: Path) -> bool:
    return (folder / MASKS).is_dir() or any((folder / image).is_file() for image in IMAGES.values())


def _is_totalsegmentator(folder: Path) -> bool:
    return any(_is_case(child) for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _modality(root: Path, folders: Collection[Path]) -> str:
    examples: dict[str, str] = {}
    for folder in folders:
        for modality, image in IMAGES.items():
            if (folder / image).is_file():
                examples.setdefault(modality, folder.name)
    if len(examples) == 2:
        raise HyperSORTError(
            f"{root} mixes CT ({examples['CT']}) and MRI ({examples['MRI']}): unpack the two into separate folders"
        )
    if not examples:
        raise _nothing_named(root, folders, "an image (ct.nii.gz or mri.nii.gz)")
    return next(iter(examples))


def _nothing_named(root: Path, folders: Iterable[Path], wanted: str) -> HyperSORTError:
    from nnunetv2_hypersort.conversion.discovery import visible

    other = next((path for folder in folders for path in visible(folder) if path.is_file()), None)
    there = f", but {other.relative_to(root)} is there: all files must have these names" if other else ""
    return HyperSORTError(f"{root}: no case has {wanted}{there}; unpack the archive again")


def _recognise(
    root: Path, modality: str, found: set[str], subjects: int, version: str | None
) -> tuple[Release, list[str]]:
    candidates = [release for release in RELEASES if release.modality == modality]
    if version is not None:
        chosen = [release for release in candidates if release.version == version]
        if not chosen:
            known = ", ".join(release.version for release in candidates)
            raise HyperSORTError(f"--release {version}: the {modality} releases known here are {known}")
        return chosen[0], []

    def strangers(release: Release) -> int:
        return len(found - set(release.classes))

    # Few names that the class map lacks, then few of its names without a file; archive name and size tell equals apart.
    fewest = min((strangers(release), len(set(release.classes) - found)) for release in candidates)
    alike = [r for r in candidates if (strangers(r), len(set(r.classes) - found)) == fewest]
    names = {root.name, root.parent.name}
    for by_name in alike:
        if names & set(by_name.archives):
            return by_name, []
    by_size = [release for release in alike if release.subjects == subjects]
    release = (by_size or alike)[-1]
    if len(by_size) == 1 or len(alike) == 1:
        return release, []
    others = " or ".join(release.version for release in by_size or alike)
    return release, [
        f"the files do not tell whether this is release {others}; {release.version} is noted (--release changes it)"
    ]


def _classes(release: Release, found: set[str]) -> tuple[list[str], list[str]]:
    warnings = []
    unknown = sorted(found - set(release.classes))
    absent = [name for name in release.classes if name not in found]
    if unknown:
        warnings.append(
            f"{len(unknown)} structures are not in the class map of release {release.version} and come last: "
            f"{_some(unknown)}"
        )
    if absent:
        warnings.append(
            f"{len(absent)} structures of release {release.version} have no file in any case: {_some(absent)}"
        )
    return [name for name in release.classes if name in found] + unknown, warnings


def _list_cases(
    folders: Mapping[str, Path],
    masks: Mapping[str, Mapping[str, Path]],
    table: "Table",
    modality: str,
    plan: "LabelPlan",
    options: TotalSegmentatorOptions,
) -> tuple[list["SourceCase"], list["Problem"], list[str]]:
    from nnunetv2_hypersort.conversion.cases import MaskFile, Problem, SourceCase

    cases: list[SourceCase] = []
    problems: list[Problem] = []
    unplaced: list[str] = []
    for name in sorted({*folders, *table.rows}):
        if name not in folders:
            problems.append(Problem(name, f"{name}/", f"is listed in {TABLE} but is not there", _AGAIN))
            continue
        image, files, row = folders[name] / IMAGES[modality], masks[name], table.rows.get(name, {})
        missing = tuple(structure for structure in plan.targets if structure not in files)
        faults = [*_split_problems(name, table), *_file_problems(name, image, files, missing, options.allow_missing)]
        whole = plan.names_without(missing)
        if missing and not faults and not whole:
            what = f"has no file for {_some(missing)}, so it is annotated for none of the labels"
            faults.append(Problem(name, f"{name}/{MASKS}", what, "leave the case out with --skip-bad"))
        problems += faults
        if faults:
            continue
        split = row.get("split", "").casefold()
        if not split and table.rows:
            unplaced.append(name)
        # A label of several classes that lacks one of them is unknown: the others would be only a part of it.
        chosen = tuple(
            MaskFile(files[key], target)
            for key, target in plan.targets.items()
            if key in files and plan.names[target - 1] in whole
        )
        metadata = {column: value for column, value in row.items() if column != "split"}
        cases.append(
            SourceCase(
                name, split or SPLITS[0], modality, image, masks=chosen, not_annotated=missing, metadata=metadata
            )
        )
    notes = []
    if unplaced:
        notes.append(f"{len(unplaced)} cases have no split in {TABLE} and join training: {_some(unplaced)}")
    return cases, problems, notes


def _split_problems(name: str, table: "Table") -> Iterator["Problem"]:
    from nnunetv2_hypersort.conversion.cases import Problem

    split = table.rows.get(name, {}).get("split", "")
    if name in table.repeated:
        yield Problem(name, TABLE, "has the case in several rows", "keep one, or leave the case out with --skip-bad")
    elif split and split.casefold() not in SPLITS:
        remedy = f"write {', '.join(SPLITS[:-1])} or {SPLITS[-1]} there, or leave the case out with --skip-bad"
        yield Problem(name, TABLE, f"has the split {split!r} for the case", remedy)


def _file_problems(
    name: str, image: Path, files: Mapping[str, Path], missing: Sequence[str], allow_missing: bool
) -> Iterator["Problem"]:
    from nnunetv2_hypersort.conversion.cases import Problem
    from nnunetv2_hypersort.conversion.discovery import missing_file

    folder = image.parent / MASKS
    if not image.is_file():
        stem = image.name.removesuffix(".nii.gz")
        reason, remedy = missing_file(image.parent, stem, "is missing: masks without an image", _AGAIN)
        yield Problem(name, f"{name}/{image.name}", reason, remedy)
    if missing and not (files and allow_missing):
        what, otherwise = f"has no file for {_some(missing)}", "unpack the archive again, or add --allow-missing"
        if not files:
            what, otherwise = "has no masks: an image without a label", _AGAIN
        reason, remedy = missing_file(folder, missing[0], what, otherwise)
        where = f"{name}/{MASKS}" if reason == what else f"{name}/{MASKS}/{missing[0]}.nii.gz"
        yield Problem(name, where, reason, remedy)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_LISTED_NAMES])
    return shown if len(names) <= _LISTED_NAMES else f"{shown} and {len(names) - _LISTED_NAMES} more"
