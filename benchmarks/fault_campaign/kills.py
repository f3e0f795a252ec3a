"""Trainings killed with SIGKILL, again and again, each going on where the one before was killed."""

import csv
import json
import os
import random
import select
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from safetensors.numpy import load_file

from nnunetv2_hypersort import files
from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.nnunet.checkpoints import read_checkpoint
from nnunetv2_hypersort.trainers import HyperSORTTrainer
from nnunetv2_hypersort.trainers.base.newest_checkpoint import newest_checkpoint
from nnunetv2_hypersort.trainers.hypersort import run_files

# So long that no training ends before it is killed.
CONFIG = (
    "training: {num_epochs: 10000, num_iterations_per_epoch: 1, num_val_iterations_per_epoch: 1, save_every: 2}\n"
    "latent: {start: random}\n"
)
MOMENTS = ("any moment", "half a checkpoint", "before the rename", "after the rename", "half a table", "half the plans")
LATEST_KILL = 2.0
"""Processor seconds after its start at which a training is killed at the latest; an epoch takes about 0.1."""
LONGEST_SILENCE = 600
"""Seconds after which a training that is not killed counts as hanging."""


@dataclass
class KillCounts:
    """What became of trainings that were killed.

    Attributes:
        kills: How many were killed, by the moment.
        continued: How many restarts went on from the newest complete checkpoint.
        anew: How many restarts began anew, as no checkpoint had been written.
        failures: What went wrong, in words; empty if nothing is ever lost.
    """

    kills: Counter[str] = field(default_factory=Counter)
    continued: int = 0
    anew: int = 0
    failures: list[str] = field(default_factory=list)


