"""Effects at chosen values of moderators: sums of S^{-1} and S^{-1}W, loaded by what each coefficient multiplies.

With z centred the effect matrix of x is
    M(z) = S^{-1}[βI + β_xz diag(z) + θW + θ_s W diag(z) + θ_r diag(z) W],  S = I − ρW,
and every average of it at a chosen z is Σ_k b_k Σ_s load_ks · sum_s(ρ), with five sums that do not depend on z. Three
questions have different answers:
    "all"      z is v in every region;
    "receiver" z is v in one region and at its centre elsewhere: what that region then has of its own and receives;
    "sender"   the same: what that region then has of its own and gives to all the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from spillover.effects.impacts import KINDS
from spillover.effects.kernel import EffectKernel, Sums
from spillover.errors import EstimationError, OptionError, show_labels
from spillover.inference.delta import delta_method
from spillover.inference.estimates import Estimates
from spillover.models.result import SpatialFit
from spillover.moderators.columns import Column
from spillover.typing import FloatArray

Where: TypeAlias = Literal["all", "receiver", "sender"]
OWN_DIRECT, LAG_DIRECT, OWN_TOTAL, LAG_TOTAL, RETURNED = range(5)


@dataclass(frozen=True, eq=False)
class Level:
    """One effect to be computed: of `variable`, `kind` "direct", "indirect" or "total", at centred `values`."""

    variable: str
    kind: str
    values: Mapping[str, float]
    where: Where = "all"


@dataclass(frozen=True, eq=False)
class EffectSums:
    """The five sums and their slopes in each ρ: tr U/n, tr UW/n, ι'Uι/n, ι'UWι/n, Σ U_ii (Wι)_i/n with U = S^{-1}.

    rho : another strength than the estimated one, for a fit with one lag of the outcome.
    """

    fit: SpatialFit
    rho: float | None = None

    @cached_property
    def kernel(self) -> EffectKernel:
        """U and UW of the fit, W x or not."""
        rhos = None if self.rho is None else np.array([self.rho])
        if self.fit.roles.regressors is None or self.fit.design.neighbour:
            return EffectKernel(self.fit, rhos)
        # The kernel asks the design whether W_x matters; here it does, in columns that are interactions only.
        design = replace(self.fit.design, neighbour={"W": 0})
        return EffectKernel(replace(self.fit, point=replace(self.fit.point, design=design)), rhos)

    @cached_property
    def values(self) -> tuple[FloatArray, FloatArray]:
        """((5,) sums, (5, q) slopes)."""
        direct, total = self.kernel.direct, self.kernel.total
        returned, slope = self._returned(direct)
        values = [direct.own, direct.neighbour, total.own, total.neighbour, returned]
        slopes = [direct.own_slopes, direct.neighbour_slopes, total.own_slopes, total.neighbour_slopes, slope]
        return np.array(values), np.array(slopes).reshape(5, -1)

    def _returned(self, direct: Sums) -> tuple[float, FloatArray]:
        rows = np.asarray(self.kernel.w_x.sum(axis=1)).ravel()
        if np.ptp(rows) <= 1e-10 * max(float(np.abs(rows).max()), 1e-300):
            return direct.own * float(rows[0]), direct.own_slopes * float(rows[0])
        diagonals = self.kernel.diagonals
        return float(diagonals.own @ rows) / rows.size, diagonals.own_slopes @ rows / rows.size


def effects_at_levels(
    fit: SpatialFit,
    columns: Sequence[Column],
    levels: Sequence[Level],
    names: Sequence[str],
    labels: Mapping[str, tuple[str, ...]] | None = None,
) -> Estimates:
    """Effects at chosen values of the moderators, jointly, with delta-method covariance.

    Units: outcome per unit of the regressor, averaged over the regions.
    """
    sums, slopes = EffectSums(fit).values
    count, q = len(levels), slopes.shape[1]
    return _delta(
        fit.estimates,
        columns,
        levels,
        np.repeat(sums[None], count, axis=0),
        np.repeat(slopes[None], count, axis=0),
        range(fit.design.k, fit.design.k + q),
        names,
        labels,
    )


def effects_at_strengths(
    fit: SpatialFit,
    estimates: Estimates,
    columns: Sequence[Column],
    levels: Sequence[Level],
    strengths: FloatArray,
    names: Sequence[str],
    labels: Mapping[str, tuple[str, ...]] | None = None,
) -> Estimates:
    """The same where ρ, too, is another one at each level: ρ_h = strengths_h · (ρ_1, …, ρ_K).

    Parameters
    ----------
    fit : the model with one ρ, for W and the regressors. estimates : with K coefficients of ρ last.
    strengths : (H, K).

    Raises
    ------
    EstimationError : a ρ_h outside the interval in which S is invertible.
    """
    count = strengths.shape[1]
    rhos = strengths @ estimates.values[-count:]
    low, high = fit.roles.outcome[0][1].engine.log_determinant.interval
    out = ~((rhos > low) & (rhos < high))
    if out.any():
        raise EstimationError(
            "the strength of the spillover would leave the stable region",
            got=show_labels(f"ρ = {rhos[h]:.3f} for {names[h]}" for h in map(int, np.flatnonzero(out))),
            expected=f"ρ between {low:.3f} and {high:.3f}",
            fix="ask for values inside the observed range",
        )
    found = {float(rho): EffectSums(fit, float(rho)).values for rho in np.unique(rhos)}
    sums = np.stack([found[float(rho)][0] for rho in rhos])
    slopes = np.stack([found[float(rho)][1] * row for rho, row in zip(rhos, strengths, strict=True)])
    size = estimates.values.size
    return _delta(estimates, columns, levels, sums, slopes, range(size - count, size), names, labels)


def _delta(
    estimates: Estimates,
    columns: Sequence[Column],
    levels: Sequence[Level],
    sums: FloatArray,
    slopes: FloatArray,
    rhos: range,
    names: Sequence[str],
    labels: Mapping[str, tuple[str, ...]] | None,
) -> Estimates:
    """From sums (H, 5) and their slopes (H, 5, q) in the parameters at positions `rhos`."""
    loads = np.array([_load(estimates, columns, level) for level in levels])  # (H, parameters, 5)

    def at(parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        gradient = np.einsum("hks,hs->hk", loads, sums)  # effects are linear in the slopes of the regressors
        values = gradient @ parameters
        if len(rhos):
            gradient[:, list(rhos)] = np.einsum("hks,k,hsq->hq", loads, parameters, slopes)
        return values, gradient

    return delta_method(at, estimates, tuple(names), labels)


def _load(estimates: Estimates, columns: Sequence[Column], level: Level) -> FloatArray:
    """(k + q, 5) loads of one effect."""
    if level.kind not in KINDS:
        raise OptionError("unknown effect", got=repr(level.kind), expected=", ".join(KINDS))
    loads = np.zeros((estimates.values.size, 5))
    for column in columns:
        if column.variable == level.variable:
            at = estimates.index(column.name)
            direct, total = _column_loads(column, level)
            loads[at] += direct if level.kind == "direct" else total if level.kind == "total" else total - direct
    return loads


def _column_loads(column: Column, level: Level) -> tuple[FloatArray, FloatArray]:
    """((5,) direct, (5,) total) loads of one coefficient."""
    direct, total = np.zeros(5), np.zeros(5)
    factor = 1.0 if not column.moderator else level.values.get(column.moderator, 0.0)
    near, whole = (OWN_DIRECT, OWN_TOTAL) if column.part == "own" else (LAG_DIRECT, LAG_TOTAL)
    if level.where == "all" or not column.moderator:
        direct[near], total[whole] = factor, factor
        return direct, total
    if column.side == "pair":
        raise OptionError(
            "a moderator of pairs of regions has no value of one region",
            got=f'where="{level.where}"',
            fix='use where="all": the value holds for every pair',
        )
    if column.side == "receiver":
        # diag(z)W has one row that is not zero: it never returns to where x rose, and only its own row receives.
        if level.where == "receiver":
            total[RETURNED] = factor
        return direct, total
    direct[near] = factor
    if level.where == "receiver":
        total[near] = factor
    else:
        total[whole] = factor
    return direct, total
