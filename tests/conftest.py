"""Fixtures that several rooms share."""

import os
from pathlib import Path

import pytest
import torch

# Small tensors: a second thread gains nothing, and where tests share a machine its waiting costs a lot.
torch.set_num_threads(1)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data sets."""
    folder = Path(os.environ.get("HYPERSORT_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (set HYPERSORT_TEST_DATA to the folder that holds it)")
    return folder


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests choose settings and latents themselves."""
    for name in ("HYPERSORT_CONFIG", "HYPERSORT_LATENT"):
        monkeypatch.delenv(name, raising=False)
