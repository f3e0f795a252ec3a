"""Agreement, assignment of clusters to styles, and visits needed, on examples small enough to count."""

import numpy as np
import pytest

from benchmarks.style_recovery.clusters import agreement, clusters_of_styles, k_means, visits_needed

EVERY = np.ones(6, bool)
STYLES = ["a", "a", "a", "b", "b", "b"]


def test_agreement_does_not_depend_on_the_names_of_clusters() -> None:
    assert agreement(np.array([7, 7, 7, 0, 0, 0]), STYLES, EVERY) == (1, pytest.approx(1))


def test_one_cluster_for_all_is_no_agreement() -> None:
    assert agreement(np.zeros(6, int), STYLES, EVERY)[0] == 0


def test_noise_counts_as_clusters_of_one() -> None:
    # Two noise cases of one style are two clusters, not one: pairs apart that belong together cost.
    noisy = np.array([0, -1, -1, 1, 1, 1])
    spelled_out = np.array([0, 2, 3, 1, 1, 1])
    assert agreement(noisy, STYLES, EVERY) == agreement(spelled_out, STYLES, EVERY)
    assert agreement(noisy, STYLES, EVERY)[0] < 1


def test_cases_that_do_not_count_are_left_out() -> None:
    clusters = np.array([0, 0, 1, 1, 1, 1])
    assert agreement(clusters, STYLES, EVERY)[0] < 1
    assert agreement(clusters, STYLES, np.array([True, True, False, True, True, True]))[0] == 1


def test_a_style_is_served_by_the_cluster_with_most_of_its_right_cases() -> None:
    clusters = np.array([0, 0, 0, 1, 1, 1, -1])
    styles = ["a", "a", "b", "b", "b", "a", "c"]
    right = np.array([True, True, True, True, True, False, True])
    # The second cluster holds two of the three right cases of b; c is noise alone.
    assert clusters_of_styles(clusters, styles, right, ["a", "b", "c"]) == {"a": 0, "b": 1, "c": None}


def test_visits_until_reached_and_until_reached_for_good() -> None:
    visits = [5, 10, 15, 20, 25]
    assert visits_needed(visits, [0, 0.95, 0.5, 0.91, 0.99], 0.9) == (10, 20)
    assert visits_needed(visits, [0.9, 0.9, 0.9, 0.9, 0.9], 0.9) == (5, 5)
    assert visits_needed(visits, [0, 0, 0, 0.95, 0.2], 0.9) == (20, np.inf)
    assert visits_needed(visits, [0, 0, 0, 0, 0], 0.9) == (np.inf, np.inf)


def test_collapsed_latents_are_no_error() -> None:
    assert k_means(np.zeros((20, 2)), 3, 0).tolist() == [0] * 20
