"""Time and memory of the verbs that read tables of cases, at 1,000, 10,000 and 100,000 cases.

    python -m benchmarks.growth_of_verbs --work WORK

The models are generated: two folds, each with four in five of the cases, whose latents lie in three groups; no network
and no images, so nothing is predicted. Each verb runs in a process of its own, in the order in which people run them:
`styles`, then `rank` with the styles that it wrote, then `report` with both. Printed is a table in Markdown. What is
predicted comes on top, in proportion to the number of cases: `docs/rank.md` and `docs/report.md` say how much per case.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.files.text_tables import markdown_table
from nnunetv2_hypersort.hypernetwork.conditioning.latent_table import encode_json
from nnunetv2_hypersort.latents import FoldRecord
from nnunetv2_hypersort.nnunet.checksum import CHECKSUM_KEY, weights_checksum
from nnunetv2_hypersort.settings import Settings

COUNTS = (1_000, 10_000, 100_000)
FOLDS = 2
CENTRES = np.array([[0.0, 0.0], [3.0, 0.0], [1.5, 2.6]])
HISTORY = 8
DATASET = {"labels": {"background": 0, "liver": 1}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}


def write_model(folder: Path, count: int) -> None:
    """Write plans and checkpoints of a model that was trained on so many cases."""
    cases = np.array([f"case_{number:06d}" for number in range(count)])
    style = np.random.default_rng(0).choice(len(CENTRES), count, p=[0.5, 0.3, 0.2])
    held_out = {str(fold): cases[np.arange(count) % 5 == fold].tolist() for fold in range(FOLDS)}
    plans = {
        "dataset_name": "Dataset999_Generated",
        "plans_name": "nnUNetPlans",
        "configurations": {"3d_fullres": {"batch_size": 2}},
        "hypersort": {"settings": Settings().to_dict()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "plans.json", plans)
    write_json(folder / "dataset.json", DATASET)
    for fold in range(FOLDS):
        rng = np.random.default_rng(1 + fold)
        rows = np.flatnonzero(np.arange(count) % 5 != fold)
        latents = CENTRES[style[rows]] + rng.normal(0, 0.3, (len(rows), 2))
        latents[:: len(rows) // 20] += rng.normal(0, 3, latents[:: len(rows) // 20].shape)
        values = torch.tensor(latents, dtype=torch.float32)
        weights = {
            "record": FoldRecord.encode(str(fold), held_out),
            "latents.encoded_ids": encode_json(cases[rows].tolist()),
            "latents.values": values,
            "latents.visits": torch.full((len(rows),), 200),
            "latents.steps": torch.full((len(rows),), 190),
            "latents.loss": torch.tensor(rng.gamma(2.0, 0.1, len(rows)), dtype=torch.float32),
            "latents.history": values * torch.linspace(0.1, 1, HISTORY)[:, None, None],
            "latents.history_epochs": torch.arange(HISTORY) * 50,
        }
        weights[CHECKSUM_KEY] = weights_checksum(weights)
        arguments = {"plans": plans, "configuration": "3d_fullres", "fold": fold, "dataset_json": DATASET}
        checkpoint = {
            "network_weights": weights,
            "init_args": arguments,
            "trainer_name": "HyperSORTTrainer",
            "current_epoch": 1000,
        }
        (folder / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")


def _styles(folder: Path) -> None:
    from nnunetv2_hypersort.styles import find_styles

    find_styles(folder, cases=0)


def _rank(folder: Path) -> None:
    from nnunetv2_hypersort.ranking.rank import rank_cases

    rank_cases(folder, predict=False, progress=False)


def _report(folder: Path) -> None:
    from nnunetv2_hypersort.report import write_report

    write_report(folder, minutes=0)


VERBS: dict[str, Callable[[Path], None]] = {"styles": _styles, "rank": _rank, "report": _report}


def measure(verb: str, folder: Path) -> dict[str, float]:
    """Run a verb in this process: seconds of processor and clock, and the peak of its memory in MB."""
    processor, clock = time.process_time(), time.perf_counter()
    VERBS[verb](folder)
    return {
        "processor_s": round(time.process_time() - processor, 2),
        "clock_s": round(time.perf_counter() - clock, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def main() -> None:
    """Measure all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the generated models")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("-o", type=Path, help="also write the numbers to this file")
    parser.add_argument("--one", nargs=2, metavar=("VERB", "MODEL"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], Path(args.one[1]))))
        return
    numbers: dict[str, dict[str, dict[str, float]]] = {verb: {} for verb in VERBS}
    command = [sys.executable, "-m", "benchmarks.growth_of_verbs", "--work", str(args.work), "--one"]
    hidden = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    for count in args.counts:
        folder = args.work / f"cases_{count}"
        write_model(folder, count)
        for verb in VERBS:
            done = subprocess.run(
                [*command, verb, str(folder)], env=environment, check=True, stdout=subprocess.PIPE, text=True
            )
            numbers[verb][str(count)] = json.loads(done.stdout.splitlines()[-1])
    header = ["", *(f"{count:,} cases" for count in args.counts)]
    rows = [
        [f"`{verb}`", *(f"{one['processor_s']:.1f} s, {one['peak_mb']:,.0f} MB" for one in of_verb.values())]
        for verb, of_verb in numbers.items()
    ]
    print(markdown_table(header, rows))
    if args.o:
        write_json(args.o, {"verbs": numbers, "load_average": round(os.getloadavg()[0], 1)})


if __name__ == "__main__":
    main()
