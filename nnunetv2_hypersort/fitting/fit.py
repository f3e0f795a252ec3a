"""Fit the latent of new cases to their labels, with everything else frozen."""

import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files.locks import locked
from nnunetv2_hypersort.files.writable import printed_if_unsaved, require_writable
from nnunetv2_hypersort.fitting.fitted_latent import Fit, FittedLatent
from nnunetv2_hypersort.fitting.latent_search import LatentLoss, find_latent
from nnunetv2_hypersort.fitting.new_cases import NewCase, annotations_of, load_new_cases, with_ignore_label
from nnunetv2_hypersort.images.label_comparison import dice_per_label
from nnunetv2_hypersort.latents import FoldRecord, LatentChoice, Style, StyleBook, StyleInFold, choose_latents
from nnunetv2_hypersort.latents.density import typicality
from nnunetv2_hypersort.latents.styles_file import LOCK_SECONDS, STYLES_FILE, with_fitted_styles
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.planned_model import PlannedModel
from nnunetv2_hypersort.model.segmenter import FoldSegmenter
from nnunetv2_hypersort.model.trained_fold import TrainedFold
from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels
from nnunetv2_hypersort.nnunet.patches import labelled_patches
from nnunetv2_hypersort.trainers.base.annotation.batch_annotation import BatchAnnotation


def fit_latents(
    model_folder: str | os.PathLike[str],
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    *,
    shared: bool = False,
    partly_annotated: bool = False,
    annotated: Sequence[str] | None = None,
    case_ids: Sequence[str] | None = None,
    folds: Sequence[int | str] | None = None,
    checkpoint_name: str = "checkpoint_final.pth",
    device: str | torch.device = "cpu",
    beyond: float = 0.0,
    save_as: str | None = None,
    output: str | os.PathLike[str] | None = None,
) -> Fit:
    """Fit the latent of new cases to their labels: one latent for each case, or one for all.

    All weights are frozen. In each fold the latent of lowest nnU-Net loss (without augmentation and deep supervision)
    is searched within the range of the training latents, from the mode, the styles, the medoids of clusters and a
    coarse grid on; it is never worse than one of these.

    Args:
        model_folder: nnU-Net's trained-model folder, the one that holds `fold_0`.
        images: Folder with `CASE_0000.nii.gz`, ...
        labels: Folder with `CASE.nii.gz`, on the grids of the images. Voxels with the model's ignore label do not
            count.
        shared: One latent for all cases.
        partly_annotated: The value above the model's highest label is the ignore label, though the model declares none.
        annotated: Names of the labels or regions that the cases are annotated for; the others count nowhere. None: all,
            or what `annotated_labels` says in the dataset.json beside a folder labelsTr.
        case_ids: Only these cases.
        folds: Fold numbers, or `all`; None takes every numbered fold whose training is finished.
        checkpoint_name: File name of the checkpoint in each fold folder.
        device: `cpu`, `cuda` or another device of PyTorch.
        beyond: How far the search may leave the range of the training latents on each side, as a share of it; >= 0.
        save_as: Also make the latent a style of the model under this name, for `style:NAME`. Needs `shared`, or a
            single case.
        output: Also write `fit.json` and `fit.csv` into this folder, which must not exist.

    Returns:
        The latents, and the Dice of each case at the mode, at its best style and at the fitted latent.

    Raises:
        HyperSORTError: See `ModelFolder.open` and `load_new_cases`; a fold has not placed its latents
            yet; the name of the style cannot be used or exists, or there are several latents to save as one; the output
            folder exists or cannot be made.
    """
    if not 0 <= beyond < math.inf:
        raise HyperSORTError(f"`--beyond {beyond}` is not a share; give 0 or more, such as 0.25.")
    model = ModelFolder.open(model_folder, folds=folds, checkpoint_name=checkpoint_name)
    planned = with_ignore_label(model.planned) if partly_annotated else model.planned
    model.refuse_folds_without_places()
    book = with_fitted_styles(model.path, model.book)
    if save_as is not None:
        # Refused before the work is done, not after.
        require_writable(model.path)
        _with_fitted(book, Style(save_as, {}, origin="fitted"))
    if output is not None and Path(output).exists():
        raise HyperSORTError(f"{output} exists and is not written over; give another folder with `-o`.")
    # The densest latents, whatever styles were found: these are compared with them.
    modes = choose_latents(LatentChoice(), [fold.record for fold in model.folds])
    cases = load_new_cases(planned, images, labels, case_ids, annotated)
    known = annotations_of(planned, labels, [case.case_id for case in cases], annotated)
    if save_as is not None and len(cases) > 1 and not shared:
        raise HyperSORTError(
            f"Each of the {len(cases)} cases gets a latent of its own, and a style is one latent: fit one for all with "
            f"`--shared`, or choose one case with `--cases`."
        )
    _warn_of_training_cases(cases, model.folds)
    with nullcontext() if output is None else _new_folder(Path(output)):
        fitted = [
            latent
            for fold, mode in zip(model.folds, modes, strict=True)
            for latent in _FoldFit(model, planned, fold, book, mode.coordinates, known, device, beyond).fit(
                cases, shared=shared
            )
        ]
        fit = Fit(tuple(fitted), shared)
        if output is not None:
            with printed_if_unsaved(fit.markdown):
                fit.write(Path(output))
    if save_as is not None:
        records = {fold.record.fold: fold.record for fold in model.folds}
        places = {latent.fold: StyleInFold.of(records[latent.fold], latent.coordinates) for latent in fitted}
        with printed_if_unsaved(fit.markdown), locked(model.path / STYLES_FILE, wait=LOCK_SECONDS):
            # Read again: other styles may have been written during the fit.
            book = with_fitted_styles(model.path, model.book)
            model.write_book(_with_fitted(book, Style(save_as, places, origin="fitted")))
    return fit


