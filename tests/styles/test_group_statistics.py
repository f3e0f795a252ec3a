"""Known groups compared on points whose truth is known: no network, no file."""

import itertools

import numpy as np
import pytest

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.styles.groups.comparison import CasePoints, Comparer, Verdict, holm
from nnunetv2_hypersort.styles.groups.cross_fit import cross_fitted, normal_scores, predict_groups, unexplained
from nnunetv2_hypersort.styles.groups.design import Level, make_design
from nnunetv2_hypersort.styles.groups.permutation import FoldPoints, drawn_in, group_shifts, permutation_test


def named(count):
    return tuple(f"case_{row:03d}" for row in range(count))


def over_subjects(groups):
    """A design in which each case is an image and a subject of its own."""
    cases = named(len(groups))
    alone = dict(zip(cases, cases, strict=True))
    return make_design("site", {case: "AB"[group] for case, group in zip(cases, groups, strict=True)}, alone, alone)


class World:
    """Images with features that go together, and latents in which their size and brightness show."""

    def __init__(self, seed, count=60):
        self.rng = np.random.default_rng(seed)
        hidden = self.rng.normal(size=(count, 4))
        features = hidden @ self.rng.normal(size=(4, 12)) + 0.5 * self.rng.normal(size=(count, 12))
        self.size, self.brightness = hidden[:, 0], features[:, 0]
        features[:, 1] = self.size
        self.features = {
            case: {f"feature_{column}": value for column, value in enumerate(row)}
            for case, row in zip(named(count), features, strict=True)
        }
        self.seen = np.stack([self.size, self.brightness / self.brightness.std()], axis=1)

    def compare(self, groups, shift=0.0, folds=1):
        """Compare groups whose annotation moves the latents by so many standard deviations of their noise."""
        count = len(groups)
        points = []
        for fold in range(folds):
            turn = np.linalg.qr(self.rng.normal(size=(2, 2)))[0]
            latents = (self.seen + 0.5 * self.rng.normal(size=(count, 2))) @ turn
            latents[:, 0] += 0.5 * shift * np.asarray(groups)
            rows = np.flatnonzero(np.arange(count) % 5 != fold) if folds > 1 else np.arange(count)
            points.append(CasePoints(str(fold), tuple(np.array(named(count))[rows]), latents[rows]))
        return Comparer(points, self.features, permutations=999).compare(over_subjects(groups))


def test_p_is_that_of_all_permutations():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(8, 2)) + 1.5 * np.eye(2)[0] * (np.arange(8) < 4)[:, None]
    design = np.eye(2)[np.repeat([0, 1], 4)]
    folds = [FoldPoints(np.arange(8), points)]
    found = permutation_test(design, folds, np.zeros(8), permutations=20_000)

    def share(chosen):
        # Of a whitened table: what its means explain, by hand.
        from nnunetv2_hypersort.styles.groups.permutation import whitened

        white = whitened(points - points.mean(0))
        white = white - white.mean(0)
        rest = np.delete(np.arange(8), chosen)
        between = sum(len(part) * (white[part].mean(0) ** 2).sum() for part in (list(chosen), rest))
        return between / (white**2).sum()

    assert found.share == pytest.approx(share([0, 1, 2, 3]))
    everything = [share(chosen) for chosen in itertools.combinations(range(8), 4)]
    expected = np.mean(np.array(everything) >= found.share * (1 - 1e-9))
    assert found.p == pytest.approx(expected, abs=0.01)


def test_within_blocks_only_the_difference_within_counts():
    rng = np.random.default_rng(1)
    images = np.repeat(10 * rng.normal(size=(30, 2)), 2, axis=0)
    groups = np.tile([0, 1], 30)
    points = images + 0.5 * rng.normal(size=(60, 2)) + 0.6 * groups[:, None]
    blocks = np.repeat(np.arange(30), 2)
    folds = [FoldPoints(np.arange(60), points)]
    design = np.eye(2)[groups]
    assert permutation_test(design, folds, blocks, permutations=1999).p < 0.005
    assert permutation_test(design, folds, np.zeros(60), permutations=1999).p > 0.2
    shifts = group_shifts(design, folds[0], blocks)
    np.testing.assert_allclose(shifts[1] - shifts[0], [0.6, 0.6], atol=0.25)


