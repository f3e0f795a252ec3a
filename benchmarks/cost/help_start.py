"""How long `hypersort --help` takes, and whether it imports torch."""

import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nnunetv2_hypersort.errors import HyperSORTError

_IMPORTED = """
import sys
from nnunetv2_hypersort.cli.main import main
try:
    main(["--help"])
except SystemExit:
    print("torch" in sys.modules)
"""


def measure(repetitions: int) -> dict[str, Any]:
    """Start `hypersort --help` some times.

    Returns:
        Wall and processor seconds (medians and quartiles), and whether torch was imported.

    Raises:
        HyperSORTError: `hypersort` is not installed beside this Python.
    """
    program = shutil.which("hypersort", path=str(Path(sys.executable).parent))
    if program is None:
        raise HyperSORTError("The command hypersort is not installed beside this Python; `pip install .` first.")
    wall, processor = [], []
    for _ in range(repetitions):
        started, used = time.perf_counter(), _children()
        subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL)
        wall.append(time.perf_counter() - started)
        processor.append(_children() - used)
    imported = subprocess.run(
        [sys.executable, "-c", _IMPORTED], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()[-1]
    return {
        "repetitions": repetitions,
        "torch_imported": imported == "True",
        "wall_seconds": {"median": statistics.median(wall), "quartiles": statistics.quantiles(wall)[::2]},
        "processor_seconds": {
            "median": statistics.median(processor),
            "quartiles": statistics.quantiles(processor)[::2],
        },
    }


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
