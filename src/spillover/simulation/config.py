"""`SystemConfig`: every parameter of the reference system, with its unit and its default."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from spillover.simulation.admissible import is_number, is_whole, refuse_problems, shown

HtiLaw = Literal["clusters", "gaussian-process"]
DistanceKind = Literal["straight", "road"]

TRUNCATION = 6.64
"""Kernels are cut where δd exceeds this: e^-6.64 = 0.13 % of their height (744 km at the default decay)."""

LARGEST_PANEL = 10_000_000
"""Regions × periods beyond which the twenty variables of a panel need more than 1.6 GB."""

FIELD_LIMIT = 5000
"""Most regions of a Gaussian field or a travel-time table: 200 MB for n × n numbers."""


@dataclass(frozen=True)
class SystemConfig:
    """Parameters of the regional innovation system. The defaults reproduce the paper's Tables 1 and 2.

    The model (tier "mechanistic, linear in the mean"): with A_jt the HTI intensity of region j (the paper's cluster
    = 1), E_i the innovation environment, L_ij the industrial linkage and k_c(d) = exp(−δ_c d) cut at δ_c d = 6.64::

        talent inflow    M_it ~ Poisson(m0 E_i^ψ Σ_j A_jt k(d_ij))                                persons a year
        transfers        P_it ~ Poisson(p0 E_i^ψ Σ_j A_jt [1 + κ_L (L_ij − 1) + κ_U 1(U_j > 0)] k(d_ij))
        cooperation      C_it ~ Binomial(P_it, π_C)                                               projects a year
        informal         X_it ~ Poisson(12 x0 E_i^ψ Σ_j A_jt k_X(d_ij)) / 12                      activities a month
        patents          Y_it ~ Poisson or NegBin(λ_it), λ = base + b_M M + b_C C + b_X X
                                + b_Q (Q − ½Q²/Q̄) + b_K (K − K̄) + μ_i + α_t, at least 1
        revenue          R_it = 10 Y_it exp(ν_it − s²/2)                                          10⁴ yuan

    j = i is part of every sum, at the distance d_ii = (2/3) √(area_i / π).

    Parameters
    ----------
    n_regions, n_periods, first_period : size of the panel; at least 10 regions and 2 periods.
    distance : "straight" between centres, or along a "road" grid: travel time times `road_speed_kmh`.
    road_spacing_km : between the lines of the grid; the mean spacing of regions when None.
    road_speed_kmh, motorway_speed_kmh, motorway_every : speeds, and that every so-manieth line is a motorway.
    hti_law : "clusters" (some regions near 1, the others uniform in `periphery`) or "gaussian-process".
    n_clusters : number of clusters; max(3, n_regions / 30 rounded up) when None.
    periphery : lowest and highest long-run HTI intensity outside the clusters.
    cluster_sd : sd of ln A between clusters, around A = 1.
    gp_mean, gp_sd, gp_range_km : of ln A under the Gaussian-process law.
    persistence, innovation_sd : of ln A in time: an AR(1) around each region's long-run level.
    innovation_range_km, environment_range_km : spatial persistence of what moves ln A and of the environment's parts:
        correlation exp(−d / range) between regions; 0 is none.
    endogeneity : how last year's standardised patent surprise moves ln A (0: A is exogenous).
    instrument : how an exogenous standard normal cost shifter moves ln A (0: there is none).
    talent_per_cluster (m0), transfers_per_cluster (p0), informal_per_cluster (x0) : intensity at distance 0 of A = 1.
    decay_per_km (δ), informal_decay_ratio (δ_X / δ) : distance decay; the paper does not identify the second.
    cooperation_share (π_C) : projects per technology transfer.
    environment_elasticity (ψ), environment_sd : moderator "innovation environment"; E has mean 1.
    linkage_strength (κ_L), university_strength (κ_U) : moderator "industrial and university correlation".
    base_patents, patents_per_person (b_M), patents_per_project (b_C), patents_per_activity (b_X).
    competition (b_Q), competition_peak (Q̄) : inverted U in firms per HTI intensity; firms are exogenous.
    capital (b_K), capital_mean (K̄), capital_hti (κ_A), capital_environment (κ_E) : capital is drawn to HTI, so
        that a gain here is a loss elsewhere (backwash).
    feedback (ζ) : last year's relative innovation raises this year's absorption; |ζ| < 0.5.
    patent_size : size of the negative binomial; None is Poisson.
    region_effect_sd, period_effect_sd : sd of μ_i and α_t, patents a year.
    revenue_per_patent, revenue_sd : 10⁴ yuan, and sd of ν.
    hti_employment_scale : jobs in high-tech industry of a region with A = 1.

    Raises
    ------
    OptionError : with every inadmissible value at once.

    Examples
    --------
    >>> SystemConfig(n_regions=100).clusters
    4
    """

    n_regions: int = 300
    n_periods: int = 10
    first_period: int = 2011
    distance: DistanceKind = "straight"
    road_spacing_km: float | None = None
    road_speed_kmh: float = 60.0
    motorway_speed_kmh: float = 110.0
    motorway_every: int = 4
    hti_law: HtiLaw = "clusters"
    n_clusters: int | None = None
    periphery: tuple[float, float] = (0.02, 0.2)
    cluster_sd: float = 0.1
    gp_mean: float = -2.0
    gp_sd: float = 0.8
    gp_range_km: float = 100.0
    persistence: float = 0.9
    innovation_sd: float = 0.15
    innovation_range_km: float = 0.0
    environment_range_km: float = 0.0
    endogeneity: float = 0.0
    instrument: float = 0.0
    talent_per_cluster: float = 154.8
    transfers_per_cluster: float = 78.4
    informal_per_cluster: float = 4.0
    decay_per_km: float = 0.00892
    informal_decay_ratio: float = 1.5
    cooperation_share: float = 0.1
    environment_elasticity: float = 0.0
    environment_sd: float = 0.2
    linkage_strength: float = 0.0
    university_strength: float = 0.0
    base_patents: float = 60.0
    patents_per_person: float = 1.0
    patents_per_project: float = 10.0
    patents_per_activity: float = 25.0
    competition: float = 0.0
    competition_peak: float = 1.0
    capital: float = 0.0
    capital_mean: float = 100.0
    capital_hti: float = 0.5
    capital_environment: float = 0.5
    feedback: float = 0.0
    patent_size: float | None = None
    region_effect_sd: float = 0.0
    period_effect_sd: float = 0.0
    revenue_per_patent: float = 10.0
    revenue_sd: float = 0.05
    hti_employment_scale: float = 20_000.0

    def __post_init__(self) -> None:
        refuse_problems("the reference system has", find_problems(self), "SystemConfig()")

    @property
    def clusters(self) -> int:
        """Number of clusters in use."""
        return max(3, math.ceil(self.n_regions / 30)) if self.n_clusters is None else self.n_clusters

    @property
    def informal_decay_per_km(self) -> float:
        """δ_X, per km."""
        return self.decay_per_km * self.informal_decay_ratio

    @property
    def region_ids(self) -> tuple[str, ...]:
        """Ids "R001", "R002", …, wide enough to sort as text."""
        width = max(3, len(str(self.n_regions)))
        return tuple(f"R{i:0{width}d}" for i in range(1, self.n_regions + 1))

    @property
    def periods(self) -> tuple[int, ...]:
        """The years."""
        return tuple(range(self.first_period, self.first_period + self.n_periods))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for provenance."""
        return asdict(self)


