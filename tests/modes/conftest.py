"""nnU-Net on tiny datasets, in this process."""

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import pytest
from nnunetv2.training.logging.nnunet_logger import MetaLogger
from tiny_datasets import MODES, PARTIAL, PARTIAL_CASCADE, prepare
from tiny_nnunet import TinyNNUNet


class _ThreadsForProcesses:
    """A multiprocessing context whose pools are threads: a process would import PyTorch first, for seconds."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def Pool(self, processes: int) -> ThreadPool:  # noqa: N802  # multiprocessing's name
        return ThreadPool(processes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


@pytest.fixture(scope="session")
def _in_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        get_context = multiprocessing.get_context
        patch.setattr(multiprocessing, "get_context", lambda method=None: _ThreadsForProcesses(get_context(method)))
        # nnU-Net draws a figure of 30 x 54 inches after each epoch: most of the time of so short a training.
        patch.setattr(MetaLogger, "plot_progress_png", lambda self, folder: Path(folder, "progress.png").touch())
        yield


@pytest.fixture(scope="session")
def tiny_dataset(_in_process: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, str]]:
    """Prepare the dataset of a mode at first use; returns the folder of nnU-Net's folders and the dataset's name."""
    base = tmp_path_factory.mktemp("tiny")
    names: dict[str, str] = {}
    modes = {**MODES, **PARTIAL, **PARTIAL_CASCADE}

    def dataset(mode: str) -> tuple[Path, str]:
        if mode not in names:
            with pytest.MonkeyPatch.context() as patch:
                for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
                    patch.setenv(variable, str(base / variable))
                # The planner does not work with 0, with which trainings load data in their own process.
                patch.setenv("nnUNet_n_proc_DA", "1")
                names[mode] = prepare(base, 801 + list(modes).index(mode), modes[mode])
        return base, names[mode]

    return dataset


@pytest.fixture
def tiny_nnunet(
    tiny_dataset: Callable[[str], tuple[Path, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], TinyNNUNet]:
    """nnU-Net with the dataset of a mode and a results folder of the test's own."""

    def make(mode: str = "3d_fullres", results: Path | None = None) -> TinyNNUNet:
        return TinyNNUNet(mode, *tiny_dataset(mode), results or tmp_path / "nnUNet_results", monkeypatch)

    return make
