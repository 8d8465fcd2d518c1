"""The truth against brute force: simulated patents with common random numbers, for every option of the system."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spillover.simulation.common_numbers import common_streams, mean_difference
from spillover.simulation.config import SystemConfig
from spillover.simulation.streams import spawn_streams
from spillover.simulation.structure import build_system
from spillover.simulation.system import draw_outcomes
from spillover.simulation.truth import compute_truth

PLAIN = SystemConfig(n_regions=20, n_periods=2, periphery=(0.2, 0.6))
OPTIONS = {
    "default": PLAIN,
    "environment": replace(PLAIN, environment_elasticity=0.5),
    "environment in space": replace(PLAIN, environment_elasticity=0.5, environment_range_km=100.0),
    "linkage": replace(PLAIN, linkage_strength=0.5),
    "universities": replace(PLAIN, university_strength=0.4),
    "capital": replace(PLAIN, capital=0.5, environment_elasticity=0.5),
    "competition": replace(PLAIN, competition=60.0),
    "negative binomial": replace(PLAIN, patent_size=50.0),
    "roads": replace(PLAIN, distance="road"),
    "Gaussian field": replace(PLAIN, hti_law="gaussian-process", innovation_range_km=80.0),
    "feedback": replace(PLAIN, n_periods=4, feedback=0.4),
    "all": replace(
        PLAIN,
        n_periods=4,
        environment_elasticity=0.5,
        linkage_strength=0.5,
        university_strength=0.4,
        capital=0.5,
        competition=60.0,
        feedback=0.3,
        patent_size=50.0,
    ),
}


def drawn(config, seed=1):
    streams = spawn_streams(seed)
    system = build_system(config, streams)
    return system, draw_outcomes(system, streams).hti


@pytest.mark.parametrize("name", OPTIONS)
def test_truth_within_two_standard_errors_of_simulated_differences(name):
    system, hti = drawn(OPTIONS[name])
    truth = compute_truth(system, hti)
    sender = int(np.argmax(truth.emitted))
    # a central difference of ± 10 %: what is not linear in A (capital, competition) errs by about 1/6 of 1 % of it
    step = 0.1 * hti[sender].min()
    up, down = hti.copy(), hti.copy()
    up[sender] += step
    down[sender] -= step
    found = mean_difference((system, down), (system, up), draws=150, seed=0)
    estimate, error = found.estimate.mean(axis=1) / (2 * step), found.std_error.mean(axis=1) / (2 * step)
    expected = truth.to_array()[:, sender]
    z = (estimate - expected) / error
    # 20 regions: two standard errors for each would fail by luck, so for own, received and their spread
    others = np.arange(20) != sender
    assert abs(z[sender]) < 2.0
    spread = np.sqrt((error[others] ** 2).sum())
    assert abs(estimate[others].sum() - expected[others].sum()) < 2.0 * spread
    # errors of the years are added up as if they were one: conservative, so z has sd at most 1 (20 draws: se .16)
    assert np.sqrt((z**2).mean()) < 1.2
    # and the comparison says something: the effect on the others is known to a quarter of itself or better
    assert spread < 0.25 * np.abs(expected[others]).sum()


def test_common_numbers_pair_the_worlds():
    """With inversion the variance of a difference is about that of the change alone, not that of two worlds."""
    system, hti = drawn(PLAIN)
    child = np.random.SeedSequence(3)
    again = [draw_outcomes(system, common_streams(child), hti).patents for _ in range(2)]
    assert np.array_equal(*again)
    found = mean_difference((system, hti), (system, 1.05 * hti), draws=40, seed=2)
    apart = np.sqrt(2 * 4.0 * system.mean_patents(hti) / 40)  # two worlds without pairing: Var Y ≈ 4.2 λ each
    assert found.std_error.mean() < 0.6 * apart.mean()


def test_common_numbers_have_the_laws():
    from spillover.simulation.common_numbers import CommonNumbers

    source = CommonNumbers(np.random.default_rng(4))
    size = np.full(20_000, 1.0)
    counts = source.poisson(7.0 * size)
    assert (counts.mean(), counts.var()) == pytest.approx((7.0, 7.0), rel=0.04)  # se of a variance 1 %
    share = source.binomial(30.0 * size, 0.1)
    assert (share.mean(), share.var()) == pytest.approx((3.0, 2.7), rel=0.04)
    wide = source.negative_binomial(5.0, 5.0 / (5.0 + 10.0) * size)
    assert (wide.mean(), wide.var()) == pytest.approx((10.0, 10.0 + 100.0 / 5.0), rel=0.05)
    assert source.poisson(0.0 * size).max() == 0.0
    assert source.binomial(0.0 * size, 0.1).max() == 0.0
