"""What is kept of a finished training, as one JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from nnunetv2_hypersort.files.tables import read_table
from nnunetv2_hypersort.trainers.base.case_losses import CASE_LOSSES_FILE
from nnunetv2_hypersort.trainers.hypersort.run_files import HISTORY_FILE, LATENTS_FILE


@dataclass(frozen=True)
class TrainingRecord:
    """What is kept of a training.

    Attributes:
        cases: The n training cases.
        losses: Running mean of the loss of each case, shape (n,); NaN for a case that was never visited.
        latents: Shape (n, dim), dim 0 without latents.
        history: Latents during the training, shape (entries, n, dim).
        history_visits: Visits per case at each entry, shape (entries,).
        seconds: What the epochs took.
    """

    cases: tuple[str, ...]
    losses: NDArray[np.float64]
    latents: NDArray[np.float64]
    history: NDArray[np.float64]
    history_visits: NDArray[np.float64]
    seconds: float

    @classmethod
    def from_fold(cls, fold_folder: Path, *, has_latents: bool, seconds: float, epochs: int) -> "TrainingRecord":
        """Read it from what a trainer left in its fold folder.

        Args:
            fold_folder: nnU-Net's `fold_X`.
            has_latents: Whether HyperSORTTrainer trained it, else PlainTrainer.
            seconds: What the epochs took.
            epochs: Number of epochs.
        """
        if not has_latents:
            content = json.loads((fold_folder / CASE_LOSSES_FILE).read_text(encoding="utf-8"))
            count = len(content["cases"])
            losses = np.where(np.asarray(content["visits"]) > 0, content["losses"], np.nan)
            nothing = np.zeros((0, count, 0))
            return cls(tuple(content["cases"]), losses, np.zeros((count, 0)), nothing, np.zeros(0), seconds)
        rows = read_table(fold_folder / LATENTS_FILE, ("case", "visits", "loss")).rows
        history = load_file(fold_folder / HISTORY_FILE)
        visits = np.mean([int(row["visits"]) for row in rows])
        return cls(
            tuple(row["case"] for row in rows),
            np.asarray([float(row["loss"] or "nan") for row in rows]),
            np.asarray([[float(value) for key, value in row.items() if key.startswith("z_")] for row in rows]),
            history["latents"].astype(float),
            visits * history["epochs"] / epochs,
            seconds,
        )

    def to_json(self) -> dict[str, Any]:
        """The record as JSON types."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "TrainingRecord":
        """Read what `to_json` gave."""
        count, entries = len(content["cases"]), len(content["history_visits"])
        # NumPy cannot know the size of an axis where there is nothing.
        history = np.asarray(content["history"], float).reshape(entries, count, -1 if entries else 0)
        return cls(
            tuple(content["cases"]),
            np.asarray(content["losses"], float),
            np.asarray(content["latents"], float).reshape(count, -1),
            history,
            np.asarray(content["history_visits"], float),
            float(content["seconds"]),
        )


def read_json(path: Path) -> Any:
    """What a JSON file holds, or None if there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def as_json(value: Any) -> Any:
    """JSON types, rounded to what can matter; what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {key: as_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [as_json(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 4) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
