"""Rank the training cases of a model by the quality of their labels."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.progress import progress_bar
from nnunetv2_hypersort.files.writable import printed_if_unsaved, require_writable
from nnunetv2_hypersort.latents import StyleBook
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import preprocessed_cases
from nnunetv2_hypersort.model.progress import Stage
from nnunetv2_hypersort.model.training_splits import check_splits_file, read_splits, write_splits_without
from nnunetv2_hypersort.ranking.case_summary import summarise_case
from nnunetv2_hypersort.ranking.flagging import FlaggedCases, check_limits, flag_cases
from nnunetv2_hypersort.ranking.fold_evidence import CaseEvidence, gather_evidence
from nnunetv2_hypersort.ranking.ignore_mask import IgnoreMaskDataset
from nnunetv2_hypersort.ranking.ranking_table import RANKING_FILE, RankedCase, format_ranking, write_ranking
from nnunetv2_hypersort.ranking.wrong_labels import PRECISION
from nnunetv2_hypersort.styles.known_styles import known_styles


@dataclass(frozen=True)
class Ranking:
    """The training cases of a model, the worst label first.

    Attributes:
        cases: All cases of the split that could be judged; those without any evidence come last.
        flags: Which of them are flagged, and why.
        file: The table that was written.
        notes: What was left out, and what to do about it.
        provisional: By the name of the fold how far its training has come, where that is not its end.
    """

    cases: tuple[RankedCase, ...]
    flags: FlaggedCases
    file: Path
    notes: tuple[str, ...]
    provisional: Mapping[str, str] = field(default_factory=dict)

    @property
    def flagged(self) -> tuple[RankedCase, ...]:
        """The cases whose labels are taken for wrong."""
        return tuple(case for case in self.cases if case.flagged)


def rank_cases(
    model_folder: str | os.PathLike[str],
    *,
    folds: Sequence[int | str] | None = None,
    checkpoint_name: str = "checkpoint_final.pth",
    precision: float = PRECISION,
    threshold: float | None = None,
    ignore_mask: str | os.PathLike[str] | None = None,
    exclude: str | os.PathLike[str] | None = None,
    predict: bool = True,
    device: str = "cpu",
    progress: bool = True,
) -> Ranking:
    """Give every training case of a dataset a label quality, and write `case_ranking.csv` into the model folder.

    What counts is described in `quality`. A case that no fold trained on, as none but fold 0 is trained, is judged by
    the predictions of the folds that held it out.

    Args:
        model_folder: nnU-Net's trained-model folder, the one that holds `fold_0`.
        folds: Fold numbers, or `all`; None takes all that are trained. One that was asked for and is not finished, or
            all where none is, is taken at its newest checkpoint, and the table is marked as provisional.
        checkpoint_name: File name of the checkpoint in each fold folder.
        precision: As many labels are flagged as keep this share of them wrong, as far as can be expected; in (0, 1).
            Labels that are more likely right than wrong are never flagged.
        threshold: Flag labels of a lower quality instead, in (0, 1). 0.5 means: on average over loss, isolation and
            disagreement, 3.5 robust standard deviations worse than what is usual in the style. It is taken, too, where
            there are too few cases to expect anything.
        ignore_mask: Also write the raw dataset anew to this folder, with the ignore label in the doubtful voxels of
            the flagged cases.
        exclude: Also write nnU-Net's splits to this file, without the flagged cases in the training of any fold.
        predict: Whether to compare labels with predictions, which takes nearly all of the time.
        device: Where to predict: `cpu`, `cuda` or another device of PyTorch.
        progress: Whether to show a progress bar on standard error.

    Returns:
        The ranking.

    Raises:
        HyperSORTError: The folder is not that of a trained model, a fold has no checkpoint or nothing of it was
            trained yet, `styles.json` is damaged, an output exists or cannot be written, or what it needs is gone.
        OSError: An output cannot be written.
    """
    check_limits(precision, threshold)
    model = ModelFolder.open(model_folder, folds=folds, checkpoint_name=checkpoint_name, unfinished=True)
    require_writable(model.path / RANKING_FILE, *(() if exclude is None else (exclude,)))
    _refuse_untrained_folds(model)
    styles, about_styles = known_styles(model)
    known = _known_cases(model)
    predictable, missing = _predictable_cases(model, known) if predict else (set(), "Predictions were left out.")
    splits = None
    if exclude is not None:
        check_splits_file(exclude)
        splits = read_splits(model)
    if ignore_mask is not None and not predictable:
        raise HyperSORTError(f"Without predictions there are no doubtful voxels to ignore. {missing}")
    dataset = None if ignore_mask is None else IgnoreMaskDataset.prepare(model, ignore_mask)

    evidence = _gather(model, styles.book, predictable, device=device, progress=progress)
    by_case = {
        case: {fold: found[case] for fold, found in evidence.items() if case in found}
        for case in known
        if any(case in found for found in evidence.values())
    }
    style_of = styles.book.style_of_cases()
    # These could have one; others are counted to the style that fits best.
    trained = styles.without_style.union(*(fold.record.case_ids for fold in model.folds))
    provisional = "; ".join(f"fold {fold}: {words}" for fold, words in model.provisional.items())
    cases = [
        summarise_case(case, found, style_of.get(case, "" if case in trained else None), provisional)
        for case, found in by_case.items()
    ]
    cases.sort(key=lambda case: (np.isnan(case.quality), -case.outlyingness, case.case))
    notes = tuple(
        note for note in (missing, *about_styles, *_about_stages(model), _about_folds(model, predictable)) if note
    )
    flags = flag_cases(cases, precision=precision, threshold=threshold)
    cases = [
        replace(case, flagged=bool(flagged), wrong_probability=float(chance))
        for case, flagged, chance in zip(cases, flags.flagged, flags.probabilities, strict=True)
    ]
    ranking = Ranking(tuple(cases), flags, model.path / RANKING_FILE, notes, model.provisional)
    flagged = [case.case for case in ranking.flagged]
    with printed_if_unsaved(lambda: format_ranking(ranking.cases)):
        write_ranking(ranking.file, ranking.cases)
        if splits is not None and exclude is not None:
            write_splits_without(exclude, splits, flagged)
    if dataset is not None:
        doubted = {case: {fold: f for fold, f in by_case[case].items() if f.latent is not None} for case in flagged}
        dataset.write(doubted, device=device, progress=progress)
    return ranking


def _known_cases(model: ModelFolder) -> list[str]:
    cases: set[str] = set()
    for fold in model.folds:
        cases.update(fold.record.case_ids, fold.validation_cases)
    return sorted(cases)


def _predictable_cases(model: ModelFolder, cases: Sequence[str]) -> tuple[set[str], str | None]:
    """The cases whose labels can be compared with predictions, and why that is not all."""
    not_compared = "not compared with predictions"
    if model.planned.configuration_manager.previous_stage_name is not None:
        return set(), f"In the second stage of a cascade labels are {not_compared}; rank the first stage instead."
    found = preprocessed_cases(model) & set(cases)
    missing = [case for case in cases if case not in found]
    if not missing:
        return found, None
    listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
    which = f"of {len(missing)} cases ({listed}) " if found else ""
    return found, (
        f"The preprocessed data {which}are gone, so labels were {not_compared}; for a better ranking set "
        f"nnUNet_preprocessed to the folder that holds {model.dataset_name}, or run nnUNetv2_preprocess again."
    )


def _gather(
    model: ModelFolder, book: StyleBook, predictable: set[str], *, device: str, progress: bool
) -> dict[str, dict[str, CaseEvidence]]:
    total = sum(len(predictable & {*fold.record.case_ids, *fold.validation_cases}) for fold in model.folds)
    with progress_bar(total, shown=progress) as bar:
        return {
            fold.name: gather_evidence(model, fold, book, predictable, device=device, done=bar.update)
            for fold in model.folds
        }


def _refuse_untrained_folds(model: ModelFolder) -> None:
    for fold in model.folds:
        if fold.progress.stage == Stage.NOTHING:
            raise HyperSORTError(
                f"Fold {fold.name} of {model.path} has visited no case yet, so nothing is known of its labels; train "
                f"on, or choose other folds with `-f`."
            )


def _about_stages(model: ModelFolder) -> list[str]:
    return [
        f"Fold {fold.name} is at {fold.progress}: which latents are isolated and which style a case has is not known "
        f"yet there; its cases are judged by their loss, and compared with one network for all."
        for fold in model.folds
        if not fold.progress.has_places
    ]


def _about_folds(model: ModelFolder, predictable: set[str]) -> str | None:
    if len(model.folds) > 1 or not model.folds[0].validation_cases:
        return None
    if not predictable & set(model.folds[0].validation_cases):
        return (
            f"Only fold {model.folds[0].name} was looked at: the {len(model.folds[0].validation_cases)} cases that it "
            f"held out are not ranked without predictions; train the other folds, or let it predict."
        )
    return (
        f"Only fold {model.folds[0].name} was looked at: cases that it held out are judged by its prediction alone, "
        f"and the others by no prediction that held them out; train the other folds for a better ranking."
    )
