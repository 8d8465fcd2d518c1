"""What depends on ρ beyond the log-determinant, at a few nodes: operators of the score, sums of the effect matrix.

All of it is smooth in ρ and interpolated between Chebyshev nodes in u, ρ = middle + half·tanh u.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.numerics.engine import WeightsEngine
from spillover.numerics.within import Transformation
from spillover.typing import FloatArray

CELLS = 3_000_000
"""Numbers held at a time in one block of replications."""


@dataclass(frozen=True, eq=False)
class Sums:
    """(4, R) each: sum for β, sum for θ, and their slopes in ρ."""

    direct: FloatArray
    total: FloatArray


@dataclass(frozen=True, eq=False)
class Nodes:
    """Operators at K Chebyshev nodes in u, and everything the errors need of them.

    operators : (K, n, n) A = G.   diagonals : (K, n) of JGJ.   squares : (K, n, n) 2 H∘H off the diagonal.
    traces : (K, 2).   means : (K, 8) direct and total sums.
    """

    points: FloatArray
    middle: float
    half: float
    ends: tuple[float, float]
    operators: FloatArray
    diagonals: FloatArray
    squares: FloatArray
    traces: FloatArray
    means: FloatArray

    @classmethod
    def build(
        cls,
        engine: WeightsEngine,
        w: sp.csr_matrix,
        w_x: sp.csr_matrix | None,
        transformation: Transformation,
        low: float,
        high: float,
    ) -> Nodes:
        """Nodes for every ρ from low to high; w_x : W of the regressors, None where it is that of the outcome."""
        n = engine.n
        middle, half = (engine.bounds[0] + engine.bounds[1]) / 2.0, (engine.bounds[1] - engine.bounds[0]) / 2.0
        ends = np.clip([low, high], engine.log_determinant.interval[0], engine.log_determinant.interval[1])
        u = np.arctanh((ends - middle) / half)
        pad = 0.02 + 0.1 * (u[1] - u[0])
        u = np.clip([u[0] - pad, u[1] + pad], -np.arctanh(1 - 1e-6), np.arctanh(1 - 1e-6))
        count = int(np.clip(np.ceil(6 + 7 * (u[1] - u[0])), 7, 24))
        points = (u[0] + u[1]) / 2.0 + (u[1] - u[0]) / 2.0 * np.cos(np.pi * (2 * np.arange(count) + 1) / (2 * count))
        dense = w.toarray()
        dense_x = dense if w_x is None or w_x is w else w_x.toarray()
        centring = transformation.centring
        operators, diagonals = np.empty((count, n, n)), np.empty((count, n))
        squares, traces, means = np.empty((count, n, n)), np.empty((count, 2)), np.empty((count, 8))
        for i, point in enumerate(points):
            rho = middle + half * np.tanh(point)
            inverse = np.linalg.inv(np.eye(n) - rho * dense)
            g = dense @ inverse
            centred = centring.both(g)
            symmetric = (centred + centred.T) / 2.0
            operators[i], diagonals[i] = g, np.diag(symmetric)
            squares[i] = 2.0 * symmetric**2
            np.fill_diagonal(squares[i], 0.0)
            traces[i] = np.trace(centred), np.sum(centred * centred.T) + np.sum(centred**2)
            parts = (inverse, inverse @ dense_x)
            bent = [g @ part for part in parts]  # S^{-1}W commute
            means[i] = [
                *(np.trace(each) / n for each in (*parts, *bent)),
                *(each.sum() / n for each in (*parts, *bent)),
            ]
        held = (float(middle + half * np.tanh(u[0])), float(middle + half * np.tanh(u[1])))
        return cls(points, middle, half, held, operators, diagonals, squares, traces, means)

    def covers(self, low: float, high: float) -> bool:
        """Whether the nodes are for every ρ from low to high."""
        return self.ends[0] <= low and high <= self.ends[1]

    def shares(self, rho: FloatArray) -> FloatArray:
        """(R, K) Lagrange weights; NaN stays NaN."""
        u = np.arctanh((rho - self.middle) / self.half)
        k = len(self.points)
        angles = np.pi * (2 * np.arange(k) + 1) / (2 * k)
        weights = (-1.0) ** np.arange(k) * np.sin(angles)
        gap = u[:, None] - self.points
        exact = gap == 0.0
        gap[exact] = 1.0
        terms = weights / gap
        found = terms / terms.sum(axis=1, keepdims=True)
        rows = exact.any(axis=1)
        found[rows] = exact[rows]
        return found

    def sums(self, rho: FloatArray) -> Sums:
        """Averages of the effect matrix and their slopes at every ρ."""
        values = (self.shares(rho) @ self.means).T
        return Sums(values[:4], values[4:])

    def apply(self, share: FloatArray, values: FloatArray) -> FloatArray:
        """(R, n, t) G(ρ_r) e_r."""
        r, n, t = values.shape
        stacked = np.moveaxis(values, 0, 1).reshape(n, r * t)
        result = np.zeros((n, r, t))
        for k, operator in enumerate(self.operators):
            result += (operator @ stacked).reshape(n, r, t) * share[:, k][None, :, None]
        return np.ascontiguousarray(np.moveaxis(result, 1, 0))

    def off_diagonal(self, share: FloatArray, residuals: FloatArray) -> FloatArray:
        """(R,) 2 Σ_{i≠j} H_ij² (e_i'e_j)²."""
        r, n, _ = residuals.shape
        found = np.empty(r)
        flat = self.squares.reshape(len(self.squares), -1)
        for rows in chunks(r, n * n):
            products = residuals[rows] @ residuals[rows].transpose(0, 2, 1)
            each = (products**2).reshape(len(products), -1) @ flat.T  # (r, K)
            found[rows] = np.einsum("rk,rk->r", each, share[rows])
        return found


def chunks(count: int, cells: int) -> Iterator[slice]:
    """Slices of `count` replications of so many numbers each, `CELLS` at a time."""
    step = max(1, CELLS // max(cells, 1))
    return (slice(i, min(i + step, count)) for i in range(0, count, step))
