"""The steps of the demo: data, plan, training, prediction with two latents, picture and tables."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_hypersort.demo import phantom
from nnunetv2_hypersort.demo.picture import save_demo_picture
from nnunetv2_hypersort.demo.small_plan import shrink
from nnunetv2_hypersort.demo.tables import dice_by_style, dice_table, representative_cases
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_text
from nnunetv2_hypersort.files.progress import progress_bar
from nnunetv2_hypersort.nnunet.devices import usable_device
from nnunetv2_hypersort.nnunet.discovery import TRAINER_VARIABLE, with_our_trainers

DATASET_ID = 900
DATASET = f"Dataset{DATASET_ID}_HyperSORTDemo"
CONFIGURATION = "3d_fullres"
SHOWN_STYLES = phantom.STYLES[1:]
"""The two styles whose latents predict the held-out scans."""


@dataclass(frozen=True)
class DemoSize:
    """How large the demo is.

    Attributes:
        training_cases: Generated training cases.
        test_cases: Generated held-out scans.
        wrong_labels: Training cases with a wrong label.
        epochs: Epochs of the training.
        iterations: Training steps per epoch.
    """

    training_cases: int = 60
    test_cases: int = 4
    wrong_labels: int = 5
    epochs: int = 18
    iterations: int = 50


def run_demo(folder: Path, *, size: DemoSize | None = None, seed: int = 0, device: str | None = None) -> None:
    """Run the whole job in `folder` and print where everything is.

    Args:
        folder: New or empty, or the folder of an earlier demo, which is replaced.
        size: How large the demo is.
        seed: Seed of the data and of the training.
        device: `cuda`, `cpu` or `mps`; None takes a GPU when there is one.

    Raises:
        HyperSORTError: The folder holds something else than a demo, or one of nnU-Net's commands failed.
    """
    size = size or DemoSize()
    _take_folder(folder)
    job = _Job(folder, usable_device(device))
    started = time.monotonic()

    print(f"1/5 Generate {size.training_cases} scans: three annotation styles, {size.wrong_labels} wrong labels")
    dataset = folder / "nnUNet_raw" / DATASET
    phantom.write_phantom_dataset(
        dataset,
        training_cases=size.training_cases,
        test_cases=size.test_cases,
        wrong_labels=size.wrong_labels,
        seed=seed,
    )
    _write_split(folder / "nnUNet_preprocessed" / DATASET, dataset)

    print("2/5 Plan and preprocess with nnU-Net, the plan made small for a CPU")
    job.run("nnUNetv2_extract_fingerprint", "-d", str(DATASET_ID), "-np", "2", "--verify_dataset_integrity")
    job.run("nnUNetv2_plan_experiment", "-d", str(DATASET_ID))
    shrink(
        folder / "nnUNet_preprocessed" / DATASET / "nnUNetPlans.json",
        configuration=CONFIGURATION,
        spacing=phantom.SPACING,
        patch_size=[24, 40, 40],
        features=[8, 16, 32],
        batch_size=2,
    )
    job.run("nnUNetv2_preprocess", "-d", str(DATASET_ID), "-c", CONFIGURATION, "-np", "2")

    print(f"3/5 Train: nnUNetv2_train {DATASET_ID} {CONFIGURATION} 0 -tr HyperSORTTrainer, on the {job.device}")
    config = folder / "demo.yaml"
    write_text(
        config,
        f"training:\n  num_epochs: {size.epochs}\n  num_iterations_per_epoch: {size.iterations}\n"
        f"  num_val_iterations_per_epoch: 2\n  seed: {seed}\n",
    )
    job.train(config, size.epochs)

    model = folder / "nnUNet_results" / DATASET / f"HyperSORTTrainer__nnUNetPlans__{CONFIGURATION}"
    styles = phantom.read_styles(dataset)
    cases = representative_cases(model / "fold_0", styles, SHOWN_STYLES)
    predictions = {}
    for style, case in cases.items():
        print(f"4/5 Predict {size.test_cases} held-out scans with the latent of {case} (style: {style})")
        predictions[style] = folder / "predictions" / f"latent_of_{case}"
        job.predict(dataset / "imagesTs", predictions[style], f"case:{case}")

    print("5/5 Compare and draw")
    picture = folder / "demo.png"
    save_demo_picture(picture, model / "fold_0", dataset, styles, predictions)
    tables = []
    for style, case in cases.items():
        dice = dice_by_style(predictions[style], dataset)
        tables.append(dice_table(f"Latent of {case}, a case of style '{style}'", dice))
    write_text(folder / "dice.md", "\n".join(tables))
    print("\nDice on held-out scans, against the same scans labelled in each style:\n")
    print("\n".join(tables))
    print(f"Done in {(time.monotonic() - started) / 60:.1f} minutes. Where everything is:")
    for what, path in (
        ("picture", picture),
        ("Dice tables", folder / "dice.md"),
        ("latents of the training cases", model / "fold_0" / "latents.csv"),
        ("trained model", model),
        *((f"predictions in style '{style}'", path) for style, path in predictions.items()),
        ("raw data, with the planted truth in styles.csv", dataset),
        ("what nnU-Net printed", job.log),
    ):
        print(f"  {what}: {path}")


class _Job:
    """nnU-Net's commands in the folders of the demo, their output in one log file."""

    def __init__(self, folder: Path, device: str) -> None:
        self.device = device
        self.log = folder / "nnUNet.log"
        self._environment = {
            **os.environ,
            **{name: str(folder / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")},
            TRAINER_VARIABLE: with_our_trainers(os.environ.get(TRAINER_VARIABLE, "")),
            "nnUNet_def_n_proc": "2",
            # Threads that wait for each other sleep; spinning, they slow each other down on a busy machine.
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONUNBUFFERED": "1",
        }
        for name in ("HYPERSORT_LATENT", "HYPERSORT_CONFIG"):
            self._environment.pop(name, None)

    def run(self, command: str, *arguments: str, **environment: str) -> None:
        for _ in self._lines(command, arguments, environment):
            pass

    def train(self, config: Path, epochs: int) -> None:
        arguments = (str(DATASET_ID), CONFIGURATION, "0", "-tr", "HyperSORTTrainer", "-device", self.device)
        with progress_bar(epochs, "    training", unit="epoch") as bar:
            # Augmentation in the training process itself: on such small images workers only cost memory.
            environment = {"HYPERSORT_CONFIG": str(config), "nnUNet_n_proc_DA": "0"}
            for line in self._lines("nnUNetv2_train", arguments, environment):
                if found := re.search(r"latents: (spread [\d.]+)", line):
                    bar.set_postfix_str(found[1], refresh=False)
                elif "Epoch time" in line:
                    bar.update()

    def predict(self, images: Path, output: Path, latent: str) -> None:
        arguments = ("-d", str(DATASET_ID), "-c", CONFIGURATION, "-f", "0", "-tr", "HyperSORTTrainer")
        files = ("-i", str(images), "-o", str(output), "-npp", "1", "-nps", "1", "-device", self.device)
        self.run("nnUNetv2_predict", *arguments, *files, HYPERSORT_LATENT=latent)

    def _lines(self, command: str, arguments: Iterable[str], environment: dict[str, str]) -> Iterable[str]:
        # The commands of this interpreter's environment first: the user's PATH may hold another nnU-Net.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        program = shutil.which(command, path=path)
        if program is None:
            raise HyperSORTError(f"nnU-Net's command {command} was not found; install the package with pip, in a venv.")
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n$ {command} {' '.join(arguments)}\n")
            process = subprocess.Popen(
                [program, *arguments],
                env={**self._environment, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    log.write(line)
                    yield line
            finally:
                if process.poll() is None:
                    process.stdout.close()
                    process.terminate()
                status = process.wait()
        if status:
            raise HyperSORTError(f"{command} failed (exit status {status}); its output is at the end of {self.log}.")


def _take_folder(folder: Path) -> None:
    marker = folder / ".hypersort_demo"
    if folder.exists() and any(folder.iterdir()):
        if not marker.is_file():
            raise HyperSORTError(f"{folder} exists and holds no demo; give an empty or new folder with `-o`.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _write_split(preprocessed: Path, dataset: Path) -> None:
    # nnU-Net takes a split it finds. Nine of ten cases train: the demo shows styles, it does not cross-validate.
    cases = sorted(phantom.read_styles(dataset))
    held_out = cases[::10]
    preprocessed.mkdir(parents=True, exist_ok=True)
    split = [{"train": [case for case in cases if case not in held_out], "val": held_out}]
    write_text(preprocessed / "splits_final.json", json.dumps(split))
