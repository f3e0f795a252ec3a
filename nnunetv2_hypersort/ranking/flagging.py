"""Which labels are flagged as wrong, and what that means in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.ranking.ranking_table import RankedCase
from nnunetv2_hypersort.ranking.wrong_labels import (
    LEAST_CASES,
    WrongLabels,
    expected_of,
    find_wrong_labels,
    flag_at_precision,
)

QUALITY = 0.5
"""Labels of a lower quality are flagged where nothing better is known: 3.5 robust standard deviations out."""


@dataclass(frozen=True)
class FlaggedCases:
    """The flags of a ranking.

    Attributes:
        flagged: Shape (cases,), bool.
        probabilities: Shape (cases,): that the label is wrong; not-a-number where unknown.
        estimate: How many labels are wrong; None where there are too few cases to tell.
        threshold: The quality below which labels were flagged; None where the expected precision decided.
        precision: Share of the flagged labels that are expected to be wrong; not-a-number without flags or estimate.
        recall: Share of the wrong labels that are expected to be flagged; not-a-number without an estimate.
    """

    flagged: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    estimate: WrongLabels | None
    threshold: float | None
    precision: float
    recall: float

    def __str__(self) -> str:
        """Such as `About 12 of 200 labels look wrong (7 to 18); 11 are flagged, ...`."""
        count, total = int(self.flagged.sum()), len(self.flagged)
        below = "" if self.threshold is None else f" (quality below {self.threshold:g})"
        if self.estimate is None:
            return (
                f"{count} of {total} cases have a quality below {self.threshold:g}; how many labels are wrong cannot "
                f"be told from fewer than {LEAST_CASES} cases, or from cases that are all alike."
            )
        found = self.estimate
        about = f"About {found.expected:.0f} of {total} labels look wrong ({found.low:.0f} to {found.high:.0f})"
        if not count:
            return f"{about}; none is flagged{below}, as none stands out enough to tell which."
        flagged = "1 is flagged" if count == 1 else f"{count} are flagged"
        return (
            f"{about}; {flagged}{below}, at an expected precision of {self.precision:.2f} and an expected recall of "
            f"{self.recall:.2f}."
        )


def check_limits(precision: float, threshold: float | None) -> None:
    """Refuse a precision or quality that is none.

    Raises:
        HyperSORTError: One of them is not between 0 and 1.
    """
    if not 0 < precision < 1:
        raise HyperSORTError(f"The precision is {precision:g}; give a share between 0 and 1, such as 0.8.")
    if threshold is not None and not 0 < threshold < 1:
        raise HyperSORTError(f"The threshold is {threshold:g}; give a quality between 0 and 1, such as 0.5.")


def flag_cases(cases: Sequence[RankedCase], *, precision: float, threshold: float | None = None) -> FlaggedCases:
    """Decide which labels are flagged.

    Args:
        cases: The ranked cases.
        precision: The expected precision to keep, see `flag_at_precision`.
        threshold: Flag by this quality instead; also what 0.5 does where there are too few cases for an estimate.
    """
    estimate = find_wrong_labels([case.outlyingness for case in cases], [_kind(case) for case in cases])
    chances = np.full(len(cases), math.nan) if estimate is None else estimate.probabilities
    if threshold is None and estimate is not None:
        flags = flag_at_precision(chances, precision)
    else:
        threshold = QUALITY if threshold is None else threshold
        flags = expected_of([case.quality < threshold for case in cases], chances)
    return FlaggedCases(flags.flagged, chances, estimate, threshold, flags.precision, flags.recall)


def _kind(case: RankedCase) -> str:
    """What a case is judged by: the mean of three parts varies less than one of them."""
    parts = {"loss": case.loss_z, "isolation": case.isolation_z, "disagreement": case.disagreement_z}
    return " ".join(name for name, value in parts.items() if math.isfinite(value))
