"""What one fold says about the labels of the cases that it trained on, and of those that it did not."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from nnunetv2_hypersort.latents import StyleBook
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.trained_fold import TrainedFold
from nnunetv2_hypersort.ranking.quality import outlying_disagreement, outlyingness
from nnunetv2_hypersort.ranking.style_fit import StyleFit, fit_styles
from nnunetv2_hypersort.styles.known_styles import StylesOfFold, styles_of_fold


@dataclass(frozen=True)
class CaseEvidence:
    """What one fold says about the label of one case. Numbers are not-a-number where unknown.

    Attributes:
        held_out: Whether the fold did not train on it.
        best_style: The name of the style that fits best; empty without a prediction, or where the fold's styles have
            no names.
        loss: Running mean of its training loss.
        fit: How well the best of the fold's styles fits; None without a prediction.
        latent: The latent of that style, shape (dim,); None without a prediction.
        loss_z: Outlyingness of the loss, in robust standard deviations.
        isolation_z: The same of the isolation of its latent.
        disagreement_z: The same of 1 - agreement.
    """

    held_out: bool
    best_style: str
    loss: float
    fit: StyleFit | None
    latent: np.ndarray | None
    loss_z: float
    isolation_z: float
    disagreement_z: float


def gather_evidence(
    model: ModelFolder,
    fold: TrainedFold,
    book: StyleBook,
    predictable: Collection[str],
    *,
    device: str,
    done: Callable[[], object],
) -> dict[str, CaseEvidence]:
    """Look at all cases of the split from one fold.

    Args:
        model: The model.
        fold: One of its folds.
        book: The styles of the model.
        predictable: The cases whose preprocessed images are there.
        device: Where to predict.
        done: Called after each prediction of a case.

    Returns:
        The evidence by case: all training cases, and those of the held-out cases that are predictable.

    Raises:
        HyperSORTError: A case cannot be read, or the checkpoint does not fit the plans.
    """
    record, has_places = fold.record, fold.progress.has_places
    styles = _styles(fold, book)
    held_out_cases = [case for case in fold.validation_cases if case in predictable]
    wanted = [case for case in record.case_ids if case in predictable] + held_out_cases
    fits = fit_styles(model, fold, list(styles.latents), wanted, device=device, done=done) if wanted else {}
    disagreement = np.array([_disagreement(fits.get(case)) for case in record.case_ids])
    # Cases of no style, too, are compared with those of one.
    nearest = np.linalg.norm(record.latents[:, None] - styles.latents[None], axis=2).argmin(1)
    by_latent = [styles.numbers.get(case, int(nearest[row])) for row, case in enumerate(record.case_ids)]
    groups = [fits[case].style if case in fits else by_latent[row] for row, case in enumerate(record.case_ids)]
    parts = outlyingness(record.latents if has_places else None, fold.losses, groups, disagreement)

    def evidence(case: str, *, held_out: bool, loss: float, z: tuple[float, float, float]) -> CaseEvidence:
        fit = fits.get(case)
        name = styles.names[fit.style] if fit is not None and styles.names else ""
        return CaseEvidence(held_out, name, loss, fit, None if fit is None else styles.latents[fit.style], *z)

    found = {
        case: evidence(
            case,
            held_out=False,
            loss=float(fold.losses[row]),
            z=(float(parts.loss[row]), float(parts.isolation[row]), float(parts.disagreement[row])),
        )
        for row, case in enumerate(record.case_ids)
    }
    held_out = [case for case in held_out_cases if case in fits]
    outlying = outlying_disagreement(
        [_disagreement(fits[case]) for case in held_out],
        [fits[case].style for case in held_out],
        among=(disagreement, groups),
    )
    for case, z in zip(held_out, outlying, strict=True):
        found[case] = evidence(case, held_out=True, loss=math.nan, z=(math.nan, math.nan, float(z)))
    return found


def _styles(fold: TrainedFold, book: StyleBook) -> StylesOfFold:
    found = styles_of_fold(book, fold.record) if fold.progress.has_places else None
    if found is None or not len(found.latents):
        # One network is all that there is to compare with.
        return StylesOfFold((), fold.record.mode()[1][None], {})
    return found


def _disagreement(fit: StyleFit | None) -> float:
    return math.nan if fit is None else 1 - fit.agreement
