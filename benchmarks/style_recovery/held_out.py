"""Predictions of a trained run on other cases, with nnU-Net's predictor, and their scores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.nnunet_runs.predicting import predict_cases
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.style_recovery.datasets import labels_in_style
from benchmarks.style_recovery.protocol import Run
from benchmarks.style_recovery.softmin import softmin_score
from nnunetv2_hypersort.evaluation import METRICS
from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.evaluation.scoring import score_cases
from nnunetv2_hypersort.nnunet.dataset_json import DatasetJson
from nnunetv2_hypersort.nnunet.raw_dataset import open_dataset, read_labels

SCORES = ("DSC", "HD95", "NSD")
NSD_TOLERANCE_MM = 1.0


def predict(
    workplace: Workplace,
    run: Run,
    model_folder: Path,
    cases: Sequence[str],
    output: Path,
    *,
    latent: str | None,
    save_probabilities: bool = False,
) -> None:
    """Segment cases of the run's dataset; see `predict_cases`."""
    predict_cases(
        workplace.raw / run.dataset,
        cases,
        model_folder,
        output,
        fold=run.fold,
        latent=latent,
        save_probabilities=save_probabilities,
    )


def score(workplace: Workplace, run: Run, predictions: Path, cases: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Score predictions against the labels of every style: `{style: {case: [DSC, HD95, NSD]}}`.

    Each number is the mean over the labels that are in the reference or in the prediction: what a style leaves out
    counts only where it is predicted all the same, and then as the evaluation's conventions have it.
    """
    dataset = DatasetJson.read(workplace.raw / run.dataset / "dataset.json")
    columns = [METRICS.index(metric) for metric in SCORES]
    result = {}
    for style in run.mixture.styles:
        folder = labels_in_style(workplace, run, style)
        files = [
            Case(case, folder / f"{case}{dataset.file_ending}", (predictions / f"{case}{dataset.file_ending}",))
            for case in cases
        ]
        scores, _, _ = score_cases(
            files,
            labels=dataset.labels,
            reader=dataset.reader(files[0].reference),
            nsd_tolerances=[NSD_TOLERANCE_MM] * len(dataset.labels.structures),
            num_processes=1,
            progress=False,
        )
        result[style] = {
            case: [float(value) for value in np.nanmean([found.values for found in structures], axis=0)[columns]]
            for case, structures in zip(cases, scores[0], strict=True)
        }
    return result


def score_labels_by_softmin(
    workplace: Workplace, run: Run, predictions: Path, cases: Sequence[str]
) -> dict[str, float]:
    """cleanlab's softmin score of the training labels of cases that the run did not train on."""
    raw = open_dataset(workplace.raw / run.dataset)
    scores = {}
    for case in cases:
        probabilities: NDArray[np.floating] = np.load(predictions / f"{case}.npz")["probabilities"]
        scores[case] = softmin_score(read_labels(raw.cases[case].label, raw.content, raw.table).labels, probabilities)
    return scores
