"""The scores that are to rank wrong labels first: ours and what users would do instead. Higher = more likely wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn.covariance import MinCovDet
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler

from benchmarks.mask_statistics import mask_table
from benchmarks.nnunet_runs.record import TrainingRecord
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery.protocol import Run

Reals = NDArray[np.floating[Any]]
NEIGHBOUR = 5

OURS = "rank"
ISOLATION = "latent_distance"
OWN_LOSS = "loss_hypersort"
PLAIN_LOSS = "loss_plain"
SOFTMIN = "softmin"
MAHALANOBIS = "mask_mahalanobis"
FOREST = "mask_isolation_forest"
SCORES = (OURS, OWN_LOSS, ISOLATION, PLAIN_LOSS, SOFTMIN, MAHALANOBIS, FOREST)
BASELINES = (ISOLATION, PLAIN_LOSS, SOFTMIN, MAHALANOBIS, FOREST)


def isolation(latents: Reals) -> Reals:
    """Distance of each latent to the 5th nearest other one, shape (n,)."""
    distances, _ = cKDTree(latents).query(latents, k=[min(NEIGHBOUR, len(latents) - 1) + 1])
    return np.asarray(distances[:, 0])


def mask_features(workplace: Workplace, run: Run, cases: Sequence[str]) -> Reals:
    """The mask statistics of the training labels of a run's dataset, standardised, shape (n, features)."""
    return np.asarray(StandardScaler().fit_transform(mask_table(workplace.raw / run.dataset, cases)))


def mahalanobis(features: Reals, seed: int) -> Reals:
    """Robust Mahalanobis distance (minimum covariance determinant, Rousseeuw and Van Driessen 1999), shape (n,)."""
    # A part of the features depends on the others; in their principal directions the covariance can be inverted. The
    # estimator wants five cases per direction.
    centred = features - features.mean(0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    kept = np.flatnonzero(values > 1e-6 * values[0])[: max(1, len(features) // 5)]
    points = centred @ directions[kept].T
    return np.asarray(MinCovDet(random_state=seed).fit(points).mahalanobis(points))


def isolation_forest(features: Reals, seed: int) -> Reals:
    """Anomaly score of an isolation forest (Liu, Ting and Zhou 2008), shape (n,)."""
    return -np.asarray(IsolationForest(n_estimators=500, random_state=seed).fit(features).score_samples(features))


def all_scores(
    workplace: Workplace,
    run: Run,
    record: TrainingRecord,
    *,
    ranking: Mapping[str, float],
    plain: TrainingRecord | None,
    softmin: Mapping[str, float],
) -> dict[str, Reals]:
    """Every score of the training cases of a HyperSORT run; those whose runs are not finished are missing.

    Args:
        workplace: Where.
        run: The HyperSORT run.
        record: Its record, whose cases give the order.
        ranking: What `hypersort rank` says by case, higher = worse; empty if not finished.
        plain: The record of plain nnU-Net on the same labels, if finished.
        softmin: cleanlab's score by case, empty if not finished.
    """
    scores = {OWN_LOSS: record.losses, ISOLATION: isolation(record.latents)}
    if set(ranking) >= set(record.cases):
        scores[OURS] = np.asarray([ranking[case] for case in record.cases])
    if plain is not None:
        losses = dict(zip(plain.cases, plain.losses, strict=True))
        scores[PLAIN_LOSS] = np.asarray([losses[case] for case in record.cases])
    if set(softmin) >= set(record.cases):
        scores[SOFTMIN] = np.asarray([-softmin[case] for case in record.cases])
    features = mask_features(workplace, run, record.cases)
    scores[MAHALANOBIS] = mahalanobis(features, run.seed)
    scores[FOREST] = isolation_forest(features, run.seed)
    # A case that was never visited, in a very short run, has no loss.
    return {name: np.nan_to_num(values) for name, values in scores.items()}
