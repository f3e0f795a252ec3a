"""What the finished runs of a mixture know of its cases: one table of features per source of knowledge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.mask_statistics import mask_table
from benchmarks.nnunet_runs.workplace import Workplace
from benchmarks.unseen_styles.datasets import Truth, labels_in_style, read_truth
from benchmarks.unseen_styles.mixtures import Mixture
from benchmarks.unseen_styles.one_run import read_record
from benchmarks.unseen_styles.protocol import Method, Run
from nnunetv2_hypersort.nnunet.raw_dataset import open_dataset, read_labels

Reals = NDArray[np.floating[Any]]
LATENTS, RESIDUALS, MASKS = "latents", "residuals", "mask statistics"
BASELINES = (RESIDUALS, MASKS)


@dataclass(frozen=True)
class Evidence:
    """What is known of the n training cases of one run with latents.

    Attributes:
        run: The run.
        record: Its record.
        cases: The cases.
        truth: Of each case.
        tables: By source of knowledge its features, shape (n, d); residuals only where their cross-fit was made.
        cross_fit: By case what the cross-fit says beside residuals; empty where it was not made.
    """

    run: Run
    record: Mapping[str, Any]
    cases: tuple[str, ...]
    truth: tuple[Truth, ...]
    tables: Mapping[str, Reals]
    cross_fit: Mapping[str, Any]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Shape (n,): the cases without planted error."""
        return np.asarray([not entry.wrong for entry in self.truth])

    @property
    def styles(self) -> NDArray[np.int64]:
        """Shape (n,): the style of each case, counted as the mixture lists them."""
        return np.asarray([self.run.mixture.styles.index(entry.style) for entry in self.truth])


def gather(workplace: Workplace, runs: Sequence[Run], run: Run) -> Evidence | None:
    """What is known of the cases of a run with latents, or None if it is not finished.

    Args:
        workplace: Where.
        runs: All runs of its mixture.
        run: The run.
    """
    record = read_record(workplace, run)
    if record is None:
        return None
    cases = tuple(record["seen"]["cases"])
    truth = read_truth(workplace, run.dataset)
    tables = {
        LATENTS: np.asarray(record["seen"]["features"], float),
        MASKS: _masks(workplace, run.dataset, cases),
    }
    cross_fit = _cross_fit(workplace, runs, run)
    if set(cross_fit) >= set(cases):
        names = list(cross_fit[cases[0]]["residuals"])
        tables[RESIDUALS] = np.asarray([[cross_fit[case]["residuals"][name] for name in names] for case in cases])
    else:
        cross_fit = {}
    return Evidence(run, record, cases, tuple(truth[case] for case in cases), tables, cross_fit)


def _cross_fit(workplace: Workplace, runs: Sequence[Run], run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for other in runs:
        # Made once; it serves every seed that has the same labels.
        if other.method is Method.CROSS_FIT and other.dataset == run.dataset:
            found |= (read_record(workplace, other) or {}).get("cases", {})
    return found


@lru_cache(maxsize=64)
def _masks(workplace: Workplace, dataset: str, cases: tuple[str, ...]) -> Reals:
    return mask_table(workplace.raw / dataset, cases)


@lru_cache(maxsize=64)
def log_area_ratios(workplace: Workplace, dataset: str, mixture: Mixture) -> dict[str, float]:
    """Of each right case the log of its label's volume over the median of the labels of its image in all styles.

    Cases without a label, in their style or in the median, are left out.
    """
    raw = open_dataset(workplace.raw / dataset)
    truth = read_truth(workplace, dataset)
    volumes: dict[str, dict[str, int]] = {}
    for image in sorted({entry.image for entry in truth.values()}):
        volumes[image] = {
            style: int(
                np.isin(
                    read_labels(
                        labels_in_style(workplace, dataset, style) / f"{image}{raw.file_ending}",
                        raw.content,
                        raw.table,
                    ).labels,
                    raw.table.foreground,
                ).sum()
            )
            for style in mixture.styles
        }
    medians = {image: float(np.median(list(found.values()))) for image, found in volumes.items()}
    return {
        case: float(np.log(volumes[entry.image][entry.style] / medians[entry.image]))
        for case, entry in truth.items()
        if not entry.wrong and volumes[entry.image][entry.style] and medians[entry.image]
    }
