"""Segment the training cases anew in one style, each by a fold that did not train on it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_hypersort import __version__
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.evaluation.cases import Case
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.claiming import claimed_folder
from nnunetv2_hypersort.files.progress import tracked
from nnunetv2_hypersort.files.workers import count_processes
from nnunetv2_hypersort.handover.account import latent_account
from nnunetv2_hypersort.handover.label_changes import LabelChange, compare_labels, summarise_changes, write_changes
from nnunetv2_hypersort.images.reading import reader_for
from nnunetv2_hypersort.latents import ChosenLatent, LatentChoice, choose_latents, fold_order
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import preprocess_files
from nnunetv2_hypersort.model.segmenter import FoldSegmenter
from nnunetv2_hypersort.model.trained_fold import TrainedFold
from nnunetv2_hypersort.model.training_data import open_raw_dataset
from nnunetv2_hypersort.model.training_splits import splits_or_none
from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels, entries_for
from nnunetv2_hypersort.nnunet.linked_files import link_images
from nnunetv2_hypersort.nnunet.raw_dataset import RawDataset, check_dataset_name
from nnunetv2_hypersort.nnunet.splits import SPLITS_FILE

RECORD_FILE = "harmonise.json"
CHANGES_FILE = "changes.csv"


@dataclass(frozen=True)
class HarmonisedDataset:
    """A raw dataset whose labels are all of one style.

    Attributes:
        folder: The new raw dataset.
        latents: The latent of each fold that segmented.
        changes: Old against new, those that changed most first.
        left_out: Cases of the raw dataset that the model does not know, as they came later.
    """

    folder: Path
    latents: tuple[ChosenLatent, ...]
    changes: tuple[LabelChange, ...]
    left_out: tuple[str, ...]

    @property
    def markdown(self) -> str:
        """What changed, in short."""
        return summarise_changes(self.changes)


def harmonise_labels(
    model_folder: str | os.PathLike[str],
    style: str,
    destination: str | os.PathLike[str],
    *,
    folds: Sequence[int | str] | None = None,
    checkpoint_name: str = "checkpoint_final.pth",
    device: str = "cpu",
    num_processes: int | None = None,
    progress: bool = True,
) -> HarmonisedDataset:
    """Write the raw dataset of a model anew, with the labels that its folds give their held-out cases in one style.

    Labels are segmented on the grids of the images; those that a case is not annotated for stay unknown. Images are
    hard-linked where the file system allows, else copied;
    test cases do not come along. Every file is whole or absent, `dataset.json` comes last, and the same call goes on
    where an interrupted one stopped.

    Args:
        model_folder: nnU-Net's trained-model folder, the one that holds `fold_0`.
        style: Name of the style.
        destination: Folder to be written, named DatasetXXX_Name.
        folds: The folds that may segment; None takes all that are trained.
        checkpoint_name: File name of the checkpoint in each fold folder.
        device: `cpu`, `cuda` or another device of PyTorch.
        num_processes: Worker processes that compare old and new labels; default: nnU-Net's nnUNet_def_n_proc, at most
            one per CPU core.
        progress: Whether to show progress bars on standard error.

    Returns:
        What was written.

    Raises:
        HyperSORTError: The model cannot be opened, a case has no trained fold that did not train on it, the style is
            unknown, not in all of the folds or of other checkpoints, the raw data are gone, or the destination holds
            something else.
        OSError: The destination cannot be written to.
    """
    destination = Path(destination).resolve()
    check_dataset_name(destination)
    if (destination / "dataset.json").exists():
        raise HyperSORTError(f"{destination} is a dataset already; move it away or choose another folder.")
    model = ModelFolder.open(model_folder, folds=folds, checkpoint_name=checkpoint_name)
    model.refuse_folds_without_places()
    model.book.find(style)
    fold_of = held_out_folds(model)
    serving = [fold for fold in model.folds if fold.name in fold_of.values()]
    choice = LatentChoice.parse(f"style:{style}")
    latents = choose_latents(choice, [fold.record for fold in serving], model.book)
    raw = open_raw_dataset(model)
    _refuse_missing_cases(fold_of, raw)
    description = _describe(model, style, serving, latents)
    with claimed_folder(destination, RECORD_FILE, description, of="model, style, folds or checkpoint"):
        link_images(raw, destination, sorted(fold_of))
        for fold, latent in zip(serving, latents, strict=True):
            cases = sorted(case_id for case_id, name in fold_of.items() if name == fold.name)
            _segment(
                model,
                fold,
                latent,
                {case_id: raw.cases[case_id].images for case_id in cases},
                raw.annotated,
                destination,
                device,
                progress,
            )
        compared = [
            Case(case_id, raw.cases[case_id].label, (destination / "labelsTr" / f"{case_id}{raw.file_ending}",))
            for case_id in sorted(fold_of)
        ]
        changes = compare_labels(
            compared,
            fold_of,
            raw.table,
            reader_for(raw.content, compared[0].reference),
            raw.annotated,
            num_processes=count_processes(len(compared), num_processes),
            progress=progress,
        )
        write_changes(destination / CHANGES_FILE, changes)
        splits = splits_or_none(model, sorted(fold_of))
        if splits is not None:
            write_json(destination / SPLITS_FILE, splits)
        content = entries_for({key: value for key, value in raw.content.items() if key != "dataset"}, fold_of)
        new = {"name": destination.name.split("_", 1)[1], "numTraining": len(fold_of)}
        write_json(destination / "dataset.json", {**content, **new})
    left_out = tuple(sorted(raw.cases.keys() - fold_of.keys()))
    return HarmonisedDataset(destination, tuple(latents), tuple(changes), left_out)


def held_out_folds(model: ModelFolder) -> dict[str, str]:
    """For each training case of a model the name of a fold that did not train on it, the first if there are several.

    Raises:
        HyperSORTError: A case has no such fold, or it is not among the opened ones.
    """
    records = [fold.record for fold in model.folds]
    cases = sorted({case for record in records for case in (*record.case_ids, *_flat(record.held_out))})
    fold_of = {case_id: fold.name for fold in reversed(model.folds) for case_id in fold.validation_cases}
    without = [case_id for case_id in cases if case_id not in fold_of]
    if without:
        opened = [fold.name for fold in model.folds]
        able = {
            name
            for record in records
            for name, held_out in record.held_out.items()
            if name not in opened and not set(held_out).isdisjoint(without)
        }
        advice = (
            f"finish the training of fold {', '.join(sorted(able, key=fold_order))}"
            if able
            else "no fold of the split leaves them out, so train with a split that does"
        )
        raise HyperSORTError(
            f"{', '.join(without[:3])}{', ...' if len(without) > 3 else ''} ({len(without)} of {len(cases)} cases) "
            f"are training data of fold {', '.join(opened)}, and a label must come from a fold that did not train on "
            f"its case; {advice}."
        )
    return fold_of


def _flat(held_out: Mapping[str, Sequence[str]]) -> list[str]:
    return [case_id for cases in held_out.values() for case_id in cases]


def _refuse_missing_cases(fold_of: Mapping[str, str], raw: RawDataset) -> None:
    missing = sorted(fold_of.keys() - raw.cases.keys())
    if missing:
        raise HyperSORTError(
            f"{raw.folder} lacks {', '.join(missing[:5])} ({len(missing)} of the {len(fold_of)} cases the model was "
            f"trained with); put them back."
        )


def _segment(
    model: ModelFolder,
    fold: TrainedFold,
    latent: ChosenLatent,
    images: Mapping[str, Sequence[Path]],
    annotated: AnnotatedLabels,
    destination: Path,
    device: str,
    progress: bool,
) -> None:
    folder = destination / "labelsTr"
    folder.mkdir(exist_ok=True)
    segmenter = FoldSegmenter(model, fold, device)
    ending = model.dataset_json["file_ending"]
    for case_id, files in tracked(images.items(), f"fold {fold.name}", shown=progress):
        target = folder / f"{case_id}{ending}"
        if not target.exists():
            image = preprocess_files(model.planned, files)
            segmentation = segmenter.segment_image(image, latent.coordinates)
            segmenter.write_segmentation(annotated.keep_annotated(case_id, segmentation), image, target)


def _describe(
    model: ModelFolder, style: str, folds: Sequence[TrainedFold], latents: Sequence[ChosenLatent]
) -> dict[str, Any]:
    return {
        "written_by": f"nnunetv2-hypersort {__version__}",
        "source": model.dataset_name,
        "model": model.path.resolve().name,
        "style": style,
        "folds": {
            fold.name: {**latent_account(fold, latent), "cases": list(fold.validation_cases)}
            for fold, latent in zip(folds, latents, strict=True)
        },
    }
