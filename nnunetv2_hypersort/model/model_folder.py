"""nnU-Net's trained-model folder of a HyperSORT training, opened for work with its styles."""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.images.labels import LabelTable
from nnunetv2_hypersort.latents import StyleBook, fold_order
from nnunetv2_hypersort.latents.style_book import STYLES_KEY
from nnunetv2_hypersort.latents.styles_file import StylesFile, read_styles, write_book, write_styles
from nnunetv2_hypersort.model.planned_model import PlannedModel
from nnunetv2_hypersort.model.progress import FINAL_CHECKPOINT, progress_of_fold
from nnunetv2_hypersort.model.trained_fold import TrainedFold
from nnunetv2_hypersort.nnunet.annotated_labels import AnnotatedLabels
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.nnunet.components import refuse_foreign_components
from nnunetv2_hypersort.nnunet.planned_size import refuse_larger_network
from nnunetv2_hypersort.nnunet.plans import PLANS_SECTION, read_dataset_json, read_plans, refuse_other_plans
from nnunetv2_hypersort.settings import Settings
from nnunetv2_hypersort.trainers.base.newest_checkpoint import newest_checkpoint


@dataclass(frozen=True)
class ModelFolder:
    """A trained model: the folder that holds `fold_0`, `plans.json` and `dataset.json`.

    Attributes:
        path: The folder.
        planned: Plans, dataset and configuration, with nnU-Net's managers for them.
        settings: The settings that all folds were trained with.
        folds: The trained folds, in the order of their numbers.
    """

    path: Path
    planned: PlannedModel
    settings: Settings
    folds: tuple[TrainedFold, ...]

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        folds: Sequence[int | str] | None = None,
        checkpoint_name: str = FINAL_CHECKPOINT,
        unfinished: bool = False,
        trusted_packages: Sequence[str] = (),
    ) -> "ModelFolder":
        """Open a trained model.

        Args:
            path: The trained-model folder.
            folds: Fold numbers, or `all`; None takes every numbered fold that has the checkpoint (`all` if there is
                no other), and warns of those whose training is not finished.
            checkpoint_name: File name of the checkpoint in each fold folder.
            unfinished: Whether a fold without the final checkpoint is opened with its newest complete one, with a
                warning that tells its epoch: a fold that was asked for, or all where none is finished.
            trusted_packages: Packages whose classes the plans may name as network and layers, besides PyTorch's and
                nnU-Net's (see `refuse_untrusted_classes`).

        Raises:
            HyperSORTError: The folder is not that of a trained model, a fold is missing or its training not finished,
                the folds differ in settings, configuration or trainer, the trainer is not HyperSORT's, or a name in
                one of the files is a path or not one of a network or of a part of nnU-Net.
        """
        path = Path(path)
        plans = read_plans(path / "plans.json")
        dataset_json = read_dataset_json(path / "dataset.json")
        checkpoints = _checkpoints(path, folds, checkpoint_name, unfinished)
        contents = [(file, read_checkpoint(file)) for file in checkpoints]
        configuration, trainer_name = _the_same_training(contents)
        for file, content in contents:
            refuse_other_plans(
                plans, dataset_json, content["init_args"], source=str(file), trusted_packages=trusted_packages
            )
        refuse_foreign_components(plans, configuration, source=path / "plans.json")
        for file, content in contents:
            refuse_larger_network(plans, dataset_json, configuration, content["network_weights"], source=file)
        planned = PlannedModel(plans, dataset_json, configuration, trainer_name)
        trained = tuple(TrainedFold.from_checkpoint(file, content, planned) for file, content in contents)
        settings = Settings.from_plans(plans, source=str(path / "plans.json"))
        if settings is None:
            raise HyperSORTError(f"{path / 'plans.json'} holds no HyperSORT settings; put that of the training back.")
        _refuse_other_settings(settings, path, contents)
        model = cls(path, planned, settings, trained)
        for name, progress in model.provisional.items() if unfinished else ():
            warnings.warn(f"PROVISIONAL: fold {name} of {path} is at {progress}.", stacklevel=2)
        return model

    @property
    def plans(self) -> dict[str, Any]:
        """Content of `plans.json`."""
        return self.planned.plans

    @property
    def dataset_json(self) -> dict[str, Any]:
        """Content of `dataset.json`."""
        return self.planned.dataset_json

    @property
    def configuration(self) -> str:
        """Such as `3d_fullres`."""
        return self.planned.configuration

    @property
    def dataset_name(self) -> str:
        """Such as `Dataset004_Hippocampus`."""
        return str(self.plans["dataset_name"])

    @cached_property
    def labels(self) -> dict[str, int | tuple[int, ...]]:
        """The foreground labels by name, without background and ignore: a value, or the values of a region."""
        return LabelTable.from_dataset_json(self.dataset_json, str(self.path / "dataset.json")).targets

    @cached_property
    def annotated(self) -> AnnotatedLabels:
        """What the cases of the data set are annotated for."""
        return AnnotatedLabels.from_dataset_json(self.dataset_json, str(self.path / "dataset.json"))

    @property
    def provisional(self) -> dict[str, str]:
        """By the name of the fold how far its training has come, for the folds in which that is not the end."""
        return {fold.name: str(fold.progress) for fold in self.folds if fold.progress.is_provisional}

    def with_places(self) -> "ModelFolder":
        """This model with only those folds whose latents have places; warns of the others.

        Raises:
            HyperSORTError: There is none.
        """
        placed = tuple(fold for fold in self.folds if fold.progress.has_places)
        without = [fold for fold in self.folds if not fold.progress.has_places]
        if not placed:
            self.refuse_folds_without_places()
        for fold in without:
            warnings.warn(f"Fold {fold.name} of {self.path} is at {fold.progress}; it is left out.", stacklevel=2)
        return replace(self, folds=placed)

    def refuse_folds_without_places(self) -> None:
        """Raise if the latents of a fold say nothing about its cases yet.

        Raises:
            HyperSORTError: The fold is named, and how far it has come.
        """
        for fold in self.folds:
            if not fold.progress.has_places:
                raise HyperSORTError(
                    f"Fold {fold.name} of {self.path} is at {fold.progress}, so its latents and styles are not known "
                    f"yet; train on (nnUNetv2_train ... --c), or choose other folds with `-f`."
                )

    @property
    def styles(self) -> StylesFile:
        """The styles of the model as they stand in its folder now, and what was written about them.

        Raises:
            HyperSORTError: See `read_styles`.
        """
        return read_styles(self.path)

    @property
    def book(self) -> StyleBook:
        """The styles of the model, as they stand in its folder now.

        Raises:
            HyperSORTError: See `read_styles`.
        """
        return self.styles.book

    def write_book(self, book: StyleBook, content: Mapping[str, Any] | None = None) -> None:
        """Write the styles into `styles.json`, and from there into `plans.json`, by which they reach nnU-Net.

        Args:
            book: The styles.
            content: All that stands in `styles.json`; None keeps what it says about styles of the same names.

        Raises:
            HyperSORTError: A file cannot be read any more.
            OSError: It cannot be written.
        """
        if content is None:
            write_book(self.path, book)
        else:
            write_styles(self.path, content, book)
        self.plans.setdefault(PLANS_SECTION, {})[STYLES_KEY] = book.to_plans_section()

    def fold(self, name: int | str) -> TrainedFold:
        """An opened fold by its name.

        Raises:
            HyperSORTError: That fold was not opened.
        """
        for fold in self.folds:
            if fold.name == str(name):
                return fold
        raise HyperSORTError(f"Fold {name} is not among the folds {', '.join(fold.name for fold in self.folds)}.")

    def preprocessed_folder(self) -> Path | None:
        """The dataset's folder in nnUNet_preprocessed, or None if it is gone or the variable is not set."""
        return _dataset_folder("nnUNet_preprocessed", self.dataset_name)

    def preprocessed_cases_folder(self) -> Path | None:
        """The folder with the preprocessed cases of the configuration, or None."""
        dataset = self.preprocessed_folder()
        folder = dataset / self.planned.configuration_manager.data_identifier if dataset else None
        return folder if folder and folder.is_dir() else None

    def raw_folder(self) -> Path | None:
        """The dataset's folder in nnUNet_raw, or None if it is gone or the variable is not set."""
        return _dataset_folder("nnUNet_raw", self.dataset_name)


