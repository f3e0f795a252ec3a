"""Compare the labels of known groups of cases of a trained model, and say how they differ."""

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.progress import tracked
from nnunetv2_hypersort.files.writable import printed_if_unsaved, require_writable
from nnunetv2_hypersort.images.reading import ImageReader, length_unit
from nnunetv2_hypersort.latents import Style, StyleInFold
from nnunetv2_hypersort.model.case_images import CaseImages
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import planned_reader
from nnunetv2_hypersort.styles.counterfactual import contrasts_of_styles
from nnunetv2_hypersort.styles.groups.anatomy import anatomy_or_none, within_folds
from nnunetv2_hypersort.styles.groups.columns import GroupColumns, read_group_columns
from nnunetv2_hypersort.styles.groups.comparison import CasePoints, Comparer, Comparison, Verdict, holm
from nnunetv2_hypersort.styles.groups.design import Level, make_design
from nnunetv2_hypersort.styles.groups.found_groups import ComparedColumn, FoundGroups
from nnunetv2_hypersort.styles.groups.image_features import image_features, image_identity
from nnunetv2_hypersort.styles.style_contrast import StyleContrast
from nnunetv2_hypersort.styles.wording import describe_contrast

GROUPS_FILE = "groups.json"
"""Name of the file in the trained-model folder."""
_GROUP = "group_{}"
Points = Callable[[ModelFolder], Sequence[CasePoints]]


def compare_groups(
    model_folder: ModelFolder | str | os.PathLike[str],
    by: Sequence[str],
    *,
    table: str | os.PathLike[str] | None = None,
    subject: str | None = None,
    folds: Sequence[int | str] | None = None,
    checkpoint_name: str = "checkpoint_final.pth",
    cases: int = 8,
    device: str = "cpu",
    progress: bool = True,
    points: Points | None = None,
) -> FoundGroups:
    """Are the labels of known groups of cases annotated differently, and how? Writes `groups.json`.

    What the images explain is taken out of the points of the cases, and out of the groups, before the two are compared
    (see `permutation_test`); where the images alone tell the groups, the answer is that the two cannot be told apart.

    Args:
        model_folder: nnU-Net's trained-model folder, the one that holds `fold_0`, or that folder opened.
        by: Columns of the table, one question each; p-values are corrected for their number (Holm 1979).
        table: A table with a column `case`; None takes `cases.csv` of the raw dataset.
        subject: The column with the subjects, which are permuted as a whole; None takes `subject` or `patient`, and
            where there is none each image is a subject.
        folds: See `find_styles`.
        checkpoint_name: See `find_styles`.
        cases: How many images are segmented in the way of each group for the words; with 0 there are none.
        device: Where to predict: `cpu`, `cuda` or another device of PyTorch.
        progress: Whether to show a progress bar on standard error.
        points: Gives what is known of the cases of each fold; None takes the latents.

    Returns:
        The answers, as they were written.

    Raises:
        HyperSORTError: The folder is not that of a trained model with placed latents, table or column are not there, a
            column makes no groups, or the file cannot be written.
    """
    if isinstance(model_folder, ModelFolder):
        model = model_folder
    else:
        model = ModelFolder.open(model_folder, folds=folds, checkpoint_name=checkpoint_name, unfinished=True)
    require_writable(model.path / GROUPS_FILE)
    model = model.with_places()
    of_folds = list((points or latent_points)(model))
    known = sorted(set().union(*(one.cases for one in of_folds)))
    if not known:
        raise HyperSORTError(f"No fold of {model.path} has drawn a case yet; train on.")
    columns = read_group_columns(model, known, by, table=table, subject=subject)
    images = CaseImages.find(model)
    wanted = sorted(set().union(*columns.columns.values()))
    seen = _look_at(model, images, wanted, device=device, progress=progress)
    of_image, of_subject = _units(columns, known, seen.identities)
    comparer = Comparer(of_folds, seen.features, places=None if points is None else latent_points(model))
    designs = {name: make_design(name, values, of_image, of_subject) for name, values in columns.columns.items()}
    compared = {name: comparer.compare(design) for name, design in designs.items()}
    corrected = dict(zip(compared, holm([one.test.p for one in compared.values()]), strict=True))
    answers, described = [], 0
    notes = [] if all(design.level is Level.IMAGES for design in designs.values()) else list(seen.notes)
    for name, comparison in compared.items():
        verdict = comparison.verdict(corrected[name])
        contrasts, problem = _contrasts(model, images, comparison, verdict, cases, device)
        described += bool(contrasts)
        notes += [problem] if problem and problem not in notes else []
        answers.append(
            ComparedColumn(
                (name, *columns.same[name]),
                comparison,
                corrected[name],
                {
                    group: describe_contrast(contrast, length_unit(model.dataset_json.get("file_ending")))
                    for group, contrast in contrasts.items()
                },
                contrasts,
                len(known) - len(columns.columns[name]),
            )
        )
    found = FoundGroups(
        tuple(fold.name for fold in model.folds),
        str(columns.path),
        tuple(answers),
        tuple(notes),
        f"Described from the same images segmented in the way of each group (up to {cases})." if described else "",
        model.provisional,
    )
    try:
        with printed_if_unsaved(found.to_text):
            write_json(model.path / GROUPS_FILE, found.to_json())
    except OSError as error:
        raise HyperSORTError(f"{model.path / GROUPS_FILE} cannot be written ({error}); make room for it.") from error
    return found


