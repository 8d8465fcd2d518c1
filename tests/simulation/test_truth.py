"""The truth of the reference system against numerical derivatives of its mean function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spillover.simulation.config import SystemConfig
from spillover.simulation.streams import spawn_streams
from spillover.simulation.structure import build_system
from spillover.simulation.system import draw_outcomes, simulate
from spillover.simulation.truth import compute_truth

PLAIN = SystemConfig(n_regions=30, n_periods=3)
SYSTEMS = {
    "default": PLAIN,
    "moderated": replace(PLAIN, environment_elasticity=0.5, linkage_strength=0.5, university_strength=0.4),
    "capital": replace(PLAIN, capital=0.5, environment_elasticity=0.5),
    "competition": replace(PLAIN, competition=20.0),
    "all": replace(
        PLAIN, environment_elasticity=0.5, linkage_strength=0.5, university_strength=0.4, capital=0.5, competition=20.0
    ),
    "feedback": replace(PLAIN, feedback=0.4, capital=0.3, competition=10.0, linkage_strength=0.5),
}


def drawn(config, seed=1):
    streams = spawn_streams(seed)
    system = build_system(config, streams)
    return system, draw_outcomes(system, streams).hti


def numeric_derivative(system, hti):
    """Central differences of the mean over periods for a lasting change of one region's A."""
    n = len(hti)
    result = np.empty((n, n))
    for j in range(n):
        step = 1e-5 * hti[j].min()
        up, down = hti.copy(), hti.copy()
        up[j] += step
        down[j] -= step
        result[:, j] = (system.mean_patents(up) - system.mean_patents(down)).mean(axis=1) / (2 * step)
    return result


@pytest.mark.parametrize("name", SYSTEMS)
def test_truth_is_the_derivative_of_the_mean(name):
    system, hti = drawn(SYSTEMS[name])
    truth = compute_truth(system, hti)
    numeric = numeric_derivative(system, hti)
    # rounding of the differences: 1e-16 · 500 patents / (2e-5 · .02) ≈ 1e-7 absolute
    assert truth.to_array() == pytest.approx(numeric, rel=1e-6, abs=1e-6 * np.abs(numeric).max())


@pytest.mark.parametrize("name", SYSTEMS)
def test_vectors_and_channels_add_up(name):
    system, hti = drawn(SYSTEMS[name])
    truth = compute_truth(system, hti)
    dense = truth.to_array()
    own = np.diag(dense)
    assert truth.own == pytest.approx(own)
    assert truth.received == pytest.approx(dense.sum(axis=1) - own)
    assert truth.emitted == pytest.approx(dense.sum(axis=0) - own)
    assert truth.direct == pytest.approx(own.mean())
    assert truth.spillover == pytest.approx((dense.sum() - own.sum()) / len(own))
    assert truth.total == pytest.approx(dense.sum() / len(own))
    assert sum(channel.direct for channel in truth.channels) == pytest.approx(truth.direct)
    assert sum(channel.spillover for channel in truth.channels) == pytest.approx(truth.spillover)
    assert sum(truth.shares("total").values()) == pytest.approx(1.0)
    change = np.linspace(-1, 1, len(own))
    assert truth.apply(change) == pytest.approx(dense @ change)


def test_kernel_by_brute_force():
    """154.8 H_δ + 78.4 H_δ + 100 H_1.5δ, with each H cut at δd = 6.64 and (2/3)√(a/π) on its diagonal."""
    system, hti = drawn(SystemConfig(n_regions=250, n_periods=2))  # side 913 km: the cut is felt
    d = np.linalg.norm(system.geography.points[:, None] - system.geography.points[None], axis=2)
    np.fill_diagonal(d, (2 / 3) * np.sqrt(system.geography.areas / np.pi))
    x = 0.00892 * d
    slow = np.where(x <= 6.64, np.exp(-x), 0.0)
    quick = np.where(1.5 * x <= 6.64, np.exp(-1.5 * x), 0.0)
    assert (slow == 0).any()
    assert (quick == 0).any()
    expected = (154.8 + 78.4) * slow + 100 * quick
    assert compute_truth(system, hti).to_array() == pytest.approx(expected, rel=1e-12)


