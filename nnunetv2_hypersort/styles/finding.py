"""Find the annotation styles of a trained model, give them names over all folds, and say how they differ."""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.locks import locked
from nnunetv2_hypersort.files.writable import printed_if_unsaved, require_writable
from nnunetv2_hypersort.images.reading import length_unit
from nnunetv2_hypersort.latents import Style, fold_order
from nnunetv2_hypersort.latents.styles_file import (
    LOCK_SECONDS,
    STYLES_FILE,
    set_styles_aside,
    styles_to_keep,
    with_fitted_styles,
)
from nnunetv2_hypersort.model.case_images import CaseImages
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.styles.certainty import Certainty, first_axis
from nnunetv2_hypersort.styles.clustering import FoldClusters
from nnunetv2_hypersort.styles.counterfactual import contrast_of_latents, contrasts_of_styles
from nnunetv2_hypersort.styles.found_styles import FoundStyle, FoundStyles
from nnunetv2_hypersort.styles.grouping import group_styles
from nnunetv2_hypersort.styles.label_volumes import describe_label_volumes, label_volumes
from nnunetv2_hypersort.styles.style_contrast import StyleContrast
from nnunetv2_hypersort.styles.style_latent import style_latent
from nnunetv2_hypersort.styles.wording import describe_contrast

_MOST_COMPARED = 3
_Pair = tuple[str, str]


def find_styles(
    model_folder: ModelFolder | str | os.PathLike[str],
    *,
    folds: Sequence[int | str] | None = None,
    checkpoint_name: str = "checkpoint_final.pth",
    cases: int = 8,
    device: str | torch.device = "cpu",
) -> FoundStyles:
    """Cluster the latents of each fold, match the clusters over folds, describe the styles, and write them down.

    Writes `styles.json` into the trained-model folder and from there the styles into its `plans.json`, where nnU-Net's
    predictor looks for `style:NAME` and `cluster:K`. Fitted styles that stand there are kept.

    Args:
        model_folder: nnU-Net's trained-model folder, the one that holds `fold_0`, or that folder opened.
        folds: Fold numbers, or `all`; None takes all whose training is finished. One that was asked for and is not
            finished, or all where none is, is taken at its newest checkpoint, and the styles are marked as provisional.
        checkpoint_name: File name of the checkpoint in each fold folder.
        cases: How many cases are segmented in each style for the descriptions, and at most twice as many for the latent
            of a style that leaves a label out (see `style_latent`); with 0, or where the images are gone, the training
            labels are compared instead.
        device: `cpu`, `cuda` or another device of PyTorch.

    Returns:
        The styles, as they were written.

    Raises:
        HyperSORTError: The folder is not that of a trained model, a fold is missing, no fold has placed its latents
            yet, the folds are of different trainings, a name in `styles.json` cannot be that of a style, or the files
            cannot be written.
    """
    if isinstance(model_folder, ModelFolder):
        model = model_folder
    else:
        model = ModelFolder.open(model_folder, folds=folds, checkpoint_name=checkpoint_name, unfinished=True)
    require_writable(model.path)
    model = model.with_places()
    kept, damaged = styles_to_keep(model.path)
    book = kept.book
    earlier = {
        style.name: style.cases
        for style in book.styles
        if style.origin == "clusters" and style.name not in kept.unmatched
    }
    taken = [style.name for style in book.styles if style.origin == "fitted"]
    grouping = group_styles([fold.record for fold in model.folds], earlier, taken)
    styles = [_with_latents(model, style, grouping.clusters, cases, device) for style in grouping.styles]
    described, described_from = _described(model, styles, grouping.clusters, cases, device)
    certainty = [Certainty.of(fold.record, one) for fold, one in zip(model.folds, grouping.clusters, strict=True)]
    found = FoundStyles(
        folds=tuple(fold.name for fold in model.folds),
        styles=described,
        alignment=grouping.alignment,
        outliers=grouping.outliers,
        undecided=grouping.undecided,
        described_from=described_from,
        provisional=model.provisional,
        certainty=tuple(_with_change(model, one, cases, device) for one in certainty),
    )
    known = {fold for style in book.styles if style.origin == "clusters" for fold in style.folds}
    left_out = sorted(known - set(found.folds), key=fold_order)
    if left_out:
        warnings.warn(
            f"The styles no longer serve fold {', '.join(left_out)} of {model.path}, which was not looked at; run this "
            f"again with all folds to predict, rank or export with those.",
            stacklevel=2,
        )
    for problem in damaged:
        warnings.warn(f"{problem} What could be read elsewhere is kept.", stacklevel=2)
    try:
        with printed_if_unsaved(found.to_text), locked(model.path / STYLES_FILE, wait=LOCK_SECONDS):
            # Read again: a style may have been fitted meanwhile.
            new = found.in_book(with_fitted_styles(model.path, book))
            if any(str(model.path / STYLES_FILE) in problem for problem in damaged):
                # Someone may have written into it.
                set_styles_aside(model.path)
            model.write_book(new, found.to_json(new))
    except OSError as error:
        raise HyperSORTError(
            f"The styles cannot be written into {model.path} ({error}); make the folder writable and run this again."
        ) from error
    return found