class _FoldFit:
    """Fits latents in one fold."""

    def __init__(
        self,
        model: ModelFolder,
        planned: PlannedModel,
        fold: TrainedFold,
        book: StyleBook,
        mode: np.ndarray,
        known: AnnotatedLabels,
        device: str | torch.device,
        beyond: float,
    ) -> None:
        self._planned = planned
        self._labels = model.labels
        self._record = fold.record
        self._mode = mode
        self._beyond = beyond
        self._styles = {
            style.name: np.array(style.folds[fold.record.fold].coordinates)
            for style in book.styles
            if style.serves(fold.record)
        }
        self._segmenter = FoldSegmenter(model, fold, device)
        self._network = fold.network().to(device)
        self._known = known
        self._annotation = BatchAnnotation(known) if known.partly else None
        self._loss = planned.build_loss(self._annotation)

    def fit(self, cases: Sequence[NewCase], *, shared: bool) -> list[FittedLatent]:
        groups = [list(cases)] if shared else [[case] for case in cases]
        return [self._fit_together(group) for group in groups]

    def _fit_together(self, cases: Sequence[NewCase]) -> FittedLatent:
        dice: dict[str, dict[str, dict[str, float]]] = {case.case_id: {} for case in cases}
        patches = []
        for case in cases:
            dice[case.case_id]["mode"], foreground = self._segment(case, self._mode)
            assert case.image.segmentation is not None
            patches.append(labelled_patches(self._planned, case.image.data, case.image.segmentation, foreground))
        training = _drawn_latents(self._record)
        origin = np.zeros(training.shape[1])
        # Tuples as keys: a style may be called anything.
        candidates = {("mode", ""): self._mode, ("origin", ""): origin}
        candidates |= {("style", name): latent for name, latent in self._styles.items()}
        names = [case.case_id for case in cases]
        loss = LatentLoss(self._network, self._loss, patches, self._annotation, names)
        found = find_latent(loss, loss.with_gradient, candidates, training, beyond=self._beyond)
        losses = {"mode": found.candidates["mode", ""], "fitted": found.loss}
        best_style = min(self._styles, key=lambda name: found.candidates["style", name], default=None)
        compared = {"fitted": found.coordinates}
        if best_style is not None:
            compared["best_style"] = self._styles[best_style]
            losses["best_style"] = found.candidates["style", best_style]
        for kind, latent in compared.items():
            for case in cases:
                dice[case.case_id][kind] = self._segment(case, latent)[0]
        distances = {name: float(np.linalg.norm(found.coordinates - there)) for name, there in self._styles.items()}
        nearest = min(distances, key=lambda name: distances[name], default=None)
        return FittedLatent(
            fold=self._record.fold,
            cases=tuple(case.case_id for case in cases),
            coordinates=tuple(float(value) for value in found.coordinates),
            typicality=typicality(found.coordinates, training),
            nearest_style=nearest,
            distance=None if nearest is None else distances[nearest],
            best_style=best_style,
            loss=losses,
            dice=dice,
        )

    def _segment(self, case: NewCase, latent: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
        """Dice by label on the grid of the file, and the foreground on the preprocessed grid."""
        logits = self._segmenter.logits(case.image, latent)
        segmentation = np.asarray(self._planned.label_manager.convert_logits_to_segmentation(logits))
        on_image = self._segmenter.segmentation_on_image(logits, case.image)
        ignore = self._planned.label_manager.ignore_label
        dice = dice_per_label(on_image, case.reference, self._known.targets_of(case.case_id), ignore)
        return {label: dice.get(label, math.nan) for label in self._labels}, segmentation > 0


def _drawn_latents(record: FoldRecord) -> np.ndarray:
    # The latent of a case that was never visited is noise, as for the mode.
    return record.latents[record.visits > 0] if (record.visits > 0).sum() > 1 else record.latents


def _with_fitted(book: StyleBook, style: Style) -> StyleBook:
    if re.fullmatch(r"fold_.+_cluster_\d+", style.name):
        raise HyperSORTError(
            f"{style.name} is what `hypersort styles` calls a cluster of one fold; choose another name."
        )
    if style.name in book.names:
        raise HyperSORTError(
            f"The model has a style {style.name} already (its styles: {', '.join(book.names)}), which is not written "
            f"over; choose another name with `--save-as`."
        )
    return book.with_style(style)


def _warn_of_training_cases(cases: Sequence[NewCase], folds: Sequence[TrainedFold]) -> None:
    for fold in folds:
        seen = [case.case_id for case in cases if case.case_id in fold.record.case_ids]
        if seen:
            warnings.warn(
                f"Fold {fold.name} trained on cases called {', '.join(seen)}; if these are the same, their Dice is "
                f"that of training data.",
                stacklevel=3,
            )


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Make a folder before the work, which shows that it can be made, and remove it again if the work fails."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise HyperSORTError(f"{folder} cannot be made ({error}); give another folder with `-o`.") from error
    try:
        yield
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
