"""Who lives in the regions: arrays of firms and researchers, universities and institutes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams, build_lottery, round_at_random
from spillover.simulation.structure import System
from spillover.typing import BoolArray, FloatArray, IntArray

NOBODY = -1
"""Employer of somebody whose firm has gone."""


@dataclass(frozen=True, eq=False)
class Firms:
    """(m,) arrays; firms that have exited stay in them with alive = False, so that a firm keeps its number.

    Attributes
    ----------
    region, sector : numbers from 0.
    knowledge : patents' worth.
    capital : index; the firms of a region share the region's capital.
    effort : R&D of this year, patents' worth of new knowledge.
    jobs : researcher agents at the beginning of the year.
    patents : of last year.
    alive : whether the firm is in the market.
    """

    region: IntArray
    sector: IntArray
    knowledge: FloatArray
    capital: FloatArray
    effort: FloatArray
    jobs: FloatArray
    patents: FloatArray
    alive: BoolArray

    def count(self, n_regions: int) -> FloatArray:
        """(n,) living firms of each region."""
        return np.bincount(self.region[self.alive], minlength=n_regions).astype(float)

    def add_up(self, values: FloatArray, n_regions: int) -> FloatArray:
        """(n,) sum of `values` (m,) over the living firms of each region."""
        return np.bincount(self.region[self.alive], weights=values[self.alive], minlength=n_regions).astype(float)


@dataclass(frozen=True, eq=False)
class Researchers:
    """(r,) arrays, sorted by region: where they live, their skill (mean 1) and the number of their employer."""

    region: IntArray
    skill: FloatArray
    employer: IntArray

    def count(self, n_regions: int) -> IntArray:
        """(n,) researchers of each region."""
        return np.bincount(self.region, minlength=n_regions)

    def staff(self, n_firms: int) -> FloatArray:
        """(m,) researchers of each firm."""
        return np.bincount(self.employer[self.employer >= 0], minlength=n_firms).astype(float)


@dataclass(frozen=True, eq=False)
class Population:
    """Everybody; universities (n,) and institutes (n,) are counts by region that do not change."""

    firms: Firms
    researchers: Researchers
    universities: FloatArray
    institutes: FloatArray


def found_population(config: AgentConfig, system: System, hti: FloatArray, streams: AgentStreams) -> Population:
    """The population at the start: firms as tier 2 has them, researchers in proportion to A (n,)."""
    rng, n = streams.at("population"), config.system.n_regions
    region = np.repeat(np.arange(n), system.firms.astype(int))
    m = len(region)
    sector = rng.choice(len(config.sector_shares), size=m, p=config.sector_shares)
    # every firm begins where its region's expected innovation would keep it
    expected = np.maximum(system.other_patents(hti, 0), 0.0) + sum(
        system.channel_patents(hti, system.absorption).values()
    )
    knowledge = (expected / (system.firms * config.depreciation))[region]
    nothing = np.zeros(m)
    firms = Firms(region, sector, knowledge, nothing, nothing, nothing, nothing, np.ones(m, dtype=bool))
    staff = round_at_random(config.researchers_per_cluster * hti, streams.at("jobs").random(n))
    home = np.repeat(np.arange(n), staff)
    employer = build_lottery(region, firms.alive, np.ones(m), n).draw(home, rng)
    researchers = Researchers(home, draw_skills(config, len(home), rng), employer)
    chosen = streams.at("institutes").choice(n, size=config.institutes, replace=False)
    institutes = np.bincount(chosen, minlength=n).astype(float)
    return Population(firms, researchers, system.universities, institutes)


def draw_skills(config: AgentConfig, size: int, rng: np.random.Generator) -> FloatArray:
    """(size,) log-normal skills with mean 1."""
    return np.exp(config.skill_sd * rng.standard_normal(size) - 0.5 * config.skill_sd**2)
