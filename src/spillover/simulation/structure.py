"""`System`: everything of the reference system that is fixed once drawn, and its mean function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError
from spillover.simulation import channels
from spillover.simulation.admissible import refuse_problems
from spillover.simulation.config import SystemConfig
from spillover.simulation.fields import draw_field
from spillover.simulation.geography import Geography, build_geography
from spillover.simulation.hti import HtiProcess, build_hti_process
from spillover.simulation.reach import geography_problems, reach_km
from spillover.simulation.streams import Streams
from spillover.typing import FloatArray, IntArray

FLOOR_PATENTS = 1.0
"""Expected patents never fall below this."""

_FIRMS_PER_CLUSTER = 200.0  # sets the unit of competition only: Q = 1 where firms per HTI are as usual


@dataclass(frozen=True, eq=False)
class Environment:
    """The innovation environment of n regions: (n,) each, geometric mean of its three parts, mean 1."""

    policy: FloatArray
    infrastructure: FloatArray
    culture: FloatArray

    @property
    def level(self) -> FloatArray:
        """E = (policy × infrastructure × culture)^(1/3)."""
        return np.asarray(np.cbrt(self.policy * self.infrastructure * self.culture))


@dataclass(frozen=True, eq=False)
class Linkage:
    """Industrial linkage L_ij = 1 + ½ corr(i, j), plus a gain between partner regions; mean about 1 without it.

    Attributes
    ----------
    industries : (n, 3) unit vectors; their inner products are the correlations.
    partners : (n,) 1 for regions of a partnership, 0 for others; nobody when None.
    gain : what L gains between two partners.
    """

    industries: FloatArray
    partners: FloatArray | None = None
    gain: float = 0.0

    def between(self, i: IntArray, j: IntArray) -> FloatArray:
        """(m,) linkage of regions i with regions j, given as positions."""
        linkage = 1.0 + 0.5 * np.einsum("ij,ij->i", self.industries[i], self.industries[j])
        if self.partners is not None:
            linkage = linkage + self.gain * self.partners[i] * self.partners[j]
        return np.asarray(linkage)


@dataclass(frozen=True, eq=False)
class System:
    """The fixed part of a drawn reference system.

    Attributes
    ----------
    talent_kernel, transfer_kernel, informal_kernel : (n, n) sparse; row receives, column sends.
    linkages : between pairs of regions.
    linkage : (n,) mean industrial linkage with the regions within reach.
    universities, firms : (n,) counts.
    region_effects (n,), period_effects (t,) : μ and α, patents a year.
    """

    config: SystemConfig
    geography: Geography
    hti_process: HtiProcess
    environment: Environment
    linkages: Linkage
    linkage: FloatArray
    universities: FloatArray
    firms: FloatArray
    talent_kernel: sp.csr_matrix
    transfer_kernel: sp.csr_matrix
    informal_kernel: sp.csr_matrix
    region_effects: FloatArray
    period_effects: FloatArray

    @cached_property
    def absorption(self) -> FloatArray:
        """(n,) E^ψ."""
        return np.asarray(self.environment.level**self.config.environment_elasticity)

    @property
    def firms_per_cluster(self) -> float:
        """Firms that go with A = 1 at Q = 1."""
        return _FIRMS_PER_CLUSTER

    def pressure(self, hti: FloatArray) -> FloatArray:
        """Competition Q at this A, (n,) or (n, t)."""
        firms = self.firms if hti.ndim == 1 else self.firms[:, None]
        return channels.competition_pressure(firms, hti, _FIRMS_PER_CLUSTER)

    def capital(self, hti: FloatArray) -> FloatArray:
        """Capital K at this A, (n,) or (n, t)."""
        c = self.config
        return channels.capital_stock(hti, self.environment.level, c.capital_mean, c.capital_hti, c.capital_environment)

    def other_patents(self, hti: FloatArray, period: int) -> FloatArray:
        """(n,) expected patents that no knowledge channel carries: base, effects, competition, capital."""
        c = self.config
        patents = c.base_patents + self.region_effects + self.period_effects[period]
        if c.competition:
            patents = patents + channels.competition_patents(self.pressure(hti), c.competition, c.competition_peak)
        if c.capital:
            patents = patents + channels.capital_patents(self.capital(hti), c.capital, c.capital_mean)
        return np.asarray(patents)

    def channel_patents(self, hti: FloatArray, absorption: FloatArray) -> dict[str, FloatArray]:
        """Channel → (n,) expected patents through it at this A."""
        c = self.config
        talent = channels.talent_inflow(channels.exposure(self.talent_kernel, hti, absorption), c.talent_per_cluster)
        transfers = channels.technology_transfer(
            channels.exposure(self.transfer_kernel, hti, absorption), c.transfers_per_cluster
        )
        informal = channels.informal_exchange(
            channels.exposure(self.informal_kernel, hti, absorption), c.informal_per_cluster
        )
        return {
            "talent": c.patents_per_person * talent,
            "cooperation": c.patents_per_project * channels.cooperation(transfers, c.cooperation_share),
            "informal": c.patents_per_activity * informal,
        }

    def channel_kernels(self) -> dict[str, sp.csr_matrix]:
        """Channel → (n, n) patents per unit of A, receiver's absorption included: the truth without feedback."""
        c = self.config
        absorb = sp.diags(self.absorption)
        weights = {
            "talent": (c.patents_per_person * c.talent_per_cluster, self.talent_kernel),
            "cooperation": (
                c.patents_per_project * c.cooperation_share * c.transfers_per_cluster,
                self.transfer_kernel,
            ),
            "informal": (c.patents_per_activity * c.informal_per_cluster, self.informal_kernel),
        }
        return {name: sp.csr_matrix(weight * (absorb @ kernel)) for name, (weight, kernel) in weights.items()}

    def absorb(self, previous_mean: FloatArray | None) -> FloatArray:
        """(n,) E^ψ (1 + ζ (λ_{t−1} / mean λ_{t−1} − 1)); E^ψ in the first period or without feedback."""
        if previous_mean is None or not self.config.feedback:
            return self.absorption
        return np.asarray(self.absorption * (1.0 + self.config.feedback * (previous_mean / previous_mean.mean() - 1.0)))

    def mean_patents(self, hti: FloatArray) -> FloatArray:
        """(n, t) expected patents for a path of A (n, t); with feedback the mean-field recursion.

        Not floored, so that it can be differentiated; `simulate` refuses systems in which the floor binds.
        """
        mean: FloatArray | None = None
        path = np.empty_like(hti)
        for period in range(hti.shape[1]):
            now = hti[:, period]
            mean = self.other_patents(now, period) + sum(self.channel_patents(now, self.absorb(mean)).values())
            path[:, period] = mean
        return path


