"""AMOS22 (Zenodo 7262581 and 7155725) becomes an nnU-Net raw dataset."""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
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
from nnunetv2_hypersort.errors import HyperSORTError

if TYPE_CHECKING:
    from nnunetv2_hypersort.conversion.cases import Problem, SourceCase
    from nnunetv2_hypersort.conversion.labels import LabelPlan
    from nnunetv2_hypersort.conversion.pipeline import Conversion

NAME = "AMOS22"
TABLE = "labeled_data_meta_0000_0599.csv"
LAST_CT = 500
"""Ids up to this one are CT, those above are MRI."""

CT, MRI, BOTH = "ct", "mri", "both"
JOIN, FOLD = "join", "fold"

CLASSES = (
    "spleen",
    "kidney_right",
    "kidney_left",
    "gallbladder",
    "esophagus",
    "liver",
    "stomach",
    "aorta",
    "inferior_vena_cava",
    "pancreas",
    "adrenal_gland_right",
    "adrenal_gland_left",
    "duodenum",
    "bladder",
    "prostate_and_uterus",
)
"""Names of the labels 1 to 15 in the challenge's task-1 file."""

ALIASES = {
    "right kidney": "kidney_right",
    "left kidney": "kidney_left",
    "gall bladder": "gallbladder",
    "arota": "aorta",
    "postcava": "inferior_vena_cava",
    "right adrenal gland": "adrenal_gland_right",
    "left adrenal gland": "adrenal_gland_left",
    "prostate/uterus": "prostate_and_uterus",
}
"""Spellings of the dataset.json on Zenodo -> those of the task-1 file."""

_CASE = re.compile(r"amos_\d+")
_SPLITS = {"training": "train", "validation": "val", "test": "test"}
_FOLDERS = {"train": ("Tr",), "val": ("Va", "Val"), "test": ("Ts",)}


@dataclass(frozen=True)
class Amos22Options:
    """What is taken from the download.

    Attributes:
        labels: Classes and merged labels.
        modality: "ct", "mri" or "both".
        validation: "join" (validation cases are training cases, nnU-Net makes its own folds) or "fold" (one fold,
            validated on the challenge's validation cases).
        test_images: Put the unlabelled test images into imagesTs.
        all_files: Take every labelled pair found in the folders, not only the cases of the lists in dataset.json.
    """

    labels: LabelOptions = LabelOptions()  # noqa: RUF009  (immutable)
    modality: str = CT
    validation: str = JOIN
    test_images: bool = False
    all_files: bool = False

    def __post_init__(self) -> None:
        if self.modality not in (CT, MRI, BOTH):
            raise HyperSORTError(f"modality {self.modality!r} is none of ct, mri, both")
        if self.validation not in (JOIN, FOLD):
            raise HyperSORTError(f"validation {self.validation!r} is neither 'join' nor 'fold'")

    def content(self) -> dict[str, Any]:
        """Return the options as JSON content."""
        return {
            **self.labels.content(),
            "modality": self.modality,
            "validation": self.validation,
            "test_images": self.test_images,
            "all_files": self.all_files,
        }


def convert_amos22(source: str | Path, settings: Settings, options: Amos22Options | None = None) -> Path:
    """Convert an unpacked AMOS22 download into `$nnUNet_raw/DatasetXXX_NAME`.

    All cases are checked first; one bad case stops the conversion before anything is written, unless
    `settings.skip_bad`. An interrupted conversion goes on where it stopped.

    Args:
        source: Folder of the download (`amos22`, or a folder that holds it).
        settings: Dataset id, name, and how to write.
        options: What is taken; default: CT, all organs, validation cases join training.

    Returns:
        The dataset folder.

    Raises:
        HyperSORTError: Anything the user can mend: the text lists every bad case with file, reason and remedy.

    Example:
        >>> convert_amos22("/downloads/amos22", Settings(dataset_id=218))  # doctest: +SKIP
    """
    from nnunetv2_hypersort.conversion.pipeline import run_conversion

    return run_conversion(read_amos22(Path(source), options or Amos22Options()), settings)


