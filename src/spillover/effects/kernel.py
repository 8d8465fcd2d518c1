"""The effect matrix M = S^{-1}(βI + θW_x), S = I − Σ ρ_k W_k, and its derivatives, for any W."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from spillover.numerics.engine import WeightsEngine
from spillover.numerics.joint import JointMultiplier
from spillover.numerics.multiplier import Multiplier
from spillover.typing import FloatArray

if TYPE_CHECKING:
    from spillover.models.result import SpatialFit

CHUNK = 512  # columns of M that are held at a time


@dataclass(frozen=True, eq=False)
class Sums:
    """Scalar sums of U = S^{-1} and V = S^{-1}W_x and of their derivatives in each ρ_k.

    Attributes
    ----------
    own, neighbour : value for U and for V.
    own_slopes, neighbour_slopes : (q,) derivatives, S^{-1}W_kU and S^{-1}W_kV.
    """

    own: float
    neighbour: float
    own_slopes: FloatArray
    neighbour_slopes: FloatArray


class EffectKernel:
    """U = S^{-1}, V = S^{-1}W_x and their derivatives, applied to chunks of columns."""

    def __init__(self, fit: SpatialFit, rhos: FloatArray | None = None) -> None:
        self.n = len(fit.design.regions)
        self.lags = tuple(w.matrix for _, w in fit.roles.outcome)
        estimated = np.array([term.value for term in fit.point.terms if term.lag_column is not None])
        self.rhos = estimated if rhos is None else rhos
        self.has_neighbours = bool(fit.design.neighbour) and fit.roles.regressors is not None
        empty = sp.csr_matrix((self.n, self.n))
        self.w_x = fit.roles.regressors.matrix if self.has_neighbours and fit.roles.regressors is not None else empty
        self.engine: WeightsEngine | None = fit.roles.outcome[0][1].engine if len(self.lags) == 1 else None
        shared = fit.roles.regressors is fit.roles.outcome[0][1] if self.lags else False
        self.one_w = len(self.lags) == 1 and (shared or not self.has_neighbours)
        self.stochastic = all(w.rows_sum_to_one for _, w in fit.roles.outcome) and (
            not self.has_neighbours or (fit.roles.regressors is not None and fit.roles.regressors.rows_sum_to_one)
        )

    def at(self, rhos: FloatArray) -> EffectKernel:
        """The same maps at other ρ; nothing of them is looked at again."""
        other = object.__new__(EffectKernel)
        fixed = ("n", "lags", "has_neighbours", "w_x", "engine", "one_w", "stochastic")
        other.__dict__.update({name: self.__dict__[name] for name in fixed}, rhos=rhos)
        return other

    @cached_property
    def multiplier(self) -> Multiplier | JointMultiplier | None:
        """S^{-1}; None when the outcome is not lagged."""
        if self.engine is not None:
            return self.engine.multiplier(float(self.rhos[0]))
        return JointMultiplier(self.lags, self.rhos) if self.lags else None

    def solve(self, right: FloatArray) -> FloatArray:
        """S^{-1} B."""
        return right if self.multiplier is None else self.multiplier.solve(right)

    def solve_transposed(self, right: FloatArray) -> FloatArray:
        """S^{-T} B."""
        return right if self.multiplier is None else self.multiplier.solve_transposed(right)

    def slope(self, k: int, values: FloatArray) -> FloatArray:
        """S^{-1} W_k B: the derivative of S^{-1} applied to what S^{-1} gave."""
        return self.solve(np.asarray(self.lags[k] @ values))

    # -- averages ---------------------------------------------------------------------------------

    @cached_property
    def direct(self) -> Sums:
        """tr/n: from the log-determinant's derivatives when one W serves both, else column by column."""
        q = len(self.lags)
        if q == 0:
            return Sums(1.0, 0.0, np.zeros(0), np.zeros(0))  # tr W = 0
        if self.one_w and self.engine is not None:
            rho = float(self.rhos[0])
            trace, square = self.engine.trace_g(rho) / self.n, self.engine.trace_g_squared(rho) / self.n
            # U = I + ρG, V = G; ∂G/∂ρ = G².
            return Sums(1.0 + rho * trace, trace, np.array([trace + rho * square]), np.array([square]))
        u = self.diagonals
        return Sums(
            float(u.own.mean()),
            float(u.neighbour.mean()),
            u.own_slopes.mean(axis=1),
            u.neighbour_slopes.mean(axis=1),
        )

    @cached_property
    def total(self) -> Sums:
        """ι'·ι/n by solves with ι; in closed form when all rows sum to one."""
        if self.stochastic:
            unit = 1.0 / (1.0 - float(self.rhos.sum()))
            slopes = np.full(len(self.lags), unit**2)
            return Sums(unit, unit if self.has_neighbours else 0.0, slopes, slopes * self.has_neighbours)
        rows = self.row_sums
        return Sums(
            float(rows.own.mean()),
            float(rows.neighbour.mean()),
            rows.own_slopes.mean(axis=1),
            rows.neighbour_slopes.mean(axis=1),
        )

    def weighted(self, shares: FloatArray) -> tuple[Sums, Sums]:
        """(direct, total) as averages over receivers with shares (n,) that sum to one."""
        return _average(self.diagonals, shares), _average(self.row_sums, shares)

    # -- by region --------------------------------------------------------------------------------

    @cached_property
    def row_sums(self) -> Vectors:
        """Uι, Vι and their derivatives: what a region gets when the regressor rises everywhere."""
        ones = np.ones(self.n)
        u = self.solve(ones)
        v = self.solve(np.asarray(self.w_x @ ones))
        return Vectors(
            u,
            v,
            np.array([self.slope(k, u) for k in range(len(self.lags))]).reshape(-1, self.n),
            np.array([self.slope(k, v) for k in range(len(self.lags))]).reshape(-1, self.n),
        )

    @cached_property
    def column_sums(self) -> Vectors:
        """U'ι, V'ι and their derivatives: what all get when the regressor rises in one region."""
        left = self.solve_transposed(np.ones(self.n))
        bent = [self.solve_transposed(np.asarray(matrix.T @ left)) for matrix in self.lags]
        return Vectors(
            left,
            np.asarray(self.w_x.T @ left),
            np.array(bent).reshape(-1, self.n),
            np.array([np.asarray(self.w_x.T @ b) for b in bent]).reshape(-1, self.n),
        )

    @cached_property
    def diagonals(self) -> Vectors:
        """Diagonals of U, V and of their derivatives; 2 + 2q solves per column, CHUNK columns at a time."""
        q = len(self.lags)
        own, neighbour = np.empty(self.n), np.empty(self.n)
        own_slopes, neighbour_slopes = np.empty((q, self.n)), np.empty((q, self.n))
        for start, unit in self.chunks():
            width = unit.shape[1]
            at, local = np.arange(start, start + width), np.arange(width)
            u, v = self.solve(unit), self.solve(np.asarray(self.w_x @ unit))
            own[at], neighbour[at] = u[at, local], v[at, local]
            for k in range(q):
                own_slopes[k, at] = self.slope(k, u)[at, local]
                neighbour_slopes[k, at] = self.slope(k, v)[at, local]
        return Vectors(own, neighbour, own_slopes, neighbour_slopes)

    def chunks(self) -> Iterator[tuple[int, FloatArray]]:
        """(first column, columns (n, c) of the identity)."""
        for start in range(0, self.n, CHUNK):
            width = min(CHUNK, self.n - start)
            unit = np.zeros((self.n, width), order="F")
            unit[np.arange(start, start + width), np.arange(width)] = 1.0
            yield start, unit


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors of U and V (n,) with derivatives (q, n)."""

    own: FloatArray
    neighbour: FloatArray
    own_slopes: FloatArray
    neighbour_slopes: FloatArray


def _average(vectors: Vectors, shares: FloatArray) -> Sums:
    return Sums(
        float(shares @ vectors.own),
        float(shares @ vectors.neighbour),
        vectors.own_slopes @ shares,
        vectors.neighbour_slopes @ shares,
    )
