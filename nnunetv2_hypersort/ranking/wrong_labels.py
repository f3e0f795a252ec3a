"""How many labels are wrong, and which, from how far out they lie: a mixture of usual and wrong labels.

What is unusual need not be wrong. The outlyingness of usual labels is skewed, more so in some data than in others, so
the usual ones are fitted anew for each ranking (an empirical null: Efron 2004), together with the wrong ones that lie
further out. The probability of being wrong follows from the two densities (the local false discovery rate, from 1), and
the precision of a set of flags is the mean of their probabilities.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from nnunetv2_hypersort.hypernetwork.conditioning.joint_components import MAD_TO_DEVIATION

Reals = NDArray[np.float64]

LEAST_CASES = 30
"""A mixture of fewer labels says nothing."""
PRECISION = 0.8
"""Expected precision of the flags unless another is asked for."""

_RESAMPLES = 200
_LEVEL = 0.95
# Evidence of one kind from fewer cases is not put on a scale of its own.
_LEAST_OF_KIND = 20
# In standard deviations of the usual labels, as are all below: where most wrong labels lie, at least and at most.
_NEAREST, _FURTHEST = 1.5, 50.0
# What is believed before a label was seen: skewness of usual labels (mean and deviation of its logarithm), and the
# share of wrong ones (as if so many right and wrong labels had been seen).
_SKEW, _SKEW_SPREAD = 0.15, 0.15
_SEEN_RIGHT, _SEEN_WRONG = 8.0, 0.2
_MOST_WRONG = 0.5
# Outlyingness beyond is wrong all the same, and would only make numbers overflow.
_FAR = 60.0


@dataclass(frozen=True)
class WrongLabels:
    """What a mixture says of a ranking.

    Attributes:
        probabilities: Shape (cases,), in [0, 1]: that the label is wrong; never lower for one that lies further out
            among those judged by the same kind of evidence. Not-a-number without any evidence.
        expected: Their sum: how many labels are wrong.
        low: Lower end of its interval: 2.5 % of resamples of the cases give fewer.
        high: Upper end.
    """

    probabilities: Reals
    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class Flags:
    """Labels flagged as wrong.

    Attributes:
        flagged: Shape (cases,), bool.
        precision: Share of the flagged labels that are expected to be wrong; not-a-number without any, or where it is
            unknown.
        recall: Share of the wrong labels that are expected to be flagged; likewise.
    """

    flagged: NDArray[np.bool_]
    precision: float
    recall: float


def find_wrong_labels(
    outlyingness: ArrayLike, kinds: Sequence[str], *, resamples: int = _RESAMPLES, seed: int = 0
) -> WrongLabels | None:
    """Estimate how many labels are wrong, and with what probability each.

    Args:
        outlyingness: Shape (cases,), robust standard deviations above the usual; not-a-number if unknown.
        kinds: What each case is judged by, such as held-out predictions alone: kinds have spreads of their own.
        resamples: Resamples of the cases for the interval (percentile bootstrap).
        seed: Of the resamples.

    Returns:
        The estimate; None with fewer than 30 known values, or without any spread.
    """
    values = np.asarray(outlyingness, float)
    known = np.flatnonzero(np.isfinite(values)).tolist()
    if len(known) < LEAST_CASES:
        return None
    scaled = _on_one_scale(values[known], [kinds[row] for row in known])
    if scaled is None:
        return None
    mixture = _fit(scaled, None)
    probabilities = np.full(len(values), np.nan)
    probabilities[known] = _probabilities(mixture, scaled)
    rng = np.random.default_rng(seed)
    counts = []
    for _ in range(resamples):
        drawn = scaled[rng.integers(len(scaled), size=len(scaled))]
        counts.append(_probabilities(_fit(drawn, mixture), drawn).sum())
    expected = float(np.nansum(probabilities))
    low, high = np.quantile(counts, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2)) if counts else (expected, expected)
    return WrongLabels(probabilities, expected, min(float(low), expected), max(float(high), expected))


def flag_at_precision(probabilities: ArrayLike, precision: float) -> Flags:
    """Flag as many labels as keep the expected precision, none of which is more likely right than wrong.

    Args:
        probabilities: Shape (cases,): that the label is wrong; not-a-number is never flagged.
        precision: In (0, 1): the least mean probability of the flagged labels.
    """
    chances = np.asarray(probabilities, float)
    known = np.where(np.isfinite(chances), chances, -1.0)
    order = np.argsort(-known, kind="stable")
    means = np.cumsum(known[order]) / np.arange(1, len(known) + 1)
    kept = (means >= precision) & (known[order] >= 0.5)
    flagged = np.zeros(len(known), bool)
    if kept.any():
        flagged[order[: int(np.flatnonzero(kept).max()) + 1]] = True
    return expected_of(flagged, chances)


def expected_of(flagged: ArrayLike, probabilities: ArrayLike) -> Flags:
    """What to expect of flags, however they were chosen.

    Args:
        flagged: Shape (cases,), bool.
        probabilities: Shape (cases,): that the label is wrong; not-a-number where unknown.
    """
    flagged, chances = np.asarray(flagged, bool), np.asarray(probabilities, float)
    total = float(np.nansum(chances))
    caught = chances[flagged]
    if not len(caught) or not np.isfinite(caught).any():
        return Flags(flagged, float("nan"), 0.0 if total > 0 else float("nan"))
    return Flags(flagged, float(np.nanmean(caught)), float(np.nansum(caught)) / total if total > 0 else float("nan"))


def _on_one_scale(values: Reals, kinds: Sequence[str]) -> Reals | None:
    """Values by the median and the robust deviation of their kind; kinds of few cases by those of all."""
    scaled = np.empty(len(values))
    names = np.asarray(kinds)
    for kind in set(kinds):
        mine = names == kind
        middle, deviation = _usual(values[mine] if mine.sum() >= _LEAST_OF_KIND else values)
        if deviation == 0:
            middle, deviation = _usual(values)
        if deviation == 0:
            return None
        scaled[mine] = (values[mine] - middle) / deviation
    return np.clip(scaled, -_FAR, _FAR)


def _usual(values: Reals) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, MAD_TO_DEVIATION * float(np.median(np.abs(values - middle)))


@dataclass(frozen=True)
class _Mixture:
    """Usual labels: a log-normal distribution with an offset, of any skewness from that of the normal one; wrong ones:
    a gamma distribution of shape 2 from the median of the usual ones on, in their standard deviations.
    """

    middle: float
    scale: float
    skew: float
    wrong: float
    distance: float

    def densities(self, values: Reals) -> tuple[Reals, Reals]:
        """Of usual and of wrong labels, each times its share; shape (cases,)."""
        standard = (values - self.middle) / self.scale
        stretched = np.maximum(1 + self.skew * standard, 1e-9)
        normal = np.log(stretched) / self.skew
        usual = np.exp(-0.5 * normal**2) / (np.sqrt(2 * np.pi) * self.scale * stretched)
        beyond = np.maximum(standard, 0)
        wrong = beyond / self.distance**2 * np.exp(-beyond / self.distance) / self.scale
        return (1 - self.wrong) * usual, self.wrong * wrong


def _fit(values: Reals, start: _Mixture | None) -> _Mixture:
    """The mixture with the highest penalised likelihood."""

    def negative(parameters: Reals) -> float:
        mixture = _from(parameters)
        usual, wrong = mixture.densities(values)
        likelihood = float(np.log(usual + wrong + 1e-12).sum())
        belief = -0.5 * ((np.log(mixture.skew) - np.log(_SKEW)) / np.log(1 + _SKEW_SPREAD / _SKEW)) ** 2
        belief += _SEEN_RIGHT * np.log(1 - mixture.wrong) + _SEEN_WRONG * np.log(mixture.wrong)
        return float(-likelihood - belief)

    starts = (
        [_to(start)]
        if start is not None
        else [_to(_Mixture(0.0, 1.0, _SKEW, share, distance)) for share in (0.02, 0.15) for distance in (2.0, 6.0)]
    )
    bounds = [
        (-1.0, 1.0),
        (-1.0, 1.0),
        (np.log(0.01), np.log(1.0)),
        (-8.0, _logit(_MOST_WRONG)),
        (np.log(_NEAREST), np.log(_FURTHEST)),
    ]
    found = [minimize(negative, one, method="L-BFGS-B", bounds=bounds) for one in starts]
    return _from(min(found, key=lambda one: float(one.fun)).x)


def _probabilities(mixture: _Mixture, values: Reals) -> Reals:
    usual, wrong = mixture.densities(values)
    chances = wrong / np.maximum(usual + wrong, 1e-300)
    # In the far tail a log-normal distribution is the heavier one; what lies further out is no likelier right for it.
    order = np.argsort(values, kind="stable")
    rising = np.empty(len(values))
    rising[order] = np.maximum.accumulate(chances[order])
    return rising


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


def _to(mixture: _Mixture) -> Reals:
    return np.array(
        [mixture.middle, np.log(mixture.scale), np.log(mixture.skew), _logit(mixture.wrong), np.log(mixture.distance)]
    )


def _from(parameters: Reals) -> _Mixture:
    middle, scale, skew, wrong, distance = map(float, parameters)
    return _Mixture(
        middle, float(np.exp(scale)), float(np.exp(skew)), 1 / (1 + float(np.exp(-wrong))), float(np.exp(distance))
    )
