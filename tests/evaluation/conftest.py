"""Small label maps in folders, as `hypersort evaluate` meets them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from evaluation_helpers import write_dataset_json, write_nifti
from numpy.typing import NDArray


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., tuple[Path, Path, Path]]:
    """Write reference and prediction folders from {case: array} and return them with dataset.json."""

    def make(
        references: Mapping[str, NDArray[Any]],
        predictions: Mapping[str, NDArray[Any]],
        labels: Mapping[str, Any],
        spacing: tuple[float, ...] = (1.0, 1.0, 1.0),
        name: str = "pred",
    ) -> tuple[Path, Path, Path]:
        for folder, arrays in (("ref", references), (name, predictions)):
            (tmp_path / folder).mkdir(exist_ok=True)
            for case, array in arrays.items():
                write_nifti(tmp_path / folder / f"{case}.nii.gz", array, spacing)
        return tmp_path / "ref", tmp_path / name, write_dataset_json(tmp_path / "dataset.json", labels)

    return make
