"""The simulator: what it draws, and that it draws it again."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from spillover.errors import OptionError
from spillover.measures.agglomeration import location_quotient
from spillover.simulation import channels
from spillover.simulation.config import SystemConfig
from spillover.simulation.streams import spawn_streams
from spillover.simulation.structure import build_system
from spillover.simulation.system import draw_outcomes, simulate

SMALL = SystemConfig(n_regions=60, n_periods=4)


def test_same_seed_same_panel():
    one, two, three = (simulate(SMALL, seed)[0] for seed in (7, 7, 8))
    assert all(np.array_equal(one[name], two[name]) for name in one.variables)
    assert not np.array_equal(one["patents"], three["patents"])


def test_a_component_has_its_own_stream():
    # a change of the patents' law leaves everything that is drawn before and beside it as it was
    poisson, overdispersed = simulate(SMALL, 7)[0], simulate(replace(SMALL, patent_size=50.0), 7)[0]
    assert not np.array_equal(poisson["patents"], overdispersed["patents"])
    for name in ("hti", "talent_inflow", "transfers", "cooperation", "informal", "population"):
        assert np.array_equal(poisson[name], overdispersed[name])


def test_panel_is_one_a_user_could_have():
    panel, truth = simulate(SMALL, 1)
    assert panel.shape == (60, 4)
    assert panel.periods == (2011, 2012, 2013, 2014)
    assert panel.regions == truth.regions
    assert list(panel.geometry.index) == list(panel.regions)
    assert all(np.isfinite(panel[name]).all() for name in panel.variables)
    assert all(panel.units[name] and panel.labels[name] for name in panel.variables)
    counts = (
        "patents",
        "talent_inflow",
        "transfers",
        "cooperation",
        "hti_employment",
        "total_employment",
        "population",
    )
    assert all(np.array_equal(panel[name], np.rint(panel[name])) for name in counts)
    assert (panel["cooperation"] <= panel["transfers"]).all()
    assert np.array_equal(12 * panel["informal"], np.rint(12 * panel["informal"]))


def test_employment_is_consistent_with_intensity():
    panel, _ = simulate(SMALL, 1)
    # A counts the jobs of a reference cluster, to the job
    assert panel["hti"] * 20_000 == pytest.approx(panel["hti_employment"], abs=1e-6)
    assert (panel["hti_employment"] < panel["total_employment"]).all()
    assert (panel["total_employment"] < panel["population"]).all()
    quotients = location_quotient(panel["hti_employment"], panel["total_employment"])
    shares = panel["total_employment"] / panel["total_employment"].sum(axis=0)
    values = np.asarray(getattr(quotients, "values", quotients))
    # identity: the employment-weighted mean of location quotients is 1 in every year
    assert (shares * values).sum(axis=0) == pytest.approx(np.ones(4), rel=1e-12)


def test_moments_of_the_draws():
    """Means of 1,500 draws along one path against the mean functions; z-scores of 60 regions."""
    config = replace(SMALL, n_periods=2, environment_elasticity=0.5, linkage_strength=0.5, university_strength=0.2)
    streams = spawn_streams(3)
    system = build_system(config, streams)
    hti = draw_outcomes(system, streams).hti
    names = ("talent_inflow", "transfers", "cooperation", "informal", "patents", "revenue")
    draws = {name: [] for name in names}
    for _ in range(1500):
        outcomes = draw_outcomes(system, streams, hti)
        for name in names:
            draws[name].append(getattr(outcomes, name))
    absorption = system.absorption
    talent = channels.talent_inflow(channels.exposure(system.talent_kernel, hti, absorption), config.talent_per_cluster)
    transfers = channels.technology_transfer(
        channels.exposure(system.transfer_kernel, hti, absorption), config.transfers_per_cluster
    )
    informal = channels.informal_exchange(
        channels.exposure(system.informal_kernel, hti, absorption), config.informal_per_cluster
    )
    patents = 60 + talent + 10 * channels.cooperation(transfers, 0.1) + 25 * informal
    means = dict(zip(names, (talent, transfers, 0.1 * transfers, informal, patents, 10 * patents), strict=True))
    assert patents == pytest.approx(system.mean_patents(hti), rel=1e-12)
    for name, mean in means.items():
        sample = np.stack(draws[name])
        z = (sample.mean(axis=0) - mean) / (sample.std(axis=0) / np.sqrt(len(sample)))
        # 120 nearly independent z: their mean has sd .09 (regions share no noise), the largest stays below 4.5
        assert abs(z.mean()) < 0.4
        assert abs(z).max() < 4.5
    # given A, patents are over-dispersed: Var = λ + Var M + 100 Var C + 625 Var X, Var X = X/12
    variance = patents + talent + 100 * 0.1 * transfers + 625 * informal / 12
    ratio = np.stack(draws["patents"]).var(axis=0) / variance
    assert ratio.mean() == pytest.approx(1.0, abs=0.02)  # 120 ratios of sd √(2/1500) = .037: se .0033


def test_hti_process_is_stationary_around_its_level():
    config = SystemConfig(n_regions=400, n_periods=12)
    streams = spawn_streams(2)
    system = build_system(config, streams)
    deviation = np.log(draw_outcomes(system, streams).hti) - system.hti_process.long_run[:, None]
    # stationary sd of the AR(1): .15/√(1 − .81) = .344; sd of an estimate from 400 regions ≈ .344/√800 = .012
    assert deviation.std(axis=0) == pytest.approx(np.full(12, 0.344), abs=0.05)
    slope = (deviation[:, :-1] * deviation[:, 1:]).sum() / (deviation[:, :-1] ** 2).sum()
    assert slope == pytest.approx(0.9, abs=0.03)  # se ≈ √((1 − .81)/4400) = .0066


def test_gaussian_process_law():
    config = SystemConfig(n_regions=100, n_periods=2, hti_law="gaussian-process")
    squares, products = [], []
    for seed in range(12):
        system = build_system(config, spawn_streams(seed))
        level = (system.hti_process.long_run + 2.0) / 0.8  # mean and sd of the law
        near = system.geography.pairs(70.0)
        expected = np.exp(-near.distance / 100)
        squares.append(np.mean(level**2))
        products.append(np.mean(level[near.receiver] * level[near.sender]) / expected.mean())
    # 577² km² hold 577²/(π 50²) ≈ 42 independent squares: sd of a field's mean square ≈ √(2/42) = .22, of 12: .063
    assert np.mean(squares) == pytest.approx(1.0, abs=0.2)
    assert np.mean(products) == pytest.approx(1.0, abs=0.25)  # a little noisier than the squares


def test_endogeneity_and_instrument_move_hti():
    quiet = simulate(SMALL, 4)[0]
    pushed = simulate(replace(SMALL, endogeneity=0.3), 4)[0]
    assert np.array_equal(quiet["hti"][:, 0], pushed["hti"][:, 0])
    assert not np.array_equal(quiet["hti"][:, 1], pushed["hti"][:, 1])
    assert "instrument" not in quiet
    helped = simulate(replace(SMALL, n_regions=300, instrument=0.3), 4)[0]
    change = np.diff(np.log(helped["hti"]), axis=1)
    # the shifter enters ln A with .3 against other innovations of .15
    assert np.corrcoef(change.ravel(), helped["instrument"][:, 1:].ravel())[0, 1] > 0.7


def test_a_binding_floor_is_refused():
    with pytest.raises(OptionError, match="floor of 1"):
        simulate(replace(SMALL, region_effect_sd=500.0), 1)


def test_negative_binomial_variance():
    # no channels: λ is the base, so Var = λ + λ²/r = 60 + 3600/50 = 132 for r = 50, and 60 for the Poisson
    silent = replace(SMALL, talent_per_cluster=0.0, transfers_per_cluster=0.0, informal_per_cluster=0.0, n_periods=200)
    poisson, overdispersed = (
        simulate(silent, 1)[0]["patents"],
        simulate(replace(silent, patent_size=50.0), 1)[0]["patents"],
    )
    # 12,000 draws: relative error of a variance about √(2/12000) = 1.3 %
    assert poisson.var() == pytest.approx(60.0, rel=0.06)
    assert overdispersed.var() == pytest.approx(132.0, rel=0.06)
    assert (poisson.mean(), overdispersed.mean()) == pytest.approx((60.0, 60.0), abs=0.5)


def test_large_systems_are_quick():
    def seconds():
        start = time.process_time()
        simulate(SystemConfig(n_regions=3000, n_periods=30), 1)
        return time.process_time() - start

    # about 1 s of processor time; a second try only where a busy machine spoilt the first
    assert seconds() < 5.0 or seconds() < 5.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"talent_per_cluster": 1e30},
        {"cluster_sd": 5.0, "talent_per_cluster": 1e25},
        {"persistence": 0.999, "innovation_sd": 3.0},
    ],
)
def test_a_system_that_runs_away_is_told_in_words(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="too large"), np.errstate(over="ignore", invalid="ignore"):
        simulate(SystemConfig(n_regions=20, n_periods=30, **wrong), seed=1)
