"""nnU-Net's three folders below one folder, and commands run in them."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.files import write_json
from nnunetv2_hypersort.nnunet.discovery import TRAINER_VARIABLE, with_our_trainers

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGURATION_3D = "3d_fullres"
PLANS = "nnUNetPlans"


class Workplace:
    """Where a benchmark keeps everything it makes.

    Args:
        folder: Made if it is not there.

    Attributes:
        folder: The folder.
        raw: nnUNet_raw.
        preprocessed: nnUNet_preprocessed.
        results: One nnUNet_results per run, so that runs on one dataset do not share a trained-model folder.
        logs: What commands and runs printed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).resolve()
        self.raw = self.folder / "nnUNet_raw"
        self.preprocessed = self.folder / "nnUNet_preprocessed"
        self.results = self.folder / "nnUNet_results"
        self.logs = self.folder / "logs"
        for path in (self.raw, self.preprocessed, self.results, self.logs):
            path.mkdir(parents=True, exist_ok=True)

    def environment(self, run: str = "") -> dict[str, str]:
        """The environment of a command, or of the run named `run`."""
        environment = {
            **os.environ,
            "nnUNet_raw": str(self.raw),
            "nnUNet_preprocessed": str(self.preprocessed),
            "nnUNet_results": str(self.results / run),
            TRAINER_VARIABLE: os.pathsep.join(
                (str(Path(__file__).resolve().parent / "ext_trainer"), with_our_trainers(""))
            ),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH", "")))),
            "PYTHONUNBUFFERED": "1",
            # One thread per run: on networks this small a second thread gains less than a second run.
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        for name in ("HYPERSORT_CONFIG", "HYPERSORT_LATENT"):
            environment.pop(name, None)
        if run:
            # Augmentation in the training process itself, where it is seeded. The planner cannot do with 0.
            environment["nnUNet_n_proc_DA"] = "0"
        return environment

    def command(self, command: str, *arguments: str) -> None:
        """Run one of nnU-Net's commands; what it prints goes to `logs/preparation.log`.

        Raises:
            HyperSORTError: The command is not installed beside this Python, or failed.
        """
        program = shutil.which(command, path=str(Path(sys.executable).parent))
        if program is None:
            raise HyperSORTError(f"nnU-Net's command {command} is not installed beside {sys.executable}.")
        log = self.logs / "preparation.log"
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"\n$ {command} {' '.join(arguments)}\n")
            stream.flush()
            status = subprocess.run(
                [program, *arguments], env=self.environment(), stdout=stream, stderr=subprocess.STDOUT, check=False
            ).returncode
        if status:
            raise HyperSORTError(f"{command} failed (exit status {status}); its output is at the end of {log}.")

    def claim(self, protocol: Any) -> None:
        """Write down the protocol of the runs in this folder, a dataclass.

        Raises:
            HyperSORTError: The folder holds runs of another protocol.
        """
        record = self.folder / "protocol.json"
        # By way of JSON, so that what is compared is what can be read back.
        wanted = json.loads(json.dumps(vars(protocol)))
        if not record.exists():
            write_json(record, wanted)
        elif (found := json.loads(record.read_text(encoding="utf-8"))) != wanted:
            raise HyperSORTError(
                f"{self.folder} holds runs of another protocol ({found} and not {wanted}); take another folder."
            )

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Keep other campaigns out of this folder; yields a descriptor for child processes to inherit.

        A child that inherits it and outlives a killed parent keeps the folder locked until it ends, so no run is ever
        computed by two processes at once.

        Raises:
            HyperSORTError: Another process works in the folder.
        """
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise HyperSORTError(
                    f"Another process, perhaps a run left over by a killed campaign, works in {self.folder}; wait for "
                    f"it to end, or take another folder."
                ) from None
            yield lock.fileno()
