"""Clusters matched over folds, against matchings known by construction."""

import math
from itertools import permutations

import numpy as np
import pytest

from nnunetv2_hypersort.styles.alignment import align_clusters
from nnunetv2_hypersort.styles.clustering import FoldClusters

CASES = [f"case_{number:03d}" for number in range(100)]
TRUTH = np.repeat([0, 1, 2], [50, 30, 20])


def folds_of(truths, *, folds=5, numbering=None) -> list[FoldClusters]:
    """Each fold holds out every fifth case and numbers the clusters in its own way."""
    built = []
    for fold in range(folds):
        truth = truths[fold] if isinstance(truths, list) else truths
        count = int(truth.max()) + 1
        numbers = list(range(count)) if numbering is None else list(numbering[fold])
        clusters = {
            case: numbers[style] if style >= 0 else -1
            for row, (case, style) in enumerate(zip(CASES, truth, strict=True))
            if row % 5 != fold
        }
        medoids = [next(case for case, number in clusters.items() if number == wanted) for wanted in range(count)]
        built.append(FoldClusters(str(fold), clusters, tuple(medoids)))
    return built


def test_clusters_are_matched_however_the_folds_number_them():
    numbering = list(permutations(range(3)))[:5]
    alignment = align_clusters(folds_of(TRUTH, numbering=numbering))
    expected = tuple({str(fold): numbering[fold][style] for fold in range(5)} for style in range(3))
    assert alignment.styles == expected  # the largest first
    assert (alignment.unmatched, alignment.consistent) == ((), True)
    # Each of the ten pairs of folds shares 60 of the 100 cases.
    assert (alignment.agreement.cases, alignment.agreement.share, alignment.agreement.kappa) == (600, 1.0, 1.0)
    assert alignment.pairs["0", "3"].cases == 60


def test_agreement_is_the_share_of_shared_cases_with_one_style():
    # Fold 1 puts 4 of the 60 cases that it shares with fold 0 into the other style.
    moved = TRUTH.clip(max=1).copy()
    other = moved.copy()
    shared = [row for row in range(100) if row % 5 not in (0, 1)]
    other[shared[:4]] = 1
    alignment = align_clusters(folds_of([moved, other], folds=2))
    assert alignment.styles == ({"0": 1, "1": 1}, {"0": 0, "1": 0})
    assert alignment.agreement.share == pytest.approx(56 / 60)
    # By hand: both folds have 30 and 26 of 60 in style 0, so chance gives (30 * 26 + 30 * 34) / 60 = 30 of 60.
    assert alignment.agreement.kappa == pytest.approx((56 - 30) / 30)
    assert alignment.consistent


def test_cases_of_no_cluster_do_not_count():
    noisy = TRUTH.copy()
    noisy[::10] = -1
    alignment = align_clusters(folds_of([TRUTH, noisy], folds=2))
    # Of the 60 shared cases none is a multiple of ten, as these are held out by fold 0.
    assert alignment.agreement.cases == 60
    noisy[2::10] = -1
    assert align_clusters(folds_of([TRUTH, noisy], folds=2)).agreement == alignment.agreement.__class__(50, 1.0, 1.0)


def test_unrelated_clusters_are_not_matched():
    rng = np.random.default_rng(0)
    truths = [rng.permutation(TRUTH) for _ in range(5)]
    alignment = align_clusters(folds_of(truths))
    assert not alignment.consistent
    assert alignment.styles == ()
    assert len(alignment.unmatched) == 15
    assert alignment.agreement.kappa < 0.4


def test_a_dominant_cluster_is_no_proof_of_agreement():
    # 90 % of the cases in one cluster: chance alone gives an agreement of 0.82 and a Jaccard index of 0.8.
    rng = np.random.default_rng(0)
    truths = [rng.permutation(np.repeat([0, 1], [90, 10])) for _ in range(3)]
    alignment = align_clusters(folds_of(truths, folds=3))
    assert alignment.agreement.share > 0.7
    assert abs(alignment.agreement.kappa) < 0.3
    assert (alignment.styles, alignment.consistent) == ((), False)


def test_a_fold_that_joins_two_styles_has_one_of_them():
    joined = TRUTH.clip(max=1)
    alignment = align_clusters(folds_of([TRUTH, TRUTH, joined, TRUTH, TRUTH]))
    everywhere, second, third = alignment.styles
    assert everywhere == {str(fold): 0 for fold in range(5)}
    assert second == {str(fold): 1 for fold in range(5)}
    assert third == dict.fromkeys("0134", 2)
    assert alignment.consistent
    assert 0.85 < alignment.agreement.share < 1


def test_a_cluster_that_only_one_fold_finds_is_left_unmatched():
    split = TRUTH.copy()
    split[:10] = 3
    alignment = align_clusters(folds_of([TRUTH, split, TRUTH], folds=3))
    assert [set(style) for style in alignment.styles] == [{"0", "1", "2"}] * 3
    assert alignment.unmatched == (("1", 3),)


def test_single_clusters_are_one_style_on_which_nothing_can_disagree():
    alignment = align_clusters(folds_of(np.zeros(100, int), folds=3))
    assert alignment.styles == ({"0": 0, "1": 0, "2": 0},)
    assert alignment.consistent
    assert alignment.agreement.share == 1
    assert math.isnan(alignment.agreement.kappa)


def test_one_fold_needs_no_matching():
    (fold,) = folds_of(TRUTH, folds=1)
    alignment = align_clusters([fold])
    assert alignment.styles == ({"0": 0}, {"0": 1}, {"0": 2})
    assert (alignment.agreement, alignment.consistent) == (None, True)


def test_folds_without_clusters_or_without_shared_cases():
    nothing = align_clusters(folds_of(np.full(100, -1), folds=3))
    assert (nothing.styles, nothing.unmatched, nothing.consistent) == ((), (), True)
    first = FoldClusters("0", {"a": 0, "b": 0}, ("a",))
    second = FoldClusters("1", {"c": 0, "d": 0}, ("c",))
    apart = align_clusters([first, second])
    assert (apart.styles, apart.unmatched, apart.consistent) == ((), (("0", 0), ("1", 0)), False)
    assert (apart.agreement.cases, math.isnan(apart.agreement.share)) == (0, True)
    # A fold without any clusters leaves the others as they are.
    three = folds_of([TRUTH, TRUTH, np.full(100, -1)], folds=3)
    assert [set(style) for style in align_clusters(three).styles] == [{"0", "1"}] * 3