def build_system(config: SystemConfig, streams: Streams, geography: Geography | None = None) -> System:
    """Draw what is fixed: the map (unless a real one is given), environment, linkages, universities, firms, effects."""
    refuse_problems("the map and the system have", geography_problems(config, geography))
    place = draw_geography(config, streams) if geography is None else geography
    if geography is None and place.travel is not None:  # along roads that had to be drawn first
        refuse_problems("the map and the system have", geography_problems(config, place))
    process = build_hti_process(config, place, streams)
    firms = process.long_run + 0.3 * streams["firms"].standard_normal(config.n_regions)
    environment = _draw_environment(config, place, streams["environment"])
    linkage = Linkage(_draw_industries(config.n_regions, streams["linkage"]))
    universities = streams["universities"].poisson(1.0, config.n_regions).astype(float)
    return System(
        config=config,
        geography=place,
        hti_process=process,
        environment=environment,
        linkages=linkage,
        universities=universities,
        firms=np.maximum(np.rint(_FIRMS_PER_CLUSTER * np.exp(firms)), 1.0),
        region_effects=config.region_effect_sd * streams["region effects"].standard_normal(config.n_regions),
        period_effects=config.period_effect_sd * streams["period effects"].standard_normal(config.n_periods),
        **_connect(config, place, linkage, universities),
    )


