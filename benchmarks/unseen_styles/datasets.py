"""The datasets of the mixtures: raw, planned small, preprocessed and split, with the truth about every case."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.nnunet_runs.datasets import (
    SPLITS,
    Split,
    copy_plans,
    deal,
    link_preprocessed,
    plan_small,
    preprocess,
)
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.unseen_styles.mixtures import MIXTURES, Annotated, Mixture, Planted
from benchmarks.unseen_styles.sources import AS_DRAWN, choose_images
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.perturbation.assignment import quotas
from nnunetv2_hypersort.perturbation.perturb import ALL_STYLES, NO_ERROR, perturb_dataset

TRUTH = "truth.json"
CROSS_FIT_PARTS = 3
# Real annotators are few cases; of them only one in eight is held out.
_FOLDS = {Planted: 5, Annotated: 8}
_SPLIT_SEED = 12345


@dataclass(frozen=True)
class Truth:
    """What is known of a case.

    Attributes:
        style: Its style: what was planted, or who annotated it.
        image: The image that it shows.
        group: What is held out together with it.
        wrong: Whether an error was planted.
        error: Its kind, or `none`.
        dice: Dice of its label with the error-free one of its style; 1 without error.
    """

    style: str
    image: str
    group: str
    wrong: bool = False
    error: str = NO_ERROR
    dice: float = 1.0


def read_truth(workplace: Workplace, dataset: str) -> dict[str, Truth]:
    """What is known of each case of a dataset."""
    content = json.loads((workplace.raw / dataset / TRUTH).read_text(encoding="utf-8"))
    return {case: Truth(**entry) for case, entry in content.items()}


def labels_in_style(workplace: Workplace, dataset: str, style: str) -> Path:
    """The folder with the labels of all images in one style, without errors, each named like its image."""
    return workplace.raw / dataset / ALL_STYLES / style


def prepare(workplace: Workplace, data: Path, mixture: Mixture, seed: int, images: int | None = None) -> None:
    """Make the dataset of a mixture for a seed, unless it is there, and for the first draw that of its parts.

    Args:
        workplace: Where.
        data: The folder of the public data sets.
        mixture: What is mixed.
        seed: Of the run.
        images: Take only so many images.

    Raises:
        HyperSORTError: The data are not there, or one of nnU-Net's commands failed.
    """
    dataset, configuration = mixture.dataset(seed), mixture.source.plan.configuration
    # Each step writes last what says that it is complete.
    if not (workplace.raw / dataset / TRUTH).exists():
        names = _choose(data, mixture, mixture.images, images)
        truth = (
            _plant(workplace, data, mixture, names)
            if isinstance(mixture, Planted)
            else _annotate(workplace, data, mixture, mixture.draw(seed), names)
        )
        write_json(workplace.raw / dataset / TRUTH, {case: asdict(entry) for case, entry in truth.items()})
    truth = read_truth(workplace, dataset)
    if not (workplace.preprocessed / dataset / SPLITS).exists():
        copy_plans(workplace, _planned(workplace, data, mixture, images), dataset, labels_of=dataset)
        preprocess(workplace, dataset, configuration)
        write_json(workplace.preprocessed / dataset / SPLITS, [split_fold(truth, mixture)])
    if mixture.draw(seed) == 0 and not (workplace.preprocessed / mixture.parts / SPLITS).exists():
        link_preprocessed(workplace, dataset, mixture.parts, configuration, split_parts(truth, mixture))


def split_fold(truth: Mapping[str, Truth], mixture: Mixture) -> Split:
    """Fold 0; all annotations of a group of images are on one side."""
    groups = {case: entry.group for case, entry in truth.items()}
    held_out = deal(groups, _FOLDS[type(mixture)], _SPLIT_SEED)[0]
    return {"train": [case for case in sorted(truth) if case not in set(held_out)], "val": held_out}


def split_parts(truth: Mapping[str, Truth], mixture: Mixture) -> list[Split]:
    """The cross-fit over the training cases of fold 0, each part held out once, then the oracle of each style.

    An oracle trains on the training cases of its style without planted error, and holds out what fold 0 does.
    """
    fold = split_fold(truth, mixture)
    training = fold["train"]
    parts = deal({case: truth[case].group for case in training}, CROSS_FIT_PARTS, _SPLIT_SEED + 1)
    held_back = [{"train": [case for case in training if case not in set(part)], "val": part} for part in parts]
    right = {case: entry.style for case, entry in truth.items() if not entry.wrong}
    oracles = [
        {"train": [case for case in training if right.get(case) == style], "val": fold["val"]}
        for style in mixture.styles
    ]
    return held_back + oracles


def _choose(data: Path, mixture: Mixture, *counts: int | None) -> list[str]:
    return choose_images(mixture.source.images(data), min(filter(None, counts), default=None))


def _annotate(workplace: Workplace, data: Path, mixture: Mixture, draw: int, images: Sequence[str]) -> dict[str, Truth]:
    assert isinstance(mixture, Annotated)
    source, dataset = mixture.source, mixture.dataset(draw)
    truth = annotators_of_cases(mixture, images, draw)
    _write_raw(
        workplace.raw / dataset, data, mixture, {case: (entry.image, entry.style) for case, entry in truth.items()}
    )
    for style in mixture.styles:
        folder = labels_in_style(workplace, dataset, style)
        folder.mkdir(parents=True)
        for image in images:
            source.write_labels(data, image, style, folder / f"{image}{source.file_ending}")
    return truth


def annotators_of_cases(mixture: Annotated, images: Sequence[str], draw: int) -> dict[str, Truth]:
    """Name the cases of some images, and say who annotated each.

    Args:
        mixture: Whether each image is there once or once per annotator, and how many images each has.
        images: The images.
        draw: Of who annotated which image.
    """
    group = mixture.source.group
    if not mixture.once:
        return {
            f"{image}_{number}": Truth(annotator, image, group(image))
            for image in images
            for number, annotator in enumerate(mixture.styles, start=1)
        }
    counts = quotas(list(mixture.shares.values()), len(images))
    drawn = np.random.default_rng(draw).permutation(np.repeat(mixture.styles, counts)).tolist()
    return {image: Truth(style, image, group(image)) for image, style in zip(images, drawn, strict=True)}


def _planned(workplace: Workplace, data: Path, mixture: Mixture, images: int | None) -> str:
    """The dataset whose plans all mixtures of a source share: nnU-Net plans it once."""
    source = mixture.source
    dataset = f"Dataset{source.number}_{source.name.title()}"
    done = workplace.preprocessed / dataset / "planned.json"
    if not done.exists():
        counts = [other.images for other in MIXTURES if other.source_name == mixture.source_name]
        names = _choose(data, mixture, None if None in counts else max(filter(None, counts)), images)
        _write_raw(workplace.raw / dataset, data, mixture, {name: (name, source.annotators[0]) for name in names})
        plan_small(workplace, dataset, source.plan)
        write_json(done, asdict(source.plan))
    return dataset


def _plant(workplace: Workplace, data: Path, mixture: Planted, images: Sequence[str]) -> dict[str, Truth]:
    # Not named like a dataset: nnU-Net does not look at it.
    source = workplace.raw / f"{mixture.source.name}_{len(images)}_{AS_DRAWN}"
    if not (source / "dataset.json").exists():
        _write_raw(source, data, mixture, {image: (image, AS_DRAWN) for image in images})
    target = workplace.raw / mixture.dataset(0)
    rows = perturb_dataset(source, target, mixture.spec, seed=0, all_styles=True, processes=1, progress=False)
    group = mixture.source.group
    return {
        row.case: Truth(row.style, row.case, group(row.case), row.error != NO_ERROR, row.error, row.dice)
        for row in rows
    }


def _write_raw(folder: Path, data: Path, mixture: Mixture, cases: Mapping[str, tuple[str, str]]) -> None:
    source = mixture.source
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for case, (image, annotator) in cases.items():
        source.write_image(data, image, folder / "imagesTr" / f"{case}_0000{source.file_ending}")
        source.write_labels(data, image, annotator, folder / "labelsTr" / f"{case}{source.file_ending}")
    # Last: it says that the folder is complete.
    write_json(folder / "dataset.json", source.dataset_json(len(cases)))
