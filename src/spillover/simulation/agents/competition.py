"""Step 3, competition: firms choose their effort, those with a loss leave, the knowledgeable ones found spin-offs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams
from spillover.simulation.agents.government import Government
from spillover.simulation.agents.population import NOBODY, Firms, Researchers
from spillover.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Turnover:
    """The firms and researchers after a year's competition, and (n,) exits and entries."""

    firms: Firms
    researchers: Researchers
    exits: FloatArray
    entries: FloatArray


def turn_over(
    config: AgentConfig,
    firms: Firms,
    researchers: Researchers,
    government: Government,
    hti: FloatArray,
    year: int,
    streams: AgentStreams,
) -> Turnover:
    """Exit and entry. Nobody leaves in the first year, which has no profits to judge by."""
    n = len(hti)
    exits, entries = np.zeros(n), np.zeros(n)
    if config.fixed_cost and year:
        leaving = find_exits(config, firms, government, hti)
        exits = np.bincount(firms.region[leaving], minlength=n).astype(float)
        firms = replace(firms, alive=firms.alive & ~leaving)
        gone = leaving[np.maximum(researchers.employer, 0)] & (researchers.employer >= 0)
        researchers = replace(researchers, employer=np.where(gone, NOBODY, researchers.employer))
    if config.spin_off:
        parents = find_parents(config, firms, year, streams)
        entries = np.bincount(firms.region[parents], minlength=n).astype(float)
        firms, researchers = found_spin_offs(config, firms, researchers, parents, year, streams)
    return Turnover(firms, researchers, exits, entries)


def find_exits(config: AgentConfig, firms: Firms, government: Government, hti: FloatArray) -> BoolArray:
    """(m,) firms whose profit is negative: revenue + subsidy − fixed cost × Q; the best firm of a region stays.

    Q is the number of firms per HTI intensity, relative to the usual: where firms crowd, sites and people cost more.
    """
    crowding = government.setting.pressure(hti)
    revenue = config.system.revenue_per_patent * firms.patents
    profit = revenue + (government.subsidy - config.fixed_cost * crowding)[firms.region]
    best = np.full(len(hti), -np.inf)
    np.maximum.at(best, firms.region[firms.alive], profit[firms.alive])
    return firms.alive & (profit < 0) & (profit < best[firms.region])


def find_parents(config: AgentConfig, firms: Firms, year: int, streams: AgentStreams) -> IntArray:
    """Numbers of the firms that found another this year, with probability s0 k / mean k (Klepper 2007)."""
    chance = streams.at("spin-offs", year).random(len(firms.alive))
    relative = firms.knowledge / firms.knowledge[firms.alive].mean()
    return np.flatnonzero(firms.alive & (chance < config.spin_off * relative))


def found_spin_offs(
    config: AgentConfig, firms: Firms, researchers: Researchers, parents: IntArray, year: int, streams: AgentStreams
) -> tuple[Firms, Researchers]:
    """Spin-offs at the place and in the sector of their parents, with a share of its knowledge and of its staff."""
    m, share = len(firms.alive), config.inherited_knowledge
    nothing = np.zeros(len(parents))
    grown = Firms(
        region=np.concatenate([firms.region, firms.region[parents]]),
        sector=np.concatenate([firms.sector, firms.sector[parents]]),
        knowledge=np.concatenate([firms.knowledge, share * firms.knowledge[parents]]),
        capital=np.concatenate([firms.capital, nothing]),
        effort=np.concatenate([firms.effort, nothing]),
        jobs=np.concatenate([firms.jobs, nothing]),
        # a new firm has no year to be judged by; its parent's success is its credit
        patents=np.concatenate([firms.patents, firms.patents[parents]]),
        alive=np.concatenate([firms.alive, np.ones(len(parents), dtype=bool)]),
    )
    child = np.full(m + 1, NOBODY)  # the last place answers for those without an employer
    child[parents] = m + np.arange(len(parents))
    offered = child[researchers.employer]
    follows = streams.at("spin-offs", year, 0).random(len(offered)) < share
    employer = np.where((offered >= 0) & follows, offered, researchers.employer)
    return grown, replace(researchers, employer=employer)


def choose_effort(
    config: AgentConfig, firms: Firms, institutes: FloatArray, government: Government, hti: FloatArray, period: int
) -> tuple[Firms, int]:
    """Firms with this year's R&D effort, and the number of regions whose budget was below zero and is set to it.

    A region's budget (base, effects, inverted U of competition, capital, as in tier 2) is shared by capital; the
    further behind its local rivals a firm is, the harder it tries (χ); subsidies and a near institute help.
    """
    budget = government.setting.other_patents(hti, period)
    share = firms.capital / firms.add_up(firms.capital, len(hti))[firms.region]
    helped = 1.0 + config.subsidy_effort * government.subsidy + config.institute_effort * institutes
    effort = (np.maximum(budget, 0.0) * helped)[firms.region] * share * firms.alive
    if config.effort_pressure:
        effort = effort * (1.0 + config.effort_pressure * share_ahead(firms, len(hti)))
    return replace(firms, effort=effort), int((budget < 0).sum())


def share_ahead(firms: Firms, n_regions: int) -> FloatArray:
    """(m,) share of a firm's local rivals that know more than it; 0 for the leader and where there is no rival."""
    living = np.flatnonzero(firms.alive)
    order = living[np.lexsort((-firms.knowledge[living], firms.region[living]))]
    first = np.searchsorted(firms.region[order], np.arange(n_regions))
    rank = np.arange(len(order)) - first[firms.region[order]]
    rivals = firms.count(n_regions)[firms.region[order]] - 1.0
    ahead = np.zeros(len(firms.alive))
    ahead[order] = rank / np.maximum(rivals, 1.0)
    return ahead
