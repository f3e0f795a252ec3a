"""How many styles there are: what the rule calls groups, against how the points were drawn and textbook likelihoods."""

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.metrics import adjusted_rand_score

from benchmarks.number_of_styles.sets import ONE_STYLE, groups
from nnunetv2_hypersort.latents import FoldRecord
from nnunetv2_hypersort.styles.certainty import Certainty, first_axis, stability
from nnunetv2_hypersort.styles.clustering import FoldClusters, find_clusters
from nnunetv2_hypersort.styles.isolation import isolated
from nnunetv2_hypersort.styles.one_style import one_style_likelihood, ring_likelihood
from nnunetv2_hypersort.styles.split_level import split_level, told_apart_distance

SETS = 40


def share_split(draw, sets: int = SETS) -> float:
    rng = np.random.default_rng(11)
    return sum(len(find_clusters(draw(rng))) > 1 for _ in range(sets)) / sets


def test_two_small_groups_are_told_apart_at_five_deviations_and_mostly_at_four():
    assert share_split(lambda rng: groups(rng, (20, 19), 5.0)[0]) >= 0.95
    assert share_split(lambda rng: groups(rng, (20, 19), 4.0)[0]) >= 0.78
    assert share_split(lambda rng: groups(rng, (20, 19), 2.0)[0]) <= 0.3


# Boxes, bows and rings whose middle is half filled are called several too often; docs/styles.md says so.
_UNRELIABLE = ("flat: uniform in a box", "ring, noise 0.3", "bow of 115 degrees, noise 0.15")


@pytest.mark.parametrize("shape", [shape for shape in ONE_STYLE if shape not in _UNRELIABLE])
@pytest.mark.parametrize("count", [40, 150])
def test_one_style_of_any_shape_is_seldom_called_several(shape, count):
    # Of 40 sets 8 are exceeded by chance in one of a thousand tests of this kind, were the share 8 %.
    assert share_split(lambda rng: ONE_STYLE[shape](rng, count, 2)) <= 0.2


@pytest.mark.parametrize(
    "arguments",
    [
        {"sizes": (50, 30, 20), "distance": 6.0},
        {"sizes": (50, 30, 20), "distance": 6.0, "elongated": 3.0, "dim": 3},
        {"sizes": (50, 30, 20), "distance": 6.0, "far": 0.08},
        {"sizes": (50, 30, 20), "distance": 6.0, "dim": 5},
        {"sizes": (40, 40, 40, 40), "distance": 6.0},
    ],
    ids=["uneven", "elongated", "scattered", "five dimensions", "four"],
)
def test_three_and_four_groups_are_found(arguments):
    rng = np.random.default_rng(3)
    right = 0
    for _ in range(5):
        points, truth = groups(rng, **arguments)
        clusters = find_clusters(points)
        known = truth >= 0
        agreed = adjusted_rand_score(truth[known], clusters.labels[known]) > 0.85
        right += len(clusters) == len(arguments["sizes"]) and agreed
    assert right >= 4


def test_the_same_points_have_the_same_clusters_in_any_order():
    points, _ = groups(np.random.default_rng(1), (60, 40), 6.0)
    order = np.random.default_rng(2).permutation(100)
    np.testing.assert_array_equal(find_clusters(points).labels[order], find_clusters(points[order]).labels)


def test_the_shapes_of_one_style_have_the_likelihoods_of_the_textbook():
    rng = np.random.default_rng(0)
    for values in (
        rng.normal(size=200),
        rng.gamma(2.0, size=200),
        -np.exp(rng.normal(size=200)),
        rng.uniform(size=200),
    ):
        standard = (values - values.mean()) / values.std()
        shifts = [0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 6.0, 20.0]
        skewed = [
            shape.logpdf(side, *shape.fit(side, floc=side.min() - shift)).sum()
            for shape in (stats.gamma, stats.lognorm)
            for side in (standard, -standard)
            for shift in shifts
        ]
        flat = [
            -optimize.minimize(
                lambda place, power=power, values=standard: (
                    -stats.gennorm.logpdf(values, power, place[0], np.exp(place[1])).sum()
                ),
                [0.0, 0.0],
                method="Nelder-Mead",
            ).fun
            for power in (3, 4, 6, 10)
        ]
        best = max(*skewed, max(flat) - 6)
        assert one_style_likelihood(standard[None])[0] == pytest.approx(best, abs=0.6)
        assert best > stats.norm.logpdf(standard).sum() - 0.6


