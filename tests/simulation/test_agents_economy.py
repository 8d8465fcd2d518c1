"""A life of the agents: the panel, its accounts, and the special case in which its means are tier 2's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spillover.errors import OptionError
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams
from spillover.simulation.agents.economy import live
from spillover.simulation.agents.simulate import simulate_agents
from spillover.simulation.config import SystemConfig
from spillover.simulation.simulate import simulate
from spillover.simulation.system import draw_system

MODERATED = SystemConfig(
    n_regions=20,
    n_periods=3,
    environment_elasticity=0.5,
    linkage_strength=0.5,
    university_strength=0.4,
    competition=20.0,
    capital=0.3,
    region_effect_sd=5.0,
    period_effect_sd=2.0,
)
DEFAULT = AgentConfig(system=SystemConfig(n_regions=20, n_periods=4), persons_per_researcher=20.0)
CHANNELS = ("talent_inflow", "transfers", "cooperation", "informal", "patents")


def test_same_seed_same_panel():
    one, two, three = (simulate_agents(DEFAULT, seed)[0] for seed in (7, 7, 8))
    assert all(np.array_equal(one[name], two[name]) for name in one.variables)
    assert not np.array_equal(one["patents"], three["patents"])


def test_the_panel_is_tier_2s_with_agents_in_it():
    panel, truth = simulate(DEFAULT, 1)  # the one entry point knows this tier
    system, _ = simulate(DEFAULT.system, 1)
    assert set(system.variables) <= set(panel.variables)
    for name in ("hti", "population", "area_km2", "universities", "linkage"):
        assert np.array_equal(panel[name], system[name])
    assert all(np.isfinite(panel[name]).all() for name in panel.variables)
    assert all(panel.units[name] and panel.labels[name] for name in panel.variables)
    for name in ("patents", "transfers", "cooperation", "firms", "entries", "exits"):
        assert np.array_equal(panel[name], np.rint(panel[name]))
    assert (panel["cooperation"] <= panel["transfers"]).all()
    assert panel["institutes"][:, 0].sum() == 5
    assert truth.closed_form is None
    assert truth.snapshot is None


def test_firms_are_accounted_for():
    panel, _ = simulate_agents(replace(DEFAULT, fixed_cost=60.0, spin_off=0.1), 2)
    assert panel["exits"].sum() > 10
    assert panel["entries"].sum() > 10
    change = panel["entries"][:, 1:] - panel["exits"][:, 1:]
    assert np.array_equal(np.diff(panel["firms"], axis=1), change)
    assert panel["firms"].min() >= 1


def test_snapshot_adds_up_to_the_panel():
    panel, truth = simulate_agents(DEFAULT, 3, snapshot=True)
    network = truth.snapshot
    pairs = {
        "talent_inflow": network.talent,
        "transfers": network.transfers,
        "cooperation": network.cooperation,
        "informal": network.informal,
    }
    for name, matrix in pairs.items():
        assert np.asarray(matrix.sum(axis=1)).ravel() == pytest.approx(panel[name].sum(axis=1))
    assert set(np.unique(network.partners.year)) <= {6, 7, 8}  # the last three of 5 + 4 years
    assert np.array_equal(network.firms.count(20), panel["firms"][:, -1])


def test_closing_triangles_clusters_the_network():
    def clustering(closure):
        _, truth = simulate_agents(replace(DEFAULT, closure=closure), 4, snapshot=True)
        links = truth.snapshot.partners.adjacency(truth.snapshot.firms.alive)
        paths = links @ links
        paths.setdiag(0)
        return (links.multiply(paths)).sum() / paths.sum()  # share of open and closed triples that are closed

    assert clustering(2.0) > 1.5 * clustering(0.0)


def repeated(config, rounds, seed):
    """Panel variables of `rounds` lives on one map and path, (rounds, n, t) each, with flows between regions."""
    drawn = draw_system(config.system, seed)
    hti = drawn.outcomes.hti
    lives = [
        live(config, drawn.system, hti, AgentStreams(child), snapshot=True)
        for child in np.random.SeedSequence(100 + seed).spawn(rounds)
    ]
    variables = {name: np.stack([life.variables[name] for life in lives]) for name in (*CHANNELS, "expected_patents")}
    return drawn, variables, [life.snapshot for life in lives]


@pytest.fixture(scope="module")
def special():
    return repeated(AgentConfig.like_system(MODERATED, persons_per_researcher=20.0), 80, 1)


def mean_flows(system, hti):
    """Channel → (n, n, t) tier 2's expected flows from j to i, written out from METHODS I.3."""
    c, absorb = system.config, system.absorption[:, None, None]
    exposed = {
        "talent_inflow": c.talent_per_cluster * system.talent_kernel.toarray()[:, :, None],
        "transfers": c.transfers_per_cluster * system.transfer_kernel.toarray()[:, :, None],
        "informal": c.informal_per_cluster * system.informal_kernel.toarray()[:, :, None],
    }
    exposed["cooperation"] = c.cooperation_share * exposed["transfers"]
    return {name: absorb * kernel * hti[None] for name, kernel in exposed.items()}


