"""Likelihood of S y = Zδ + effects + ε with S = I − Σ_k ρ_k B_k: the strength ρ of the spillover differs by region.

B_k = D_k W (the receiver's moderator) or W D_k (the sender's), D_k diagonal and constant in time, D_0 = I. Region
effects are removed exactly, since S does not change over time. So are period effects: with F'ι = 0

    F'y_t = Σ_k ρ_k F'B_k J y_t + F'Z_tδ + F'ε_t,    J = I − ιι'/n,

so the moderated lags are those of deviations from the period mean. What z does to a shock that all regions share,
ρ_1 z_i ȳ_t, is not a spillover; it stays in the error unless z × period effects (trends) take it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from spillover.models.likelihood import Solution, gaussian
from spillover.numerics.engine import DENSE_LIMIT
from spillover.numerics.varying import VaryingMultiplier, dense_stack
from spillover.typing import FloatArray

MOST_STEPS = 80


@dataclass(frozen=True, eq=False)
class StrengthLikelihood:
    """ℓ(ρ_1, …, ρ_K) with δ and σ² concentrated out.

    Attributes
    ----------
    products : (1 + K, 1 + K) cross-products of the residuals of y and of its K lags on Z.
    matrices : the B_k. m, t_star : effective observations and periods. compressed : period means are removed.
    """

    products: FloatArray
    matrices: tuple[sp.csr_matrix, ...]
    m: int
    t_star: int
    compressed: bool
    _last: dict[tuple[float, ...], VaryingMultiplier] = field(default_factory=dict)

    @cached_property
    def stack(self) -> FloatArray | None:
        """(K, n, n) the B_k as arrays, where n is small."""
        return dense_stack(self.matrices) if self.matrices[0].shape[0] <= DENSE_LIMIT else None

    @cached_property
    def reach(self) -> FloatArray:
        """(K, n) row sums of |B_k|."""
        return np.stack([np.asarray(abs(matrix).sum(axis=1)).ravel() for matrix in self.matrices])

    def at(self, rhos: FloatArray) -> VaryingMultiplier:
        """S^{-1} at ρ; the last one is kept, because ℓ and its slopes are asked for at the same point."""
        key = tuple(float(rho) for rho in rhos)
        if key not in self._last:
            self._last.clear()
            self._last[key] = VaryingMultiplier(self.matrices, rhos, self.compressed, self.stack)
        return self._last[key]

    def squares(self, rhos: FloatArray) -> float:
        """Residual sum of squares."""
        v = np.concatenate([[1.0], -rhos])
        return float(v @ self.products @ v)

    def value(self, rhos: FloatArray) -> float:
        """ℓ; −∞ where S is not admissible."""
        if not self.admits(rhos):
            return -np.inf
        return float(gaussian(self.squares(rhos), self.m)) + self.t_star * self.at(rhos).log_determinant()

    def admits(self, rhos: FloatArray) -> bool:
        """Whether the feedback dies out: spectral radius of Σ ρ_k B_k below one."""
        if float((np.abs(rhos) @ self.reach).max()) < 1.0:
            return True
        multiplier = self.at(rhos)
        if float(np.asarray(abs(multiplier.pull).sum(axis=1)).max()) < 1.0:
            return True
        return multiplier.spectral_radius() < 1.0 - 1e-9

    def slopes(self, rhos: FloatArray) -> tuple[FloatArray, FloatArray]:
        """((K,) ℓ', (K, K) ℓ'')."""
        v = np.concatenate([[1.0], -rhos])
        lean = (self.products @ v)[1:]
        q = float(v @ self.products @ v)
        first, second = self.at(rhos).derivatives()
        bend = self.m * (2.0 * np.outer(lean, lean) / q**2 - self.products[1:, 1:] / q)
        return self.m * lean / q + self.t_star * first, bend + self.t_star * second


def maximise_strength(likelihood: StrengthLikelihood, starts: list[FloatArray]) -> Solution:
    """Newton's steps from each start, halved until admissible and rising; the best of the ends."""
    climbs = [_climb(likelihood, start) for start in starts if likelihood.admits(start)]
    rhos, steps = max(climbs, key=lambda climb: likelihood.value(climb[0]))
    slope, bend = likelihood.slopes(rhos)
    scaled = float(np.sqrt(abs(slope @ np.linalg.solve(bend, slope))))
    at_bound = not likelihood.admits(rhos * (1.0 + 1e-4))
    converged = bool(scaled < 1e-5 and not at_bound and np.linalg.eigvalsh(bend)[-1] < 0)
    status = "converged" if converged else "the feedback no longer dies out" if at_bound else "did not converge"
    total = sum(count for _, count in climbs)
    return Solution(float("nan"), status, converged, at_bound, total, scaled, tuple(float(rho) for rho in rhos))


def _climb(likelihood: StrengthLikelihood, rhos: FloatArray) -> tuple[FloatArray, int]:
    best = likelihood.value(rhos)
    for step in range(MOST_STEPS):
        slope, bend = likelihood.slopes(rhos)
        values, vectors = np.linalg.eigh(bend)
        size = np.maximum(np.abs(values), 1e-8 * np.abs(values).max())
        move = vectors @ ((vectors.T @ slope) / size)
        if abs(float(slope @ move)) < 1e-16:
            return rhos, step
        share = 1.0
        while share > 1e-12:
            trial = rhos + share * move
            found = likelihood.value(trial)
            if found > best - 1e-12 * abs(best) * (share == 1.0 and abs(float(slope @ move)) < 1e-6):
                break
            share /= 2.0
        else:
            return rhos, step
        rhos, best = trial, found
    return rhos, MOST_STEPS


@dataclass(frozen=True, eq=False)
class Stability:
    """Whether the moderated feedback dies out.

    Attributes
    ----------
    largest : largest |ρ_i| ‖W‖ over regions, ‖W‖ the largest row sum; below 1 is sufficient.
    spectral_radius : of Σ ρ_k B_k; below 1 is necessary and sufficient.
    strongest : region with the largest |ρ_i|.
    """

    largest: float
    spectral_radius: float
    strongest: str

    @cached_property
    def is_certain(self) -> bool:
        """Whether the sufficient condition holds: no region's own strength reaches one."""
        return self.largest < 1.0
