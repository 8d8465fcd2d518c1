"""`AgentConfig`: what the agents do, in which numbers, and when they behave like tier 2."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from spillover.errors import OptionError
from spillover.panel.panel import Panel
from spillover.simulation.admissible import is_number, is_whole, refuse_problems, shown
from spillover.simulation.config import SystemConfig
from spillover.simulation.simulate import simulate

Mobility = Literal["constant", "opportunity"]

MAX_AGENTS = 2_000_000
"""Researchers and firms together beyond which a run would take many minutes and gigabytes."""

MAX_YEARS = 1_000
"""Longest run-in, and longest life of a partnership."""


@dataclass(frozen=True)
class AgentConfig:
    """Behaviour of the agents on the map, and along the HTI path, of a reference system. docs/agents.md derives it.

    Where a line ends in "[v]", v is the value in the special case in which regional means equal tier 2's
    (`AgentConfig.like_system`); every other parameter is free there.

    Parameters
    ----------
    system : map, HTI intensity A, environment, linkages, universities, kernels and intensities, as in tier 2.
    persons_per_researcher : jobs that one researcher agent stands for; A = 1 has hti_employment_scale jobs.
    sector_shares : shares of the sectors among firms; they sum to 1.
    skill_sd : sd of ln skill between researchers; skill has mean 1.
    university_skill : by how much more skilled graduates are where there is a university, a share. [0]
    institutes : public research institutes, in as many different regions.
    institute_effort : by how much an institute raises the R&D effort of the firms around it, a share. [0]
    policy_response : elasticity of innovation policy with respect to last year's relative innovation. [0]
    subsidy : 10⁴ yuan a firm and year where policy is at its mean.
    subsidy_effort : share by which 10⁴ yuan of subsidy raise effort. [0]
    effort_pressure (χ) : extra effort of a firm that all local rivals are ahead of, a share. [0]
    fixed_cost : 10⁴ yuan a year of a firm where competition Q = 1; firms with a loss exit. [0]
    spin_off (s0) : probability a year that a firm of mean knowledge founds another. [0]
    inherited_knowledge : share of its parent's knowledge, and of its staff, with which a spin-off starts.
    mobility : "constant" (everybody leaves with `leave_probability`) or "opportunity" (in proportion to what is
        within reach: talent_per_cluster / hti_employment_scale × Σ_i E_i^ψ k(d_ij)). ["opportunity"]
    leave_probability (ℓ0) : a year; used by "constant" mobility.
    attraction : exponent of the destination's A in the choice of where to go. [0]
    skill_mobility : elasticity of the leave probability with respect to skill. [0]
    replacement : share of the gap between jobs and researchers that graduates fill within a year. [1]
    hiring : elasticity of a firm's chance to hire with respect to its knowledge.
    sector_affinity (κ_S) : log odds that two firms of one sector have over two of different sectors. [0]
    closure (κ_t) : log odds per common partner; at most five count. [0]
    saturation : 1 makes a partnership's probability logistic, 0 keeps its small-probability limit. [0]
    partnership_years : how long a cooperation project makes two firms partners.
    depreciation : share of a firm's knowledge that is lost each year. [1]
    carried_knowledge (ω) : elasticity of what a person, project or meeting brings with respect to the relative
        knowledge of the firm it comes from. [0]
    returns (γ) : returns to knowledge in innovation. [1]
    patents_per_knowledge (ϑ) : patents a year per unit of knowledge at knowledge_scale. [1]
    knowledge_scale : knowledge at which γ does not matter, patents' worth.
    burn_in : years before the panel begins, at the first year's A. [0]

    Raises
    ------
    OptionError : with every inadmissible value at once.

    Examples
    --------
    >>> AgentConfig.like_system(SystemConfig(n_regions=20)).is_like_system
    True
    >>> AgentConfig().is_like_system
    False
    """

    system: SystemConfig = field(default_factory=SystemConfig)
    persons_per_researcher: float = 5.0
    sector_shares: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)
    skill_sd: float = 0.3
    university_skill: float = 0.1
    institutes: int = 5
    institute_effort: float = 0.1
    policy_response: float = 0.1
    subsidy: float = 5.0
    subsidy_effort: float = 0.002
    effort_pressure: float = 0.2
    fixed_cost: float = 20.0
    spin_off: float = 0.03
    inherited_knowledge: float = 0.3
    mobility: Mobility = "constant"
    leave_probability: float = 0.12
    attraction: float = 1.0
    skill_mobility: float = 0.5
    replacement: float = 0.5
    hiring: float = 0.5
    sector_affinity: float = 0.5
    closure: float = 0.5
    saturation: float = 1.0
    partnership_years: int = 3
    depreciation: float = 0.1
    carried_knowledge: float = 1.0
    returns: float = 0.9
    patents_per_knowledge: float = 0.1
    knowledge_scale: float = 100.0
    burn_in: int = 5

    def __post_init__(self) -> None:
        refuse_problems("the agents have", find_problems(self), "AgentConfig()")

    @classmethod
    def like_system(cls, system: SystemConfig, **free: Any) -> AgentConfig:
        """The special case whose regional means equal those of tier 2's `simulate(system, seed)`.

        Parameters
        ----------
        system : a tier-2 configuration.
        free : parameters that the special case leaves free, such as persons_per_researcher or sector_shares.

        Raises
        ------
        OptionError : a parameter in `free` that the special case fixes.
        """
        fixed = sorted(set(free) & set(SPECIAL_CASE))
        if fixed:
            raise OptionError(
                "the special case fixes these parameters",
                got=", ".join(fixed),
                expected=", ".join(f"{name} = {SPECIAL_CASE[name]!r}" for name in fixed),
                fix="leave them out, or use dataclasses.replace and give the special case up",
            )
        return cls(**{"institutes": 0, **free, **SPECIAL_CASE, "system": system})

    @property
    def is_like_system(self) -> bool:
        """Whether regional means given A are tier 2's, so that the truth has a closed form."""
        return all(getattr(self, name) == value for name, value in SPECIAL_CASE.items())

    @property
    def researchers_per_cluster(self) -> float:
        """Researcher agents of a region with A = 1."""
        return self.system.hti_employment_scale / self.persons_per_researcher

    @property
    def years(self) -> int:
        """Years that are lived through: the run-in and the panel's."""
        return self.burn_in + self.system.n_periods