def test_a_ring_has_the_likelihood_of_its_radius_and_a_uniform_direction():
    rng = np.random.default_rng(0)
    points = ONE_STYLE["ring, noise 0.2"](rng, 300, 2)
    squares = (points**2).sum(axis=1)
    shape, _, scale = stats.gamma.fit(squares, floc=0)
    # A squared radius and a direction make a density of the plane of twice that over 2 pi.
    expected = stats.gamma.logpdf(squares, shape, 0, scale).sum() - 300 * np.log(np.pi)
    assert ring_likelihood(points) == pytest.approx(expected - 4, abs=0.5)
    cloud = rng.normal(size=(300, 3))
    gaussian = stats.multivariate_normal.logpdf(cloud, np.zeros(3)).sum()
    assert gaussian - 4.5 < ring_likelihood(cloud) < gaussian


def test_points_far_from_all_others_are_isolated_and_five_together_are_not():
    rng = np.random.default_rng(0)
    together = np.array([8, -8]) + rng.normal(0, 0.1, (5, 2))
    points = np.concatenate([rng.normal(size=(80, 2)), [[9, 9], [9.1, 9], [-9, 9]], together])
    far = isolated(points)
    assert far[80:83].all()
    assert not far[83:].any()
    assert far[:80].mean() <= 0.05
    assert not isolated(points[:4]).any()


def test_more_points_and_dimensions_need_more_evidence_and_more_points_less_distance():
    assert split_level(40, 5) > split_level(40, 2) > split_level(40, 1)
    assert split_level(4000, 2) > split_level(400, 2) > split_level(40, 2)
    assert told_apart_distance(20, 2) > told_apart_distance(100, 2) >= told_apart_distance(1000, 2)
    # The power at the distance that is stated is what is stated.
    distance = told_apart_distance(60, 2)
    assert 0.6 <= share_split(lambda rng: groups(rng, (30, 30), distance)[0]) <= 0.97


def test_clusters_far_apart_are_stable_and_halves_of_a_cloud_are_not():
    rng = np.random.default_rng(1)
    points, truth = groups(rng, (40, 30), 8.0)
    assert stability(points, truth, 2).min() > 0.95
    cloud = rng.normal(size=(70, 2))
    assert stability(cloud, (cloud[:, 0] > 0).astype(np.int64), 2).max() < 0.75


def test_the_first_axis_is_that_of_the_bulk():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2000, 2)) @ np.array([[3.0, 0.0], [0.0, 1.0]]) @ np.array([[0.8, 0.6], [-0.6, 0.8]]) + 5
    points[:40] += [-300, 400]
    centre, axis, spread = first_axis(points)
    np.testing.assert_allclose(centre, [5, 5], atol=0.3)
    np.testing.assert_allclose(axis, [0.8, 0.6], atol=0.05)
    assert spread == pytest.approx(3, rel=0.1)


def record_of(points: np.ndarray) -> FoldRecord:
    cases = tuple(f"case_{row:03d}" for row in range(len(points)))
    return FoldRecord("0", cases, points, np.ones(len(points), dtype=int), {})


def test_the_certainty_of_a_fold_in_words_and_numbers():
    rng = np.random.default_rng(1)
    several = record_of(groups(rng, (40, 30), 8.0)[0])
    certainty = Certainty.of(several, FoldClusters.find(several))
    assert certainty.told_apart is None
    first, second = certainty.to_json()["stability"]
    assert min(first, second) > 0.95
    assert f"a {first:.2f}, b {second:.2f}" in certainty.to_text(["a", "b"])
    single = record_of(rng.normal(size=(70, 2)))
    certainty = Certainty.of(single, FoldClusters.find(single))
    assert certainty.stability == ()
    assert certainty.told_apart == told_apart_distance(70, 2)
    assert f"from a distance of {certainty.told_apart:.1f} standard deviations" in certainty.to_text(["a"])
    for count in (0, 9):
        few = record_of(rng.normal(size=(count, 2)))
        certainty = Certainty.of(few, FoldClusters.find(few))
        assert certainty.to_text([]) == f"Fold 0 has {count} cases; fewer than 10 are never split."
