"""Datasets of benchmarks: planned small by nnU-Net's own commands, plans shared, preprocessed, split by groups."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.nnunet_runs.workplace import PLANS, Workplace
from nnunetv2_hypersort.demo.small_plan import shrink
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.nnunet.raw_dataset import open_dataset

PROCESSES = 2
SPLITS = "splits_final.json"
Split = dict[str, list[str]]


@dataclass(frozen=True)
class SmallPlan:
    """A configuration of nnU-Net made small enough to be trained in minutes.

    Attributes:
        configuration: `2d` or `3d_fullres`.
        spacing: Isotropic voxel size in mm (in pixels for pictures).
        patch_size: In voxels.
        features: Channels of each stage.
        batch_size: Samples per step.
    """

    configuration: str
    spacing: float
    patch_size: tuple[int, ...]
    features: tuple[int, ...]
    batch_size: int


def plan_small(workplace: Workplace, dataset: str, plan: SmallPlan) -> None:
    """Let nnU-Net plan a raw dataset, then make the plan small.

    Raises:
        HyperSORTError: One of nnU-Net's commands failed.
    """
    number = str(int(dataset[7:10]))
    workplace.command("nnUNetv2_extract_fingerprint", "-d", number, "-np", str(PROCESSES))
    workplace.command("nnUNetv2_plan_experiment", "-d", number)
    shrink(
        workplace.preprocessed / dataset / f"{PLANS}.json",
        configuration=plan.configuration,
        spacing=plan.spacing,
        patch_size=list(plan.patch_size),
        features=list(plan.features),
        batch_size=plan.batch_size,
    )


def read_plans(workplace: Workplace, dataset: str) -> dict[str, Any]:
    """The plans of a dataset."""
    plans: dict[str, Any] = json.loads((workplace.preprocessed / dataset / f"{PLANS}.json").read_text(encoding="utf-8"))
    return plans


def copy_plans(workplace: Workplace, source: str, dataset: str, *, labels_of: str) -> None:
    """Give a dataset the plans of another, as nnUNetv2_move_plans_between_datasets does.

    What the plans say of intensities is of the labels of `source`, but nnU-Net uses that for CT only.

    Args:
        workplace: Where.
        source: The planned dataset.
        dataset: The dataset that gets its plans.
        labels_of: The raw dataset whose dataset.json it gets.
    """
    planned, target = workplace.preprocessed / source, workplace.preprocessed / dataset
    target.mkdir(exist_ok=True)
    shutil.copyfile(planned / "dataset_fingerprint.json", target / "dataset_fingerprint.json")
    shutil.copyfile(workplace.raw / labels_of / "dataset.json", target / "dataset.json")
    write_json(target / f"{PLANS}.json", {**read_plans(workplace, source), "dataset_name": dataset})


def preprocess(workplace: Workplace, dataset: str, configuration: str) -> None:
    """Preprocess one configuration of a planned dataset, case by case with nnU-Net's own preprocessor.

    In this process: nnU-Net's worker processes take longer to start than these small images to preprocess.
    """
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(read_plans(workplace, dataset))
    planned = plans.get_configuration(configuration)
    raw = open_dataset(workplace.raw / dataset)
    target = workplace.preprocessed / dataset
    preprocessor = planned.preprocessor_class(verbose=False)
    for name in (planned.data_identifier, "gt_segmentations"):
        shutil.rmtree(target / name, ignore_errors=True)
        (target / name).mkdir()
    for case in raw.cases.values():
        shutil.copyfile(case.label, target / "gt_segmentations" / case.label.name)
        preprocessor.run_case_save(
            str(target / planned.data_identifier / case.name),
            list(map(str, case.images)),
            str(case.label),
            plans,
            planned,
            raw.content,
        )


def link_preprocessed(workplace: Workplace, source: str, dataset: str, configuration: str, splits: list[Split]) -> None:
    """Make a dataset of the preprocessed files of another, with other splits: some folds more, for one purpose.

    Args:
        workplace: Where.
        source: The preprocessed dataset.
        dataset: The dataset to be made; what it holds is removed first.
        configuration: Which configuration.
        splits: The rows of its split file, which is written last.
    """
    folder = workplace.preprocessed / dataset
    shutil.rmtree(folder, ignore_errors=True)
    copy_plans(workplace, source, dataset, labels_of=source)
    data = f"{PLANS}_{configuration}"
    shutil.copytree(workplace.preprocessed / source / data, folder / data, copy_function=os.link)
    write_json(folder / SPLITS, splits)


def read_split(workplace: Workplace, dataset: str, fold: int = 0) -> tuple[list[str], list[str]]:
    """The training and the validation cases of a row of a dataset's split file."""
    split = json.loads((workplace.preprocessed / dataset / SPLITS).read_text(encoding="utf-8"))[fold]
    return split["train"], split["val"]


def deal(groups: Mapping[str, str], parts: int, seed: int) -> list[list[str]]:
    """Deal cases to parts, all cases of a group to the same one, the groups as evenly as they go.

    Args:
        groups: The group of each case, such as the image that it is an annotation of.
        parts: How many parts.
        seed: Of the order of the groups.

    Returns:
        For each part its cases, sorted.
    """
    names: Sequence[str] = sorted(set(groups.values()))
    order = np.random.default_rng(seed).permutation(len(names))
    part_of = {names[index]: place % parts for place, index in enumerate(order.tolist())}
    return [sorted(case for case, group in groups.items() if part_of[group] == part) for part in range(parts)]