SPECIAL_CASE: dict[str, Any] = {
    "university_skill": 0.0,
    "institute_effort": 0.0,
    "policy_response": 0.0,
    "subsidy_effort": 0.0,
    "effort_pressure": 0.0,
    "fixed_cost": 0.0,
    "spin_off": 0.0,
    "mobility": "opportunity",
    "attraction": 0.0,
    "skill_mobility": 0.0,
    "replacement": 1.0,
    "sector_affinity": 0.0,
    "closure": 0.0,
    "saturation": 0.0,
    "depreciation": 1.0,
    "carried_knowledge": 0.0,
    "returns": 1.0,
    "patents_per_knowledge": 1.0,
    "burn_in": 0,
}
"""The values under which regional means equal tier 2's; docs/agents.md derives them."""

_WHOLE = ("institutes", "partnership_years", "burn_in")
_POSITIVE = ("persons_per_researcher", "knowledge_scale", "returns", "patents_per_knowledge")
_SHARES = (
    "spin_off",
    "inherited_knowledge",
    "leave_probability",
    "replacement",
    "saturation",
    "depreciation",
)
_NOT_NEGATIVE = (
    "skill_sd",
    "university_skill",
    "institutes",
    "institute_effort",
    "subsidy",
    "subsidy_effort",
    "effort_pressure",
    "fixed_cost",
    "attraction",
    "skill_mobility",
    "hiring",
    "sector_affinity",
    "closure",
    "carried_knowledge",
    "burn_in",
)


_LARGEST = {  # in size; beyond, exponentials and counts overflow, or a year takes minutes
    "skill_sd": 3.0,
    "university_skill": 100.0,
    "institute_effort": 100.0,
    "policy_response": 5.0,
    "subsidy": 1e4,
    "subsidy_effort": 1.0,
    "effort_pressure": 100.0,
    "fixed_cost": 1e9,
    "attraction": 10.0,
    "skill_mobility": 10.0,
    "hiring": 10.0,
    "sector_affinity": 5.0,
    "closure": 5.0,
    "carried_knowledge": 5.0,
    "returns": 5.0,
    "patents_per_knowledge": 1e3,
    "persons_per_researcher": 1e9,
    "knowledge_scale": 1e9,
}


