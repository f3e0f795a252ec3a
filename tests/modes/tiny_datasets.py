"""Generated datasets of twelve slices, planned and preprocessed by nnU-Net, one for each mode."""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiments, preprocess

from nnunetv2_hypersort.files import write_json

CASES = [f"case_{number}" for number in range(6)]
SPLITS = [{"train": CASES[2:], "val": CASES[:2]}, {"train": CASES[:4], "val": CASES[4:]}]
SHAPE = (20, 20, 12)
"""Voxels along x, y and z."""


@dataclass(frozen=True)
class Mode:
    """A dataset, and the configuration that is planned for it.

    Attributes:
        configuration: nnU-Net's name of it; a cascade also gets its first stage.
        labels: As in dataset.json; label 1 is a ball, label 2 its core, label 3 (if it is `ignore`) the upper half.
        region_order: As in dataset.json; with it the labels are regions.
        channels: Number of input channels.
        planner: nnU-Net's planner.
        plans: The name that this planner gives its plans.
        patch_size: In voxels; z first.
        kernels: Size of the convolutions of the first of three stages; 3 elsewhere.
        strides: Of the second stage; 2 in the third.
        annotated: As `annotated_labels` in dataset.json; the voxels of other labels are background.
    """

    configuration: str = "3d_fullres"
    labels: dict[str, Any] = field(default_factory=lambda: {"background": 0, "ball": 1, "core": 2})
    region_order: tuple[int, ...] | None = None
    channels: int = 1
    planner: str = "ExperimentPlanner"
    plans: str = "nnUNetPlans"
    patch_size: tuple[int, ...] = (8, 16, 16)
    kernels: int | tuple[int, ...] = 3
    strides: int | tuple[int, ...] = 2
    annotated: dict[str, list[str]] = field(default_factory=dict)


REGIONS = {"background": 0, "whole": [1, 2], "core": 2}

MODES = {
    "3d_fullres": Mode(),
    "2d": Mode("2d", patch_size=(16, 16)),
    "3d_cascade_fullres": Mode("3d_cascade_fullres"),
    "ResEncUNetM": Mode(planner="nnUNetPlannerResEncM", plans="nnUNetResEncUNetMPlans"),
    "regions": Mode(labels=REGIONS, region_order=(1, 2)),
    "ignore": Mode(labels={"background": 0, "ball": 1, "core": 2, "ignore": 3}),
    "regions_ignore": Mode(labels={**REGIONS, "ignore": 3}, region_order=(1, 2)),
    "two_channels": Mode(channels=2),
    "anisotropic": Mode(patch_size=(4, 16, 16), kernels=(1, 3, 3), strides=(1, 2, 2)),
}

BALL, CORE = ("case_0", "case_2"), ("case_3", "case_5")
"""Cases that are annotated for one label only; case_0 is a validation case of fold 0, case_5 of fold 1."""

ANNOTATED = {case: ["ball"] if case in BALL else ["core"] for case in (*BALL, *CORE)}
PARTIAL = {
    "partial": Mode(annotated=ANNOTATED),
    "partial_regions_ignore": Mode(
        labels={**REGIONS, "ignore": 3},
        region_order=(1, 2),
        annotated={case: ["whole"] if case in BALL else ["core"] for case in (*BALL, *CORE)},
    ),
}
"""Data sets whose cases are annotated for other labels; no modes of nnU-Net's."""

PARTIAL_CASCADE = {"partial_cascade": Mode("3d_cascade_fullres", annotated=ANNOTATED)}


