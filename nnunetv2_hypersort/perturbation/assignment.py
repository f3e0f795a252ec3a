"""Which case gets which style and which error: exact quotas, chosen by the seed alone."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.perturbation.spec import PerturbationSpec


@dataclass(frozen=True)
class Assignment:
    """What is planted into one case.

    Attributes:
        case: Case identifier.
        style: Index of its style in the spec.
        error: Index of its error in the spec; None if there is none.
        donor: Case whose labels it gets, for an error that needs another case.
    """

    case: str
    style: int
    error: int | None
    donor: str | None


def quotas(shares: Sequence[Decimal | float], total: int) -> list[int]:
    """Divide `total` cases by `shares` with the largest-remainder (Hamilton) method.

    Args:
        shares: Non-negative shares; only their ratios matter.
        total: Number of cases.

    Returns:
        Whole numbers that add up to `total`; each is the exact share rounded down or up. Of equal remainders the
        one named first is rounded up.
    """
    fractions = [Fraction(str(share)) for share in shares]
    exact = [share * total / sum(fractions) for share in fractions]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda index: (counts[index] - exact[index], index))
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts


def case_generator(seed: int, case: str) -> np.random.Generator:
    """Return the random generator of one case: the same whatever other cases there are and who works on them."""
    digest = hashlib.sha256(case.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def assign(cases: Sequence[str], spec: PerturbationSpec, seed: int) -> list[Assignment]:
    """Choose style and error of each case.

    Styles hold their quotas over all cases, the kinds of errors theirs over the cases with an error. A case with an
    error still has its style.

    Args:
        cases: Case identifiers; their order does not matter.
        spec: Styles and errors.
        seed: Whole number, 0 or more.

    Returns:
        One assignment per case, sorted by case.

    Raises:
        HyperSORTError: There are no cases, or an error needs another case and there is none.
    """
    ordered = sorted(cases)
    if not ordered:
        raise HyperSORTError("The dataset has no training case; nothing can be perturbed.")
    rng = np.random.default_rng(seed)
    styles = rng.permutation(_spread(quotas([style.proportion for style in spec.styles], len(ordered))))
    wrong, _ = quotas([spec.error_rate, 1 - spec.error_rate], len(ordered))
    errors: dict[int, int] = {}
    if wrong:
        chosen = rng.permutation(len(ordered))[:wrong]
        kinds = rng.permutation(_spread(quotas([error.weight for error in spec.errors], wrong)))
        errors = dict(zip(map(int, chosen), map(int, kinds), strict=True))
    assignments = []
    for index, case in enumerate(ordered):
        error = errors.get(index)
        donor = None
        if error is not None and spec.errors[error].needs_donor:
            if len(ordered) < 2:
                raise HyperSORTError(
                    f"The error {spec.errors[error].name!r} needs a second case, and the dataset has only {case!r}."
                )
            donor = ordered[(index + 1 + int(rng.integers(len(ordered) - 1))) % len(ordered)]
        assignments.append(Assignment(case, int(styles[index]), error, donor))
    return assignments


def _spread(counts: Sequence[int]) -> list[int]:
    return [index for index, count in enumerate(counts) for _ in range(count)]
