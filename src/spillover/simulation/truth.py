"""`Truth`: what high-tech agglomeration really does in the reference system, region by region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import brentq

from spillover.errors import check_option
from spillover.simulation.config import SystemConfig
from spillover.simulation.effect_matrix import EffectMatrix, add_up, from_sparse
from spillover.simulation.feedback import feedback_parts
from spillover.simulation.geography import Geography
from spillover.simulation.profile import BandTruth, profile_by_distance
from spillover.simulation.redistribution import other_effects
from spillover.simulation.structure import System
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ChannelTruth:
    """One channel's part of the effect: patents a year per unit of A; half-distance in km where it decays."""

    name: str
    direct: float
    spillover: float
    half_distance_km: float | None


@dataclass(frozen=True, eq=False)
class Truth:
    """∂E[Y] / ∂A' of the reference system, averaged over the periods: patents a year per unit of HTI intensity.

    Attributes
    ----------
    geography : the regions and their distances.
    parts : channel → its effect matrix; the parts add up to the whole. "capital" and "feedback" redistribute and so
        reach every region.
    half_distances_km : channel → half-distance; None where a channel does not decay with distance.
    half_distance_km : at which the effect of all distance-decaying channels together has halved.
    """

    geography: Geography
    parts: Mapping[str, EffectMatrix]
    half_distances_km: Mapping[str, float | None]
    half_distance_km: float

    @property
    def regions(self) -> tuple[str, ...]:
        """The n ids."""
        return self.geography.regions

    @cached_property
    def effect(self) -> EffectMatrix:
        """All channels together."""
        return add_up(self.parts.values())

    @property
    def matrix(self) -> sp.csr_matrix:
        """(n, n) sparse part of the effect; what is redistributed comes on top: `effect` has both."""
        return self.effect.sparse

    @property
    def own(self) -> FloatArray:
        """(n,) effect of each region's own A on its own patents."""
        return self.effect.own

    @property
    def received(self) -> FloatArray:
        """(n,) effect on each region of raising A by 1 in all the others."""
        return self.effect.received

    @property
    def emitted(self) -> FloatArray:
        """(n,) effect on all the others together of raising A by 1 in each region."""
        return self.effect.emitted

    @property
    def direct(self) -> float:
        """Mean own effect."""
        return float(self.own.mean())

    @property
    def spillover(self) -> float:
        """Mean received effect (the indirect effect)."""
        return float(self.received.mean())

    @property
    def total(self) -> float:
        """Direct plus spillover."""
        return self.direct + self.spillover

    @cached_property
    def channels(self) -> tuple[ChannelTruth, ...]:
        """The parts as averages, which add up to the whole."""
        return tuple(
            ChannelTruth(name, float(part.own.mean()), float(part.received.mean()), self.half_distances_km[name])
            for name, part in self.parts.items()
        )

    @cached_property
    def bands(self) -> tuple[BandTruth, ...]:
        """The spillover by distance, all channels together."""
        return profile_by_distance(self.effect, self.geography)

    def shares(self, effect: str = "spillover") -> dict[str, float]:
        """Channel → share of the "direct", "spillover" or "total" effect; NaN where there is no effect to share."""
        check_option("effect", effect, ("direct", "spillover", "total"))
        parts = {c.name: _part(c, effect) for c in self.channels}
        whole = sum(parts.values())
        return {name: part / whole if whole else float("nan") for name, part in parts.items()}

    def by_region(self) -> pd.DataFrame:
        """One row per channel (and "all") and region: own, received and emitted effect."""
        import pandas as pd

        parts = {**self.parts, "all": self.effect}
        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "channel": name,
                        "region": list(self.regions),
                        "own": part.own,
                        "received": part.received,
                        "emitted": part.emitted,
                    }
                )
                for name, part in parts.items()
            ],
            ignore_index=True,
        )

    def by_distance(self) -> pd.DataFrame:
        """One row per channel (and "all") and distance band; see `BandTruth` for the columns."""
        import pandas as pd

        profiles = {name: profile_by_distance(part, self.geography) for name, part in self.parts.items()}
        profiles["all"] = self.bands
        return pd.DataFrame([{"channel": name, **vars(band)} for name, bands in profiles.items() for band in bands])

    def apply(self, change: FloatArray) -> FloatArray:
        """(n,) change in expected patents for a small lasting change (n,) of A."""
        return self.effect.apply(change)

    def to_array(self) -> FloatArray:
        """The dense (n, n) matrix, for small n."""
        return self.effect.to_array()

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON: effects, channels, bands, and own, received and emitted by region id."""
        return {
            "direct": self.direct,
            "spillover": self.spillover,
            "total": self.total,
            "half_distance_km": self.half_distance_km if np.isfinite(self.half_distance_km) else None,
            "channels": [dict(vars(channel)) for channel in self.channels],
            "bands": [_plain_band(band) for band in self.bands],
            "own": dict(zip(self.regions, self.own.tolist(), strict=True)),
            "received": dict(zip(self.regions, self.received.tolist(), strict=True)),
            "emitted": dict(zip(self.regions, self.emitted.tolist(), strict=True)),
        }


def _part(channel: ChannelTruth, effect: str) -> float:
    if effect == "total":
        return channel.direct + channel.spillover
    return channel.direct if effect == "direct" else channel.spillover


def _plain_band(band: BandTruth) -> dict[str, Any]:
    """The band without an infinite end, which JSON does not know."""
    return {**vars(band), "high_km": band.high_km if np.isfinite(band.high_km) else None}


def compute_truth(system: System, hti: FloatArray) -> Truth:
    """The truth of a system along a path of A (n, t): closed form with the same truncated kernels as the draws.

    With feedback it is the exact derivative of the mean-field recursion with respect to a lasting change in A.
    Cost O(links), with feedback O(t · links).
    """
    if system.config.feedback:
        parts = feedback_parts(system, hti)
    else:
        parts = {name: from_sparse(kernel) for name, kernel in system.channel_kernels().items()}
    parts |= other_effects(system, hti)
    c = system.config
    slow, quick = float(np.log(2.0) / c.decay_per_km), float(np.log(2.0) / c.informal_decay_per_km)
    halves = {"talent": slow, "cooperation": slow, "informal": quick}
    return Truth(
        geography=system.geography,
        parts=parts,
        half_distances_km={name: halves.get(name) for name in parts},
        half_distance_km=aggregate_half_distance(c),
    )


def aggregate_half_distance(config: SystemConfig) -> float:
    """Distance in km at which the knowledge channels together have half their value at distance 0.

    >>> round(aggregate_half_distance(SystemConfig()), 1)
    68.5
    """
    weights = np.array(
        [
            config.patents_per_person * config.talent_per_cluster,
            config.patents_per_project * config.cooperation_share * config.transfers_per_cluster,
            config.patents_per_activity * config.informal_per_cluster,
        ]
    )
    decays = np.array([config.decay_per_km, config.decay_per_km, config.informal_decay_per_km])
    if weights.sum() == 0:
        return float("nan")
    shares = weights / weights.sum()
    return float(brentq(lambda d: shares @ np.exp(-decays * d) - 0.5, 0.0, np.log(2.0) / decays.min() + 1.0))
