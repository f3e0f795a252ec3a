"""Mixtures, their splits and runs, and what the tables say first."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from benchmarks.unseen_styles.datasets import CROSS_FIT_PARTS, annotators_of_cases, split_fold, split_parts
from benchmarks.unseen_styles.mixtures import MIXTURES, Annotated, Half, Mixture, Planted
from benchmarks.unseen_styles.protocol import DRY_RUN, FULL, Method, plan_runs, steps
from benchmarks.unseen_styles.sources import SOURCES
from benchmarks.unseen_styles.tables import first_sentence

ANNOTATED = [mixture for mixture in MIXTURES if isinstance(mixture, Annotated)]


def test_the_halves_share_no_annotators_and_no_planted_images() -> None:
    halves = {half: [mixture for mixture in MIXTURES if mixture.half is half] for half in Half}
    planted = {half: {m.source_name for m in own if isinstance(m, Planted)} for half, own in halves.items()}
    assert planted[Half.TESTING] == {"chest"}
    assert not planted[Half.CHOOSING] & planted[Half.TESTING]
    for mixture in ANNOTATED:
        late = any(style.startswith(("person4", "person5")) for style in mixture.styles)
        assert late == (mixture.half is Half.TESTING), mixture.name


def test_dataset_numbers_are_unique() -> None:
    numbers = [source.number for source in SOURCES.values()]
    for mixture in MIXTURES:
        numbers += [int(mixture.dataset(seed)[7:10]) for seed in range(mixture.draws)] + [int(mixture.parts[7:10])]
    assert max(Counter(numbers).values()) == 1
    assert all(0 < number < 1000 for number in numbers)


def test_specs_are_valid_and_names_are_those_of_annotators() -> None:
    for mixture in MIXTURES:
        if isinstance(mixture, Planted):
            assert [style.name for style in mixture.spec.styles] == list(mixture.styles)
        assert isinstance(mixture, Planted) or set(mixture.styles) <= set(mixture.source.annotators)
        assert 2 <= len(mixture.styles) <= 4


@pytest.mark.parametrize("mixture", ANNOTATED, ids=lambda mixture: mixture.name)
def test_all_annotations_of_an_image_are_on_one_side(mixture: Annotated) -> None:
    # Two images each of a group, as the eyes of a child.
    images = [f"{number:02d}{side}" for number in range(14) for side in "LR"]
    truth = annotators_of_cases(mixture, images, 0)
    assert len(truth) == len(images) * (1 if mixture.once else len(mixture.styles))
    fold, parts = split_fold(truth, mixture), split_parts(truth, mixture)
    assert sorted(fold["train"] + fold["val"]) == sorted(truth)
    for split in [fold, *parts]:
        sides = [{truth[case].group for case in split[side]} for side in ("train", "val")]
        assert split["train"]
        assert split["val"]
        assert not sides[0] & sides[1]
    cross_fit = parts[:CROSS_FIT_PARTS]
    assert sorted(case for part in cross_fit for case in part["val"]) == fold["train"]
    for style, oracle in zip(mixture.styles, parts[CROSS_FIT_PARTS:], strict=True):
        assert {truth[case].style for case in oracle["train"]} == {style}
        assert oracle["val"] == fold["val"]


def test_who_annotated_what_is_drawn_anew_with_exact_shares() -> None:
    (mixture,) = (one for one in ANNOTATED if one.name == "cells_once_of_three")
    images = [f"cell{number:03d}" for number in range(35)]
    draws = [annotators_of_cases(mixture, images, draw) for draw in range(mixture.draws)]
    for draw in draws:
        assert sorted(Counter(entry.style for entry in draw.values()).values()) == [11, 12, 12]
    assert all(one != other for one, other in pairwise(draws))
    assert draws[3] == annotators_of_cases(mixture, images, 3)


def test_runs_have_names_of_their_own_and_settings_tell_those_with_latents() -> None:
    for half in Half:
        runs = plan_runs(half, FULL, "default")
        assert len({run.name for run in runs}) == len(runs)
        other = {run.name for run in plan_runs(half, FULL, "published")}
        assert {run.method for run in runs if run.name in other} == {Method.CROSS_FIT, Method.ORACLE}
        # Twenty minutes at a tenth of a second.
        assert max(run.epochs * run.iterations for run in runs) < 12_000
        assert len(plan_runs(half, DRY_RUN, "default")) < len(runs)
    seeds = {run.seed for run in plan_runs(Half.TESTING, FULL, "default") if run.mixture.name == "cells_once_4_5"}
    assert seeds == set(range(10))


def test_a_run_in_space_visits_its_cases_as_often_as_said() -> None:
    (large,) = (mixture for mixture in MIXTURES if mixture.name == "hippocampus_four")
    assert steps(large, FULL) == 128 * 40 / 2


def entry(styles: float, residuals: float, masks: float, latents_told: float, residuals_told: float) -> dict[str, Any]:
    told = {"latents": latents_told, "residuals": residuals_told, "mask statistics": 0.5}
    return {
        "seeds": [
            {
                "ari": {
                    "styles": {"styles": styles},
                    "residuals": {"one": residuals, "two": 0.0},
                    "mask statistics": {"one": masks},
                },
                "told": {name: {"accuracy": value} for name, value in told.items()},
            }
        ]
    }


def test_a_better_baseline_is_the_first_thing_said() -> None:
    worse = first_sentence({"a": entry(0.2, 0.5, 0.1, 0.7, 0.8), "b": entry(0.9, 0.1, 0.1, 0.9, 0.8)})
    assert worse.startswith("**A baseline of an afternoon finds the styles better")
    assert "on 1 of 2 mixtures (a)" in worse
    assert "on 1 a baseline knows more of them than the latents (a)" in worse
    better = first_sentence({"b": entry(0.9, 0.1, 0.1, 0.9, 0.8)})
    assert better.startswith("On none of 1 mixtures")
    incomplete = entry(0.9, 0.1, 0.1, 0.9, 0.8)
    del incomplete["seeds"][0]["ari"]["residuals"]
    assert first_sentence({"c": incomplete}).startswith("Nothing can be compared yet")


def test_every_mixture_belongs_to_one_half() -> None:
    assert all(isinstance(mixture, Mixture) and isinstance(mixture.half, Half) for mixture in MIXTURES)
    assert len({mixture.name for mixture in MIXTURES}) == len(MIXTURES) >= 8
