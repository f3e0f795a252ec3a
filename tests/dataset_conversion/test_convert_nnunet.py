"""nnU-Net itself, with its own command, accepts what was converted."""

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from convert_builders import SHEARED, amos_label, ct, make_amos, save

from nnunetv2_hypersort.cli.main import main

pytestmark = pytest.mark.integration


def plan_and_preprocess(*ids):
    command = Path(sysconfig.get_path("scripts")) / "nnUNetv2_plan_and_preprocess"
    if not command.exists():
        command = Path(shutil.which("nnUNetv2_plan_and_preprocess") or "nnUNetv2_plan_and_preprocess")
    options = ["-c", "3d_fullres", "--verify_dataset_integrity", "-np", "1", "-npfp", "1"]
    return subprocess.run(
        [str(command), "-d", *map(str, ids), *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_plan_and_preprocess_with_verification(raw, tmp_path, shared_data):
    shape = (40, 36, 16)
    amos = make_amos(tmp_path / "amos22", train=(1, 4, 5), validation=(8,))
    for number, part, affine in ((1, "Tr", None), (4, "Tr", SHEARED), (5, "Tr", None), (8, "Va", None)):
        grid = {} if affine is None else {"affine": affine}
        save(amos / f"images{part}" / f"amos_{number:04d}.nii.gz", ct(number, shape), **grid)
        label = amos_label(number, shape, np.float64 if number == 5 else np.uint16)
        save(amos / f"labels{part}" / f"amos_{number:04d}.nii.gz", label, **grid)

    example = shared_data / "totalsegmentator_example"
    total = tmp_path / "Totalsegmentator_dataset_v201"
    splits = {"s0000": "train", "s0001": "val", "s0002": "test"}
    for name in splits:
        (total / name).mkdir(parents=True)
        (total / name / "ct.nii.gz").symlink_to(example / "example_ct_sm.nii.gz")
        (total / name / "segmentations").symlink_to(example / "example_seg_fast")
    (total / "meta.csv").write_text("image_id;split\n" + "".join(f"{name};{split}\n" for name, split in splits.items()))

    assert (
        main(["convert", "amos22", str(amos), "-d", "218", "--classes", "liver", "--validation", "fold", "-np", "1"])
        == 0
    )
    assert (
        main(["convert", "totalsegmentator", str(total), "-d", "291", "--classes", "liver", "spleen", "-np", "1"]) == 0
    )
    run = plan_and_preprocess(218, 291)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert run.stdout.count("verify_dataset_integrity Done") == 2
    assert "Error" not in run.stdout
    assert "mismatch" not in run.stdout
    preprocessed = raw.parent / "nnUNet_preprocessed"
    for name, normalisation in (
        ("Dataset218_AMOS22", "CTNormalization"),
        ("Dataset291_TotalSegmentator", "CTNormalization"),
    ):
        plans = json.loads((preprocessed / name / "nnUNetPlans.json").read_text())
        assert plans["configurations"]["3d_fullres"]["normalization_schemes"] == [normalisation]
        assert plans["image_reader_writer"] == "NibabelIOWithReorient"
        # The planner takes the official split along.
        split = json.loads((preprocessed / name / "splits_final.json").read_text())
        assert split == json.loads((raw / name / "splits_final.json").read_text())
    folder = preprocessed / "Dataset291_TotalSegmentator" / "nnUNetPlans_3d_fullres"
    assert sorted(path.stem for path in folder.glob("*.pkl")) == ["s0000", "s0001"]