def read_amos22(source: Path, options: Amos22Options) -> "Conversion":
    """Read lists, labels and table of a download; image files are only looked for, not opened.

    Raises:
        HyperSORTError: The folder is not AMOS22, its dataset.json is unusable, or a class is unknown.
    """
    from nnunetv2_hypersort.conversion.discovery import find_root
    from nnunetv2_hypersort.conversion.labels import plan_labels
    from nnunetv2_hypersort.conversion.outputs import Description
    from nnunetv2_hypersort.conversion.pipeline import Conversion

    root = find_root(source, _is_amos22, "no dataset.json beside a folder labelsTr in it")
    content = _read_json(root / "dataset.json")
    values = _read_labels(content, root / "dataset.json")
    plan = plan_labels(
        sorted(values, key=values.__getitem__), options.labels.classes, merges=options.labels.merges, aliases=ALIASES
    )
    rows, warnings = _read_table(root)
    cases, problems, notes = _list_cases(root, content, options, _lookup(values, plan), rows)
    channel = {CT: "CT", MRI: "MRI", BOTH: "CT or MRI"}[options.modality]
    return Conversion(
        source=root,
        default_name=NAME,
        description=Description(
            name="AMOS22",
            description="Abdominal multi-organ segmentation, MICCAI 2022 challenge"
            + (" (CT)" if options.modality == CT else " (MRI)" if options.modality == MRI else " (CT and MRI)"),
            channel_name=channel,
            licence=f"CC BY 4.0 (Zenodo); dataset.json says {content.get('licence') or 'nothing'}",
            reference="https://doi.org/10.5281/zenodo.7262581",
            release=str(content.get("release") or "not stated"),
        ),
        labels=plan,
        cases=cases,
        options=options.content(),
        problems=problems,
        warnings=[*warnings, *notes],
        official_split=options.validation == FOLD,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `hypersort convert amos22`."""
    add_common_arguments(parser, name=NAME, groups=", for example --classes liver")
    parser.add_argument("--modality", choices=(CT, MRI, BOTH), default=CT, help="default: ct")
    parser.add_argument(
        "--validation",
        choices=(JOIN, FOLD),
        default=JOIN,
        help="validation cases join the training cases, or are the only validation fold (default: join)",
    )
    parser.add_argument("--test-images", action="store_true", help="put the unlabelled test images into imagesTs")
    parser.add_argument(
        "--all-files",
        action="store_true",
        help="take every pair found in the folders, also cases that dataset.json does not list",
    )


def run(args: argparse.Namespace) -> None:
    """Run `hypersort convert amos22`."""
    options = Amos22Options(
        labels=label_options(args),
        modality=args.modality,
        validation=args.validation,
        test_images=args.test_images,
        all_files=args.all_files,
    )
    convert_amos22(args.source, common_settings(args), options)


def _is_amos22(folder: Path) -> bool:
    return (folder / "dataset.json").is_file() and (folder / "labelsTr").is_dir()


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise HyperSORTError(f"{path} is not JSON ({error}); unpack or download it again") from None
    if not isinstance(content, dict) or not isinstance(content.get("labels"), dict):
        raise HyperSORTError(f"{path} lists no labels; it is not the file of AMOS22")
    return content


def _read_labels(content: Mapping[str, Any], path: Path) -> dict[str, int]:
    values: dict[str, int] = {}
    for text, spelling in content["labels"].items():
        name = ALIASES.get(str(spelling).strip(), str(spelling).strip())
        if name == "background":
            continue
        if name not in CLASSES or not str(text).isdigit():
            raise HyperSORTError(
                f"{path}: the label {text}: {spelling!r} is not one of AMOS22; download the file again"
            )
        values[name] = int(text)
    if sorted(values.values()) != list(range(1, len(values) + 1)):
        raise HyperSORTError(
            f"{path}: the label values {sorted(values.values())} are not consecutive; download the file again"
        )
    return values


def _lookup(values: Mapping[str, int], plan: "LabelPlan") -> tuple[int, ...]:
    lookup = [0] * (len(values) + 1)
    for name, value in values.items():
        lookup[value] = plan.targets.get(name, 0)
    return tuple(lookup)


def _read_table(root: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    from nnunetv2_hypersort.conversion.discovery import read_table

    # The table is a download of its own and ends up beside amos22 or inside it.
    for folder in (root, root.parent, root.parent.parent):
        if (folder / TABLE).is_file():
            rows = read_table(folder / TABLE, "amos_id", ",")
            return {_identifier(key): row for key, row in rows.items()}, []
    return {}, [f"{TABLE} is not beside the images: cases.csv has no scanner and no site"]


def _identifier(number: str) -> str:
    return f"amos_{int(float(number)):04d}" if number.replace(".", "", 1).isdigit() else number


def _is_wanted(identifier: str, modality: str) -> bool:
    return modality == BOTH or _modality(identifier).casefold() == modality


def _modality(identifier: str) -> str:
    digits = identifier.rpartition("_")[2]
    if not digits.isdigit():
        raise HyperSORTError(f"the case name {identifier!r} does not end in a number, as those of AMOS22 do; remove it")
    return "CT" if int(digits) <= LAST_CT else "MRI"


def _list_cases(
    root: Path,
    content: Mapping[str, Any],
    options: Amos22Options,
    lookup: tuple[int, ...],
    rows: Mapping[str, Mapping[str, str]],
) -> tuple[list["SourceCase"], list["Problem"], list[str]]:
    from nnunetv2_hypersort.conversion.cases import LabelMapFile, Problem, SourceCase

    cases: list[SourceCase] = []
    problems: list[Problem] = []
    notes: list[str] = []
    for key, split in _SPLITS.items():
        if split == "test" and not options.test_images:
            continue
        listed = _listed(content.get(key, ()))
        images, labels = _files(root, "images", split), _files(root, "labels", split)
        unlisted = sorted((set(images) | set(labels)) - set(listed))
        unlisted = [name for name in unlisted if _CASE.fullmatch(name) and _is_wanted(name, options.modality)]
        if options.all_files:
            listed = [*listed, *unlisted]
        elif unlisted:
            notes.append(
                f"{len(unlisted)} {key} cases are in the folders but not in dataset.json (--all-files takes them)"
            )
        for name in listed:
            if not _is_wanted(name, options.modality):
                continue
            image, label = images.get(name), labels.get(name)
            needs_label = split != "test"
            if image is None:
                what = f"images{_FOLDERS[split][0]}/{name}.nii.gz"
                problems.append(
                    Problem(name, what, "is missing: a label without an image" if label else "is missing", _LOOK_AGAIN)
                )
            if label is None and needs_label:
                what = f"labels{_FOLDERS[split][0]}/{name}.nii.gz"
                problems.append(
                    Problem(name, what, "is missing: an image without a label" if image else "is missing", _LOOK_AGAIN)
                )
            if image is not None and (label is not None or not needs_label):
                label_map = LabelMapFile(label, lookup) if label is not None and needs_label else None
                cases.append(
                    SourceCase(name, split, _modality(name), image, label_map, metadata=dict(rows.get(name, {})))
                )
    if not cases and not problems:
        raise HyperSORTError(
            f"{root / 'dataset.json'} lists no {options.modality.upper()} case (that of task 1 lists CT only); "
            "take the dataset.json of Zenodo, or add --all-files"
        )
    return cases, problems, notes


_LOOK_AGAIN = "unpack the archive again, or leave the case out with --skip-bad"


def _listed(entries: Sequence[Any]) -> list[str]:
    paths = [entry.get("image", "") if isinstance(entry, dict) else str(entry) for entry in entries]
    return list(dict.fromkeys(Path(path).name.removesuffix(".nii.gz") for path in paths if path))


def _files(root: Path, kind: str, split: str) -> dict[str, Path]:
    from nnunetv2_hypersort.conversion.discovery import volumes

    # dataset.json of task 1 says imagesVal where the folder is called imagesVa: the name of the file decides.
    found: dict[str, Path] = {}
    for ending in reversed(_FOLDERS[split]):
        found.update(volumes(root / f"{kind}{ending}"))
    return found
