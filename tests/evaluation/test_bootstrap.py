"""The intervals: known answers, the shared draw, and whether they hold the truth as often as they say."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nnunetv2_hypersort.evaluation.bootstrap import average_labels, draw_subjects, summarise
from nnunetv2_hypersort.evaluation.score_table import average_within_subjects, weighted_mean

NAN = np.nan
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def load_benchmark(name: str) -> ModuleType:
    path = BENCHMARKS / f"{name}.py"
    if not path.is_file():
        pytest.skip(f"{path.name} is only in a checkout of the repository")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_resample_draws_as_many_subjects_as_there_are() -> None:
    draws = draw_subjects(7, num_resamples=200, seed=1)
    assert draws.shape == (200, 7)
    assert (draws.sum(axis=1) == 7).all()
    assert (draws >= 0).all()
    np.testing.assert_array_equal(draws, draw_subjects(7, num_resamples=200, seed=1))
    assert (draws != draw_subjects(7, num_resamples=200, seed=2)).any()


def test_draws_without_subjects_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one subject"):
        draw_subjects(0)


def test_cases_are_averaged_within_subjects_first() -> None:
    # Subject a has the cases 1, 2 and 6, subject b has 9: the mean over subjects is 6, not 4.5.
    values = np.array([1.0, 9.0, 2.0, 6.0]).reshape(1, 4, 1, 1)
    by_subject = average_within_subjects(values, ["a", "b", "a", "a"])
    np.testing.assert_allclose(by_subject[0, :, 0, 0], [3.0, 9.0])


def test_undefined_values_are_left_out_on_every_level() -> None:
    values = np.array([[1.0, NAN], [3.0, NAN], [NAN, 5.0]]).reshape(1, 3, 2, 1)
    by_subject = average_within_subjects(values, ["a", "a", "b"])
    np.testing.assert_allclose(by_subject[0, :, :, 0], [[2.0, NAN], [NAN, 5.0]])
    label_means = weighted_mean(np.ones((1, 2)), by_subject)[:, 0]
    np.testing.assert_allclose(label_means[0, :, 0], [2.0, 5.0])
    assert average_labels(label_means, [0, 1])[0, 0] == 3.5
    # A resample without subject b has no value for the second label, and the mean is that of the first.
    only_a = weighted_mean(np.array([[2, 0]]), by_subject)
    assert np.isnan(only_a[0, 0, 1, 0])
    assert average_labels(only_a, [0, 1])[0, 0, 0] == 2.0


def test_weights_count_how_often_a_subject_was_drawn() -> None:
    by_subject = np.array([1.0, 4.0, 10.0]).reshape(3, 1, 1)
    assert weighted_mean(np.array([[2, 1, 0]]), by_subject)[0, 0, 0] == 2.0


def test_one_draw_serves_all_labels() -> None:
    # Two labels that mirror each other: with one draw for both their mean never varies.
    generator = np.random.default_rng(0)
    first = generator.normal(size=40)
    by_subject = np.stack([first, -first], axis=1)[..., None]
    resampled = weighted_mean(draw_subjects(40), by_subject)
    assert resampled[:, 0, 0].std() > 0.1
    np.testing.assert_allclose(average_labels(resampled, [0, 1]), 0.0, atol=1e-12)


def test_interval_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(3).exponential(size=60)
    resampled = weighted_mean(draw_subjects(60, num_resamples=20000), values.reshape(60, 1, 1))[:, 0, 0]
    ours = summarise(values.mean(), resampled, 60)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_one_subject_has_no_interval() -> None:
    interval = summarise(0.5, np.full(100, 0.5), 1)
    assert interval.mean == 0.5
    assert np.isnan(interval.low)
    assert np.isnan(interval.high)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    # 400 repetitions: the standard error of a coverage of 95 % is 1.1 %. Seeded, so the result is always the same.
    benchmark = load_benchmark("benchmark_interval_coverage")
    coverage = benchmark.simulate_coverage(50, num_repetitions=400, num_resamples=300, seed=1)
    assert 0.92 <= coverage.mean <= 0.98
    assert 0.92 <= coverage.label <= 0.98
    assert 0.92 <= coverage.difference <= 0.98
    # The mistakes that the design avoids would be seen here.
    assert coverage.mean_independent_labels < 0.85
    assert coverage.mean_cases < 0.90
