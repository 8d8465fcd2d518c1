"""The two experiments that set the simulator beside the paper's tables.

Distance experiment (Table 2): one cluster with A = 1, receivers with an average environment placed in each distance
band, one year of counts. Dose experiment (Table 1): two channels held at their reference doses, the third set by hand
to a dose drawn uniformly from its band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spillover.errors import OptionError, check_option
from spillover.simulation import channels
from spillover.simulation.config import SystemConfig
from spillover.simulation.structure import FLOOR_PATENTS
from spillover.typing import FloatArray

Placement = Literal["distance", "area"]
Channel = Literal["talent", "cooperation", "informal"]

REFERENCE_DOSES = {"talent": 35.0, "cooperation": 1.5, "informal": 1.0}
"""Persons a year, projects a year and activities a month at which the other channels are held."""


@dataclass(frozen=True, eq=False)
class DistanceDraws:
    """Receivers of one band: distances (r,) in km, talent inflow and transfers (r,) in one year."""

    distance: FloatArray
    talent: FloatArray
    transfers: FloatArray


@dataclass(frozen=True, eq=False)
class DoseDraws:
    """Regions of one dose band: doses (r,), patents (r,) and revenue (r,) in 10⁴ yuan in one year."""

    dose: FloatArray
    patents: FloatArray
    revenue: FloatArray


def draw_distance_experiment(
    band: tuple[float, float],
    receivers: int,
    rng: np.random.Generator,
    config: SystemConfig | None = None,
    placement: Placement = "distance",
) -> DistanceDraws:
    """Protocol T2 for one band: counts of `receivers` regions around a single cluster with A = 1.

    placement : receivers are uniform over "distance", or over the "area" of the ring.
    """
    check_option("placement", placement, ("distance", "area"))
    _check_cell(band, receivers)
    config = config or SystemConfig()
    near, far = band
    share = rng.uniform(size=receivers)
    if placement == "distance":
        distance = near + (far - near) * share
    else:
        distance = np.sqrt(near**2 + (far**2 - near**2) * share)
    exposed = np.exp(-config.decay_per_km * distance)
    return DistanceDraws(
        distance=distance,
        talent=rng.poisson(channels.talent_inflow(exposed, config.talent_per_cluster)).astype(float),
        transfers=rng.poisson(channels.technology_transfer(exposed, config.transfers_per_cluster)).astype(float),
    )


def draw_dose_experiment(
    channel: Channel,
    band: tuple[float, float],
    receivers: int,
    rng: np.random.Generator,
    config: SystemConfig | None = None,
) -> DoseDraws:
    """Protocol T1 for one row: the channel's dose is set within `band`, the other two stay at their reference."""
    check_option("channel", channel, tuple(REFERENCE_DOSES))
    _check_cell(band, receivers)
    config = config or SystemConfig()
    dose = rng.uniform(*band, size=receivers)
    doses: dict[str, FloatArray | float] = {**REFERENCE_DOSES, channel: dose}
    mean = (
        config.base_patents
        + config.patents_per_person * doses["talent"]
        + config.patents_per_project * doses["cooperation"]
        + config.patents_per_activity * doses["informal"]
    )
    patents = rng.poisson(np.maximum(mean, FLOOR_PATENTS)).astype(float)
    noise = config.revenue_sd * rng.standard_normal(receivers) - 0.5 * config.revenue_sd**2
    return DoseDraws(dose=dose, patents=patents, revenue=config.revenue_per_patent * patents * np.exp(noise))


def expected_patents_at(distances: Sequence[float], config: SystemConfig | None = None) -> FloatArray:
    """(m,) expected patents of a region at these distances (km) from a single cluster with A = 1.

    >>> [round(p) for p in expected_patents_at([25, 75, 150, 250])]
    [318, 216, 135, 89]
    """
    config = config or SystemConfig()
    d = np.asarray(distances, dtype=float)
    exposed = np.exp(-config.decay_per_km * d)
    transfers = channels.technology_transfer(exposed, config.transfers_per_cluster)
    informal = channels.informal_exchange(np.exp(-config.informal_decay_per_km * d), config.informal_per_cluster)
    return np.asarray(
        config.base_patents
        + config.patents_per_person * channels.talent_inflow(exposed, config.talent_per_cluster)
        + config.patents_per_project * channels.cooperation(transfers, config.cooperation_share)
        + config.patents_per_activity * informal
    )


def _check_cell(band: tuple[float, float], receivers: int) -> None:
    if receivers < 1:
        raise OptionError("an experiment needs at least one receiving region", got=str(receivers))
    if not 0 <= band[0] < band[1] < np.inf:
        raise OptionError("a band runs from its lower to its upper end, not below 0", got=f"{band[0]:g}–{band[1]:g}")
