"""Which cases are annotated for what, what is trained on them, and which runs there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import yaml

from benchmarks.style_recovery.protocol import SOURCE_DATASET

LABELS = {"Anterior": 1, "Posterior": 2}
"""The labels of the hippocampus, as its dataset.json names them."""


@dataclass(frozen=True)
class Regime:
    """Which training cases are annotated for what.

    Attributes:
        name: Its name in files and tables.
        number: Number of its first dataset.
        shares: Sets of labels, and the share of the training cases that is annotated for each.
    """

    name: str
    number: int
    shares: tuple[tuple[tuple[str, ...], float], ...]

    @property
    def has_full_cases(self) -> bool:
        """Whether some cases are annotated for all labels."""
        return any(set(names) == set(LABELS) for names, _ in self.shares)


REGIMES = (
    Regime("mostly_one", 600, ((("Anterior",), 0.45), (("Posterior",), 0.45), (("Anterior", "Posterior"), 0.10))),
    Regime("only_one", 650, ((("Anterior",), 0.5), (("Posterior",), 0.5))),
)
"""Further sources, such as generated scans of eight organs, are further regimes with labels of their own."""


class Method(str, Enum):
    """What is trained. A system of its own (a network that is told which label to segment) is a further member."""

    CEILING = "ceiling"  # nnU-Net with all labels of all cases
    AS_IS = "as_is"  # nnU-Net, which reads what nobody annotated as background
    FULL_CASES = "full_cases"  # nnU-Net on the cases that are annotated for all labels
    PER_LABEL = "per_label"  # one nnU-Net per label, on the cases that are annotated for it
    PARTIAL = "partial"  # PartialLabelsTrainer

    @property
    def trainer(self) -> str:
        """Class name, as `-tr` takes it."""
        return "PartialLabelsTrainer" if self is Method.PARTIAL else "PlainTrainer"


NAMES = {
    Method.CEILING: "nnU-Net, all labels (the ceiling)",
    Method.AS_IS: "nnU-Net as it is",
    Method.FULL_CASES: "nnU-Net, fully annotated cases",
    Method.PER_LABEL: "one nnU-Net per label",
    Method.PARTIAL: "`PartialLabelsTrainer`",
}


@dataclass(frozen=True)
class Protocol:
    """How long and how often.

    Attributes:
        seeds: Each annotates anew and seeds the trainings; the long runs take the first. Settings are chosen on seeds
            from 10 on, tables are of 0 to 2.
        epochs: Epochs of a run; with 208 training cases and batch size 2, 26 epochs of 100 steps are 25 visits of each.
        iterations: Training steps per epoch.
        val_iterations: Online validation steps per epoch.
        long_epochs: Epochs of the long runs: 100 visits.
        cases: Take only this many cases; None takes all.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 26
    iterations: int = 100
    val_iterations: int = 5
    long_epochs: int = 104
    cases: int | None = None


FULL = Protocol()
DRY_RUN = Protocol(seeds=(0,), epochs=2, iterations=5, val_iterations=1, long_epochs=3, cases=40)


@dataclass(frozen=True)
class Run:
    """One training with what is predicted from it. All of one length take as many steps.

    Attributes:
        regime: What is annotated; None for the ceiling, which knows all of it.
        method: What is trained.
        seed: Of annotation and training.
        epochs: Number of epochs.
        label: The label of one nnU-Net per label; else empty.
    """

    regime: Regime | None
    method: Method
    seed: int
    epochs: int
    label: str = ""

    @property
    def name(self) -> str:
        """Names its files."""
        regime = "all" if self.regime is None else self.regime.name
        parts = [regime, self.method.value, self.label, f"seed{self.seed}", f"epochs{self.epochs}"]
        return "-".join(filter(None, parts))

    @property
    def dataset(self) -> str:
        """The dataset that it trains on, `DatasetXXX_Name`."""
        if self.regime is None:
            return SOURCE_DATASET
        # By regime and seed: the annotated one, the same as nnU-Net reads it, and one per label.
        kinds = [Method.PARTIAL.value, "", *LABELS]
        kind = self.method.value if self.method is Method.PARTIAL else self.label
        number = self.regime.number + len(kinds) * self._row + kinds.index(kind)
        return f"Dataset{number}_{self.regime.name.title().replace('_', '')}{kind.title() or 'AsIs'}"

    @property
    def fold(self) -> int:
        """The row of its split file: all training cases, those that are fully annotated, or those with its label."""
        if self.method is Method.FULL_CASES:
            return 1
        return 2 + list(LABELS).index(self.label) if self.label else 0

    @property
    def labels(self) -> tuple[str, ...]:
        """What it is asked for."""
        return (self.label,) if self.label else tuple(LABELS)

    @property
    def _row(self) -> int:
        # Numbers have three digits: seeds 0 to 2 and, for the choice of settings, 10 to 12.
        if self.seed not in (0, 1, 2, 10, 11, 12):
            raise ValueError(f"seed {self.seed} has no number; take 0 to 2, or 10 to 12 to choose settings")
        return self.seed if self.seed < 10 else self.seed - 7

    def settings_yaml(self, protocol: Protocol) -> str:
        """What HYPERSORT_CONFIG and PARTIAL_LABELS_CONFIG name: the same for every trainer."""
        training: dict[str, Any] = {
            "num_epochs": self.epochs,
            "num_iterations_per_epoch": protocol.iterations,
            "num_val_iterations_per_epoch": protocol.val_iterations,
            "save_every": max(1, self.epochs // 13),
            "seed": self.seed,
        }
        return yaml.safe_dump({"training": training}, sort_keys=False)


def plan_runs(protocol: Protocol, seeds: Sequence[int] | None = None) -> list[Run]:
    """All runs of the benchmark.

    Args:
        protocol: How long and how often.
        seeds: Other seeds than the protocol's, without long runs.
    """
    lengths = [(seed, protocol.epochs) for seed in seeds or protocol.seeds]
    lengths += [] if seeds else [(protocol.seeds[0], protocol.long_epochs)]
    runs = []
    for seed, epochs in lengths:
        runs.append(Run(None, Method.CEILING, seed, epochs))
        for regime in REGIMES:
            runs += [Run(regime, method, seed, epochs) for method in (Method.AS_IS, Method.PARTIAL)]
            runs += [Run(regime, Method.FULL_CASES, seed, epochs)] * regime.has_full_cases
            runs += [Run(regime, Method.PER_LABEL, seed, epochs, label) for label in LABELS]
    return runs