_NOT_NEGATIVE = (
    "innovation_range_km",
    "environment_range_km",
    "cluster_sd",
    "gp_sd",
    "innovation_sd",
    "talent_per_cluster",
    "transfers_per_cluster",
    "informal_per_cluster",
    "environment_sd",
    "base_patents",
    "patents_per_person",
    "patents_per_project",
    "patents_per_activity",
    "region_effect_sd",
    "period_effect_sd",
    "revenue_per_patent",
    "revenue_sd",
)
_POSITIVE = (
    "road_spacing_km",
    "road_speed_kmh",
    "gp_range_km",
    "decay_per_km",
    "informal_decay_ratio",
    "competition_peak",
    "capital_mean",
    "hti_employment_scale",
    "patent_size",
)


def find_problems(config: SystemConfig) -> list[str]:
    """Everything that is wrong with the parameters, one sentence each; empty when all is well."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    wrong = _type_problems(values)
    # ranges of what is not a number cannot be judged: the default stands in, so that all the others are
    usual = {field.name: field.default for field in fields(config) if field.name in wrong}
    judged = object.__new__(SystemConfig)
    for name, value in (values | usual).items():
        object.__setattr__(judged, name, value)
    numbers = values | usual
    return [*wrong.values(), *_sign_problems(numbers), *_size_problems(numbers), *_range_problems(judged)]


_LARGEST = {  # in size; beyond, exponentials overflow
    "cluster_sd": 5.0,
    "gp_sd": 5.0,
    "innovation_sd": 5.0,
    "environment_sd": 2.0,
    "environment_elasticity": 20.0,
    "revenue_sd": 5.0,
    "capital_hti": 20.0,
    "capital_environment": 20.0,
}
LARGEST_NUMBER = 1e50
"""Any other number beyond this is refused: products of three of them must stay finite."""


def _size_problems(values: dict[str, Any]) -> list[str]:
    problems = []
    for name, value in values.items():
        most = _LARGEST.get(name, LARGEST_NUMBER)
        if is_number(value) and abs(value) > most:
            problems.append(f"{name} = {value:g} is more than {most:g} in size")
    return problems


def _sign_problems(values: dict[str, Any]) -> list[str]:
    problems = [f"{name} = {values[name]:g} is negative" for name in _NOT_NEGATIVE if values[name] < 0]
    return problems + [
        f"{name} = {values[name]:g} is not positive"
        for name in _POSITIVE
        if values[name] is not None and values[name] <= 0
    ]


_TEXTS = {"hti_law", "distance"}
_OPTIONAL = {"n_clusters", "patent_size", "road_spacing_km"}
_WHOLE = {"n_regions", "n_periods", "first_period", "n_clusters", "motorway_every"}


def _type_problems(values: dict[str, Any]) -> dict[str, str]:
    problems = {}
    for name, value in values.items():
        if name in _TEXTS or (value is None and name in _OPTIONAL):
            continue
        if name in _WHOLE:
            if not is_whole(value):
                problems[name] = f"{name} = {shown(value)} is not a whole number"
        elif name == "periphery":
            if not (isinstance(value, tuple) and len(value) == 2 and all(is_number(v) for v in value)):
                problems[name] = f"periphery = {shown(value)} is not a pair of numbers"
        elif not is_number(value):
            problems[name] = f"{name} = {shown(value)} is not a finite number"
    return problems


def _range_problems(config: SystemConfig) -> list[str]:
    low, high = config.periphery
    needed = " and ".join(_quadratic(config))
    rules = {
        f"n_regions = {config.n_regions}: at least 10 regions are needed": config.n_regions < 10,
        f"n_periods = {config.n_periods}: at least 2 periods are needed": config.n_periods < 2,
        f"n_regions = {config.n_regions} times n_periods = {config.n_periods} is more than {LARGEST_PANEL:,}": (
            config.n_regions * config.n_periods > LARGEST_PANEL
        ),
        f"hti_law = {shown(config.hti_law)} is neither 'clusters' nor 'gaussian-process'": config.hti_law
        not in ("clusters", "gaussian-process"),
        f"distance = {shown(config.distance)} is neither 'straight' nor 'road'": (
            config.distance not in ("straight", "road")
        ),
        f"motorway_speed_kmh = {config.motorway_speed_kmh:g} is below road_speed_kmh = {config.road_speed_kmh:g}": (
            config.motorway_speed_kmh < config.road_speed_kmh
        ),
        f"motorway_every = {config.motorway_every} is not at least 1": config.motorway_every < 1,
        f"n_clusters = {config.n_clusters} is not between 1 and the number of regions": config.n_clusters is not None
        and not 1 <= config.n_clusters <= max(config.n_regions, 1),
        f"periphery = {config.periphery} is not a range of positive intensities": not 0 < low <= high,
        f"persistence = {config.persistence:g} is outside [0, 1)": not 0 <= config.persistence < 1,
        f"cooperation_share = {config.cooperation_share:g} is outside [0, 1]": not 0 <= config.cooperation_share <= 1,
        f"linkage_strength = {config.linkage_strength:g} is outside [0, 2], where intensities stay positive": not 0
        <= config.linkage_strength
        <= 2,
        f"university_strength = {config.university_strength:g} is negative": config.university_strength < 0,
        f"{needed} needs n × n numbers: {config.n_regions} regions are more than {FIELD_LIMIT}": (
            bool(needed) and config.n_regions > FIELD_LIMIT
        ),
        f"feedback = {config.feedback:g}: |feedback| must be below 0.5": abs(config.feedback) >= 0.5,
    }
    return [problem for problem, broken in rules.items() if broken]


def _quadratic(config: SystemConfig) -> list[str]:
    """The settings in use that need a number for every pair of regions."""
    rules = {
        "hti_law = 'gaussian-process'": config.hti_law == "gaussian-process",
        "distance = 'road'": config.distance == "road",
        "innovation_range_km": config.innovation_range_km > 0,
        "environment_range_km": config.environment_range_km > 0,
    }
    return [name for name, used in rules.items() if used]
