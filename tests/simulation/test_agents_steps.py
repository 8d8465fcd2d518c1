"""The steps of an agents' year, each against numbers found by hand or by going through all pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from spillover.errors import OptionError
from spillover.simulation.agents.capital import allocate_capital
from spillover.simulation.agents.competition import find_exits, find_parents, found_spin_offs, share_ahead
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams, build_lottery
from spillover.simulation.agents.flows import Flows
from spillover.simulation.agents.government import govern
from spillover.simulation.agents.innovation import innovate
from spillover.simulation.agents.knowledge import learn
from spillover.simulation.agents.meetings import meet
from spillover.simulation.agents.partnerships import Network, form_partnerships
from spillover.simulation.agents.population import Firms, Researchers
from spillover.simulation.agents.talent import Choices, choose_destinations, fill_jobs, move, weigh_choices
from spillover.simulation.config import SystemConfig
from spillover.simulation.streams import spawn_streams
from spillover.simulation.structure import build_system

SYSTEM = SystemConfig(n_regions=10, n_periods=2, environment_elasticity=0.5, capital=0.5)
CONFIG = AgentConfig(system=SYSTEM)


def firms_of(region, **values):
    m = len(region)
    basis = {
        "region": np.array(region),
        "sector": np.zeros(m, dtype=int),
        "knowledge": np.ones(m),
        "capital": np.zeros(m),
        "effort": np.zeros(m),
        "jobs": np.ones(m),
        "patents": np.zeros(m),
        "alive": np.ones(m, dtype=bool),
    }
    return Firms(**{**basis, **{name: np.array(value) for name, value in values.items()}})


def streams(seed):
    return AgentStreams(np.random.SeedSequence(seed))


@pytest.fixture(scope="module")
def system():
    return build_system(SYSTEM, spawn_streams(1))


def test_policy_answers_to_relative_innovation(system):
    firms = np.full(10, 20.0)
    quiet = govern(replace(CONFIG, policy_response=0.0), system, firms, np.full(10, 7.0))
    assert np.array_equal(quiet.absorption, system.absorption)
    patents = np.r_[np.full(5, 100.0), np.full(5, 300.0)]  # mean 200: half and one and a half of it
    active = govern(replace(CONFIG, policy_response=0.2), system, firms, patents)
    ratio = np.r_[np.full(5, 0.5), np.full(5, 1.5)]
    # E moves with the third root of policy, absorption with E^½
    assert active.setting.environment.policy == pytest.approx(system.environment.policy * ratio**0.2)
    assert active.absorption == pytest.approx(system.absorption * ratio ** (0.2 / 3 * 0.5))
    assert active.subsidy == pytest.approx(CONFIG.subsidy * active.setting.environment.policy)


def test_capital_adds_up(system):
    region = np.repeat(np.arange(10), 3)
    alive = np.arange(30) % 7 != 6
    firms = firms_of(region, jobs=np.arange(30.0), alive=alive)
    hti = np.linspace(0.1, 1.0, 10)
    financed, stock = allocate_capital(firms, system, hti)
    assert stock.sum() == pytest.approx(10 * 100.0)  # nothing is made, only moved
    assert financed.add_up(financed.capital, 10) == pytest.approx(stock)
    assert financed.capital[~alive].sum() == 0
    # firms 0, 1, 2 of region 0 have 0, 1, 2 jobs: weights 1, 2, 3
    assert financed.capital[:3] == pytest.approx(stock[0] * np.array([1, 2, 3]) / 6)


def test_share_ahead_by_hand():
    firms = firms_of([0, 0, 0, 1, 0, 1], knowledge=[1.0, 3.0, 2.0, 5.0, 9.0, 1.0], alive=[1, 1, 1, 1, 0, 0])
    firms = replace(firms, alive=firms.alive.astype(bool))
    # region 0: 3 leads, then 2, then 1; in region 1 one firm is left
    assert share_ahead(firms, 2) == pytest.approx([1.0, 0.0, 0.5, 0.0, 0.0, 0.0])


def test_exit_where_profit_is_negative(system):
    config = replace(CONFIG, fixed_cost=30.0, subsidy=0.0)
    # hti such that Q = 3 firms / (A · 200) is 1 in region 0 and 2 in region 1
    hti = np.r_[3 / 200, 3 / 400, np.full(8, 1.0)]
    region = np.r_[0, 0, 0, 1, 1, 1, np.arange(2, 10)]
    patents = np.r_[4.0, 2.0, 3.0, 1.0, 5.0, 2.0, np.zeros(8)]
    firms = firms_of(region, patents=patents)
    government = govern(config, system, firms.count(10), None)
    # revenue 10 a patent: region 0 needs 3 patents, region 1 needs 6; the best of region 1 stays all the same
    expected = np.r_[False, True, False, True, False, True, np.zeros(8, dtype=bool)]
    assert np.array_equal(find_exits(config, firms, government, hti), expected)
    helped = govern(replace(config, subsidy=1e4), system, firms.count(10), None)
    assert not find_exits(config, firms, helped, hti).any()


def test_spin_offs_start_at_their_parent():
    config = replace(CONFIG, spin_off=0.1, inherited_knowledge=0.4)
    firms = firms_of([0, 0, 1], sector=[2, 1, 3], knowledge=[1.0, 3.0, 2.0])
    counts = sum(np.bincount(find_parents(config, firms, year, streams(1)), minlength=3) for year in range(4000))
    # s0 k / mean k = .05, .15, .1; 4 sd of a share of 4,000 is at most .023
    assert counts / 4000 == pytest.approx([0.05, 0.15, 0.1], abs=0.023)
    people = Researchers(np.repeat([0, 1], [1500, 500]), np.ones(2000), np.repeat([0, 1, 2], [1000, 500, 500]))
    grown, after = found_spin_offs(config, firms, people, np.array([0, 2]), 0, streams(2))
    assert np.array_equal(grown.region, [0, 0, 1, 0, 1])
    assert np.array_equal(grown.sector, [2, 1, 3, 2, 3])
    assert grown.knowledge == pytest.approx([1, 3, 2, 0.4, 0.8])
    staff = after.staff(5)
    assert staff[1] == 500
    assert (staff[0] + staff[3], staff[2] + staff[4]) == (1000, 500)
    assert staff[3:] == pytest.approx([400, 200], abs=65)  # 4 sd of 1,000 at .4: 62
    idle = replace(people, employer=np.full(2000, -1))
    assert np.array_equal(found_spin_offs(config, firms, idle, np.array([2]), 0, streams(2))[1].employer, idle.employer)


def test_jobs_are_filled_to_the_head():
    config = replace(CONFIG, replacement=1.0, persons_per_researcher=100.0)  # 200 researchers at A = 1
    people = Researchers(np.repeat(np.arange(3), [10, 60, 20]), np.ones(90), np.repeat([0, 1, -1], [10, 60, 20]))
    lottery = build_lottery(np.arange(3), np.ones(3, dtype=bool), np.ones(3), 3)
    after = fill_jobs(config, people, lottery, np.array([0.1, 0.2, 0.15]), np.array([0, 1, 2]), 0, streams(1))
    assert np.array_equal(after.count(3), [20, 40, 30])
    assert np.array_equal(after.employer, after.region)  # one firm in each region; nobody is left without
    half = fill_jobs(
        replace(config, replacement=0.5),
        people,
        lottery,
        np.array([0.1, 0.2, 0.15]),
        np.array([0, 1, 2]),
        0,
        streams(1),
    )
    assert np.array_equal(half.count(3), [15, 50, 25])
    trained = replace(config, university_skill=0.5, skill_sd=0.0)
    taught = fill_jobs(trained, people, lottery, np.array([0.1, 0.2, 0.15]), np.array([0, 1, 2]), 0, streams(1))
    # all others have skill 1; 10 graduates each in regions 0 (no university) and 2
    assert np.sum(taught.skill == 1.5) == 10
    assert (taught.region[taught.skill == 1.5] == 2).all()


def test_destinations_follow_the_logit():
    pull = sp.csc_matrix(np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 0.0], [4.0, 0.0, 5.0]]))
    choices = Choices(pull, np.zeros(3))
    went = choose_destinations(choices, 0, 40_000, np.random.default_rng(1))
    # P(i) = pull_i / Σ pull = 1/8, 3/8, 4/8; 4 sd of a share of 40,000: .01
    assert np.bincount(went) / 40_000 == pytest.approx([0.125, 0.375, 0.5], abs=0.01)
    assert set(choose_destinations(choices, 2, 50, np.random.default_rng(1))) == {2}
    assert len(choose_destinations(choices, 1, 0, np.random.default_rng(1))) == 0


def test_people_who_leave():
    people = Researchers(
        np.repeat(np.arange(2), 20_000), np.repeat([0.25, 1.0, 1.0, 4.0], 10_000), np.repeat([0, 1], 20_000)
    )
    choices = Choices(sp.csc_matrix(np.ones((2, 2))), np.array([0.2, 0.1]))
    lottery = build_lottery(np.arange(2), np.ones(2, dtype=bool), np.ones(2), 2)
    config = replace(CONFIG, skill_mobility=0.5, persons_per_researcher=5.0)
    after, moves = move(config, people, choices, lottery, 0, streams(3))
    assert len(after.region) == 40_000
    assert np.array_equal(after.region, np.sort(after.region))
    assert np.array_equal(after.employer, after.region)
    assert sorted(after.skill) == sorted(people.skill)
    # ℓ √skill: .1 and .2 from region 0, .1 and .2 from region 1; weights are persons times skill
    rates = [
        np.sum((moves.sender == origin) & (moves.weight == 5 * skill)) / 10_000
        for origin, skill in ((0, 0.25), (0, 1.0), (1, 1.0), (1, 4.0))
    ]
    assert rates == pytest.approx([0.1, 0.2, 0.1, 0.2], abs=0.016)  # 4 sd at .2
    assert np.mean(moves.receiver == 0) == pytest.approx(0.5, abs=0.026)  # 6,000 movers


def test_opportunity_mobility_by_hand(system):
    hti = np.full(10, 0.5)
    config = AgentConfig.like_system(SYSTEM)
    choices = weigh_choices(config, system.talent_kernel, hti, system.absorption)
    expected = 154.8 / 20_000 * (system.absorption @ system.talent_kernel.toarray())
    assert choices.leave == pytest.approx(expected)
    crowded = replace(config, system=replace(SYSTEM, hti_employment_scale=100.0))
    with pytest.raises(OptionError, match="more people would leave"):
        weigh_choices(crowded, system.talent_kernel, hti, system.absorption)


def test_partnerships_have_the_logistic_mean_for_every_pair():
    """Opportunities by region, thinned, against Λ(η) for all pairs of 7 firms."""
    small = replace(SYSTEM, transfers_per_cluster=3.0, cooperation_share=0.25, hti_employment_scale=1000.0)
    config = replace(
        CONFIG, system=small, persons_per_researcher=10.0, sector_affinity=0.7, closure=0.6, saturation=1.0
    )
    region = np.array([0, 0, 0, 1, 1, 2, 2])
    sector = np.array([0, 1, 0, 0, 1, 1, 1])
    jobs = np.array([30.0, 20.0, 10.0, 40.0, 25.0, 15.0, 50.0])  # 100 researchers at A = 1
    alive = np.array([True] * 6 + [False])
    firms = firms_of(region, sector=sector, jobs=jobs, alive=alive)
    kernel = np.array([[0.9, 0.5, 0.1], [0.5, 0.8, 0.4], [0.1, 0.4, 0.7]])
    absorption = np.array([1.2, 0.8, 1.0])
    # partners: 0–3, 1–3, 3–5, 0–4, 1–4 and one firm that has gone: 0 and 1 share 3 and 4; 5 shares 3 with 0 and 1
    network = Network(np.array([0, 1, 3, 0, 1, 6]), np.array([3, 3, 5, 4, 4, 0]), np.zeros(6, dtype=int))
    common = np.zeros((7, 7))
    for a, b, c in ((0, 1, 2), (0, 5, 1), (1, 5, 1), (3, 4, 2)):
        common[a, b] = common[b, a] = c
    rate = 3.0 * absorption[:, None] * kernel
    count = np.array([3.0, 2.0, 1.0])
    odds = rate[np.ix_(region, region)] * (jobs / 100)[None, :] / count[region][:, None]
    odds = odds * np.exp(0.7 * (sector[:, None] == sector[None, :]) + 0.6 * common)
    expected = odds / (1 + odds) * np.outer(alive, alive)
    rounds, total, projects = 1500, np.zeros((7, 7)), np.zeros((7, 7))
    for seed in range(rounds):
        flows, joint = form_partnerships(config, firms, sp.csr_matrix(kernel), absorption, network, 0, streams(seed))
        np.add.at(total, (flows.firm, flows.source), 1)
        np.add.at(projects, (joint.firm, joint.source), 1)
    living = np.outer(alive, alive)
    assert total[~living].sum() == 0
    # sums of Poisson counts: sd = √(rounds · mean); 36 pairs, so P(one beyond 3.5) = 1.7 %
    z = (total - rounds * expected)[living] / np.sqrt(rounds * expected[living])
    assert np.abs(z).max() < 3.5
    assert np.sqrt((z**2).mean()) < 1.35  # rms of 36: 1 ± .12
    z = (projects - 0.25 * rounds * expected)[living] / np.sqrt(0.25 * rounds * expected[living])
    assert np.abs(z).max() < 3.5


def test_partnerships_end():
    gone = Network(np.array([1, 2]), np.array([2, 3]), np.array([4, 5]))
    new = Flows(np.zeros(2, int), np.zeros(2, int), np.array([7, 8]), np.array([9, 8]), np.ones(2))
    later = gone.extended(new, 7, 3)  # lasts 3 years: 5, 6, 7; a firm is not its own partner
    assert (list(later.firm), list(later.partner), list(later.year)) == ([2, 7], [3, 9], [5, 7])


def test_meetings_have_the_mean_of_the_kernel():
    firms = firms_of([0, 0, 1], jobs=[30.0, 10.0, 60.0])
    config = replace(CONFIG, system=replace(SYSTEM, hti_employment_scale=1000.0), persons_per_researcher=10.0)
    kernel, absorption = np.array([[0.9, 0.2], [0.2, 0.8]]), np.array([1.0, 1.5])
    total = np.zeros((3, 3))
    for seed in range(400):
        met = meet(config, firms, sp.csr_matrix(kernel), absorption, 0, streams(seed))
        assert (met.weight == 1 / 12).all()
        np.add.at(total, (met.firm, met.source), 1)
    share = np.array([0.75, 0.25, 1.0])  # of its region's jobs
    between = 12 * 4.0 * absorption[:, None] * kernel * np.array([0.4, 0.6])[None, :]
    region = np.array([0, 0, 1])
    expected = 400 * between[np.ix_(region, region)] * np.outer(share, share)
    assert np.abs((total - expected) / np.sqrt(expected)).max() < 3.5  # 9 Poisson sums


def test_learning_by_hand():
    system = replace(SYSTEM, patents_per_person=1.0, patents_per_project=10.0, patents_per_activity=25.0)
    config = replace(CONFIG, system=system, depreciation=0.1, carried_knowledge=1.0)
    firms = firms_of([0, 0, 1, 1], knowledge=[10.0, 20.0, 30.0, 99.0], effort=[1.0, 2.0, 3.0, 0.0])
    firms = replace(firms, alive=np.array([True, True, True, False]))  # mean knowledge of the living: 20

    def events(firm, source, weight):
        none = np.zeros(len(firm), dtype=int)
        return Flows(none, none, np.array(firm), np.array(source), np.array(weight))

    movers = events([0, 0], [1, 2], [5.0, 4.0])
    projects, meetings = events([1], [0], [1.0]), events([2], [2], [1 / 12])
    after = learn(config, firms, movers, projects, meetings)
    # 9 + 1 + 5·1 + 4·1.5 ; 18 + 2 + 10·.5 ; 27 + 3 + 25/12·1.5 ; gone
    assert after.knowledge == pytest.approx([21.0, 25.0, 33.125, 0.0])
    plain = learn(replace(config, depreciation=1.0, carried_knowledge=0.0), firms, movers, projects, meetings)
    assert plain.knowledge == pytest.approx([10.0, 12.0, 3 + 25 / 12, 0.0])


def test_patents_are_counts_with_the_returns_to_knowledge():
    config = replace(CONFIG, returns=0.5, patents_per_knowledge=0.2, knowledge_scale=100.0)
    firms = firms_of(np.zeros(4000, dtype=int), knowledge=np.repeat([25.0, 100.0, 400.0, 0.0], 1000))
    invented, mean = innovate(config, firms, 0, streams(1))
    assert mean[::1000] == pytest.approx([10.0, 20.0, 40.0, 0.0])  # .2 · 100 · √(k/100)
    # means of 1,000 Poisson counts: 4 sd = 4 √(mean/1000)
    assert invented.patents.reshape(4, 1000).mean(axis=1) == pytest.approx([10, 20, 40, 0], abs=0.8)
