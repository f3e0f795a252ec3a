"""Find the annotation styles of a trained model, give them names over all folds, and say how they differ."""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.writable import printed_if_unsaved, require_writable
from nnunetv2_hypersort.images.reading import PIXEL_FORMATS
from nnunetv2_hypersort.latents import Style, StyleBook, StyleInFold, check_style_name, fold_order
from nnunetv2_hypersort.model.case_images import CaseImages
from nnunetv2_hypersort.model.fitted_book import changing_styles, with_fitted
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.styles.alignment import align_clusters
from nnunetv2_hypersort.styles.counterfactual import contrasts_of_styles
from nnunetv2_hypersort.styles.fold_clusters import FoldClusters
from nnunetv2_hypersort.styles.found_styles import FoundStyle, FoundStyles
from nnunetv2_hypersort.styles.label_volumes import describe_label_volumes, label_volumes
from nnunetv2_hypersort.styles.naming import name_styles
from nnunetv2_hypersort.styles.style_contrast import StyleContrast
from nnunetv2_hypersort.styles.style_latent import style_latent
from nnunetv2_hypersort.styles.votes import vote
from nnunetv2_hypersort.styles.wording import describe_contrast

STYLES_FILE = "styles.json"
"""Name of the file with the styles in the trained-model folder."""

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

    Writes `styles.json` into the trained-model folder and the styles into its `plans.json`, where predictions look for
    `style:NAME` and `cluster:K`. Fitted styles that stand there are kept.

    Args:
        model_folder: nnU-Net's trained-model folder, the one that holds `fold_0`, or that folder opened.
        folds: Fold numbers, or `all`; None takes all whose training is finished.
        checkpoint_name: File name of the checkpoint in each fold folder.
        cases: How many cases are segmented in each style for the descriptions, and at most twice as many for the latent
            of a style that leaves a label out (see `style_latent`); with 0, or where the images are gone, the training
            labels are compared instead.
        device: `cpu`, `cuda` or another device of PyTorch.

    Returns:
        The styles, as they were written.

    Raises:
        HyperSORTError: The folder is not that of a trained model, a fold is missing or not finished, the folds are of
            different trainings, or the files cannot be written.
    """
    if isinstance(model_folder, ModelFolder):
        model = model_folder
    else:
        model = ModelFolder.open(model_folder, folds=folds, checkpoint_name=checkpoint_name)
    require_writable(model.path)
    clusters = [FoldClusters.find(fold.record) for fold in model.folds]
    alignment = align_clusters(clusters)
    votes = vote(clusters, alignment.styles)
    book = with_fitted(model, model.book)
    taken = [style.name for style in book.styles if style.origin == "fitted"]
    names = name_styles(votes.cases, _earlier_styles(model), taken)
    styles = [
        _style(model, name, members, clusters, of_style, cases, device)
        for name, members, of_style in zip(names, votes.cases, alignment.styles, strict=True)
    ]
    styles.sort(key=lambda style: -len(style.cases))
    of_fold = {fold.fold: fold for fold in clusters}
    styles += [
        _style(
            model,
            f"fold_{fold}_cluster_{number}",
            of_fold[fold].cases_of(number),
            clusters,
            {fold: number},
            cases,
            device,
        )
        for fold, number in alignment.unmatched
    ]
    # Votes mean nothing where the folds do not speak of the same styles.
    undecided = votes.undecided if alignment.consistent else ()
    described, described_from = _described(model, styles, clusters, cases, device)
    found = FoundStyles(
        folds=tuple(fold.name for fold in model.folds),
        styles=described,
        alignment=alignment,
        outliers=votes.outliers,
        undecided=undecided,
        described_from=described_from,
    )
    known = {fold for style in book.styles if style.origin == "clusters" for fold in style.folds}
    left_out = sorted(known - set(found.folds), key=fold_order)
    if left_out:
        warnings.warn(
            f"The styles no longer serve fold {', '.join(left_out)} of {model.path}, which was not looked at; run this "
            f"again with all folds to predict, rank or export with those.",
            stacklevel=2,
        )
    try:
        with printed_if_unsaved(found.to_text), changing_styles(model):
            # Read again: a style may have been fitted meanwhile.
            book = with_fitted(model, StyleBook.read(model.path / "plans.json"))
            write_json(model.path / STYLES_FILE, found.to_json())
            model.write_book(found.in_book(book))
    except OSError as error:
        raise HyperSORTError(
            f"The styles cannot be written into {model.path} ({error}); make the folder writable and run this again."
        ) from error
    return found


def _style(
    model: ModelFolder,
    name: str,
    members: Sequence[str],
    clusters: Sequence[FoldClusters],
    of_style: Mapping[str, int],
    cases: int,
    device: str | torch.device,
) -> Style:
    there = {}
    for of_fold in clusters:
        if of_fold.fold in of_style:
            fold, cluster = model.fold(of_fold.fold), of_style[of_fold.fold]
            latent = style_latent(model, fold, of_fold, cluster, cases=2 * cases, device=device)
            there[of_fold.fold] = StyleInFold(
                tuple(latent.tolist()), of_fold.medoids[cluster], fold.record.fingerprint, cluster
            )
    return Style(name, there, tuple(members))


def _earlier_styles(model: ModelFolder) -> dict[str, tuple[str, ...]]:
    # A training start rewrites plans.json, so names are taken from our own file; a damaged one is replaced.
    file = Path(model.path / STYLES_FILE)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        unmatched = content["unmatched"]
        styles = {
            str(style["name"]): tuple(style["cases"]) for style in content["styles"] if style["name"] not in unmatched
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    try:
        for name in styles:
            check_style_name(name)
    except HyperSORTError as error:
        # Users rename styles there: a name that was meant is not thrown away.
        raise HyperSORTError(f"{file}: {error}") from error
    return styles


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
            unit = "pixels" if str(model.dataset_json.get("file_ending", "")).lower() in PIXEL_FORMATS else "mm"
            words = {pair: describe_contrast(contrast, unit) for pair, contrast in contrasts.items()}
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
