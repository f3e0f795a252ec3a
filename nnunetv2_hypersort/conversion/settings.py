"""Options that every conversion has, on the command line and in Python."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError


@dataclass(frozen=True)
class Settings:
    """Where a conversion writes to, and how.

    Attributes:
        dataset_id: nnU-Net's dataset id, 1 to 999.
        name: What follows the id in the folder's name; None takes the data set's own name.
        spacing: Voxel size in mm to resample images and labels to; None keeps the published one.
        exclude: Cases to leave out.
        check: "full" decompresses every byte, "quick" looks at headers and gzip's length.
        skip_bad: Go on without cases that cannot be converted.
        overwrite: Remove raw and preprocessed data of the same id when the new dataset is complete; trained models of
            that id keep it in use.
        overwrite_results: As `overwrite`, and remove the trained models as well.
        copy: Copy images instead of hard-linking them.
        processes: Number of processes.
    """

    dataset_id: int
    name: str | None = None
    spacing: tuple[float, float, float] | None = None
    exclude: tuple[str, ...] = ()
    check: str = "full"
    skip_bad: bool = False
    overwrite: bool = False
    overwrite_results: bool = False
    copy: bool = False
    processes: int = 1

    def __post_init__(self) -> None:
        if self.name is not None and not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise HyperSORTError(f"--name {self.name!r}: use letters, digits, '-' and '_' only")
        if self.spacing is not None and not all(0.1 <= edge <= 100 for edge in self.spacing):
            raise HyperSORTError(f"--spacing {self.spacing}: voxel edges are in mm, between 0.1 and 100")
        if self.check not in ("full", "quick"):
            raise HyperSORTError(f"check {self.check!r} is neither 'full' nor 'quick'")
        if self.processes < 1:
            raise HyperSORTError(f"-np {self.processes}: at least one process is needed")

    @property
    def replaces(self) -> bool:
        """Whether another dataset of the same id may be removed."""
        return self.overwrite or self.overwrite_results

    def identity(self) -> dict[str, Any]:
        """Return what must stay the same when an interrupted conversion goes on, as JSON content."""
        return {
            "dataset_id": self.dataset_id,
            "name": self.name,
            "spacing": None if self.spacing is None else list(self.spacing),
            "copy": self.copy,
        }

    def content(self) -> dict[str, Any]:
        """Return what conversion.json records, as JSON content."""
        return {
            **self.identity(),
            "check": self.check,
            "skip_bad": self.skip_bad,
            "exclude": list(self.exclude),
        }


@dataclass(frozen=True)
class LabelOptions:
    """Which classes become labels.

    Attributes:
        classes: Class or group names; None means all.
        merges: New label -> the classes that become it.
    """

    classes: Sequence[str] | None = None
    merges: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Return the options as JSON content."""
        return {
            "classes": None if self.classes is None else list(self.classes),
            "merge": {label: list(members) for label, members in self.merges.items()},
        }


def add_common_arguments(parser: argparse.ArgumentParser, *, name: str, groups: str = "") -> None:
    """Add what every conversion can be told on the command line."""
    parser.add_argument("source", type=Path, help="folder of the unpacked download")
    parser.add_argument(
        "-d", dest="dataset_id", type=int, required=True, metavar="ID", help="nnU-Net dataset id, 1 to 999"
    )
    parser.add_argument("--name", default=None, help=f"dataset name after the id (default: {name})")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help=f"classes to keep{groups} (default: all)")
    parser.add_argument(
        "--merge",
        action="append",
        default=[],
        metavar="NEW=A,B",
        help="make one label of several classes (may be repeated), for example kidneys=kidney_right,kidney_left",
    )
    parser.add_argument(
        "--spacing",
        nargs="+",
        type=float,
        metavar="MM",
        help="resample to this voxel size, one number or one per axis of the file (default: as published)",
    )
    parser.add_argument("--exclude", nargs="+", default=[], metavar="CASE", help="cases to leave out")
    parser.add_argument(
        "--check",
        choices=("full", "quick"),
        default="full",
        help="decompress and look at every byte before writing, or at headers and gzip's length only (default: full)",
    )
    parser.add_argument("--skip-bad", action="store_true", help="go on without cases that cannot be converted")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove raw and preprocessed data of this id when the new dataset is complete",
    )
    parser.add_argument(
        "--overwrite-results", action="store_true", help="as --overwrite, and remove trained models of this id as well"
    )
    parser.add_argument("--copy", action="store_true", help="copy images instead of hard-linking them to the download")
    parser.add_argument(
        "-np",
        dest="processes",
        type=int,
        default=None,
        metavar="N",
        help="worker processes (default: nnUNet_def_n_proc, at most one per CPU core)",
    )


def common_settings(args: argparse.Namespace) -> Settings:
    """Turn parsed arguments into settings.

    Raises:
        HyperSORTError: A value is out of range.
    """
    from nnunetv2_hypersort.files.workers import default_processes

    given: dict[str, Any] = {name: getattr(args, name) for name in Settings.__dataclass_fields__}
    given |= {"spacing": read_spacing(args.spacing), "exclude": tuple(args.exclude)}
    return Settings(**{**given, "processes": default_processes() if args.processes is None else args.processes})


def label_options(args: argparse.Namespace) -> LabelOptions:
    """Turn parsed arguments into label options.

    Raises:
        HyperSORTError: A --merge is malformed or repeated.
    """
    from nnunetv2_hypersort.conversion.labels import parse_merge

    merges: dict[str, list[str]] = {}
    for text in args.merge:
        label, members = parse_merge(text)
        if label in merges:
            raise HyperSORTError(f"--merge names {label!r} twice; give all its classes at once")
        merges[label] = members
    return LabelOptions(classes=args.classes, merges=merges)


def read_spacing(values: Sequence[float] | float | None) -> tuple[float, float, float] | None:
    """Return three voxel edges in mm from one number or three.

    Raises:
        HyperSORTError: Another count of numbers.
    """
    if values is None:
        return None
    edges = [float(values)] if isinstance(values, (int, float)) else [float(value) for value in values]
    if len(edges) == 1:
        edges *= 3
    if len(edges) != 3:
        raise HyperSORTError(f"--spacing takes one number or three, not {len(edges)}")
    return edges[0], edges[1], edges[2]
