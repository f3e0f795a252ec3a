"""nnU-Net's final validation of a fold, with one latent."""

from pathlib import Path
from typing import Any

from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder, save_summary_json

from nnunetv2_hypersort.files import atomic_path
from nnunetv2_hypersort.files.progress import tracked
from nnunetv2_hypersort.files.workers import count_processes
from nnunetv2_hypersort.latents import ChosenLatent
from nnunetv2_hypersort.model.segmenter import FoldSegmenter
from nnunetv2_hypersort.model.trained_fold import TrainedFold
from nnunetv2_hypersort.model.training_data import TrainingData
from nnunetv2_hypersort.trainers.base.annotation.known_scores import known_scores

SUMMARY_FILE = "summary.json"


def cases_to_validate(fold: TrainedFold) -> tuple[str, ...]:
    """The cases that a fold did not train on; as in nnU-Net its training cases where it trained on all."""
    return fold.validation_cases or (fold.record.case_ids if fold.name == "all" else ())


def validate_fold(
    fold: TrainedFold,
    latent: ChosenLatent,
    data: TrainingData,
    folder: Path,
    *,
    device: str,
    num_processes: int | None = None,
    progress: bool = True,
) -> float:
    """Segment the validation cases of a fold with a latent and write nnU-Net's `summary.json` beside them.

    Cases that are in the folder already are not segmented again.

    Args:
        fold: The fold.
        latent: One of its latents.
        data: The training data.
        folder: Folder for the segmentations and the summary.
        device: `cpu`, `cuda` or another device of PyTorch.
        num_processes: Worker processes that compare; default: nnU-Net's nnUNet_def_n_proc, at most one per CPU core.
        progress: Whether to show a progress bar on standard error.

    Returns:
        The mean foreground Dice, in [0, 1]; of what the cases are annotated for.

    Raises:
        HyperSORTError: An image or label is gone or cannot be read, or the model is the second stage of a cascade.
    """
    model, cases = data.model, cases_to_validate(fold)
    segmenter = FoldSegmenter(model, fold, device)
    ending = model.dataset_json["file_ending"]
    for case_id in tracked(cases, f"fold {fold.name}", shown=progress):
        target = folder / f"{case_id}{ending}"
        if not target.exists():
            image = data.image(case_id)
            segmenter.write_segmentation(segmenter.segment_image(image, latent.coordinates), image, target)
    labels = model.planned.label_manager
    results: dict[str, Any] = compute_metrics_on_folder(
        str(data.labels),
        str(folder),
        None,
        model.planned.plans_manager.image_reader_writer_class(),
        ending,
        labels.foreground_regions if labels.has_regions else labels.foreground_labels,
        labels.ignore_label,
        num_processes=count_processes(len(cases), num_processes),
    )
    if model.annotated.partly:
        results = known_scores(results, model.annotated, ending)
    for entry in results["metric_per_case"]:
        # The folders are those of this machine, and the exported one is yet to get its name.
        for file in ("reference_file", "prediction_file"):
            entry[file] = Path(entry[file]).name
    seen = " These cases were training data." if not fold.validation_cases else ""
    results["note"] = (
        f"The labels as they are, of several annotation styles, were compared with predictions in one "
        f"({latent.origin}): this Dice tells how well that style fits the mixture, not how well the model "
        f"segments.{seen}"
    )
    _save(results, folder)
    return float(results["foreground_mean"]["Dice"])


def write_no_validation(folder: Path) -> None:
    """Write a `summary.json` that holds no results and says so; nnU-Net packs no model without one."""
    note = "Not validated: the predictions of this style were compared with no labels."
    _save({"foreground_mean": {}, "mean": {}, "metric_per_case": [], "note": note}, folder)


def _save(results: dict[str, Any], folder: Path) -> None:
    with atomic_path(folder / SUMMARY_FILE) as temporary:
        save_summary_json(results, str(temporary))