def kill_trainings(count: int, dataset: Path, results: Path, *, seed: int = 0) -> KillCounts:
    """Kill trainings of one fold, continue each with `--c`, and look after each kill at what is on the disk.

    Half of them are killed at a random time, from the first moment of their start on; the others while they write: half
    of a checkpoint, between writing it and giving it its name, just after that, half of `latents.csv`, and half of the
    plans that nnU-Net writes at each start. A training is a fork of this process, killed with SIGKILL, so that nothing
    of it can clean up.

    Args:
        count: How many kills.
        dataset: The dataset's folder in nnUNet_preprocessed, planned and preprocessed for `3d_fullres`.
        results: nnUNet_results of the trainings; nnU-Net's environment variables must be set accordingly.
        seed: Of the moments.

    Returns:
        The counts.
    """
    draw = random.Random(seed)
    counts = KillCounts()
    folder = results / dataset.name / "HyperSORTTrainer__nnUNetPlans__3d_fullres" / "fold_0"
    newest = 0
    for number in range(count):
        moment = MOMENTS[0] if number % 2 == 0 else MOMENTS[1 + number // 2 % (len(MOMENTS) - 1)]
        began = _train_until_killed(dataset, moment, draw, counts)
        counts.kills[moment] += 1
        where = f"kill {number + 1} ({moment})"
        if began is not None:
            expected = "anew" if newest == 0 else f"epoch {newest}"
            if began != expected:
                counts.failures.append(f"{where}: went on with {began} instead of {expected}")
            counts.anew += began == "anew"
            counts.continued += began != "anew"
        newest = _look(folder, newest, where, counts.failures)
    return counts


def _build_trainer(dataset: Path) -> HyperSORTTrainer:
    # As `nnUNetv2_train ... --c` does.
    plans: dict[str, Any] = json.loads((dataset / "nnUNetPlans.json").read_text())
    plans["continue_training"] = True
    dataset_json = json.loads((dataset / "dataset.json").read_text())
    return HyperSORTTrainer(plans, "3d_fullres", 0, dataset_json, torch.device("cpu"))


def _train_until_killed(dataset: Path, moment: str, draw: random.Random, counts: KillCounts) -> str | None:
    # What the training began with, as it says itself, or None if it was killed before.
    reading, writing = os.pipe()
    # By then a training has begun, and each moment in which something is written has come.
    delay, chosen_write = draw.uniform(0, LATEST_KILL), draw.randint(1, 4)
    child = os.fork()
    if child == 0:
        os.close(reading)
        _train(dataset, moment, chosen_write, draw.random(), writing)
    os.close(writing)
    said = b""
    if moment == MOMENTS[0]:
        while _processor_seconds(child) < delay:
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
    while select.select([reading], [], [], LONGEST_SILENCE)[0]:
        part = os.read(reading, 2**16)
        if not part:
            break
        said += part
    else:
        os.kill(child, signal.SIGKILL)
        counts.failures.append(f"a training hung ({moment})")
    os.close(reading)
    _, status = os.waitpid(child, 0)
    lines = said.decode().splitlines()
    if not os.WIFSIGNALED(status):
        counts.failures.append(f"a training ended by itself ({moment}): {' | '.join(lines[-4:])}")
    return next((line for line in lines if line == "anew" or line.startswith("epoch ")), None)


def _processor_seconds(process: int) -> float:
    # On a machine with other work, seconds of a clock say little about how far a training has come.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    if fields[0] == "Z":
        return float("inf")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _train(dataset: Path, moment: str, chosen_write: int, share: float, writing: int) -> None:
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        _arm(moment, chosen_write, share)
        # Pictures take most of the time of so short an epoch, and are written like the tables.
        run_files.save_latent_map = lambda target, *_args, **_more: Path(target).write_bytes(b"")
        trainer = _build_trainer(dataset)
        trainer.logger.plot_progress_png = lambda _folder: None
        folder = Path(trainer.output_folder)
        if any(folder.glob("checkpoint_*.pth")):
            # The file that nnU-Net's `--c` hands over.
            names = ("checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth")
            trainer.load_checkpoint(str(next(folder / name for name in names if (folder / name).is_file())))
        began = f"epoch {trainer.current_epoch}" if trainer.current_epoch else "anew"
        os.write(writing, f"{began}\n".encode())
        trainer.run_training()
    except BaseException:
        os.write(writing, traceback.format_exc().encode())
    finally:
        os._exit(1)


def _arm(moment: str, chosen_write: int, share: float) -> None:
    """Let this process kill itself in the midst of a write."""
    writes = Counter[str]()

    def now(kind: str) -> bool:
        writes[kind] += 1
        return writes[kind] == chosen_write

    def die_with_half(target: Path, content: bytes) -> None:
        target.write_bytes(content[: int(share * len(content))])
        os.kill(os.getpid(), signal.SIGKILL)

    # nnU-Net's module has the name of the class in it.
    of_nnunet: Any = sys.modules[nnUNetTrainer.__module__]
    save, replace, write_latents, save_json = torch.save, os.replace, run_files.write_latents, of_nnunet.save_json

    def half_a_checkpoint(content: Any, target: str) -> None:
        save(content, target)
        if now("checkpoint"):
            die_with_half(Path(target), Path(target).read_bytes())

    def around_the_rename(source: Path, target: Path) -> None:
        chosen = str(target).endswith(".pth") and now("rename")
        if chosen and moment == "before the rename":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if chosen:
            os.kill(os.getpid(), signal.SIGKILL)

    def half_a_table(folder: str, *args: Any, **more: Any) -> None:
        if now("table"):
            with files.atomic_path(Path(folder) / run_files.LATENTS_FILE) as temporary:
                die_with_half(temporary, b"case,z_0,z_1,visits,loss,epoch\n" * 9)
        write_latents(folder, *args, **more)

    def half_the_plans(content: Any, target: str, *args: Any, **more: Any) -> None:
        if target.endswith("plans.json"):
            die_with_half(Path(target), json.dumps(content, indent=4).encode())
        save_json(content, target, *args, **more)

    if moment == "half a checkpoint":
        torch.save = half_a_checkpoint
    elif moment in ("before the rename", "after the rename"):
        os.replace = around_the_rename  # type: ignore[assignment]
    elif moment == "half a table":
        run_files.write_latents = half_a_table
    elif moment == "half the plans":
        of_nnunet.save_json = half_the_plans


def _look(folder: Path, before: int, where: str, failures: list[str]) -> int:
    """Look at the files that a killed training left; return the epoch of the newest complete checkpoint."""
    if not list(folder.glob("checkpoint_*.pth")):
        if before:
            failures.append(f"{where}: no checkpoint is left")
        return 0
    try:
        path, damaged = newest_checkpoint(folder)
        epoch = int(read_checkpoint(path)["current_epoch"])
    except HyperSORTError as error:
        failures.append(f"{where}: {error}")
        return before
    failures += [f"{where}: {problem}" for problem in damaged]
    # Within one training the newest checkpoint is the one of most epochs.
    epochs = [_epoch_or_none(file) for file in folder.glob("checkpoint_*.pth")]
    if epoch != max(found for found in epochs if found is not None):
        failures.append(f"{where}: of checkpoints of epochs {epochs} that of epoch {epoch} was taken")
    if epoch < before:
        failures.append(f"{where}: the newest checkpoint was of epoch {before} and is of epoch {epoch}")
    tables = folder / run_files.LATENTS_FILE, folder / run_files.HISTORY_FILE
    if tables[0].exists():
        with tables[0].open(newline="") as file:
            rows = list(csv.DictReader(file))
        epochs_there = {row["epoch"] for row in rows}
        if len(rows) != 8 or len(epochs_there) != 1 or any(None in row.values() for row in rows):
            failures.append(f"{where}: {tables[0].name} is not whole")
    if tables[1].exists():
        try:
            load_file(tables[1])
        except Exception as error:  # whatever a part of the file leads to
            failures.append(f"{where}: {tables[1].name} is not whole ({error})")
    return epoch


def _epoch_or_none(file: Path) -> int | None:
    try:
        return int(torch.load(file, weights_only=False)["current_epoch"])
    except Exception:  # whatever a part of the file leads to
        return None


def clear(results: Path) -> None:
    """Remove the results of earlier trainings."""
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
