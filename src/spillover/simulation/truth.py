"""`Truth`: what high-tech agglomeration really does in the reference system, region by region."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import brentq

from spillover.errors import OptionError
from spillover.simulation.config import SystemConfig
from spillover.simulation.structure import System
from spillover.typing import FloatArray

_BAND_EDGES_KM = (0.0, 50.0, 100.0, 200.0, 300.0, 500.0, 750.0)
_FEEDBACK_LIMIT = 2000  # feedback makes the truth a dense n × n matrix: 32 MB at this size


@dataclass(frozen=True)
class ChannelTruth:
    """One channel's part of the effect: patents a year per unit of A; half-distance in km where it decays."""

    name: str
    direct: float
    spillover: float
    half_distance_km: float | None


@dataclass(frozen=True)
class BandTruth:
    """Spillover between regions low–high km apart: patents per pair, and its share of all spillover."""

    low_km: float
    high_km: float
    effect_per_pair: float
    share: float


@dataclass(frozen=True, eq=False)
class Truth:
    """∂E[Y] / ∂A' of the reference system, averaged over the periods: patents a year per unit of HTI intensity.

    The full matrix is `matrix − left @ right.T`; the second part is the capital channel (low rank) or absent.

    Attributes
    ----------
    regions : n ids.
    matrix : (n, n) sparse; row receives, column sends.
    left, right : (n, r) factors of the capital channel; r = 0 without it.
    channels : the parts, which add up to the whole.
    bands : profile by distance of `matrix`.
    half_distance_km : at which the effect of all distance-decaying channels together has halved.
    """

    regions: tuple[str, ...]
    matrix: sp.csr_matrix
    left: FloatArray
    right: FloatArray
    channels: tuple[ChannelTruth, ...]
    bands: tuple[BandTruth, ...]
    half_distance_km: float

    @cached_property
    def own(self) -> FloatArray:
        """(n,) effect of each region's own A on its own patents."""
        return np.asarray(self.matrix.diagonal() - np.einsum("ij,ij->i", self.left, self.right))

    @cached_property
    def received(self) -> FloatArray:
        """(n,) effect on each region of raising A by 1 in all the others."""
        sums = np.asarray(self.matrix.sum(axis=1)).ravel() - self.left @ self.right.sum(axis=0)
        return np.asarray(sums - self.own)

    @cached_property
    def emitted(self) -> FloatArray:
        """(n,) effect on all the others together of raising A by 1 in each region."""
        sums = np.asarray(self.matrix.sum(axis=0)).ravel() - self.right @ self.left.sum(axis=0)
        return np.asarray(sums - self.own)

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

    def shares(self, effect: str = "spillover") -> dict[str, float]:
        """Channel → share of the "direct", "spillover" or "total" effect."""
        from spillover.errors import check_option

        check_option("effect", effect, ("direct", "spillover", "total"))
        parts = {c.name: _part(c, effect) for c in self.channels}
        whole = sum(parts.values())
        return {name: part / whole for name, part in parts.items()}

    def apply(self, change: FloatArray) -> FloatArray:
        """(n,) change in expected patents for a small lasting change (n,) of A."""
        return np.asarray(self.matrix @ change - self.left @ (self.right.T @ change))

    def to_array(self) -> FloatArray:
        """The dense (n, n) matrix, for small n."""
        return np.asarray(self.matrix.toarray() - self.left @ self.right.T)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON: effects, channels, bands, and received and emitted by region id."""
        return {
            "direct": self.direct,
            "spillover": self.spillover,
            "total": self.total,
            "half_distance_km": self.half_distance_km,
            "channels": [dict(vars(channel)) for channel in self.channels],
            "bands": [dict(vars(band)) for band in self.bands],
            "received": dict(zip(self.regions, self.received.tolist(), strict=True)),
            "emitted": dict(zip(self.regions, self.emitted.tolist(), strict=True)),
        }


def _part(channel: ChannelTruth, effect: str) -> float:
    if effect == "total":
        return channel.direct + channel.spillover
    return channel.direct if effect == "direct" else channel.spillover


def compute_truth(system: System, hti: FloatArray) -> Truth:
    """The truth of a system along a path of A (n, t): closed form with the same truncated kernels as the draws.

    With feedback it is the exact derivative of the mean-field recursion with respect to a lasting change in A,
    a dense matrix; more than 2,000 regions are then refused.
    """
    parts = _feedback_parts(system, hti) if system.config.feedback else system.channel_kernels()
    diagonals, left, right = _capital_and_competition(system, hti)
    matrix = sp.csr_matrix(sum(parts.values()))
    bands = _bands(system, matrix)
    own_terms = sum(diagonals.values(), np.zeros(len(hti)))
    matrix = sp.csr_matrix(matrix + sp.diags(own_terms))
    rank = (left, right)
    channels = [_channel(name, part, system.config) for name, part in parts.items()]
    channels += [_diagonal_channel(name, d, rank if name == "capital" else None) for name, d in diagonals.items()]
    return Truth(
        regions=system.geography.regions,
        matrix=matrix,
        left=left,
        right=right,
        channels=tuple(channels),
        bands=bands,
        half_distance_km=aggregate_half_distance(system.config),
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


def _channel(name: str, part: sp.csr_matrix, config: SystemConfig) -> ChannelTruth:
    n = part.shape[0]
    own = float(part.diagonal().sum())
    decays = {"talent": config.decay_per_km, "cooperation": config.decay_per_km}
    decay = decays.get(name, config.informal_decay_per_km)
    half = None if name == "feedback" else float(np.log(2.0) / decay)
    return ChannelTruth(name, own / n, (float(part.sum()) - own) / n, half)


def _diagonal_channel(name: str, diagonal: FloatArray, rank: tuple[FloatArray, FloatArray] | None) -> ChannelTruth:
    n = len(diagonal)
    if rank is None:
        return ChannelTruth(name, float(diagonal.mean()), 0.0, None)
    left, right = rank
    own = diagonal - np.einsum("ij,ij->i", left, right)
    whole = diagonal.sum() - left.sum(axis=0) @ right.sum(axis=0)
    return ChannelTruth(name, float(own.mean()), float(whole - own.sum()) / n, None)


def _capital_and_competition(system: System, hti: FloatArray) -> tuple[dict[str, FloatArray], FloatArray, FloatArray]:
    """Diagonal terms by channel, and the factors of capital's backwash, averaged over the periods."""
    c, (n, t) = system.config, hti.shape
    diagonals: dict[str, FloatArray] = {}
    left = right = np.zeros((n, 0))
    if c.competition:
        pressure = system.pressure(hti)
        slope = -c.competition * (1.0 - pressure / c.competition_peak) * pressure / hti
        diagonals["competition"] = slope.mean(axis=1)
    if c.capital:
        stock, strength = system.capital(hti), c.capital * c.capital_hti
        diagonals["capital"] = (strength * stock / hti).mean(axis=1)
        left, right = strength / (c.capital_mean * n * t) * stock, stock / hti
    return diagonals, left, right