def _checkpoints(path: Path, folds: Sequence[int | str] | None, checkpoint_name: str, unfinished: bool) -> list[Path]:
    begun = sorted((folder.name.removeprefix("fold_") for folder in path.glob("fold_*")), key=fold_order)
    finished = [name for name in begun if (path / f"fold_{name}" / checkpoint_name).is_file()]
    able = finished
    if unfinished and checkpoint_name == FINAL_CHECKPOINT:
        able = [name for name in begun if any((path / f"fold_{name}").glob("checkpoint_*.pth"))]
    if folds is None:
        chosen = _numbered(finished or able)
        left_out = [name for name in _numbered(begun) if name.isdigit() and name not in chosen]
        if left_out and chosen and chosen != ["all"]:
            warnings.warn(
                f"Fold {', '.join(left_out)} of {path} has no {checkpoint_name} and is left out.", stacklevel=3
            )
    else:
        chosen = sorted({str(fold) for fold in folds}, key=fold_order)
    missing = [name for name in chosen if name not in able]
    if missing or not chosen:
        which = f"fold {', '.join(missing)} of {path}" if missing else f"any fold of {path}"
        raise HyperSORTError(
            f"There is no {checkpoint_name} in {which}; folds with one: {', '.join(finished) or 'none'}. "
            f"{_how_far(path, missing or begun)}Finish the training (nnUNetv2_train ... --c), choose other folds with "
            f"`-f` or another checkpoint with `-chk`."
        )
    return [
        path / f"fold_{name}" / checkpoint_name if name in finished else newest_checkpoint(path / f"fold_{name}")[0]
        for name in chosen
    ]


