"""The course of the latents, calculated by hand."""

from dataclasses import replace

import pytest
import torch

from nnunetv2_hypersort.settings import LatentSettings, LatentStart, LrSchedule
from nnunetv2_hypersort.trainers.hypersort.latent_schedule import LatentSchedule, has_learnt

# nnU-Net's default: 1000 epochs of 250 steps, two samples each; 100 training cases are drawn once in 50 steps.
LONG = LatentSchedule(LatentSettings(), case_count=100, batch_size=2, steps_per_epoch=250, epoch_count=1000)


def with_settings(schedule: LatentSchedule, **chosen: object) -> LatentSchedule:
    return replace(schedule, chosen=replace(schedule.chosen, **chosen))


@pytest.mark.parametrize(
    ("cases", "epochs", "steps"),
    [
        (100, 1000, 500),  # 10 visits of each are 500 steps, the least that there are
        (20, 1000, 500),  # 10 visits are 100 steps
        (400, 1000, 2000),  # 10 visits are 2000 steps
        (400, 10, 1000),  # 40 % of 2500 steps
        (100, 1, 100),  # 40 % of 250 steps
    ],
)
def test_the_warm_up_is_ten_visits_within_bounds(cases, epochs, steps):
    assert replace(LONG, case_count=cases, epoch_count=epochs).warm_up_steps == pytest.approx(steps)


def test_gradients_count_after_two_fifths_of_the_warm_up():
    # Of 500 steps the first 200 do not count; steps are counted from 1.
    assert [step for step in (1, 200, 201, 500) if LONG.gathers(step)] == [201, 500]


FALLING, FLAT = [-0.1, -0.3, -0.5, -0.7], [-0.1, -0.7, -0.72, -0.73, -0.73, -0.74]


def test_the_warm_up_lasts_until_little_is_learnt_within_bounds():
    # By hand: -0.3 (the second quarter) to -0.6 (the second half) is 0.3 of 0.5 in all; -0.7 to -0.737 is a twentieth.
    assert not has_learnt(FALLING)
    assert has_learnt([-0.1, -0.7, -0.7, -0.73, -0.74, -0.74])
    # An epoch of 250 steps: the least is 500, so that the second epoch can be the last of the warm-up.
    assert LONG.last_warm_up_step(0, []) is None
    assert LONG.last_warm_up_step(1, FLAT) == 500
    assert LONG.last_warm_up_step(4, FALLING) is None
    assert LONG.last_warm_up_step(5, FLAT) == 1500
    # 40 % of ten epochs are 1000 steps, learnt or not; 40 % of one are 100.
    short = replace(LONG, epoch_count=10)
    assert [short.last_warm_up_step(epoch, FALLING) for epoch in (2, 3)] == [None, 1000]
    assert replace(LONG, epoch_count=1).last_warm_up_step(0, []) == 100
    # 40 % of eleven epochs are 1100 steps, in the middle of the fifth, though that one is learnt in.
    assert replace(LONG, epoch_count=11).last_warm_up_step(4, FLAT) == 1100


@pytest.mark.parametrize(
    ("cases", "start", "steps"),
    [
        (100, LatentStart.SPECTRAL, 500 + 1500),  # 30 visits of each are 1500 steps, the least that there are
        (100, LatentStart.RANDOM, 1500),
        (20, LatentStart.SPECTRAL, 500 + 1500),
        (400, LatentStart.SPECTRAL, 2000 + 6000),
    ],
)
def test_latents_settle_thirty_visits_after_the_warm_up(cases, start, steps):
    assert with_settings(replace(LONG, case_count=cases), start=start).settling_steps == pytest.approx(steps)


def test_the_learning_rate_falls_with_the_visits_of_each_case():
    # 500 steps of warm-up are a quarter of 2000; 15 visits more are 750 steps, five eighths; 30 visits are the end.
    left = LONG.decay(torch.tensor([0, 15, 29, 30, 1000]), epoch=7)
    expected = [0.75**0.9, 0.375**0.9, 0.025**0.9, 0, 0]
    torch.testing.assert_close(left, torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_in_a_short_training_it_falls_with_the_epochs():
    # Eight epochs of 250 steps are 2000, no more than latents need to settle.
    short = replace(LONG, epoch_count=8)
    assert not short.settles_early
    torch.testing.assert_close(short.decay(torch.tensor([0, 500]), epoch=6), torch.full((2,), 0.25**0.9))
    # 1500 steps after the longest warm-up, 40 %, they would still end before the eleventh.
    assert not replace(LONG, epoch_count=10).settles_early
    assert replace(LONG, epoch_count=11).settles_early


def test_a_constant_learning_rate_never_falls():
    constant = with_settings(LONG, lr_schedule=LrSchedule.CONSTANT)
    assert constant.decay(torch.tensor([0, 10**6]), epoch=999).tolist() == [1, 1]
    assert not constant.all_settled(torch.tensor([10**6]))


def test_latents_have_settled_when_the_last_of_them_has():
    visits = torch.full((100,), 40)
    assert LONG.all_settled(visits)
    visits[17] = 29
    assert not LONG.all_settled(visits)
    # They stand still only where the training goes on after that.
    assert not replace(LONG, epoch_count=8).all_settled(torch.full((100,), 40))
