"""Planted styles and errors, as several tests ask for and look at them."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from nnunetv2_hypersort.perturbation.perturb import PlantedCase, perturb_dataset
from nnunetv2_hypersort.perturbation.spec import parse_spec


def perturbed(source: Path, content: Any, destination: Path | None = None, **options: Any) -> list[PlantedCase]:
    """Perturb a dataset in this process, by default into Dataset902_Styles beside it."""
    target = destination or source.with_name("Dataset902_Styles")
    return perturb_dataset(source, target, parse_spec(content), **{"processes": 1, "progress": False, **options})


def labels_in(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
