"""Fixtures that several rooms share: the real data, and a tiny preprocessed dataset with trainers and models on it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from filelock import FileLock
from skips import pytest_make_collect_report, pytest_runtest_makereport, pytest_terminal_summary  # noqa: F401  # hooks

if TYPE_CHECKING:
    from nnunetv2_hypersort.trainers import HyperSORTTrainer

# Small tensors: a second thread gains nothing, and where tests share a machine its waiting costs a lot.
torch.set_num_threads(1)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# nnU-Net starts eight workers for whatever it exports, each of which imports PyTorch.
os.environ.setdefault("nnUNet_def_n_proc", "2")

REPOSITORY = Path(__file__).resolve().parents[1]
DATASET = "Dataset901_Tiny"
CASE_COUNT = 10
SHORT = (
    "training: {num_epochs: 1, num_iterations_per_epoch: 12, num_val_iterations_per_epoch: 1, seed: 3}\n"
    "latent: {start: random, init_std: 0.5}\n"
)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data sets."""
    folder = Path(os.environ.get("HYPERSORT_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (set HYPERSORT_TEST_DATA to the folder that holds it)")
    return folder


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests choose settings and latents themselves."""
    for name in ("HYPERSORT_CONFIG", "HYPERSORT_LATENT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def once_per_run(tmp_path_factory: pytest.TempPathFactory) -> "OncePerRun":
    """Let `make` fill the folder `name`, and give it to all workers of this run: only the first one waits for it."""
    # A worker's folder lies in that of the run.
    run = (
        tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.getbasetemp()
    )

    def filled(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = run / f"once_{name}", run / f"once_{name}.done"
        with FileLock(f"{folder}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return filled


OncePerRun = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def preprocessed(once_per_run: OncePerRun) -> Path:
    """A folder with nnUNet_raw and nnUNet_preprocessed of ten generated scans, planned and preprocessed by nnU-Net."""

    def make(base: Path) -> None:
        cases = _preprocess_phantom(base, CASE_COUNT)
        splits = [{"train": cases[2:], "val": cases[:2]}, {"train": cases[:8], "val": cases[8:]}]
        (base / "nnUNet_preprocessed" / DATASET / "splits_final.json").write_text(json.dumps(splits))

    return once_per_run("nnunet", make)


@pytest.fixture
def trainer_on_many_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "MakeTrainer":
    """`make_trainer` with 40 cases, 36 of them training data of fold 0."""
    base = tmp_path / "many"
    cases = _preprocess_phantom(base, 40)
    splits = [{"train": cases[4:], "val": cases[:4]}]
    (base / "nnUNet_preprocessed" / DATASET / "splits_final.json").write_text(json.dumps(splits))
    return _trainer_maker(base, tmp_path, monkeypatch)


def _preprocess_phantom(base: Path, count: int) -> list[str]:
    from nnunetv2_hypersort.demo.phantom import SPACING, write_phantom_dataset
    from nnunetv2_hypersort.demo.small_plan import shrink

    raw = base / "nnUNet_raw" / DATASET
    write_phantom_dataset(raw, training_cases=count, test_cases=1, wrong_labels=0, seed=5)
    environment = {**os.environ, **{name: str(base / name) for name in ("nnUNet_raw", "nnUNet_preprocessed")}}
    scripts = Path(sys.executable).parent

    def run(command: str, *arguments: str) -> None:
        subprocess.run([scripts / command, "-d", "901", *arguments], env=environment, check=True, capture_output=True)

    run("nnUNetv2_extract_fingerprint", "-np", "2")
    run("nnUNetv2_plan_experiment")
    folder = base / "nnUNet_preprocessed" / DATASET
    shrink(
        folder / "nnUNetPlans.json",
        configuration="3d_fullres",
        spacing=SPACING,
        patch_size=[16, 24, 24],
        features=[4, 8, 16],
        batch_size=2,
    )
    run("nnUNetv2_preprocess", "-c", "3d_fullres", "-np", "2")
    return [f"phantom_{number:03d}" for number in range(count)]


MakeTrainer = Callable[..., "HyperSORTTrainer"]


@pytest.fixture
def make_trainer(preprocessed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeTrainer:
    """Build a trainer as nnUNetv2_train does, with results and a private copy of the preprocessed data in tmp_path."""
    return _trainer_maker(preprocessed, tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def _two_folds(preprocessed: Path, once_per_run: OncePerRun) -> Path:
    def train(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            make = _trainer_maker(preprocessed, folder, monkeypatch)
            for fold in (0, 1):
                make(SHORT, fold=fold).run_training()

    return once_per_run("two_folds", train)


@pytest.fixture
def trained_model(preprocessed: Path, _two_folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private copy of the trained-model folder of folds 0 and 1, with its preprocessed and raw data at hand.

    Mirrors in all three axes. Fold 0 trains on phantom_002 to phantom_009, fold 1 on phantom_000 to phantom_007.
    """
    shutil.copytree(_two_folds / "nnUNet_results", tmp_path / "nnUNet_results")
    monkeypatch.setenv("nnUNet_raw", str(preprocessed / "nnUNet_raw"))
    monkeypatch.setenv("nnUNet_preprocessed", str(_two_folds / "nnUNet_preprocessed"))
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "nnUNet_results"))
    return tmp_path / "nnUNet_results" / DATASET / "HyperSORTTrainer__nnUNetPlans__3d_fullres"