def latent_points(model: ModelFolder) -> list[CasePoints]:
    """The latents of each fold, of the cases that were drawn."""
    found = []
    for fold in model.folds:
        rows = np.flatnonzero(fold.record.visits > 0)
        found.append(CasePoints(fold.name, tuple(fold.record.case_ids[row] for row in rows), fold.record.latents[rows]))
    return found


@dataclass(frozen=True)
class _Images:
    """What the images say, by case, and notes that matter where groups have different images."""

    features: Mapping[str, Mapping[str, float]]
    identities: Mapping[str, str]
    notes: tuple[str, ...]


def _look_at(model: ModelFolder, images: CaseImages, cases: Sequence[str], *, device: str, progress: bool) -> _Images:
    anatomy, problem = anatomy_or_none(model, device)
    reader = planned_reader(model.planned)
    features: dict[str, dict[str, float]] = {}
    outlines: dict[str, dict[str, float]] = {}
    identities: dict[str, str] = {}
    missing = []
    for case in tracked(cases, shown=progress):
        try:
            image = images.image(case)
        except HyperSORTError as error:
            missing.append(str(error))
            continue
        identities[case] = image_identity(image)
        features[case] = image_features(image, _raw(reader, images.images.get(case, ())))
        if anatomy is not None:
            outlines[case] = anatomy.measure(case, image, identities[case])
    notes = [problem] if problem and features else []
    if anatomy is not None:
        for case, measures in within_folds(outlines, anatomy.fold_of).items():
            features[case].update(measures)
        if outlines and not any(map(anatomy.is_held_out, outlines)):
            notes.append(
                "No image was outlined by a fold that did not train on it, so a part of the style may have counted as "
                "anatomy: train all folds for a surer answer."
            )
    if missing:
        which = f"{len(missing)} of {len(cases)} images" if features else "The images"
        notes.append(f"{which} cannot be had, and what they explain was not taken out: {missing[0]}")
    return _Images(features, identities, tuple(notes))


def _raw(reader: ImageReader, files: Sequence[str]) -> np.ndarray | None:
    try:
        channels = [reader.read_image(Path(file)) for file in files]
        return np.concatenate(channels) if channels else None
    except (HyperSORTError, ValueError):
        return None  # the preprocessed image says most of it


def _units(
    columns: GroupColumns, cases: Sequence[str], identities: Mapping[str, str]
) -> tuple[dict[str, Hashable], dict[str, Hashable]]:
    """By case its image and its subject; what is not stated is told from the images themselves."""
    stated = columns.images or {}
    images: dict[str, Hashable] = {
        case: ("stated", stated[case]) if case in stated else ("same", identities.get(case, case)) for case in cases
    }
    subjects: dict[str, Hashable] = {
        case: columns.subjects[case] if columns.subjects and case in columns.subjects else images[case]
        for case in cases
    }
    return images, subjects


def _contrasts(
    model: ModelFolder, images: CaseImages, comparison: Comparison, verdict: Verdict, cases: int, device: str
) -> tuple[dict[str, StyleContrast], str]:
    """By the name of the group how its labels differ from those of the first; and what went wrong."""
    if cases < 1 or verdict is Verdict.NO_DIFFERENCE:
        return {}, ""
    shifts = comparison.plain_shifts if verdict is Verdict.IMAGES_DIFFER else comparison.shifts
    names = comparison.design.names
    styles = []
    for number in range(len(names)):
        places = {}
        for fold in model.folds:
            record = fold.record
            drawn = record.latents[record.visits > 0]
            middle = np.mean(drawn, axis=0)
            places[fold.name] = StyleInFold.of(record, (middle + shifts[fold.name][number]).tolist())
        styles.append(Style(_GROUP.format(number), places))
    try:
        contrasts, _ = contrasts_of_styles(model, images, styles, cases=cases, device=device)
    except HyperSORTError as error:
        return {}, f"The images could not be segmented in the way of each group: {error}"
    pairs = {name: (_GROUP.format(number), _GROUP.format(0)) for number, name in enumerate(names) if number}
    return {name: contrasts[pair] for name, pair in pairs.items() if pair in contrasts}, ""
