"""The small files of a dataset folder: dataset.json, conversion.json, cases.csv, splits_final.json."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.conversion.cases import TEST, TRAIN, VALIDATION, Problem, SourceCase
from nnunetv2_hypersort.conversion.labels import LabelPlan
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.tables import write_table
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.nnunet.annotated_labels import annotated_entries

REORIENTING_READER = "NibabelIOWithReorient"


@dataclass(frozen=True)
class Description:
    """What dataset.json says about the data.

    Attributes:
        name: Name of the data set.
        description: One sentence.
        channel_name: Name of the image channel; "CT" makes nnU-Net use CT normalisation, all others z-score.
        licence: Licence of this release.
        reference: Where it was published.
        release: Release of the data set.
    """

    name: str
    description: str
    channel_name: str
    licence: str
    reference: str
    release: str


def write_dataset_json(
    folder: Path, description: Description, labels: LabelPlan, training: Sequence[SourceCase], reader: str | None
) -> None:
    """Write nnU-Net's dataset.json, with `annotated_labels` of cases that are not annotated for every class.

    Args:
        folder: The dataset folder.
        description: What it says about the data.
        labels: The labels.
        training: The cases in imagesTr.
        reader: nnU-Net reader/writer class that must be used, or None for nnU-Net's choice.
    """
    content: dict[str, Any] = {
        "name": description.name,
        "description": description.description,
        "reference": description.reference,
        "licence": description.licence,
        "release": description.release,
        "channel_names": {"0": description.channel_name},
        "labels": labels.dataset_labels(),
        "numTraining": len(training),
        "file_ending": ".nii.gz",
    }
    if reader is not None:
        content["overwrite_image_reader_writer"] = reader
    partly = {case.identifier: labels.names_without(case.not_annotated) for case in training if case.not_annotated}
    table = LabelTable.from_dataset_json(content, "dataset.json")
    content |= annotated_entries(table, partly)
    write_json(folder / "dataset.json", content)


def write_conversion_json(
    folder: Path,
    *,
    source: Path,
    options: Mapping[str, Any],
    release: str,
    labels: LabelPlan,
    records: Mapping[str, Any],
    left_out: Sequence[Problem],
    warnings: Sequence[str],
    seconds: Mapping[str, float],
) -> None:
    """Write the protocol of the conversion: source, options, versions, and what was done with each case.

    `seconds` is the time that checking and converting took in the run that finished the dataset.
    """
    content = {
        "converted": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "source": str(source),
        "release": release,
        "options": dict(options),
        "versions": _versions(),
        "seconds": {step: round(duration, 2) for step, duration in seconds.items()},
        "source_classes": dict(labels.targets),
        "left_out": [vars(problem) for problem in left_out],
        "warnings": list(warnings),
        "cases": {identifier: records[identifier] for identifier in sorted(records)},
    }
    write_json(folder / "conversion.json", content)


def write_cases_csv(folder: Path, cases: Sequence[SourceCase]) -> None:
    """Write one row per case: `case,subject,split,modality` and the columns the source has."""
    columns = list(dict.fromkeys(column for case in cases for column in case.metadata))
    fixed = ("case", "subject", "split", "modality")
    columns = [column for column in columns if column not in fixed]
    rows = [
        # Neither source names patients; one scan is one subject.
        [
            *(case.identifier, case.identifier, case.split, case.modality),
            *(case.metadata.get(column) for column in columns),
        ]
        for case in sorted(cases, key=lambda item: item.identifier)
    ]
    write_table(folder / "cases.csv", [*fixed, *columns], rows)


def write_official_split(folder: Path, cases: Sequence[SourceCase]) -> None:
    """Write splits_final.json with one fold, the source's own training and validation cases.

    nnU-Net's planner copies it from the raw folder to the preprocessed one.
    """
    fold = {
        "train": sorted(case.identifier for case in cases if case.split == TRAIN),
        "val": sorted(case.identifier for case in cases if case.split == VALIDATION),
    }
    write_json(folder / "splits_final.json", [fold])


def training_cases(cases: Sequence[SourceCase]) -> list[SourceCase]:
    """Return the cases that go to imagesTr and labelsTr."""
    return [case for case in cases if case.split != TEST]


def _versions() -> dict[str, str]:
    packages = ("nnunetv2-hypersort", "nnunetv2", "nibabel", "SimpleITK", "numpy", "scipy")
    return {"python": platform.python_version(), **{package: _version(package) for package in packages}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"
