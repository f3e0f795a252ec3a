"""The other four folds of the first HyperSORT training of the benchmark of style recovery."""

import argparse
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.nnunet_runs.training import train
from benchmarks.nnunet_runs.workplace import CONFIGURATION_3D, PLANS, Workplace
from benchmarks.style_recovery.protocol import FULL, Method, Run, plan_runs
from nnunetv2_hypersort.settings import CONFIG_VARIABLE

FOLDS = (1, 2, 3, 4)
FIVE_FOLDS = "five_folds"


@dataclass(frozen=True)
class Fold:
    """One of the other folds of the first HyperSORT run."""

    run: Run
    fold: int

    @property
    def name(self) -> str:
        """Names its log."""
        return f"{FIVE_FOLDS}-{self.fold}"


def first_run(config: str) -> Run:
    """The HyperSORT run of the first mixture and seed, whose other folds are trained."""
    return next(run for run in plan_runs(FULL, config) if run.method is Method.HYPERSORT)


def folds(config: str) -> list[Fold]:
    """The trainings of the other four folds."""
    return [Fold(first_run(config), fold) for fold in FOLDS]


def model_folder(workplace: Workplace, run: Run, results: str) -> Path:
    """nnU-Net's trained-model folder of a run with latents below a folder of results."""
    return workplace.results / results / run.dataset / f"HyperSORTTrainer__{PLANS}__{CONFIGURATION_3D}"


def is_finished(workplace: Workplace, fold: Fold) -> bool:
    """Whether the fold is trained."""
    return (model_folder(workplace, fold.run, FIVE_FOLDS) / f"fold_{fold.fold}" / "checkpoint_final.pth").exists()


def gather_first_fold(workplace: Workplace, run: Run) -> None:
    """Put the fold that exists where the other four will be."""
    source, target = (model_folder(workplace, run, name) for name in (run.name, FIVE_FOLDS))
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}.part")
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(source, temporary)
        temporary.rename(target)


def main() -> None:
    """Train one fold in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fold", type=int, choices=FOLDS)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--config", required=True)
    args = parser.parse_args()
    workplace, run = Workplace(args.work), first_run(args.config)
    os.environ[CONFIG_VARIABLE] = str(workplace.folder / "configs" / f"{run.name}.yaml")
    train(run.dataset, CONFIGURATION_3D, "HyperSORTTrainer", fold=args.fold)


if __name__ == "__main__":
    main()
