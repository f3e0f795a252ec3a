"""The datasets of the mixtures: raw, planned small, preprocessed and split, with the truth about every case."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.nnunet_runs.datasets import (
    PROCESSES,
    SPLITS,
    copy_plans,
    deal,
    plan_small,
    preprocess,
)
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.unseen_styles.mixtures import MIXTURES, Annotated, Mixture, Planted
from benchmarks.unseen_styles.sources import AS_DRAWN, choose_images
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.perturbation.assignment import quotas
from nnunetv2_hypersort.perturbation.perturb import NO_ERROR, perturb_dataset

TRUTH = "truth.json"
CROSS_FIT_PARTS = 3
_PARTS_OF_FOLDS = {True: 5, False: 8}
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


def is_prepared(workplace: Workplace, mixture: Mixture, seed: int) -> bool:
    """Whether a dataset is complete: its splits are written last."""
    return (workplace.preprocessed / mixture.dataset(seed) / SPLITS).exists()


def prepare(workplace: Workplace, data: Path, mixture: Mixture, seed: int, images: int | None = None) -> None:
    """Make the dataset of a mixture for a seed, unless it is there.

    Rows of the split file: fold 0; the parts of the cross-fit over its training cases; for each style the oracle,
    which trains on the right training cases of that style.

    Args:
        workplace: Where.
        data: The folder of the public data sets.
        mixture: What is mixed.
        seed: Of the run.
        images: Take only so many images.

    Raises:
        HyperSORTError: The data are not there, or one of nnU-Net's commands failed.
    """
    if is_prepared(workplace, mixture, seed):
        return
    dataset = mixture.dataset(seed)
    names = choose_images(mixture.source.images(data), min(filter(None, (mixture.images, images)), default=None))
    raw = workplace.raw / dataset
    if not (raw / TRUTH).exists():
        if isinstance(mixture, Planted):
            truth = _plant(workplace, data, mixture, dataset, names)
        else:
            assert isinstance(mixture, Annotated)
            truth = _annotated(mixture, names, mixture.draw(seed))
            _write_raw(raw, data, mixture, {case: (entry.image, entry.style) for case, entry in truth.items()})
        write_json(raw / TRUTH, {case: asdict(entry) for case, entry in truth.items()})
    truth = read_truth(workplace, dataset)
    copy_plans(workplace, _planned(workplace, data, mixture, images), dataset, labels_of=dataset)
    preprocess(workplace, dataset, mixture.source.plan.configuration)
    write_json(workplace.preprocessed / dataset / SPLITS, make_splits(truth, mixture))


def make_splits(truth: Mapping[str, Truth], mixture: Mixture) -> list[dict[str, list[str]]]:
    """The rows of the split file, see `prepare`; all annotations of a group of images are on one side."""
    groups = {case: entry.group for case, entry in truth.items()}
    held_out = deal(groups, _PARTS_OF_FOLDS[isinstance(mixture, Planted)], _SPLIT_SEED)[0]
    training = [case for case in sorted(truth) if case not in set(held_out)]
    splits = [{"train": training, "val": held_out}]
    parts = deal({case: groups[case] for case in training}, CROSS_FIT_PARTS, _SPLIT_SEED + 1)
    splits += [{"train": [case for case in training if case not in set(part)], "val": part} for part in parts]
    right = {case: entry.style for case, entry in truth.items() if not entry.wrong}
    for style in mixture.styles:
        splits.append({"train": [case for case in training if right.get(case) == style], "val": held_out})
    return splits


def _annotated(mixture: Annotated, images: list[str], draw: int) -> dict[str, Truth]:
    source = mixture.source
    if not mixture.once:
        return {
            f"{image}_{number}": Truth(annotator, image, source.group(image))
            for image in images
            for number, annotator in enumerate(mixture.styles, start=1)
        }
    counts = quotas(list(mixture.shares.values()), len(images))
    drawn = np.random.default_rng(draw).permutation(np.repeat(mixture.styles, counts))
    return {
        image: Truth(str(annotator), image, source.group(image)) for image, annotator in zip(images, drawn, strict=True)
    }


def _planned(workplace: Workplace, data: Path, mixture: Mixture, images: int | None) -> str:
    """The dataset whose plans all mixtures of a source share: nnU-Net plans it once."""
    source = mixture.source
    dataset = f"Dataset{source.number}_{source.name.title()}"
    done = workplace.preprocessed / dataset / "planned.json"
    if not done.exists():
        most = max(other.images or 0 for other in MIXTURES if other.source_name == mixture.source_name) or None
        names = choose_images(source.images(data), min(filter(None, (most, images)), default=None))
        _write_raw(workplace.raw / dataset, data, mixture, {name: (name, source.annotators[0]) for name in names})
        plan_small(workplace, dataset, source.plan)
        write_json(done, asdict(source.plan))
    return dataset


def _plant(workplace: Workplace, data: Path, mixture: Planted, dataset: str, images: list[str]) -> dict[str, Truth]:
    # Not named like a dataset: nnU-Net does not look at it.
    source = workplace.raw / f"{mixture.source.name}_{len(images)}_{AS_DRAWN}"
    if not (source / "dataset.json").exists():
        _write_raw(source, data, mixture, {image: (image, AS_DRAWN) for image in images})
    spec = mixture.spec
    rows = perturb_dataset(
        source, workplace.raw / dataset, spec, seed=0, all_styles=True, processes=PROCESSES, progress=False
    )
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
