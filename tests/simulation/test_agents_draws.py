"""Draws that keep two runs in step."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from spillover.simulation.agents.draws import AgentStreams, build_lottery, invert_poisson, round_at_random


def test_poisson_by_inversion_is_the_quantile():
    rng = np.random.default_rng(1)
    mean = np.concatenate([[0.0, 1e-9, 29.9, 30.0, 30.1], rng.uniform(0, 40, 3000), rng.uniform(40, 5000, 200)])
    uniform = rng.random(len(mean))
    assert np.array_equal(invert_poisson(mean, uniform), stats.poisson.ppf(uniform, mean).clip(0))
    # at both ends of the unit interval
    ends = np.array([0.0, np.nextafter(1.0, 0.0)])
    for rate in (0.5, 20.0, 200.0):
        low, high = invert_poisson(np.full(2, rate), ends)
        assert low == 0
        assert high == pytest.approx(stats.poisson.isf(1.1e-16, rate), abs=2)  # the tail of one rounding error


def test_more_mean_never_gives_less():
    uniform = np.random.default_rng(2).random(2000)
    counts = [invert_poisson(np.full(2000, rate), uniform) for rate in (0.1, 1.0, 5.0, 29.0, 31.0, 60.0)]
    assert all((after >= before).all() for before, after in pairwise(counts))


def test_rounding_at_random_has_the_right_mean():
    uniform = (np.arange(1000) + 0.5) / 1000
    assert round_at_random(np.full(1000, 2.25), uniform).mean() == 2.25  # exactly a quarter of the grid is below .25
    assert np.array_equal(round_at_random(np.array([3.0, 0.0]), np.array([0.0, 0.0])), [3, 0])


def test_lottery_draws_within_regions_by_weight():
    region = np.array([1, 0, 1, 2, 1, 0])
    alive = np.array([True, True, False, True, True, True])
    weight = np.array([1.0, 2.0, 9.0, 0.0, 3.0, 6.0])
    lottery = build_lottery(region, alive, weight, 3)
    where = np.repeat([2, 0, 1], 20_000)
    firms = lottery.draw(where, np.random.default_rng(3))
    assert np.array_equal(region[firms], where)
    share = np.bincount(firms, minlength=6) / 20_000
    # region 0: firms 1 and 5 as 2 : 6; region 1: firms 0 and 4 as 1 : 3, firm 2 is gone; region 2 has one firm
    assert share == pytest.approx([0.25, 0.25, 0, 1, 0.75, 0.75], abs=0.012)  # 4 sd of a share of 20,000: .0122


def test_every_step_year_and_region_has_its_own_stream():
    streams = AgentStreams(np.random.SeedSequence(5))
    keys = [("jobs", 0, None), ("jobs", 0, 0), ("jobs", 0, 1), ("jobs", 1, None), ("moving", 0, 0), ("moving", 1, 0)]
    draws = [streams.at(*key).random() for key in keys]
    assert len(set(draws)) == len(keys)
    assert [streams.at(*key).random() for key in keys] == draws
    child = AgentStreams(np.random.SeedSequence(5).spawn(1)[0])
    assert child.at("jobs").random() != draws[0]
