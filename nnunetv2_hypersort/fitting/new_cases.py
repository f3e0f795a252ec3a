"""New cases with labels, from folders as nnU-Net has them."""

import dataclasses
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.json_file import read_json
from nnunetv2_hypersort.fitting.partial_labels import resample_partial_label
from nnunetv2_hypersort.model.planned_model import PlannedModel
from nnunetv2_hypersort.model.preprocessed import PreprocessedImage, planned_reader, preprocess_files
from nnunetv2_hypersort.nnunet.annotated_labels import KEY, SETS_KEY, AnnotatedLabels


@dataclass(frozen=True)
class NewCase:
    """An image with its label.

    Attributes:
        case_id: The name of its files without channel and ending.
        image: The preprocessed image, with the preprocessed label.
        reference: The label map on the grid of the file, in nnU-Net's axis order.
    """

    case_id: str
    image: PreprocessedImage
    reference: np.ndarray


def with_ignore_label(planned: PlannedModel) -> PlannedModel:
    """The model with nnU-Net's ignore label, the value above its highest label, declared if it has none."""
    if planned.label_manager.has_ignore_label:
        return planned
    labels = {**planned.dataset_json["labels"], "ignore": int(max(planned.label_manager.all_labels)) + 1}
    return dataclasses.replace(planned, dataset_json={**planned.dataset_json, "labels": labels})


def annotations_of(
    planned: PlannedModel, labels: str | os.PathLike[str], case_ids: Sequence[str], annotated: Sequence[str] | None
) -> AnnotatedLabels:
    """What new cases are annotated for.

    Args:
        planned: Plans of the model.
        labels: Folder with the label maps; in a raw dataset `annotated_labels` of its dataset.json counts.
        case_ids: The cases.
        annotated: Names of the labels or regions that all of them are annotated for; None takes what dataset.json says,
            and all of the model's without one.

    Raises:
        HyperSORTError: See `AnnotatedLabels.from_dataset_json`.
    """
    named = {"labels": planned.dataset_json["labels"]}
    if annotated is not None:
        content = {**named, KEY: {case: list(annotated) for case in case_ids}}
        return AnnotatedLabels.from_dataset_json(content, "--annotated")
    beside = Path(labels).parent / "dataset.json"
    if Path(labels).name != "labelsTr" or not beside.is_file():
        return AnnotatedLabels.from_dataset_json(named, "the model")
    own = read_json(beside, what="the dataset.json of these labels")
    return AnnotatedLabels.from_dataset_json({**named, **{key: own.get(key) for key in (KEY, SETS_KEY)}}, str(beside))


def load_new_cases(
    planned: PlannedModel,
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    case_ids: Sequence[str] | None = None,
    annotated: Sequence[str] | None = None,
) -> list[NewCase]:
    """Read and preprocess images with their labels.

    Args:
        planned: Plans of the model; labels may hold its label values, with the ignore label if it declares one.
        images: Folder with `CASE_0000.nii.gz`, ... (the file ending is that of the model's dataset).
        labels: Folder with `CASE.nii.gz`.
        case_ids: Only these cases; None takes every image.
        annotated: See `annotations_of`.

    Returns:
        The cases in the order of their names.

    Raises:
        HyperSORTError: There is no image, an image has no label or lacks a channel, a file cannot be read, a label is
            on another grid than its image, has a value that the model lacks or that its case is not annotated for, or
            no annotated foreground. All cases are
            checked, and each that cannot be used is named.
    """
    files = _find_files(Path(images), Path(labels), planned.dataset_json["file_ending"], case_ids)
    known = annotations_of(planned, labels, list(files), annotated)
    loaded = [
        _load_or_explain(planned, case_id, image_files, label_file, known)
        for case_id, (image_files, label_file) in files.items()
    ]
    problems = [problem for problem in loaded if isinstance(problem, str)]
    if problems:
        raise HyperSORTError("\n".join(problems))
    return [case for case in loaded if isinstance(case, NewCase)]


def _find_files(
    images: Path, labels: Path, ending: str, case_ids: Sequence[str] | None
) -> dict[str, tuple[list[Path], Path]]:
    for folder in (images, labels):
        if not folder.is_dir():
            raise HyperSORTError(f"{folder} is not a folder; give the folders with the images and with their labels.")
    found: dict[str, list[Path]] = {}
    for path in sorted(images.iterdir()):
        match = re.fullmatch(rf"([^.].*)_\d{{4}}{re.escape(ending)}", path.name)
        if match:
            found.setdefault(match[1], []).append(path)
    if not found:
        raise HyperSORTError(
            f"{images} holds no image named as nnU-Net wants it, CASE_0000{ending}; rename the images, or convert them "
            f"to the format of the training."
        )
    absent = sorted(set(case_ids or ()) - set(found))
    if absent:
        raise HyperSORTError(f"{images} holds no image of {', '.join(absent)}; it has {', '.join(found)}.")
    chosen = {case: paths for case, paths in found.items() if case_ids is None or case in case_ids}
    without = [case for case in chosen if not (labels / f"{case}{ending}").is_file()]
    if without:
        raise HyperSORTError(
            f"{labels} holds no label (CASE{ending}) of {', '.join(without)}; add it, or name the cases to fit with "
            f"`--cases`."
        )
    unused = sorted(
        path.name.removesuffix(ending)
        for path in labels.iterdir()
        if path.name.endswith(ending) and path.name.removesuffix(ending) not in found
    )
    if unused and case_ids is None:
        shown = ", ".join(unused[:5]) + (f" and {len(unused) - 5} more" if len(unused) > 5 else "")
        warnings.warn(f"{images} has no image for the labels of {shown}; these are left out.", stacklevel=3)
    return {case: (paths, labels / f"{case}{ending}") for case, paths in chosen.items()}


def _load_or_explain(
    planned: PlannedModel, case_id: str, image_files: Sequence[Path], label_file: Path, known: AnnotatedLabels
) -> NewCase | str:
    """The case, or in a sentence why it cannot be used: text and no exception, since other cases are still to check."""
    try:
        image = preprocess_files(planned, image_files, label_file)
        reference = planned_reader(planned).read_labels(label_file).values
        known.check_label_map(case_id, reference, label_file)
    except HyperSORTError as error:
        return str(error)
    ignored = reference == planned.label_manager.ignore_label
    if ignored.any():
        image = dataclasses.replace(image, segmentation=resample_partial_label(planned, image, reference))
    assert image.segmentation is not None
    if not ((image.segmentation != planned.label_manager.ignore_label) & (image.segmentation > 0)).any():
        lacks = "annotated voxels (all carry the ignore label)" if ignored.all() else "annotated foreground"
        return (
            f"The label {label_file} has no {lacks} on the grid of the model, so it says nothing about the style; "
            f"annotate more, or leave the case out: `--cases` takes the cases to fit."
        )
    return NewCase(case_id, image, reference)
