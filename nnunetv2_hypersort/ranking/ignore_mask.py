"""A raw dataset anew, with the doubtful voxels of flagged labels ignored."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.links import place_file
from nnunetv2_hypersort.files.locks import locked
from nnunetv2_hypersort.files.progress import tracked
from nnunetv2_hypersort.files.tables import write_table
from nnunetv2_hypersort.files.writable import require_writable
from nnunetv2_hypersort.images.label_comparison import compare_label_map
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import load_preprocessed
from nnunetv2_hypersort.model.segmenter import FoldSegmenter
from nnunetv2_hypersort.model.training_splits import splits_or_none
from nnunetv2_hypersort.nnunet.linked_files import link_folder, link_images, link_sidecar
from nnunetv2_hypersort.nnunet.raw_dataset import (
    RawDataset,
    check_dataset_name,
    open_dataset,
)
from nnunetv2_hypersort.nnunet.splits import SPLITS_FILE
from nnunetv2_hypersort.ranking.fold_evidence import CaseEvidence
from nnunetv2_hypersort.ranking.style_fit import segmenter_without_mirroring

TABLE_FILE = "ignored_voxels.csv"


@dataclass(frozen=True)
class IgnoreMaskDataset:
    """A raw dataset to be written.

    Attributes:
        model: The model whose training data it is made of.
        raw: The raw dataset that the model was trained on.
        destination: The new folder.
        content: Its `dataset.json`, which declares the ignore label.
        ignore: The value of the ignore label, the highest of all.
    """

    model: ModelFolder
    raw: RawDataset
    destination: Path
    content: Mapping[str, Any]
    ignore: int

    @classmethod
    def prepare(cls, model: ModelFolder, destination: str | os.PathLike[str]) -> "IgnoreMaskDataset":
        """Find out whether and how the dataset can be written, before long work begins.

        Args:
            model: The model.
            destination: The new folder, named DatasetXXX_Name.

        Raises:
            HyperSORTError: The folder exists, has another name, cannot be made, or the raw data are gone.
        """
        destination = Path(destination).resolve()
        check_dataset_name(destination)
        if destination.exists():
            raise HyperSORTError(f"{destination} exists already; choose another folder for the dataset.")
        require_writable(destination)
        folder = model.raw_folder()
        if folder is None:
            raise HyperSORTError(
                f"The raw data of {model.dataset_name} are gone; set nnUNet_raw to the folder that holds them."
            )
        raw = open_dataset(folder)
        content = {key: value for key, value in raw.content.items() if key != "dataset"}
        ignore = max(raw.table.values) + 1 if raw.table.ignore_label is None else raw.table.ignore_label
        if ignore > np.iinfo(np.uint16).max:
            raise HyperSORTError(
                f"The labels of {raw.folder} leave no value for an ignore label, as nnU-Net writes none above "
                f"{np.iinfo(np.uint16).max}; number them anew."
            )
        content["labels"] = {**content["labels"], "ignore": ignore}
        content["name"] = destination.name.split("_", 1)[1]
        return cls(model, raw, destination, content, ignore)

    def write(
        self, doubted: Mapping[str, Mapping[str, CaseEvidence]], *, device: str, progress: bool = True
    ) -> dict[str, int]:
        """Write the dataset; the folder gets its name when all of it is there.

        Images are hard-linked where the file system allows, else copied; labels are copied, as they are what one goes
        on to correct. A voxel of a doubted label is ignored where more than half of the folds would label it otherwise
        in the style that fits the label best.

        Args:
            doubted: By case and fold the evidence, with the latent to predict with.
            device: Where to predict.
            progress: Whether to show a progress bar on standard error.

        Returns:
            The number of ignored voxels by case.

        Raises:
            HyperSORTError: A doubted case is not in the raw dataset any more, or is on another grid than its
                prediction.
            OSError: The dataset cannot be written.
        """
        with locked(self.destination):
            return self._write(doubted, device, progress)

    def _write(self, doubted: Mapping[str, Mapping[str, CaseEvidence]], device: str, progress: bool) -> dict[str, int]:
        unfinished = self.destination.with_name(f".unfinished-{self.destination.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        labels = unfinished / "labelsTr"
        labels.mkdir(parents=True)
        link_images(self.raw, unfinished)
        for name in ("imagesTs", "labelsTs"):
            link_folder(self.raw.folder / name, unfinished / name)
        for case in self.raw.cases.values():
            target = labels / f"{case.name}{self.raw.file_ending}"
            link_sidecar(case.label, target)
            if case.name not in doubted:
                place_file(case.label, target, copy=True)
        ignored = self._mask_labels(labels, doubted, device=device, progress=progress)
        write_table(unfinished / TABLE_FILE, ("case", "ignored_voxels"), ignored.items())
        splits = splits_or_none(self.model)
        if splits is not None:
            # nnU-Net's planner takes them along: the same cases are held out as before.
            write_json(unfinished / SPLITS_FILE, splits)
        write_json(unfinished / "dataset.json", self.content)
        unfinished.rename(self.destination)
        return ignored

    def _mask_labels(
        self, folder: Path, doubted: Mapping[str, Mapping[str, CaseEvidence]], *, device: str, progress: bool
    ) -> dict[str, int]:
        segmenters = {
            fold.name: segmenter_without_mirroring(self.model, fold, device)
            for fold in self.model.folds
            if any(fold.name in evidence for evidence in doubted.values())
        }
        ignored = {}
        for case in tracked(sorted(doubted), shown=progress):
            if case not in self.raw.cases:
                raise HyperSORTError(f"{self.raw.folder} has no case {case} any more; put it back.")
            label = self.raw.labels_of(case)
            doubtful = self._doubtful_voxels(case, label.labels, doubted[case], segmenters)
            ignored[case] = int(doubtful.sum())
            label.write(
                np.where(doubtful, self.ignore, label.labels).astype(label.labels.dtype),
                folder / f"{case}{self.raw.file_ending}",
            )
        return ignored

    def _doubtful_voxels(
        self,
        case: str,
        label_map: np.ndarray,
        evidence: Mapping[str, CaseEvidence],
        segmenters: Mapping[str, FoldSegmenter],
    ) -> np.ndarray:
        votes = np.zeros(label_map.shape, np.int64)
        for fold, found in evidence.items():
            assert found.latent is not None
            segmentation = segmenters[fold].segment_image(load_preprocessed(self.model, case), found.latent)
            if segmentation.shape != label_map.shape:
                raise HyperSORTError(
                    f"The label {self.raw.cases[case].label} has the shape {label_map.shape}, but its case was "
                    f"preprocessed with {segmentation.shape}; run nnUNetv2_preprocess again."
                )
            known = self.raw.annotated.targets_of(case)
            compared = compare_label_map(label_map, segmentation, known.values(), self.raw.table.ignore_label)
            votes += compared.differing
        doubtful: np.ndarray = 2 * votes > len(evidence)
        return doubtful
