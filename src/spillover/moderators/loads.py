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
from spillover.errors import OptionError
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
    """The five sums and their slopes in each ρ: tr U/n, tr UW/n, ι'Uι/n, ι'UWι/n, Σ U_ii (Wι)_i/n with U = S^{-1}."""

    fit: SpatialFit

    @cached_property
    def kernel(self) -> EffectKernel:
        """U and UW of the fit, W x or not."""
        if self.fit.roles.regressors is None or self.fit.design.neighbour:
            return EffectKernel(self.fit)
        # The kernel asks the design whether W_x matters; here it does, in columns that are interactions only.
        design = replace(self.fit.design, neighbour={"W": 0})
        return EffectKernel(replace(self.fit, point=replace(self.fit.point, design=design)))

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
    loads = np.array([_load(fit, columns, level) for level in levels])  # (H, k + q, 5)
    first, q = fit.design.k, slopes.shape[1]

    def at(parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        gradient = loads @ sums  # (H, k + q): effects are linear in the slopes
        values = gradient @ parameters
        if q:
            gradient[:, first : first + q] = np.einsum("hks,k,sq->hq", loads, parameters, slopes)
        return values, gradient

    return delta_method(at, fit.estimates, tuple(names), labels)


def _load(fit: SpatialFit, columns: Sequence[Column], level: Level) -> FloatArray:
    """(k + q, 5) loads of one effect."""
    if level.kind not in KINDS:
        raise OptionError("unknown effect", got=repr(level.kind), expected=", ".join(KINDS))
    loads = np.zeros((fit.estimates.values.size, 5))
    for column in columns:
        if column.variable == level.variable:
            at = fit.estimates.index(column.name)
            direct, total = _column_loads(column, level)
            loads[at] = direct if level.kind == "direct" else total if level.kind == "total" else total - direct
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