def _numbered(names: Sequence[str]) -> list[str]:
    return [name for name in names if name.isdigit()] or list(names)


def _how_far(path: Path, folds: Sequence[str]) -> str:
    said = []
    for name in folds:
        try:
            progress = progress_of_fold(path / f"fold_{name}")
        except HyperSORTError:
            continue  # it is no reason why another checkpoint could not be had
        if progress.checkpoint:
            said.append(f"Fold {name} is at {progress}. ")
    return "".join(said)


def _the_same_training(contents: Sequence[tuple[Path, Mapping[str, Any]]]) -> tuple[str, str]:
    trainings = {
        path: (str(content["init_args"].get("configuration")), content["trainer_name"]) for path, content in contents
    }
    if len(set(trainings.values())) > 1:
        listed = "; ".join(f"{path}: {configuration}, {name}" for path, (configuration, name) in trainings.items())
        raise HyperSORTError(f"The folds are of different trainings ({listed}); move those that do not belong away.")
    return next(iter(trainings.values()))


def _refuse_other_settings(settings: Settings, path: Path, contents: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    for file, content in contents:
        stored = Settings.from_plans(content["init_args"].get("plans"), source=str(file))
        differences = settings.differences(stored) if stored else []
        if differences:
            listed = "; ".join(f"{key} is {ours!r} there and {theirs!r} here" for key, ours, theirs in differences)
            raise HyperSORTError(
                f"{file} was trained with other settings than {path / 'plans.json'} states ({listed}): train all folds "
                f"with the same settings, or leave this fold out with `-f`."
            )


def _dataset_folder(variable: str, dataset_name: str) -> Path | None:
    root = os.environ.get(variable)
    folder = Path(root) / dataset_name if root else None
    return folder if folder and folder.is_dir() else None