def test_a_fold_without_some_rows_and_coordinates_that_are_turned_are_no_matter():
    rng = np.random.default_rng(2)
    groups = np.arange(50) % 2
    latent = rng.normal(size=(50, 2)) + np.outer(groups, [1.5, 0])
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    rows = np.arange(0, 50, 3)
    both = [FoldPoints(np.arange(50), latent), FoldPoints(rows, 40 * latent[rows] @ turn)]
    assert permutation_test(np.eye(2)[groups], both, np.zeros(50), permutations=999).p < 0.01
    unrelated = [FoldPoints(np.arange(50), rng.normal(size=(50, 2)))]
    assert permutation_test(np.eye(2)[groups], unrelated, np.zeros(50), permutations=999).p > 0.05


def test_wrong_labels_far_out_hide_nothing():
    rng = np.random.default_rng(3)
    groups = np.arange(60) % 2
    points = rng.normal(size=(60, 2)) + np.outer(groups, [2, 0])
    points[:5] *= 200
    assert np.abs(drawn_in(points)).max() < 20
    assert (
        permutation_test(np.eye(2)[groups], [FoldPoints(np.arange(60), points)], np.zeros(60), permutations=999).p
        < 0.02
    )


def test_groups_are_told_from_a_threshold_of_one_feature_and_not_from_noise():
    rng = np.random.default_rng(4)
    features = rng.normal(size=(80, 20))
    features[:, 7] = np.exp(3 * features[:, 7])
    features[3, 2] = np.nan
    split = (features[:, 7] > np.median(features[:, 7])).astype(int)
    scores = normal_scores(features)
    told = predict_groups(scores, split, np.arange(80))
    assert told.balanced_accuracy > 0.85
    np.testing.assert_allclose(told.probabilities.sum(1), 1)
    chance = [predict_groups(scores, rng.permutation(80) % 4 // 3, np.arange(80)) for _ in range(5)]
    assert np.mean([one.balanced_accuracy for one in chance]) == pytest.approx(0.5, abs=0.1)
    # Of three groups, two told and one not: as with two groups 0.75.
    assert type(told)(told.probabilities, 2 / 3, 1 / 3).rescaled == pytest.approx(0.75)


def test_what_features_explain_is_found_without_having_seen_the_row():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(100, 10))
    targets = np.stack([2 * features[:, 0] + features[:, 1] ** 2, rng.normal(size=100)], axis=1)
    targets[:, 0] += 0.3 * rng.normal(size=100)
    explained, means = cross_fitted(normal_scores(features), targets, np.arange(100))
    left = ((targets - explained) ** 2).mean(0) / targets.var(0)
    assert left[0] < 0.25
    assert left[1] > 0.85
    assert abs(np.corrcoef(means[:, 0], targets[:, 0])[0, 1]) < 0.999
    # Rows of one subject are held out together: knowing a row by heart helps nobody.
    twins = np.repeat(rng.normal(size=(30, 10)), 2, axis=0)
    noise = np.repeat(rng.normal(size=(30, 1)), 2, axis=0)
    explained, _ = cross_fitted(normal_scores(twins), noise, np.repeat(np.arange(30), 2))
    assert ((noise - explained) ** 2).mean() / noise.var() > 0.8
    half = unexplained(targets[:, :1], 0.5 * targets[:, :1])
    np.testing.assert_allclose(half, 0, atol=1e-9)


def test_random_groups_are_hardly_ever_called():
    world = World(6, 40)
    comparer = Comparer([CasePoints("0", named(40), world.seen)], world.features, permutations=299)
    called = 0
    for seed in range(20):
        compared = comparer.compare(over_subjects(np.random.default_rng(seed).permutation(40) % 2))
        called += compared.verdict(compared.test.p) is not Verdict.NO_DIFFERENCE
    # More than 4 of 20 have a chance of 0.3 % where each has 5 %.
    assert called <= 4


@pytest.mark.parametrize("what", ["size", "brightness"])
def test_a_property_of_the_images_is_no_difference_of_annotation(what):
    for seed in range(2):
        world = World(seed)
        values = getattr(world, what)
        compared = world.compare((values > np.median(values)).astype(int), folds=2)
        assert compared.plain.p < 0.01, "the latents do not follow the images: the test shows nothing"
        assert compared.verdict(compared.test.p) is Verdict.IMAGES_DIFFER


def test_a_difference_of_annotation_is_found_through_what_the_images_do():
    for seed in range(2):
        world = World(20 + seed)
        groups = world.rng.permutation(60) % 2
        compared = world.compare(groups, shift=2.5, folds=2)
        assert compared.verdict(compared.test.p) is Verdict.DIFFERENT
        assert compared.test.p < 0.01
        assert compared.test.p <= compared.plain.p
        for shifts in compared.shifts.values():
            np.testing.assert_allclose(shifts[1] - shifts[0], [1.25, 0], atol=0.6)


def test_without_images_nothing_is_said_of_annotation():
    world = World(30)
    world.features = {}
    compared = world.compare(np.arange(60) % 2, shift=6)
    assert (compared.predictability, compared.verdict(compared.test.p)) == (None, Verdict.IMAGES_UNKNOWN)


def test_of_three_groups_those_that_differ_are_told():
    rng = np.random.default_rng(7)
    groups = np.arange(60) % 3
    latents = rng.normal(size=(60, 2)) + np.outer(groups == 2, [3, 0])
    cases = named(60)
    alone = dict(zip(cases, cases, strict=True))
    design = make_design("site", {case: "ABC"[group] for case, group in zip(cases, groups, strict=True)}, alone, alone)
    noise = {case: {"noise": value} for case, value in zip(cases, rng.normal(size=60), strict=True)}
    compared = Comparer([CasePoints("0", cases, latents)], noise, permutations=999).compare(design)
    assert compared.test.p < 0.01
    found = {design.names[pair.group]: pair.test.p for pair in compared.pairs}
    assert found["C"] < 0.01 < found["B"]


def test_raters_of_the_same_images_are_compared_within_them():
    rng = np.random.default_rng(8)
    cases = named(70)
    images = {case: row // 2 for row, case in enumerate(cases)}
    raters = {case: "AB"[row % 2] for row, case in enumerate(cases)}
    design = make_design("rater", raters, images, images)
    assert (design.level, len(design.rows), len(set(design.blocks))) == (Level.IMAGES, 70, 35)
    latents = np.repeat(3 * rng.normal(size=(35, 2)), 2, axis=0) + rng.normal(size=(70, 2))
    latents[:, 1] += 1.2 * (np.arange(70) % 2)
    compared = Comparer([CasePoints("0", cases, latents)], {case: {"x": 1.0} for case in cases}).compare(design)
    assert compared.predictability is None
    assert compared.verdict(compared.test.p) is Verdict.DIFFERENT
    assert compared.test.p < 0.01


def test_eyes_of_a_subject_are_compared_within_it_and_subjects_as_a_whole():
    cases = named(24)
    subjects = {case: row // 2 for row, case in enumerate(cases)}
    alone = dict(zip(cases, cases, strict=True))
    eyes = make_design("eye", {case: "LR"[row % 2] for row, case in enumerate(cases)}, alone, subjects)
    assert (eyes.level, len(eyes.rows), len(set(eyes.blocks)), len(set(eyes.units))) == (
        Level.WITHIN_SUBJECTS,
        24,
        12,
        12,
    )
    sites = {case: "AB"[row // 2 % 2] for row, case in enumerate(cases)}
    design = make_design("site", sites, alone, subjects)
    assert (design.level, design.names, len(design.rows)) == (Level.SUBJECTS, ("A", "B"), 12)
    assert design.rows[0] == ("case_000", "case_001")
    mixed = make_design("site", {**sites, "case_000": "B"}, alone, subjects)
    assert len(mixed.rows) == 11
    assert mixed.left_out == ("2 cases of subjects that are in several groups",)


def test_groups_of_few_subjects_are_left_out_and_too_few_groups_refused():
    cases = named(20)
    alone = dict(zip(cases, cases, strict=True))
    values = {case: "A" if row < 10 else "B" if row < 17 else "C" for row, case in enumerate(cases)}
    design = make_design("site", values, alone, alone)
    assert (design.names, design.left_out) == (("A", "B"), ("groups of fewer than 5 subjects: C (3)",))
    # Of the same subject: ten cases of B are one.
    one = {case: "B" if values[case] == "B" else case for case in cases}
    with pytest.raises(HyperSORTError, match=r"site has one group of 5 or more subjects \(A: 10, C: 3, B: 1\)"):
        make_design("site", values, alone, one)
    images = {case: row // 2 for row, case in enumerate(cases[:8])}
    with pytest.raises(HyperSORTError, match="rater varies within images, but only 0 of them"):
        make_design("rater", {case: "AB"[row % 2] for row, case in enumerate(cases[:8])}, images, images)


def test_several_columns_are_corrected():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
