"""AMOS22 (Zenodo 7262581 and 7155725) becomes an nnU-Net raw dataset."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunetv2_hypersort.conversion.settings import (
    Settings,
    add_common_arguments,
    common_settings,
    label_options,
)
from nnunetv2_hypersort.dataset_conversion.amos22_options import BOTH, CT, FOLD, JOIN, MRI
from nnunetv2_hypersort.dataset_conversion.amos22_options import Amos22Options as Amos22Options
from nnunetv2_hypersort.errors import HyperSORTError

if TYPE_CHECKING:
    from nnunetv2_hypersort.conversion.labels import LabelPlan
    from nnunetv2_hypersort.conversion.pipeline import Conversion

NAME = "AMOS22"
TABLE = "labeled_data_meta_0000_0599.csv"
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
    from nnunetv2_hypersort.dataset_conversion.amos22_cases import list_cases

    root = find_root(source, _is_amos22, "no dataset.json beside a folder labelsTr in it")
    content = _read_json(root / "dataset.json")
    values = _read_labels(content, root / "dataset.json")
    plan = plan_labels(
        sorted(values, key=values.__getitem__), options.labels.classes, merges=options.labels.merges, aliases=ALIASES
    )
    rows, warnings = _read_table(root)
    listing = list_cases(root, content, options, _lookup(values, plan), rows)
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
        cases=listing.cases,
        options=options.content(),
        problems=listing.problems,
        warnings=[*warnings, *listing.notes],
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
        if name not in CLASSES or not str(text).isdecimal():
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


def _read_table(root: Path) -> tuple[Mapping[str, Mapping[str, str]], list[str]]:
    from nnunetv2_hypersort.conversion.discovery import read_table

    # The table is a download of its own and ends up beside amos22 or inside it.
    for folder in (root, root.parent, root.parent.parent):
        if (folder / TABLE).is_file():
            table = read_table(folder / TABLE, "amos_id", _identifier)
            warnings = []
            if table.repeated:
                named = ", ".join(sorted(table.repeated))
                warnings.append(f"{TABLE} has several rows for {named}: where they differ, cases.csv has no value")
            return table.rows, warnings
    return {}, [f"{TABLE} is not beside the images: cases.csv has no scanner and no site"]


def _identifier(number: str) -> str:
    return f"amos_{int(float(number)):04d}" if number.replace(".", "", 1).isdecimal() else number
