"""Training again without flagged cases: on the same data, with the other split."""

import json
from pathlib import Path

import pytest

from benchmarks.after_training.cleaned import cleaned_runs, dataset_name, prepare
from benchmarks.nnunet_runs.workplace import CONFIGURATION_3D, PLANS, Workplace
from nnunetv2_hypersort.errors import HyperSORTError

SPLITS = [{"train": ["a"], "val": ["c"]}]


def test_the_trainer_finds_the_split_without_the_flagged_cases(tmp_path: Path) -> None:
    workplace, run = Workplace(tmp_path), cleaned_runs("default")[0]
    source = workplace.preprocessed / run.dataset
    (source / f"{PLANS}_{CONFIGURATION_3D}").mkdir(parents=True)
    (source / f"{PLANS}_{CONFIGURATION_3D}" / "a.b2nd").write_text("voxels")
    (source / "splits_final.json").write_text(json.dumps([{"train": ["a", "b"], "val": ["c"]}]))
    for name in ("dataset.json", "dataset_fingerprint.json"):
        (source / name).write_text("{}")
    (source / f"{PLANS}.json").write_text(json.dumps({"dataset_name": run.dataset, "configurations": {}}))
    (tmp_path / "splits.json").write_text(json.dumps(SPLITS))

    prepare(workplace, run, tmp_path / "splits.json")
    target = workplace.preprocessed / dataset_name(run)
    assert json.loads((target / "splits_final.json").read_text()) == SPLITS
    # nnU-Net looks for the split in the folder that the plans name.
    assert json.loads((target / f"{PLANS}.json").read_text())["dataset_name"] == target.name
    assert (target / f"{PLANS}_{CONFIGURATION_3D}" / "a.b2nd").samefile(
        source / f"{PLANS}_{CONFIGURATION_3D}" / "a.b2nd"
    )
    assert json.loads((source / "splits_final.json").read_text())[0]["train"] == ["a", "b"]

    (tmp_path / "splits.json").write_text(json.dumps([{"train": ["b"], "val": ["c"]}]))
    with pytest.raises(HyperSORTError, match="leaves out other cases"):
        prepare(workplace, run, tmp_path / "splits.json")