def test_means_by_region_are_tier_2s(special):
    drawn, variables, _ = special
    hti = drawn.outcomes.hti
    expected = {name: flows.sum(axis=1) for name, flows in mean_flows(drawn.system, hti).items()}
    expected["patents"] = drawn.system.mean_patents(hti)
    for name in CHANNELS:
        sample = variables[name].mean(axis=2)  # years together: means of 3, by region
        error = sample.std(axis=0, ddof=1) / np.sqrt(len(sample))
        z = (sample.mean(axis=0) - expected[name].mean(axis=1)) / error
        assert np.abs(z).max() < 3.0, name  # 20 regions: P(one beyond 3) = 5 % each, for a seed that is fixed
        assert np.sqrt((z**2).mean()) < 1.45, name  # rms of 20: 1 ± .16
        total = sample.sum(axis=1)
        gap = total.mean() - expected[name].mean(axis=1).sum()
        assert abs(gap) < 3.0 * total.std(ddof=1) / np.sqrt(len(total)), name
        # and the comparison says something: the sum over regions is known to 1 %
        assert total.std(ddof=1) / np.sqrt(len(total)) < 0.01 * total.mean(), name


def test_means_by_distance_are_tier_2s(special):
    drawn, _, snapshots = special
    points = drawn.system.geography.points
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    band = np.digitize(distance, [1e-9, 50.0, 100.0, 150.0, 250.0])  # band 0: within the region
    expected = {name: flows.sum(axis=2) for name, flows in mean_flows(drawn.system, drawn.outcomes.hti).items()}
    for name in ("talent_inflow", "transfers", "cooperation", "informal"):
        field = "talent" if name == "talent_inflow" else name
        sample = np.stack(
            [np.bincount(band.ravel(), weights=getattr(s, field).toarray().ravel(), minlength=6) for s in snapshots]
        )
        target = np.bincount(band.ravel(), weights=expected[name].ravel(), minlength=6)
        z = (sample.mean(axis=0) - target) / (sample.std(axis=0, ddof=1) / np.sqrt(len(sample)))
        assert np.abs(z).max() < 3.0, name  # 6 bands: P = 1.6 % each


def test_expected_patents_average_out_the_luck(special):
    _, variables, _ = special
    gap = variables["patents"] - variables["expected_patents"]
    # given knowledge patents are Poisson: variance = mean; 4,800 squares of a relative sd √2: se .02
    assert (gap**2).mean() / variables["expected_patents"].mean() == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("change", [{"closure": 1.0}, {"returns": 0.8}, {"attraction": 1.0}, {"depreciation": 0.5}])
def test_outside_the_special_case_means_differ(special, change):
    config = replace(AgentConfig.like_system(MODERATED, persons_per_researcher=20.0), **change)
    _, variables, _ = repeated(config, 6, 1)
    # the first six lives of the special case had the same luck
    gap = (variables["expected_patents"] - special[1]["expected_patents"][:6]).mean(axis=(1, 2))
    assert abs(gap.mean()) > 4.0 * gap.std(ddof=1) / np.sqrt(6)


def test_feedback_is_tier_2s_mean_field():
    system = replace(MODERATED, feedback=0.4, n_periods=4)
    drawn, variables, _ = repeated(AgentConfig.like_system(system, persons_per_researcher=20.0), 40, 2)
    found = variables["expected_patents"].mean(axis=0)
    # 40 lives know a region-year (relative sd of flows about .12) to .019: a mean absolute error of .015 is luck,
    # and the recursion leaves out terms of order 1/N
    assert np.abs(found / drawn.system.mean_patents(drawn.outcomes.hti) - 1).mean() < 0.02


def test_a_budget_below_zero_is_refused():
    poor = replace(MODERATED, region_effect_sd=0.0, competition=0.0, capital=3.0, talent_per_cluster=500.0)
    with pytest.raises(OptionError, match="less than nothing to spend"):
        simulate_agents(
            AgentConfig.like_system(replace(poor, hti_employment_scale=80_000.0), persons_per_researcher=200.0), 1
        )


def test_progress_is_reported():
    said = []
    simulate_agents(DEFAULT, 1, progress=lambda text, share: said.append((text, share)))
    assert said[0] == ("year 1 of 9", 0.0)
    assert len(said) == 9


@pytest.mark.slow
def test_two_hundred_thousand_agents_live_thirty_years():
    """How long it takes is measured by benchmarks/agents.py."""
    config = AgentConfig(system=SystemConfig(n_regions=300, n_periods=30), persons_per_researcher=4.0)
    panel, _ = simulate_agents(config, 1)
    assert panel["researchers"][:, -1].sum() / 4.0 + panel["firms"][:, -1].sum() > 200_000