def _trainer_maker(preprocessed: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> MakeTrainer:
    from nnunetv2_hypersort.trainers import HyperSORTTrainer

    shutil.copytree(preprocessed / "nnUNet_preprocessed", folder / "nnUNet_preprocessed")
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str((preprocessed if name == "nnUNet_raw" else folder) / name))
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")

    def make(
        config: str | None = None,
        *,
        fold: int | str = 0,
        continue_training: bool = False,
        kind: type[HyperSORTTrainer] = HyperSORTTrainer,
    ) -> HyperSORTTrainer:
        if config is None:
            monkeypatch.delenv("HYPERSORT_CONFIG", raising=False)
        else:
            (folder / "config.yaml").write_text(config)
            monkeypatch.setenv("HYPERSORT_CONFIG", str(folder / "config.yaml"))
        dataset = folder / "nnUNet_preprocessed" / DATASET
        plans: dict[str, Any] = json.loads((dataset / "nnUNetPlans.json").read_text())
        plans["continue_training"] = continue_training
        dataset_json = json.loads((dataset / "dataset.json").read_text())
        trainer = kind(plans, "3d_fullres", fold, dataset_json, torch.device("cpu"))
        # nnU-Net draws a figure of 30 x 54 inches after each epoch: most of the time of so short a training.
        trainer.logger.plot_progress_png = lambda _folder: None
        return trainer

    return make


@pytest.fixture
def styled_model(trained_model: Path) -> Path:
    """`trained_model` with three styles written in by hand.

    In folds 0 and 1 style A is cluster 1 and 0 with medoid phantom_004, style B cluster 0 and 1 with medoid
    phantom_006; style C is cluster 2 of fold 0 alone, with medoid phantom_008. A is the largest.
    """
    from nnunetv2_hypersort.latents import Style, StyleBook, StyleInFold
    from nnunetv2_hypersort.model import ModelFolder

    model = ModelFolder.open(trained_model)

    def style(name: str, medoid: str, clusters: dict[str, int], cases: list[str]) -> Style:
        records = {fold: model.fold(fold).record for fold in clusters}
        return Style(
            name,
            {
                fold: StyleInFold(tuple(record.latent_of(medoid)), medoid, record.fingerprint, clusters[fold])
                for fold, record in records.items()
            },
            tuple(cases),
        )

    model.write_book(
        StyleBook(
            (
                style("B", "phantom_006", {"0": 0, "1": 1}, ["phantom_006", "phantom_007"]),
                style("A", "phantom_004", {"0": 1, "1": 0}, ["phantom_002", "phantom_003", "phantom_004"]),
                style("C", "phantom_008", {"0": 2}, ["phantom_008"]),
            )
        )
    )
    return trained_model