def prepare(base: Path, number: int, mode: Mode) -> str:
    """Write, plan and preprocess a dataset below `base`, where nnU-Net's variables point; return its name."""
    name = f"Dataset{number:03d}_Tiny"
    _write_raw(base / "nnUNet_raw" / name, mode)
    fingerprint = DatasetFingerprintExtractor(number, num_processes=1)
    # nnU-Net samples a hundred million voxels: most of the time for images this small.
    fingerprint.num_foreground_voxels_for_intensitystats = 1e4
    fingerprint.run()
    plan_experiments([number], mode.planner)
    folder = base / "nnUNet_preprocessed" / name
    plans = json.loads((folder / f"{mode.plans}.json").read_text())
    configurations = plans["configurations"]
    stages = [mode.configuration]
    if mode.configuration == "3d_cascade_fullres":
        stages = ["3d_lowres", "3d_fullres"]
        lowres = copy.deepcopy(configurations["3d_fullres"])
        lowres.update(
            data_identifier=f"{mode.plans}_3d_lowres", spacing=[2.0, 2.0, 2.0], next_stage="3d_cascade_fullres"
        )
        _shrink(lowres, mode, (8, 8, 8))
        configurations["3d_lowres"] = lowres
        configurations["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    _shrink(configurations[stages[-1]], mode, mode.patch_size)
    write_json(folder / f"{mode.plans}.json", plans)
    write_json(folder / "splits_final.json", SPLITS)
    preprocess([number], mode.plans, stages, num_processes=[1], show_progress_bar=False)
    return name


def _shrink(planned: dict[str, Any], mode: Mode, patch_size: tuple[int, ...]) -> None:
    dimensions = len(patch_size)

    def per_axis(value: int | tuple[int, ...]) -> list[int]:
        return [value] * dimensions if isinstance(value, int) else list(value)

    planned.update(patch_size=list(patch_size), batch_size=2)
    arguments = planned["architecture"]["arch_kwargs"]
    # Instances of one voxel cannot be normalised, and with fewer than three stages no lower output is supervised.
    arguments.update(
        n_stages=3,
        features_per_stage=[4, 8, 8],
        kernel_sizes=[per_axis(mode.kernels), per_axis(3), per_axis(3)],
        strides=[per_axis(1), per_axis(mode.strides), per_axis(2)],
        n_conv_per_stage_decoder=[1, 1],
    )
    arguments["n_blocks_per_stage" if "n_blocks_per_stage" in arguments else "n_conv_per_stage"] = [1, 1, 1]


def _write_raw(folder: Path, mode: Mode) -> None:
    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    axes = np.meshgrid(*(np.arange(length) for length in SHAPE), indexing="ij")
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    for case in CASES:
        centre = np.array(SHAPE) / 2 + rng.uniform(-1.5, 1.5, 3)
        distance = np.sqrt(sum((axis - place) ** 2 for axis, place in zip(axes, centre, strict=True)))
        label = np.zeros(SHAPE, dtype=np.uint8)
        label[distance < 5] = 1
        label[distance < 3] = 2
        for channel in range(mode.channels):
            image = 100.0 * label * (-1) ** channel + rng.normal(0, 30, SHAPE)
            nibabel.save(
                nibabel.Nifti1Image(image.astype(np.float32), affine),
                folder / "imagesTr" / f"{case}_{channel:04d}.nii.gz",
            )
        known = mode.annotated.get(case)
        if known == ["core"]:
            label[label == 1] = 0
        elif known:
            # A region may use any of its values, a class has its own.
            label[label == 2] = 1 if mode.region_order else 0
        if "ignore" in mode.labels:
            label[:, :, SHAPE[2] // 2 :] = mode.labels["ignore"]
        nibabel.save(nibabel.Nifti1Image(label, affine), folder / "labelsTr" / f"{case}.nii.gz")
    content: dict[str, Any] = {
        "channel_names": {str(channel): f"MR{channel}" for channel in range(mode.channels)},
        "labels": mode.labels,
        "numTraining": len(CASES),
        "file_ending": ".nii.gz",
    }
    if mode.annotated:
        content["annotated_labels"] = mode.annotated
    if mode.region_order:
        content["regions_class_order"] = list(mode.region_order)
    write_json(folder / "dataset.json", content)
