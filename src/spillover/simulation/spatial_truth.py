"""`SpatialTruth`: parameters, effect matrices and impulse responses of an exact spatial panel, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, UnknownColumnError, check_option, did_you_mean
from spillover.simulation.spatial_world import Inverse
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

Horizon = Literal["short", "long"]
HORIZONS = ("short", "long")
KINDS = ("direct", "indirect", "total")

MATRIX_LIMIT = 5000
"""Regions up to which a full effect matrix is built: 200 MB."""

_CHUNK = 512


@dataclass(frozen=True, eq=False)
class RegionEffects:
    """Effects of one regressor by region, each (n,): on itself, from all others, on all others together."""

    own: FloatArray
    received: FloatArray
    emitted: FloatArray

    @property
    def direct(self) -> float:
        """Mean own effect."""
        return float(self.own.mean())

    @property
    def indirect(self) -> float:
        """Mean received effect, which equals the mean emitted one."""
        return float(self.received.mean())

    @property
    def total(self) -> float:
        """Direct plus indirect."""
        return self.direct + self.indirect


@dataclass(frozen=True, eq=False)
class ImpulseTruth:
    """Average responses at horizons 0, …, H, each (H + 1,): direct, indirect, total."""

    direct: FloatArray
    indirect: FloatArray
    total: FloatArray


@dataclass(frozen=True, eq=False)
class SpatialTruth:
    """What is true in a panel of `simulate_spatial_panel`.

    With S = I − ρW the effect matrix of a regressor (row receives, column sends) is S^{-1}(βI + θW) in the short run
    and [(1 − τ)I − (ρ + η)W]^{-1}(βI + θW) in the long run; for counts it is ∂ ln E[y] / ∂x'. An impulse at horizon h
    is A^h S^{-1}(βI + θW), A = S^{-1}(τI + ηW). LeSage & Pace (2009, §2.7); Debarsy, Ertur & LeSage (2012).

    Attributes
    ----------
    regions : n ids, in the order of every array.
    parameters : estimate name → value: each regressor, "W*" of it, "rho", "lambda", "tau", "eta", "sigma2".
    weights, weights_error : W of the outcome and regressors, and of the error.
    own, neighbour : regressor → β and θ.
    counts : effects are of the logarithm of the mean.
    """

    regions: tuple[str, ...]
    parameters: Mapping[str, float]
    weights: SpatialWeights
    weights_error: SpatialWeights
    own: Mapping[str, float]
    neighbour: Mapping[str, float]
    rho: float = 0.0
    tau: float = 0.0
    eta: float = 0.0
    counts: bool = False
    _cache: dict[tuple[str, str], RegionEffects] = field(default_factory=dict)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the regressors."""
        return tuple(self.own)

    @property
    def is_dynamic(self) -> bool:
        """Whether short and long run differ."""
        return self.tau != 0 or self.eta != 0

    # -- operators ------------------------------------------------------------------------------

    @cached_property
    def _short(self) -> Inverse:
        return self._inverse(1.0, self.rho)

    @cached_property
    def _long(self) -> Inverse:
        return self._inverse(1.0 - self.tau, self.rho + self.eta)

    def _inverse(self, diagonal: float, lag: float) -> Inverse:
        if diagonal == 1.0 and lag == 0.0:
            return Inverse.of(None)
        return Inverse.of(sp.csr_matrix(diagonal * sp.eye(self.weights.n) - lag * self.weights.matrix))

    def respond(self, variable: str, change: FloatArray, horizon: Horizon = "short") -> FloatArray:
        """M Δx: response (n,) or (n, m) to a change (n,) or (n, m) of a regressor; lasting where horizon = "long"."""
        self._check(variable, horizon)
        moved = self.own[variable] * change + self.neighbour[variable] * self.weights.lag(change)
        return (self._short if horizon == "short" else self._long).solve(np.asarray(moved))

    def carry(self, response: FloatArray) -> FloatArray:
        """A r: what a response (n,) or (n, m) leaves for the next period."""
        return self._short.solve(np.asarray(self.tau * response + self.eta * self.weights.lag(response)))

    def matrix(self, variable: str, horizon: Horizon = "short") -> FloatArray:
        """The full (n, n) effect matrix, for at most 5,000 regions."""
        n = len(self.regions)
        if n > MATRIX_LIMIT:
            raise OptionError(
                "a full effect matrix is too large",
                got=f"{n} regions",
                expected=f"at most {MATRIX_LIMIT}",
                fix="use respond(variable, change) for the changes of interest",
            )
        return self.respond(variable, np.eye(n), horizon)

    # -- effects --------------------------------------------------------------------------------

    def by_region(self, variable: str, horizon: Horizon = "short") -> RegionEffects:
        """Own, received and emitted effects of every region. Cost: n solves, 512 at a time."""
        self._check(variable, horizon)
        key = (variable, horizon)
        if key not in self._cache:
            self._cache[key] = self._by_region(variable, horizon)
        return self._cache[key]

    def _by_region(self, variable: str, horizon: Horizon) -> RegionEffects:
        n = len(self.regions)
        own, sent = np.empty(n), np.empty(n)
        for start in range(0, n, _CHUNK):
            at = np.arange(start, min(start + _CHUNK, n))
            unit = np.zeros((n, at.size))
            unit[at, at - start] = 1.0
            columns = self.respond(variable, unit, horizon)
            own[at], sent[at] = columns[at, at - start], columns.sum(axis=0)
        reached = self.respond(variable, np.ones(n), horizon)
        return RegionEffects(own, reached - own, sent - own)

    def direct(self, variable: str, horizon: Horizon = "short") -> float:
        """Mean own effect, tr M / n."""
        return self.by_region(variable, horizon).direct

    def indirect(self, variable: str, horizon: Horizon = "short") -> float:
        """Mean effect of all others, ι'Mι / n − tr M / n: the spillover."""
        return self.by_region(variable, horizon).indirect

    def total(self, variable: str, horizon: Horizon = "short") -> float:
        """Direct plus indirect."""
        return self.by_region(variable, horizon).total

    def impulse(self, variable: str, periods: int, lasting: bool = False) -> ImpulseTruth:
        """Average responses to a unit impulse (or, `lasting`, a permanent step) in all periods 0, …, `periods`.

        Cost: n solves per period.
        """
        if periods < 0:
            raise OptionError("an impulse response needs zero periods or more", got=str(periods))
        response = self.matrix(variable)
        n, rows = len(self.regions), []
        summed = np.zeros_like(response)
        for _ in range(periods + 1):
            summed = summed + response if lasting else response
            rows.append((np.trace(summed) / n, summed.sum() / n))
            response = self.carry(response)
        direct, total = np.array(rows).T
        return ImpulseTruth(direct, total - direct, total)

    def targets(self) -> dict[str, float]:
        """Every number an estimator may report, by its name: parameters, "direct: x", …, "direct: x (long)", …."""
        found = {name: value for name, value in self.parameters.items() if name != "sigma2"}
        for horizon in HORIZONS if self.is_dynamic else HORIZONS[:1]:
            mark = "" if horizon == "short" else " (long)"
            for variable in self.variables:
                effects = self.by_region(variable, horizon)  # type: ignore[arg-type]
                found |= {f"{kind}: {variable}{mark}": getattr(effects, kind) for kind in KINDS}
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON: parameters, average effects, and effects by region id and regressor."""
        regional = {}
        for variable in self.variables:
            effects = self.by_region(variable)
            columns = zip(self.regions, effects.own, effects.received, effects.emitted, strict=True)
            regional[variable] = {
                region: {"own": float(own), "received": float(received), "emitted": float(emitted)}
                for region, own, received, emitted in columns
            }
        return {
            "parameters": dict(self.parameters),
            "effects": {name: value for name, value in self.targets().items() if ": " in name},
            "scale": "logarithm of the expected count" if self.counts else "outcome",
            "regions": regional,
        }

    def _check(self, variable: str, horizon: str) -> None:
        check_option("horizon", horizon, HORIZONS)
        if variable not in self.own:
            raise UnknownColumnError(
                f"the panel has no regressor {variable!r}",
                expected=", ".join(self.own),
                fix=did_you_mean(variable, self.own) or None,
            )
