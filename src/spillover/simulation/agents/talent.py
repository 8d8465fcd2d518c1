"""Step 4, talent: jobs are filled, then people leave and choose where to go."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams, FirmLottery, round_at_random
from spillover.simulation.agents.flows import Flows
from spillover.simulation.agents.population import Firms, Researchers, draw_skills
from spillover.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Choices:
    """Where the people of each region can go.

    Attributes
    ----------
    pull : (n, n) sparse, column = origin: A_i^a E_i^ψ exp(−δ d_ij), the exponential of the utility of going to i.
    leave : (n,) probability to leave within a year.
    """

    pull: sp.csc_matrix
    leave: FloatArray


def fill_jobs(
    config: AgentConfig,
    researchers: Researchers,
    lottery: FirmLottery,
    hti: FloatArray,
    universities: FloatArray,
    year: int,
    streams: AgentStreams,
) -> Researchers:
    """Graduates fill a share of the vacancies, redundant people leave the sector, and everybody has an employer.

    A region with intensity A has researchers_per_cluster × A jobs. The number that is reached is drawn so that its
    mean is exact.
    """
    n = len(hti)
    present = researchers.count(n)
    wanted = present + config.replacement * (config.researchers_per_cluster * hti - present)
    after = round_at_random(wanted, streams.at("jobs", year).random(n))
    kept, skills, homes = [], [], []
    last = np.cumsum(present)
    for region in range(n):
        rng = streams.at("jobs", year, region)
        people = np.arange(last[region] - present[region], last[region])
        surplus = present[region] - after[region]
        if surplus > 0:
            people = people[np.sort(rng.permutation(len(people))[surplus:])]
        graduates = max(-surplus, 0)
        kept.append(np.concatenate([people, np.full(graduates, -1)]))
        trained = 1.0 + config.university_skill * (universities[region] > 0)
        skills.append(trained * draw_skills(config, graduates, rng))
        homes.append(np.full(len(kept[-1]), region))
    people, region_of = np.concatenate(kept), np.concatenate(homes)
    new = people < 0
    skill = researchers.skill[people] if len(researchers.skill) else np.ones(len(people))
    skill[new] = np.concatenate(skills)
    employer = researchers.employer[people] if len(researchers.employer) else np.full(len(people), -1)
    idle = new | (employer < 0)
    employer[idle] = lottery.draw(region_of[idle], streams.at("hiring", year))
    return Researchers(region_of, skill, employer)


def weigh_choices(config: AgentConfig, kernel: sp.csr_matrix, hti: FloatArray, absorption: FloatArray) -> Choices:
    """The logit of step 4: utility a ln A_i + ψ ln E_i − δ d_ij, and how many leave."""
    pull = sp.csc_matrix(sp.diags(hti**config.attraction * absorption) @ kernel)
    if config.mobility == "constant":
        return Choices(pull, np.full(len(hti), config.leave_probability))
    rate = config.system.talent_per_cluster / config.system.hti_employment_scale
    leave = rate * np.asarray(pull.sum(axis=0)).ravel()
    if leave.max() > 1.0:
        raise OptionError(
            "more people would leave than there are: opportunity times talent per job is above 1",
            got=f"a leave probability of {leave.max():.2f}",
            causes=("many jobs within reach", "talent_per_cluster is large for hti_employment_scale"),
            fix=f"raise hti_employment_scale to {leave.max() * config.system.hti_employment_scale:.3g} or more, "
            'or use mobility="constant"',
        )
    return Choices(pull, leave)


def move(
    config: AgentConfig,
    researchers: Researchers,
    choices: Choices,
    lottery: FirmLottery,
    year: int,
    streams: AgentStreams,
) -> tuple[Researchers, Flows]:
    """People who leave go to the region of highest utility plus Gumbel noise; their new firm is drawn there.

    A move within a region (d_ii) is a change of job. Cost: movers × regions within reach.
    """
    n = len(choices.leave)
    last = np.cumsum(researchers.count(n))
    movers, destinations = [], []
    for origin, end in enumerate(last):
        begin = last[origin - 1] if origin else 0
        chance = choices.leave[origin] * researchers.skill[begin:end] ** config.skill_mobility
        leaving = np.flatnonzero(streams.at("leaving", year, origin).random(end - begin) < chance)
        movers.append(begin + leaving)
        destinations.append(choose_destinations(choices, origin, len(leaving), streams.at("moving", year, origin)))
    who, where = np.concatenate(movers), np.concatenate(destinations)
    firm = lottery.draw(where, streams.at("hiring", year, 0))
    flows = Flows(
        receiver=where,
        sender=researchers.region[who],
        firm=firm,
        source=researchers.employer[who],
        weight=config.persons_per_researcher * researchers.skill[who],
    )
    region, employer = researchers.region.copy(), researchers.employer.copy()
    region[who], employer[who] = where, firm
    order = np.argsort(region, kind="stable")
    return Researchers(region[order], researchers.skill[order], employer[order]), flows


def choose_destinations(choices: Choices, origin: int, movers: int, rng: np.random.Generator) -> IntArray:
    """(movers,) regions by Gumbel-max: argmax(utility + G), G = −ln of a unit exponential.

    The maximum of ln pull − ln E is where E / pull is smallest, which saves two logarithms per pair.
    """
    reach = slice(choices.pull.indptr[origin], choices.pull.indptr[origin + 1])
    race = rng.standard_exponential((movers, reach.stop - reach.start)) / choices.pull.data[reach]
    return choices.pull.indices[reach][race.argmin(axis=1)] if movers else np.empty(0, dtype=np.int64)


def count_jobs(firms: Firms, researchers: Researchers) -> Firms:
    """Firms with their staff at the beginning of the year: the size that counts until the next."""
    return replace(firms, jobs=researchers.staff(len(firms.alive)))
