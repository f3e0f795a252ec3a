"""Which runs there are, with which settings, on which cases."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from benchmarks.nnunet_runs.datasets import read_split
from benchmarks.nnunet_runs.workplace import PLANS, Workplace
from benchmarks.style_recovery import datasets
from benchmarks.style_recovery.protocol import (
    FULL,
    MIXTURES,
    SOURCE_DATASET,
    Method,
    parts_name,
    plan_runs,
    settings_yaml,
)
from nnunetv2_hypersort.settings import Settings


def test_the_runs_of_the_protocol() -> None:
    runs = plan_runs(FULL, "default")
    assert len({run.name for run in runs}) == len(runs)
    counts = Counter((run.mixture.name, run.method) for run in runs)
    for mixture in MIXTURES:
        assert counts[mixture.name, Method.HYPERSORT] == counts[mixture.name, Method.PLAIN] == 3
        if mixture.spec:
            assert counts[mixture.name, Method.PUBLISHED] == 1
            assert counts[mixture.name, Method.CROSS_FIT] == 3
            assert counts[mixture.name, Method.ORACLE] == len(mixture.styles) == 3
    assert all(run.mixture.spec for run in runs if run.method not in (Method.HYPERSORT, Method.PLAIN))


def test_runs_have_25_and_200_visits_per_case() -> None:
    for run in plan_runs(FULL, "default"):
        training = run.settings["training"]
        visits = training["num_epochs"] * training["num_iterations_per_epoch"] * 2 / 208
        assert visits == pytest.approx(200 if run.method is Method.LONG else 25)
        # The history of latents has an entry per visit, or its 64 at most.
        assert training["num_epochs"] / training["save_every"] >= 25


def test_settings_reach_the_trainer(tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    config.write_text("latent: {lr: 0.3}\ntraining: {optimizer: adam}\n")
    own = {run.method: run for run in plan_runs(FULL, str(config)) if run.seed == 0 and run.mixture is MIXTURES[1]}
    settings = Settings.from_dict(yaml.safe_load(settings_yaml(own[Method.HYPERSORT], [0, 1])), source="test")
    assert (settings.latent.lr, settings.training.optimizer.value, settings.training.mirror_axes) == (
        0.3,
        "adam",
        (0, 1),
    )
    # Baselines do not know the settings of HyperSORT, and their records stay when these change.
    plain = Settings.from_dict(yaml.safe_load(settings_yaml(own[Method.PLAIN], [0, 1])), source="test")
    assert "optimizer" not in own[Method.PLAIN].settings["training"]
    assert plain.latent.lr != 0.3
    assert plain.training.mirror_axes == (0, 1)
    assert plain.training.seed == settings.training.seed == 0
    default = {run.method: run for run in plan_runs(FULL, "default") if run.seed == 0 and run.mixture is MIXTURES[1]}
    for method, run in own.items():
        same = run.name == default[method].name
        assert same == (method not in (Method.HYPERSORT, Method.LONG, Method.MIRRORED)), method


def test_cross_fit_and_oracles_share_the_cases_of_fold_0(tmp_path: Path) -> None:
    workplace, mixture = Workplace(tmp_path), MIXTURES[0]
    run = next(run for run in plan_runs(FULL, "default") if run.mixture is mixture)
    training, held_out = [f"c{number:02d}" for number in range(20)], ["v0", "v1"]
    for name in (SOURCE_DATASET, run.dataset):
        folder = workplace.preprocessed / name
        (folder / f"{PLANS}_3d_fullres").mkdir(parents=True)
        (folder / f"{PLANS}_3d_fullres" / "c00.b2nd").write_text("data")
        (folder / f"{PLANS}.json").write_text(json.dumps({"dataset_name": name}))
        (folder / "dataset_fingerprint.json").write_text("{}")
        (folder / "splits_final.json").write_text(json.dumps([{"train": training, "val": held_out}]))
        (workplace.raw / name).mkdir()
        (workplace.raw / name / "dataset.json").write_text("{}")
    with (workplace.raw / run.dataset / "styles.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["case", "style", "error", "donor", "dice"])
        for number, case in enumerate(training + held_out):
            table.writerow([case, mixture.styles[number % 3], "flip" if number % 7 == 0 else "none", "", 0.5])
    datasets._split_parts(workplace, run.dataset, mixture)

    parts = parts_name(run.dataset)
    assert json.loads((workplace.preprocessed / parts / f"{PLANS}.json").read_text())["dataset_name"] == parts
    assert (workplace.preprocessed / parts / f"{PLANS}_3d_fullres" / "c00.b2nd").read_text() == "data"
    by_method = {
        method: [each for each in plan_runs(FULL, "default") if each.mixture is mixture and each.method is method]
        for method in (Method.CROSS_FIT, Method.ORACLE)
    }
    left_out = []
    for each in by_method[Method.CROSS_FIT]:
        train, val = read_split(workplace, parts, each.fold)
        assert sorted(train + val) == training
        left_out += val
    assert sorted(left_out) == training
    for each in by_method[Method.ORACLE]:
        train, val = read_split(workplace, parts, each.fold)
        index = mixture.styles.index(each.part)
        assert train == [case for number, case in enumerate(training) if number % 3 == index and number % 7]
        assert val == held_out
