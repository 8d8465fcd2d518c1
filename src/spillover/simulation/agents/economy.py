"""The yearly step of the agents, in the order of the paper's §3, and a life of many years."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError
from spillover.simulation.agents.capital import allocate_capital
from spillover.simulation.agents.competition import choose_effort, turn_over
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams, build_lottery
from spillover.simulation.agents.flows import Flows
from spillover.simulation.agents.government import govern
from spillover.simulation.agents.innovation import innovate
from spillover.simulation.agents.knowledge import learn
from spillover.simulation.agents.meetings import MONTHS, meet
from spillover.simulation.agents.partnerships import Network, empty_network, form_partnerships
from spillover.simulation.agents.population import Firms, Population, found_population
from spillover.simulation.agents.talent import count_jobs, fill_jobs, move, weigh_choices
from spillover.simulation.structure import System
from spillover.typing import FloatArray, Progress, no_progress

MAX_EMPTY_SHARE = 0.001
"""Above this share of region-years without any R&D budget of their own the configuration is refused."""


@dataclass(frozen=True, eq=False)
class State:
    """What one year hands to the next; `patents` is (n,) expected patents of the year, None before the first."""

    population: Population
    network: Network
    patents: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Year:
    """What a year yields: (n,) arrays by the panel's names, flows by channel, and regions without a budget."""

    regions: dict[str, FloatArray]
    flows: dict[str, Flows]
    without_budget: int


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The network as it was: (n, n) sparse counts over all panel years by channel, and the firms at the end.

    Attributes
    ----------
    talent, transfers, cooperation, informal : moves, transfers, projects and exchanges; row receives, column sends.
        Talent counts persons, informal exchange activities a month.
    partners : cooperation projects of the last years, firm by firm.
    firms : the firms at the end; their region, sector, knowledge, jobs and whether they are alive.
    """

    talent: sp.csr_matrix
    transfers: sp.csr_matrix
    cooperation: sp.csr_matrix
    informal: sp.csr_matrix
    partners: Network
    firms: Firms


@dataclass(frozen=True, eq=False)
class Life:
    """A run: (n, t) arrays by the panel's names, with `expected_patents` given the firms' knowledge."""

    variables: dict[str, FloatArray]
    snapshot: Snapshot | None


def live_one_year(
    config: AgentConfig, system: System, state: State, hti: FloatArray, year: int, streams: AgentStreams
) -> tuple[State, Year]:
    """One year of the regional innovation system, as §3 of the paper tells it; hti is A (n,)."""
    people, n = state.population, len(hti)
    firms, researchers = people.firms, people.researchers
    period = max(year - config.burn_in, 0)

    # 1 government: policy, and with it the environment, and subsidies
    government = govern(config, system, firms.count(n), state.patents)
    # 2 capital: drawn to HTI and a good environment
    firms, capital = allocate_capital(firms, government.setting, hti)
    # 3 competition: effort; firms with a loss leave, spin-offs come
    firms, without_budget = choose_effort(config, firms, people.institutes, government, hti, period)
    turnover = turn_over(config, firms, researchers, government, hti, year, streams)
    firms, researchers = turnover.firms, turnover.researchers
    # 4 talent: jobs are filled, then people leave and choose where to go
    lottery = build_lottery(firms.region, firms.alive, firms.knowledge**config.hiring, n)
    researchers = fill_jobs(config, researchers, lottery, hti, people.universities, year, streams)
    firms = count_jobs(firms, researchers)
    choices = weigh_choices(config, system.talent_kernel, hti, government.absorption)
    researchers, movers = move(config, researchers, choices, lottery, year, streams)
    # 5 partnerships: technology transfers, and the cooperation projects among them
    transfers, projects = form_partnerships(
        config, firms, system.transfer_kernel, government.absorption, state.network, year, streams
    )
    network = state.network.extended(projects, year, config.partnership_years)
    # 6 informal meetings
    meetings = meet(config, firms, system.informal_kernel, government.absorption, year, streams)
    # 7 knowledge
    firms = learn(config, firms, movers, projects, meetings)
    # 8 innovation
    firms, expected = innovate(config, firms, year, streams)

    environment = government.setting.environment
    regions = {
        "patents": firms.add_up(firms.patents, n),
        "expected_patents": firms.add_up(expected, n),
        "talent_inflow": config.persons_per_researcher * movers.received(n),
        "transfers": transfers.received(n),
        "cooperation": projects.received(n),
        "informal": meetings.received(n) / MONTHS,
        "policy": environment.policy,
        "environment": environment.level,
        "capital": capital,
        "firms": firms.count(n),
        "entries": turnover.entries,
        "exits": turnover.exits,
        "researchers": config.persons_per_researcher * firms.add_up(firms.jobs, n),
        "knowledge": firms.add_up(firms.knowledge, n) / firms.count(n),
    }
    flows = {"talent": movers, "transfers": transfers, "cooperation": projects, "informal": meetings}
    after = Population(firms, researchers, people.universities, people.institutes)
    return State(after, network, regions["expected_patents"]), Year(regions, flows, without_budget)


def live(
    config: AgentConfig,
    system: System,
    hti: FloatArray,
    streams: AgentStreams,
    *,
    snapshot: bool = False,
    progress: Progress = no_progress,
) -> Life:
    """The run-in at the first year's A and then the years of the path hti (n, t).

    Raises
    ------
    OptionError : regions whose budget for R&D (base, effects, competition, capital) is below zero in more than
        0.1 % of region-years; more people leaving than there are.
    """
    n, t = hti.shape
    state = State(found_population(config, system, hti[:, 0], streams), empty_network())
    years: list[Year] = []
    counts = {name: sp.csr_matrix((n, n)) for name in ("talent", "transfers", "cooperation", "informal")}
    for year in range(config.burn_in + t):
        progress(f"year {year + 1} of {config.burn_in + t}", year / (config.burn_in + t))
        period = year - config.burn_in
        state, lived = live_one_year(config, system, state, hti[:, max(period, 0)], year, streams)
        if period < 0:
            continue
        years.append(Year(lived.regions, {}, lived.without_budget))
        if snapshot:
            counts = {name: counts[name] + flows.between(n) for name, flows in lived.flows.items()}
    _refuse_empty_budgets(sum(year.without_budget for year in years) / hti.size)
    variables = {name: np.stack([year.regions[name] for year in years], axis=1) for name in years[0].regions}
    return Life(variables, _take_snapshot(config, counts, state) if snapshot else None)


def _take_snapshot(config: AgentConfig, counts: dict[str, sp.csr_matrix], state: State) -> Snapshot:
    return Snapshot(
        talent=config.persons_per_researcher * counts["talent"],
        transfers=counts["transfers"],
        cooperation=counts["cooperation"],
        informal=counts["informal"] / MONTHS,
        partners=state.network,
        firms=state.population.firms,
    )


def _refuse_empty_budgets(share: float) -> None:
    if share > MAX_EMPTY_SHARE:
        raise OptionError(
            "base patents, effects, competition and capital leave regions less than nothing to spend on R&D",
            got=f"{100 * share:.1f} % of region-years",
            expected=f"at most {100 * MAX_EMPTY_SHARE:g} %",
            causes=("region or period effects with a large sd", "strong competition or capital", "a low base"),
            fix="raise base_patents, or lower region_effect_sd, period_effect_sd, competition or capital",
        )