def test_shares_and_half_distances_at_300_regions():
    """Published for N = 300 to one decimal; they vary with the drawn map, by less than a point."""
    _, truth = simulate(SystemConfig(n_regions=300, n_periods=2), 1)
    names = ("talent", "cooperation", "informal")
    assert [100 * truth.shares("direct")[n] for n in names] == pytest.approx([47.8, 24.2, 28.0], abs=0.5)
    assert [100 * truth.shares("spillover")[n] for n in names] == pytest.approx([55.2, 28.0, 16.8], abs=0.5)
    assert [100 * truth.shares("total")[n] for n in names] == pytest.approx([54.8, 27.7, 17.5], abs=0.5)
    assert truth.half_distance_km == pytest.approx(68.5, abs=0.05)
    halves = {channel.name: channel.half_distance_km for channel in truth.channels}
    # ln 2/.00892 = 77.71, ln 2/.01338 = 51.80
    assert [halves[n] for n in names] == pytest.approx([77.71, 77.71, 51.80], abs=0.005)
    assert 15 < truth.spillover / truth.direct < 19  # about 17


def test_profile_by_distance():
    _, truth = simulate(SystemConfig(n_regions=100, n_periods=2), 1)
    assert sum(band.share for band in truth.bands) == pytest.approx(1.0)
    effects = [band.effect_per_pair for band in truth.bands]
    assert effects == sorted(effects, reverse=True)
    # between 50 and 100 km a pair's effect lies between the kernel at 100 and at 50
    kernel = [233.2 * np.exp(-0.00892 * d) + 100 * np.exp(-0.01338 * d) for d in (100, 50)]
    assert kernel[0] < effects[1] < kernel[1]


def test_capital_only_redistributes():
    system, hti = drawn(SYSTEMS["capital"])
    with_capital = compute_truth(system, hti)
    backwash = next(channel for channel in with_capital.channels if channel.name == "capital")
    assert backwash.spillover < 0 < backwash.direct
    # a uniform growth rate moves no capital: M diag(A) ι has no capital part
    stock = system.capital(hti)
    doubled = system.capital(2 * hti)
    assert doubled == pytest.approx(stock, rel=1e-12)
    assert stock.sum(axis=0) == pytest.approx(np.full(3, 30 * 100.0))


def test_competition_is_an_inverted_u_without_spillover():
    from spillover.simulation.channels import competition_patents

    pressures = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
    assert competition_patents(pressures, 1.0, 1.0) == pytest.approx([0, 0.375, 0.5, 0.375, 0])
    system, hti = drawn(SYSTEMS["competition"])
    part = next(c for c in compute_truth(system, hti).channels if c.name == "competition")
    assert part.spillover == 0.0


def test_truth_against_differences_of_simulated_means():
    """Monte Carlo with common paths: raise A in one region by .5 and compare what the others gain."""
    config = replace(PLAIN, n_periods=2, environment_elasticity=0.5)
    streams = spawn_streams(6)
    system = build_system(config, streams)
    hti = draw_outcomes(system, streams).hti
    raised = hti.copy()
    raised[4] += 0.5
    base = np.stack([draw_outcomes(system, streams, hti).patents.mean(axis=1) for _ in range(1500)])
    more = np.stack([draw_outcomes(system, streams, raised).patents.mean(axis=1) for _ in range(1500)])
    gain = more.mean(axis=0) - base.mean(axis=0)
    error = np.sqrt((more.var(axis=0) + base.var(axis=0)) / 1500)
    truth = 0.5 * compute_truth(system, hti).to_array()[:, 4]
    z = (gain - truth) / error
    assert np.abs(z).max() < 3.5  # 30 regions: P(max |z| > 3.5) = 1.4 %
    assert np.abs(z.mean()) < 0.6  # se of a mean of 30 is .18
    total = (gain.sum() - truth.sum()) / np.sqrt((error**2).sum())
    assert abs(total) < 2.5


def test_mean_field_recursion_describes_feedback():
    """Mean of 600 simulated paths against the recursion; its own error is of order 1/N."""
    config = SystemConfig(n_regions=60, n_periods=5, feedback=0.4)
    streams = spawn_streams(2)
    system = build_system(config, streams)
    hti = draw_outcomes(system, streams).hti
    sample = np.stack([draw_outcomes(system, streams, hti).patents for _ in range(600)])
    mean = system.mean_patents(hti)
    assert np.abs(sample.mean(axis=0) / mean - 1).mean() < 5e-3
    z = (sample.mean(axis=0) - mean) / (sample.std(axis=0) / np.sqrt(600))
    assert 0.8 < z.std() < 1.2