def _with_latents(
    model: ModelFolder, style: Style, clusters: Sequence[FoldClusters], cases: int, device: str | torch.device
) -> Style:
    of_fold = {one.fold: one for one in clusters}
    there = {}
    for fold, medoid in style.folds.items():
        assert medoid.cluster is not None
        latent = style_latent(model, model.fold(fold), of_fold[fold], medoid.cluster, cases=2 * cases, device=device)
        there[fold] = replace(medoid, coordinates=tuple(latent.tolist()))
    return replace(style, folds=there)


def _with_change(model: ModelFolder, certainty: Certainty, cases: int, device: str | torch.device) -> Certainty:
    if certainty.told_apart is None or cases < 1:
        return certainty
    fold = model.fold(certainty.fold)
    centre, axis, spread = first_axis(fold.record.latents[fold.record.visits > 0])
    half = certainty.told_apart * spread / 2 * axis
    images = CaseImages.find(model)
    try:
        contrast = contrast_of_latents(
            model, fold, images, (centre + half).tolist(), (centre - half).tolist(), cases=cases, device=device
        )
    except HyperSORTError as error:
        return replace(certainty, change=f"unknown, as the images could not be segmented: {error}")
    ratio = contrast.shared["volume_ratio"].median if contrast.cases and "volume_ratio" in contrast.shared else None
    return replace(
        certainty,
        volume_ratio=ratio,
        change=describe_contrast(contrast, length_unit(model.dataset_json.get("file_ending"))),
    )


def _described(
    model: ModelFolder,
    styles: Sequence[Style],
    clusters: Sequence[FoldClusters],
    cases: int,
    device: str | torch.device,
) -> tuple[tuple[FoundStyle, ...], str]:
    contrasts: dict[_Pair, StyleContrast] = {}
    by_fold: dict[_Pair, str] = {}
    words: dict[_Pair, str] = {}
    images = CaseImages.find(model)
    described_from = ""
    try:
        if len(styles) > 1 and cases > 0:
            contrasts, by_fold = contrasts_of_styles(model, images, styles, cases=cases, device=device)
            words = {
                pair: describe_contrast(contrast, length_unit(model.dataset_json.get("file_ending")))
                for pair, contrast in contrasts.items()
            }
            described_from = (
                f"Described from the same images segmented in each style (up to {cases}, by fold "
                f"{', '.join(sorted(set(by_fold.values())))})."
            )
    except HyperSORTError as error:
        described_from = f"The images could not be segmented in each style: {error} "
    if len(styles) > 1 and not described_from.startswith("Described"):
        try:
            volumes = label_volumes(images, styles)
        except HyperSORTError as error:
            volumes = {}
            described_from += f"{error} "
        words = {
            (one, two): describe_label_volumes(ours, theirs)
            for one, ours in volumes.items()
            for two, theirs in volumes.items()
            if one != two
        }
        described_from += (
            "Described from the training labels, which are of different patients in each style: volumes only."
            if volumes
            else "Not described: the training labels are gone as well; set nnUNet_preprocessed or nnUNet_raw."
        )
    sizes = {fold.fold: fold for fold in clusters}
    found = [
        FoundStyle(
            style,
            {fold: len(sizes[fold].cases_of(int(there.cluster or 0))) for fold, there in style.folds.items()},
            _description(style.name, [other.name for other in styles], words),
            {two: contrast for (one, two), contrast in contrasts.items() if one == style.name},
            {two: fold for (one, two), fold in by_fold.items() if one == style.name},
        )
        for style in styles
    ]
    return tuple(found), described_from


def _description(name: str, names: Sequence[str], words: Mapping[_Pair, str]) -> str:
    if len(names) == 1:
        return "The only style: the latents show no structure beyond one cluster."
    others = [other for other in names if (name, other) in words]
    # All are compared with the most common style, and that one with the others.
    is_largest = bool(others) and names.index(name) < names.index(others[0])
    compared = others[:_MOST_COMPARED] if is_largest else others[:1]
    said = [f"Compared with {other}: {words[name, other]}." for other in compared]
    return " ".join(["The most common style.", *said] if is_largest else said) or "Not described."
