"""Likelihood of S y = Zδ + effects + ε with S = I − Σ_k ρ_k B_k: the strength ρ of the spillover differs by region.

B_k = D_k W (the receiver's moderator) or W D_k (the sender's), D_k diagonal and constant in time, D_0 = I. Region
effects are removed exactly, since S does not change over time. So are period effects: with F'ι = 0

    F'y_t = Σ_k ρ_k F'B_k J y_t + F'Z_tδ + F'ε_t,    J = I − ιι'/n,

so the moderated lags are those of deviations from the period mean. What is left out is ρ_k (B_kι)_i ȳ_t, the response
to a shock that all regions share. Where B_kι = z_k varies over the map in patches that term looks like a spillover, so
by default every period also loses the directions z and B_kι (z × period effects). No likelihood is exact then, because
S does not keep their span; ρ solves the score equations with the traces that make their expectation zero,
    (PB_ky)'e/σ² = T* tr PB_kS^{-1},  P = I − QQ',  Q a basis of ι, the z and the B_kι.
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
    removed: FloatArray | None = None
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
            self._last[key] = VaryingMultiplier(self.matrices, rhos, self.compressed, self.stack, self.removed)
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
        """((K,) score, (K, K) its derivatives): ℓ' and ℓ'' where there is a likelihood."""
        v = np.concatenate([[1.0], -rhos])
        lean = (self.products @ v)[1:]
        q = float(v @ self.products @ v)
        first, second = self.at(rhos).derivatives()
        bend = self.m * (2.0 * np.outer(lean, lean) / q**2 - self.products[1:, 1:] / q)
        return self.m * lean / q + self.t_star * first, bend + self.t_star * second


def maximise_strength(likelihood: StrengthLikelihood, starts: list[FloatArray]) -> Solution:
    """Newton's steps from each start: the highest end; or, without a likelihood, the end with the smallest score."""
    climb = _climb if likelihood.removed is None else _solve
    climbs = [climb(likelihood, start) for start in starts if likelihood.admits(start)]
    if likelihood.removed is None:
        rhos, _ = max(climbs, key=lambda end: likelihood.value(end[0]))
    else:
        rhos, _ = min(climbs, key=lambda end: _distance(*likelihood.slopes(end[0])))
    slope, bend = likelihood.slopes(rhos)
    scaled = _distance(slope, bend)
    at_bound = not likelihood.admits(rhos * (1.0 + 1e-4))
    falling = np.linalg.eigvalsh((bend + bend.T) / 2.0)[-1] < 0
    converged = bool(scaled < 1e-5 and not at_bound and falling)
    status = "converged" if converged else "the feedback no longer dies out" if at_bound else "did not converge"
    total = sum(count for _, count in climbs)
    return Solution(float("nan"), status, converged, at_bound, total, scaled, tuple(float(rho) for rho in rhos))


def _distance(slope: FloatArray, bend: FloatArray) -> float:
    """Distance to the root in standard errors."""
    return float(np.sqrt(abs(slope @ np.linalg.solve(bend, slope))))


def _solve(likelihood: StrengthLikelihood, rhos: FloatArray) -> tuple[FloatArray, int]:
    """Newton's steps to the root of the score, halved until admissible and nearer."""
    slope, bend = likelihood.slopes(rhos)
    for step in range(MOST_STEPS):
        before = _distance(slope, bend)
        if before < 1e-9:
            return rhos, step
        move, share = -np.linalg.solve(bend, slope), 1.0
        while share > 1e-8:
            trial = rhos + share * move
            if likelihood.admits(trial):
                slope, bend = likelihood.slopes(trial)
                if _distance(slope, bend) < before:
                    break
            share /= 2.0
        else:
            return rhos, step
        rhos = trial
    return rhos, MOST_STEPS


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