def find_problems(config: AgentConfig) -> list[str]:
    """Everything that is wrong with the parameters, one sentence each; empty when all is well."""
    values = {item.name: getattr(config, item.name) for item in fields(config)}
    problems = _type_problems(values)
    sound = {name for name in values if not any(problem.startswith(f"{name} = ") for problem in problems)}
    problems += [
        f"{name} = {values[name]:g} is negative" for name in _NOT_NEGATIVE if name in sound and values[name] < 0
    ]
    problems += [
        f"{name} = {values[name]:g} is not positive" for name in _POSITIVE if name in sound and values[name] <= 0
    ]
    problems += [
        f"{name} = {values[name]:g} is outside [0, 1]"
        for name in _SHARES
        if name in sound and not 0 <= values[name] <= 1
    ]
    problems += [
        f"{name} = {values[name]:g} is more than {most:g} in size"
        for name, most in _LARGEST.items()
        if name in sound and abs(values[name]) > most
    ]
    return problems + _range_problems(config, sound)


def _type_problems(values: dict[str, Any]) -> list[str]:
    problems = []
    for name, value in values.items():
        if name == "system":
            if not isinstance(value, SystemConfig):
                problems.append(f"system = {shown(value)} is not a SystemConfig")
        elif name == "mobility":
            if value not in ("constant", "opportunity"):
                problems.append(f"mobility = {shown(value)} is neither 'constant' nor 'opportunity'")
        elif name == "sector_shares":
            if not (isinstance(value, tuple) and value and all(is_number(v) for v in value)):
                problems.append(f"sector_shares = {shown(value)} is not a tuple of numbers")
        elif name in _WHOLE:
            if not is_whole(value):
                problems.append(f"{name} = {shown(value)} is not a whole number")
        elif not is_number(value):
            problems.append(f"{name} = {shown(value)} is not a finite number")
    return problems


def _range_problems(config: AgentConfig, sound: set[str]) -> list[str]:
    problems = []
    if "sector_shares" in sound:
        shares = config.sector_shares
        if min(shares) < 0:
            problems.append(f"sector_shares = {shares} has a negative share")
        if abs(sum(shares) - 1.0) > 1e-9:
            problems.append(f"sector_shares = {shares} sum to {sum(shares):g}, not 1")
    for name in ("burn_in", "partnership_years"):
        if name in sound and getattr(config, name) > MAX_YEARS:
            problems.append(f"{name} = {getattr(config, name)} is more than {MAX_YEARS:,} years")
    if "partnership_years" in sound and config.partnership_years < 1:
        problems.append(f"partnership_years = {config.partnership_years} is less than one year")
    if "depreciation" in sound and config.depreciation == 0:
        problems.append("depreciation = 0: knowledge would grow without end; it must be positive")
    if "system" not in sound:
        return problems
    system = config.system
    if "institutes" in sound and config.institutes > system.n_regions:
        problems.append(
            f"institutes = {config.institutes} are more than the {system.n_regions} regions, and each has one at most"
        )
    if system.endogeneity:
        problems.append(
            f"system.endogeneity = {system.endogeneity:g}: agents take the path of A as given, so it must be 0"
        )
    if system.patent_size is not None:
        problems.append(
            f"system.patent_size = {system.patent_size:g}: firms' patents are Poisson counts given their knowledge, "
            "so it must be None"
        )
    if "persons_per_researcher" in sound and config.persons_per_researcher > 0:
        agents = expected_agents(config)
        if agents > MAX_AGENTS:
            problems.append(
                f"persons_per_researcher = {config.persons_per_researcher:g} makes about {agents:,.0f} agents, "
                f"more than {MAX_AGENTS:,}"
            )
    return problems


def expected_agents(config: AgentConfig) -> float:
    """Researchers and firms at long-run A, roughly: what a configuration will cost."""
    system = config.system
    if system.hti_law == "clusters":
        intensity = system.clusters + (system.n_regions - system.clusters) * sum(system.periphery) / 2.0
    else:
        intensity = system.n_regions * math.exp(system.gp_mean + system.gp_sd**2 / 2.0)
    return intensity * (config.researchers_per_cluster + 200.0)  # tier 2 has 200 firms per A = 1


@simulate.register
def _(config: AgentConfig, seed: int) -> tuple[Panel, Any]:
    from spillover.simulation.agents.simulate import simulate_agents

    return simulate_agents(config, seed)