def _feedback_parts(system: System, hti: FloatArray) -> dict[str, sp.csr_matrix]:
    """Channel → mean over periods of the derivative; "feedback" is what last year's innovation adds to it."""
    c, (n, t) = system.config, hti.shape
    if n > _FEEDBACK_LIMIT:
        raise OptionError(
            "the truth with feedback needs a dense matrix",
            got=f"{n} regions",
            expected=f"at most {_FEEDBACK_LIMIT}",
            fix="use fewer regions, or feedback = 0",
        )
    kernels = {name: kernel.toarray() for name, kernel in system.channel_kernels().items()}
    sums = {name: np.zeros((n, n)) for name in (*kernels, "feedback")}
    means = system.mean_patents(hti)
    before: FloatArray | None = None  # derivative of last period's mean, all channels
    for period in range(t):
        gain, added = np.ones(n), np.zeros((n, n))
        if before is not None:
            mean, average = means[:, period - 1], means[:, period - 1].mean()
            gain = 1.0 + c.feedback * (mean / average - 1.0)
            reached = sum(kernels.values()) @ hti[:, period]
            relative = before / average - np.outer(mean, before.mean(axis=0)) / average**2
            added = c.feedback * reached[:, None] * relative
        parts = {name: gain[:, None] * kernel for name, kernel in kernels.items()} | {"feedback": added}
        for name, part in parts.items():
            sums[name] += part / t
        before = sum(parts.values()) + _other_derivative(system, hti[:, period])
    return {name: sp.csr_matrix(part) for name, part in sums.items()}


def _other_derivative(system: System, hti: FloatArray) -> FloatArray:
    """Dense derivative of competition and capital in one period, which the feedback carries on."""
    diagonals, left, right = _capital_and_competition(system, hti[:, None])
    return np.asarray(np.diag(sum(diagonals.values(), np.zeros(len(hti)))) - left @ right.T)


def _bands(system: System, matrix: sp.csr_matrix) -> tuple[BandTruth, ...]:
    """Profile by distance of the off-diagonal effects."""
    links = sp.coo_matrix(matrix)
    apart = links.row != links.col
    points = system.geography.points
    distance = np.linalg.norm(points[links.row[apart]] - points[links.col[apart]], axis=1)
    bins = np.digitize(distance, _BAND_EDGES_KM) - 1
    count = np.bincount(bins, minlength=len(_BAND_EDGES_KM))
    effect = np.bincount(bins, weights=links.data[apart], minlength=len(_BAND_EDGES_KM))
    whole = effect.sum() or 1.0
    return tuple(
        BandTruth(low, high, float(effect[i] / max(count[i], 1)), float(effect[i] / whole))
        for i, (low, high) in enumerate(pairwise(_BAND_EDGES_KM))
    )
