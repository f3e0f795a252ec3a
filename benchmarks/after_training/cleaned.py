"""Training again without the cases that `hypersort rank` flags: HyperSORT and plain nnU-Net, as long as before."""

import json
import os
import shutil
from pathlib import Path

from benchmarks.nnunet_runs.campaign import compute_named
from benchmarks.nnunet_runs.datasets import SPLITS, read_split
from benchmarks.nnunet_runs.training import train
from benchmarks.nnunet_runs.workplace import CONFIGURATION_3D, PLANS, Workplace
from benchmarks.style_recovery import held_out
from benchmarks.style_recovery.datasets import read_truth
from benchmarks.style_recovery.protocol import FULL, Method, Run, plan_runs
from benchmarks.style_recovery.style_latents import NO_LATENT, choose_style_latents
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.settings import CONFIG_VARIABLE


def cleaned_runs(config: str) -> list[Run]:
    """The runs of the first mixture that are made again, every seed of HyperSORT and plain nnU-Net."""
    runs = plan_runs(FULL, config)
    return [run for run in runs if run.mixture == runs[0].mixture and run.method in (Method.HYPERSORT, Method.PLAIN)]


def run_name(run: Run) -> str:
    """Names the files of a run that is made again."""
    return f"cleaned-{run.name}"


def dataset_name(run: Run) -> str:
    """The preprocessed data of the run's dataset with the split file that leaves out what was flagged."""
    return f"Dataset{int(run.dataset[7:10]) + 200}{run.dataset[10:]}Cleaned"


def scores_file(workplace: Workplace, run: Run) -> Path:
    """`{style: {case: [DSC, HD95, NSD]}}` on the held-out cases, each predicted in that style."""
    return workplace.folder / "held_out" / f"{run_name(run)}.json"


def prepare(workplace: Workplace, run: Run, splits: Path) -> None:
    """Make the dataset with the split file that `hypersort rank --exclude` wrote, unless it is there.

    Raises:
        HyperSORTError: It is there with the split of another ranking.
    """
    source, target = (workplace.preprocessed / name for name in (run.dataset, dataset_name(run)))
    if (target / SPLITS).exists():
        if (target / SPLITS).read_bytes() != splits.read_bytes():
            raise HyperSORTError(
                f"{target} leaves out other cases than {splits}; remove it, and what was trained on it "
                f"({workplace.results}/cleaned-*, {scores_file(workplace, run).parent}/cleaned-*)."
            )
        return
    shutil.rmtree(target, ignore_errors=True)
    data = f"{PLANS}_{CONFIGURATION_3D}"
    shutil.copytree(source / data, target / data, copy_function=os.link)
    for name in ("dataset_fingerprint.json", "dataset.json"):
        shutil.copyfile(source / name, target / name)
    # The trainer looks for data and splits where the plans say.
    plans = json.loads((source / f"{PLANS}.json").read_text(encoding="utf-8"))
    write_json(target / f"{PLANS}.json", {**plans, "dataset_name": target.name})
    # Last: it says that the dataset is complete.
    shutil.copyfile(splits, target / SPLITS)


def compute(workplace: Workplace, run: Run) -> None:
    """Train and score one run; the environment must be `workplace.environment(run_name(run))`."""
    os.environ[CONFIG_VARIABLE] = str(workplace.folder / "configs" / f"{run.name}.yaml")
    dataset = dataset_name(run)
    trainer = "HyperSORTTrainer" if run.method.has_latents else "PlainTrainer"
    model_folder, _ = train(dataset, CONFIGURATION_3D, trainer)
    _, cases = read_split(workplace, dataset)
    scores: dict[str, dict[str, dict[str, list[float]]]] = {}
    latents = choose_style_latents(model_folder, run, read_truth(workplace, run))
    for latent in dict.fromkeys(latents.values()):
        output = workplace.folder / "predictions" / run_name(run) / latent.replace(":", "_")
        asked = None if latent == NO_LATENT else latent
        held_out.predict(workplace, run, model_folder, cases, output, latent=asked)
        scores[latent] = held_out.score(workplace, run, output, cases)
    write_json(scores_file(workplace, run), {style: scores[latent][style] for style, latent in latents.items()})


if __name__ == "__main__":
    compute_named(__doc__, lambda args: cleaned_runs(args.config), compute)
