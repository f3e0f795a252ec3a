"""The datasets of the benchmark: converted, planted, planned small, preprocessed, split."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.nnunet_runs.datasets import (
    PROCESSES,
    SPLITS,
    SmallPlan,
    copy_plans,
    link_preprocessed,
    plan_small,
    preprocess,
    read_plans,
    read_split,
)
from benchmarks.nnunet_runs.workplace import CONFIGURATION_3D, Workplace
from benchmarks.style_recovery.protocol import (
    AS_DRAWN,
    CROSS_FIT_PARTS,
    SOURCE_DATASET,
    Mixture,
    Protocol,
    Run,
    dataset_name,
    parts_name,
)
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.tables import read_table
from nnunetv2_hypersort.nnunet.raw_dataset import open_dataset, read_labels
from nnunetv2_hypersort.perturbation.perturb import ALL_STYLES, NO_ERROR, perturb_dataset

PLAN = SmallPlan(CONFIGURATION_3D, 2.0, (24, 32, 24), (8, 16, 32), 2)


@dataclass(frozen=True)
class Truth:
    """What was planted in a case.

    Attributes:
        style: Name of its style.
        error: Kind of its error, or `none`.
        dice: Dice of the label written with the error-free label in the same style; 1 without error.
    """

    style: str
    error: str
    dice: float

    @property
    def is_wrong(self) -> bool:
        """Whether an error was planted."""
        return self.error != NO_ERROR


def read_truth(workplace: Workplace, run: Run) -> dict[str, Truth]:
    """What was planted in each case of a run's dataset."""
    table = workplace.raw / run.dataset / "styles.csv"
    if not table.exists():
        return {case: Truth(AS_DRAWN, NO_ERROR, 1.0) for case in open_dataset(workplace.raw / run.dataset).cases}
    rows = read_table(table, ("case", "style", "error", "dice")).rows
    return {row["case"]: Truth(row["style"], row["error"], float(row["dice"])) for row in rows}


def labels_in_style(workplace: Workplace, run: Run, style: str) -> Path:
    """The folder with the labels of all cases in one style, without errors."""
    folder = workplace.raw / run.dataset
    return folder / "labelsTr" if run.mixture.spec is None else folder / ALL_STYLES / style


def prepare(workplace: Workplace, task: Path, mixture: Mixture, seed: int, protocol: Protocol) -> None:
    """Make the dataset of a mixture and a seed, unless it is there.

    Args:
        workplace: Where.
        task: The Decathlon's Task04_Hippocampus.
        mixture: What is planted.
        seed: Its seed.
        protocol: Says how many cases, and for which seed oracles and cross-fit are trained.

    Raises:
        HyperSORTError: The task folder is not the Decathlon's, or one of nnU-Net's commands failed.
    """
    if not (workplace.raw / SOURCE_DATASET / "dataset.json").exists():
        _convert(workplace, task, protocol.cases)
    if not (workplace.preprocessed / SOURCE_DATASET / SPLITS).exists():
        plan_small(workplace, SOURCE_DATASET, PLAN)
        _preprocess(workplace, SOURCE_DATASET)
    if mixture.spec is None:
        return
    dataset = dataset_name(mixture, seed)
    folder = workplace.preprocessed / dataset
    if not (folder / SPLITS).exists():
        source, raw = workplace.raw / SOURCE_DATASET, workplace.raw / dataset
        perturb_dataset(source, raw, mixture.spec, seed=seed, all_styles=True, processes=PROCESSES, progress=False)
        copy_plans(workplace, SOURCE_DATASET, dataset, labels_of=dataset)
        _preprocess(workplace, dataset)
    if seed == protocol.seeds[0] and not (workplace.preprocessed / parts_name(dataset) / SPLITS).exists():
        _split_parts(workplace, dataset, mixture)


def mirror_axes(workplace: Workplace, mixture: Mixture) -> list[int] | None:
    """The axes of the patch that a mixture leaves to mirror along; None if it leaves all.

    Raises:
        HyperSORTError: Images of the dataset are oriented differently.
    """
    if not mixture.no_mirroring_along:
        return None
    dataset = open_dataset(workplace.raw / SOURCE_DATASET)
    plans = read_plans(workplace, SOURCE_DATASET)
    axes = range(3)
    found = set()
    for case in dataset.cases.values():
        grid = read_labels(case.label, dataset.content, dataset.table).grid
        directed = {grid.axis(name)[0] for name in mixture.no_mirroring_along}
        found.add(tuple(axis for axis in axes if plans["transpose_forward"][axis] not in directed))
    if len(found) > 1:
        raise HyperSORTError(
            f"The images of {SOURCE_DATASET} are oriented in several ways; nnU-Net mirrors array axes."
        )
    return list(found.pop())


def _convert(workplace: Workplace, task: Path, count: int | None) -> None:
    # nnU-Net's converter wants a test folder, which the training part of the data does not have.
    linked = workplace.folder / "msd" / task.name
    images = sorted((task / "imagesTr").glob("[!.]*.nii.gz"))[:count]
    if not images or not (task / "dataset.json").is_file():
        raise HyperSORTError(f"{task} is not the Decathlon's Task04_Hippocampus: it has no dataset.json and imagesTr.")
    shutil.rmtree(linked, ignore_errors=True)
    shutil.rmtree(workplace.raw / SOURCE_DATASET, ignore_errors=True)
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        (linked / name).mkdir(parents=True)
    shutil.copyfile(task / "dataset.json", linked / "dataset.json")
    for image in images:
        for name in ("imagesTr", "labelsTr"):
            (linked / name / image.name).symlink_to((task / name / image.name).resolve())
    workplace.command("nnUNetv2_convert_MSD_dataset", "-i", str(linked), "-np", str(PROCESSES))
    table = workplace.raw / SOURCE_DATASET / "dataset.json"
    content = json.loads(table.read_text(encoding="utf-8"))
    write_json(table, {**content, "numTraining": len(images)})


def _preprocess(workplace: Workplace, dataset: str) -> None:
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    preprocess(workplace, dataset, CONFIGURATION_3D)
    # The split that nnU-Net would make at the first training. Written last: it says that the dataset is complete.
    cases = sorted(open_dataset(workplace.raw / dataset).cases)
    write_json(workplace.preprocessed / dataset / SPLITS, generate_crossval_split(cases, seed=12345, n_splits=5))


def _split_parts(workplace: Workplace, dataset: str, mixture: Mixture) -> None:
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    training, held_out = read_split(workplace, dataset)
    planted = read_table(workplace.raw / dataset / "styles.csv", ("case", "style", "error")).rows
    right = {row["case"]: row["style"] for row in planted if row["error"] == NO_ERROR}
    splits = generate_crossval_split(sorted(training), seed=12345, n_splits=CROSS_FIT_PARTS)
    for style in mixture.styles:
        splits.append({"train": [case for case in training if right.get(case) == style], "val": held_out})
    link_preprocessed(workplace, dataset, parts_name(dataset), CONFIGURATION_3D, splits)


def needed_datasets(runs: Sequence[Run]) -> list[tuple[Mixture, int]]:
    """The mixtures and seeds that some runs need, each once."""
    return list(dict.fromkeys((run.mixture, run.seed) for run in runs))
