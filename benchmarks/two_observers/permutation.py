"""Permutation tests of a difference between two observers in latent space."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.floating[Any]]
PERMUTATIONS = 20_000
_EXACT_UP_TO = 14


@dataclass(frozen=True)
class PermutationTest:
    """The result of a permutation test.

    Attributes:
        statistic: In [0, 1]: 0 no difference, 1 nothing but a difference.
        p: Share of the permutations whose statistic is as large; with random ones (b + 1) / (m + 1) (Phipson and
            Smyth 2010).
        permutations: How many there were.
    """

    statistic: float
    p: float
    permutations: int


def paired_test(differences: Reals, blocks: Sequence[Any], *, seed: int = 0) -> PermutationTest:
    """Whether the differences within pairs have a common direction: swaps the two members of pairs.

    The statistic is m' S^-1 m with m the mean and S the second moment matrix of the differences. It rises with
    Hotelling's T^2 of the paired differences, equal to T^2 / (T^2 + n - 1), and S does not change when pairs are
    swapped.

    Args:
        differences: Second minus first latent of each pair, shape (n, dim).
        blocks: What is swapped together, one entry per pair: the pairs' own names, or the child whose eyes they are.
        seed: Of the random swaps; with up to 14 blocks all swaps are tried.
    """
    whitened = _whiten(differences)
    _, block = np.unique(np.asarray(blocks), return_inverse=True)
    sums = np.zeros((block.max() + 1, whitened.shape[1]))
    np.add.at(sums, block, whitened)
    count = len(sums)
    if exact := count <= _EXACT_UP_TO:
        signs = np.asarray(list(product((1.0, -1.0), repeat=count)))
    else:
        signs = np.random.default_rng(seed).choice((1.0, -1.0), (PERMUTATIONS, count))
    permuted = ((signs @ sums / len(differences)) ** 2).sum(1)
    return _result(float(((sums.sum(0) / len(differences)) ** 2).sum()), permuted, is_exact=exact)


def unpaired_test(latents: Reals, is_second: NDArray[np.bool_], *, seed: int = 0) -> PermutationTest:
    """Whether the latents of two observers differ in their mean, where each case has one observer chosen at random.

    The statistic is the share of the variance, whitened, that lies between the two means (Pillai's trace of the
    one-way analysis); the observers are permuted over the cases.

    Args:
        latents: Shape (n, dim).
        is_second: Shape (n,): which cases the second observer drew; some and not all.
        seed: Of the random permutations.
    """
    centred = _whiten(latents - latents.mean(0))
    count, of_second = len(latents), int(is_second.sum())
    rng = np.random.default_rng(seed)
    drawn = np.stack([is_second, *(rng.permutation(is_second) for _ in range(PERMUTATIONS))]).astype(float)
    # The means are n_1 m_1 = -n_2 m_2 around zero, so that of one observer tells both.
    statistics = ((drawn @ centred / count) ** 2).sum(1) * count**2 / (of_second * (count - of_second))
    return _result(float(statistics[0]), statistics[1:], is_exact=False)


def share_in_common_direction(differences: Reals, blocks: Sequence[Any]) -> float:
    """The share of pairs that differ in the direction of the pairs of all other blocks; one half is chance.

    Args:
        differences: Shape (n, dim).
        blocks: What is left out together, one entry per pair.
    """
    names = np.asarray(blocks)
    agree = []
    for name in np.unique(names):
        others = differences[names != name]
        direction = np.linalg.pinv(others.T @ others / len(others)) @ others.mean(0)
        along = differences[names == name] @ direction
        agree += [0.5 if value == 0 else float(value > 0) for value in along]
    return float(np.mean(agree))


def share_within_pairs(first: Reals, second: Reals) -> float:
    """The share of the variance of latents that lies within pairs of the same image; the rest is between images.

    Args:
        first: Latents of one member of each pair, shape (n, dim).
        second: Latents of the other.
    """
    points = np.concatenate([first, second])
    total = ((points - points.mean(0)) ** 2).sum(1).mean()
    within = ((second - first) ** 2).sum(1).mean() / 4
    return float(within / total) if total > 0 else float("nan")


def _whiten(values: Reals) -> Reals:
    """Turn and scale rows so that their second moments are the identity, without directions in which nothing varies."""
    moments = values.T @ values / len(values)
    eigenvalues, directions = np.linalg.eigh(moments)
    kept = eigenvalues > 1e-10 * max(float(eigenvalues.max()), np.finfo(float).tiny)
    return np.asarray(values @ directions[:, kept] / np.sqrt(eigenvalues[kept]))


def _result(statistic: float, permuted: Reals, *, is_exact: bool) -> PermutationTest:
    # Sums in another order differ in the last digits.
    as_large = int((permuted >= statistic * (1 - 1e-9)).sum())
    p = as_large / len(permuted) if is_exact else (as_large + 1) / (len(permuted) + 1)
    return PermutationTest(statistic, p, len(permuted))
