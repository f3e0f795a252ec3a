"""The point in the middle of very many, without comparing all pairs."""

import numpy as np
import pytest

from nnunetv2_hypersort.styles.medoid import medoid, pruned_medoid


def summed_distances(points: np.ndarray) -> np.ndarray:
    """By brute force."""
    return np.linalg.norm(points[:, None] - points[None], axis=2).sum(axis=1)


@pytest.mark.parametrize("dim", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_point_of_the_least_summed_distance(dim, seed):
    rng = np.random.default_rng(seed)
    # Neither round nor alone: two groups, a tail, and points that stand several times.
    points = np.concatenate(
        [
            rng.normal(size=(200, dim)),
            rng.normal(4, 0.2, (60, dim)),
            rng.standard_cauchy((40, dim)),
            rng.integers(0, 3, (100, dim)),
        ]
    )
    sums = summed_distances(points)
    assert sums[pruned_medoid(points)] == pytest.approx(sums.min(), rel=1e-12)
    assert medoid(points) == np.argmin(sums)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_points_and_equal_ones(count):
    assert pruned_medoid(np.zeros((count, 2))) == 0
    line = np.arange(float(count))[:, None]
    assert summed_distances(line)[pruned_medoid(line)] == summed_distances(line).min()


def test_many_points_need_few_looks(monkeypatch):
    from nnunetv2_hypersort.styles import medoid as module

    looks = []
    plane = module._cutting_plane

    def count(points, place):
        looks.append(place)
        return plane(points, place)

    monkeypatch.setattr(module, "_cutting_plane", count)
    points = np.random.default_rng(0).normal(size=(20_000, 2))
    row = medoid(points)
    assert len(looks) < 200
    nearest = np.linalg.norm(points, axis=1).argsort()[:300]
    sums = [np.linalg.norm(points - points[candidate], axis=1).sum() for candidate in nearest]
    assert row == nearest[int(np.argmin(sums))]