def rebuild_system(
    system: System,
    *,
    config: SystemConfig | None = None,
    geography: Geography | None = None,
    environment: Environment | None = None,
    linkages: Linkage | None = None,
) -> System:
    """The same drawn system with something changed: everything else keeps its draw, kernels are computed anew.

    config : for coefficients; what was drawn from it (A, environment, effects) stays.
    """
    changed = replace(
        system,
        config=config or system.config,
        geography=geography or system.geography,
        environment=environment or system.environment,
        linkages=linkages or system.linkages,
    )
    return replace(changed, **_connect(changed.config, changed.geography, changed.linkages, changed.universities))


def draw_geography(config: SystemConfig, streams: Streams) -> Geography:
    """The synthetic map of a configuration, with its roads when distances are along them."""
    place = build_geography(config.region_ids, streams["geography"])
    if config.distance == "straight":
        return place
    from spillover.simulation.roads import along_roads, build_road_grid

    roads = build_road_grid(
        place,
        spacing_km=config.road_spacing_km,
        road_kmh=config.road_speed_kmh,
        motorway_kmh=config.motorway_speed_kmh,
        motorway_every=config.motorway_every,
    )
    return along_roads(place, roads, limit_km=reach_km(config))


def _connect(config: SystemConfig, geography: Geography, linkages: Linkage, universities: FloatArray) -> dict[str, Any]:
    """The kernels, and the mean linkage of every region with those within reach."""
    pairs = geography.pairs(reach_km(config))
    between = linkages.between(pairs.receiver, pairs.sender)
    has_university = (universities > 0).astype(float)
    strength = 1.0 + config.linkage_strength * (between - 1.0)
    strength = strength + config.university_strength * has_university[pairs.sender]
    if (strength < 0).any():
        raise OptionError(
            "some linkages make technology transfers negative",
            got=f"1 + κ_L (L − 1) + κ_U as low as {strength.min():.3g}",
            fix="lower linkage_strength",
        )
    own, decay = geography.own_distances, config.decay_per_km
    # within a region the linkage is 1; only the university term changes the own exposure
    own_university = sp.diags(config.university_strength * has_university * np.exp(-decay * own))
    return {
        "linkage": _mean_linkage(pairs.receiver, between, config.n_regions),
        "talent_kernel": channels.build_kernel(pairs, own, decay),
        "transfer_kernel": sp.csr_matrix(channels.build_kernel(pairs, own, decay, strength) + own_university),
        "informal_kernel": channels.build_kernel(pairs, own, config.informal_decay_per_km),
    }


def _draw_environment(config: SystemConfig, geography: Geography, rng: np.random.Generator) -> Environment:
    """Three log-normal parts, such that their geometric mean E has mean 1 and sd of ln E as configured."""
    part_sd = config.environment_sd * np.sqrt(3.0)
    if config.environment_range_km:
        draws = draw_field(geography, config.environment_range_km, rng, 3).T
    else:
        draws = rng.standard_normal((3, config.n_regions))
    policy, infrastructure, culture = np.exp(part_sd * draws - 0.5 * config.environment_sd**2)
    return Environment(policy, infrastructure, culture)


def _draw_industries(n: int, rng: np.random.Generator) -> FloatArray:
    """(n, 3) unit vectors: industrial profiles, whose inner product is the correlation of two regions."""
    profiles = rng.standard_normal((n, 3))
    return np.asarray(profiles / np.linalg.norm(profiles, axis=1, keepdims=True))


def _mean_linkage(receiver: IntArray, linkage: FloatArray, n: int) -> FloatArray:
    """(n,) mean linkage over the pairs of each receiver; 1 where there is none."""
    count = np.bincount(receiver, minlength=n)
    total = np.bincount(receiver, weights=linkage, minlength=n)
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)
