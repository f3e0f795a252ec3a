"""What one fold says about the labels of the cases that it trained on, and of those that it did not."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.trained_fold import TrainedFold
from nnunetv2_hypersort.ranking.quality import outlying_disagreement, outlyingness
from nnunetv2_hypersort.ranking.style_fit import StyleFit, fit_styles
from nnunetv2_hypersort.styles.clustering import find_clusters


@dataclass(frozen=True)
class CaseEvidence:
    """What one fold says about the label of one case. Numbers are not-a-number where unknown.

    Attributes:
        held_out: Whether the fold did not train on it.
        cluster: The cluster of its latent, -1 if it is in none; of a held-out case the style that fits best, -1 if
            that is unknown.
        loss: Running mean of its training loss.
        fit: How well the best of the fold's styles fits; None without a prediction.
        latent: The latent of that style, shape (dim,); None without a prediction.
        loss_z: Outlyingness of the loss, in robust standard deviations.
        isolation_z: The same of the isolation of its latent.
        disagreement_z: The same of 1 - agreement.
    """

    held_out: bool
    cluster: int
    loss: float
    fit: StyleFit | None
    latent: np.ndarray | None
    loss_z: float
    isolation_z: float
    disagreement_z: float


def gather_evidence(
    model: ModelFolder, fold: TrainedFold, predictable: Collection[str], *, device: str, done: Callable[[], object]
) -> dict[str, CaseEvidence]:
    """Look at all cases of the split from one fold.

    Args:
        model: The model.
        fold: One of its folds.
        predictable: The cases whose preprocessed images are there.
        device: Where to predict.
        done: Called after each prediction of a case.

    Returns:
        The evidence by case: all training cases, and those of the held-out cases that are predictable.

    Raises:
        HyperSORTError: A case cannot be read, or the checkpoint does not fit the plans.
    """
    record = fold.record
    drawn = np.flatnonzero(record.visits > 0) if record.visits.any() else np.arange(len(record.case_ids))
    clusters = find_clusters(record.latents[drawn])
    centres = record.latents[drawn][list(clusters.medoids)]
    labels = np.full(len(record.case_ids), -1)
    labels[drawn] = clusters.labels
    held_out_cases = [case for case in fold.validation_cases if case in predictable]
    wanted = [case for case in record.case_ids if case in predictable] + held_out_cases
    fits = fit_styles(model, fold, list(centres), wanted, device=device, done=done) if wanted else {}
    disagreement = np.array([_disagreement(fits.get(case)) for case in record.case_ids])
    # Cases of no cluster, too, are compared with those of a style.
    nearest = np.linalg.norm(record.latents[:, None] - centres[None], axis=2).argmin(1)
    by_latent = np.where(labels >= 0, labels, nearest)
    styles = [fits[case].style if case in fits else by_latent[row] for row, case in enumerate(record.case_ids)]
    parts = outlyingness(record.latents, fold.losses, styles, disagreement)
    evidence = {
        case: CaseEvidence(
            False,
            int(labels[row]),
            float(fold.losses[row]),
            fits.get(case),
            centres[fits[case].style] if case in fits else None,
            float(parts.loss[row]),
            float(parts.isolation[row]),
            float(parts.disagreement[row]),
        )
        for row, case in enumerate(record.case_ids)
    }
    held_out = [case for case in held_out_cases if case in fits]
    outlying = outlying_disagreement(
        [_disagreement(fits[case]) for case in held_out],
        [fits[case].style for case in held_out],
        among=(disagreement, styles),
    )
    for case, z in zip(held_out, outlying, strict=True):
        fit = fits[case]
        evidence[case] = CaseEvidence(True, fit.style, math.nan, fit, centres[fit.style], math.nan, math.nan, float(z))
    return evidence


def _disagreement(fit: StyleFit | None) -> float:
    return math.nan if fit is None else 1 - fit.agreement
