"""The concentrated log-likelihood of SAR and SDM in ρ, and its maximiser.

With e0 = M_Z y, e1 = M_Z W y: q(ρ) = e0'e0 − 2ρ e0'e1 + ρ² e1'e1 and
ℓ(ρ) = −(m/2)[ln 2π + 1 + ln(q(ρ)/m)] + T* LD(ρ), LD = ln|I − ρW| (less ln(1 − ρ) when one unit
root of W is transformed away). Three numbers from the data; each evaluation costs O(1) beyond LD.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.numerics.engine import WeightsEngine
from spillover.typing import FloatArray

GRID = 48


@dataclass(frozen=True)
class Solution:
    """A maximum: value, status in words, function evaluations and scaled score."""

    value: float
    status: str
    converged: bool
    at_bound: bool
    evaluations: int
    score: float


@dataclass(frozen=True, eq=False)
class ConcentratedLikelihood:
    """ℓ(ρ) from the residual cross-products (e0'e0, e0'e1, e1'e1), m observations and T* copies of LD."""

    products: FloatArray
    m: int
    t_star: int
    engine: WeightsEngine
    drops_unit_root: bool

    @property
    def interval(self) -> tuple[float, float]:
        """The closed interval of ρ that is searched."""
        return self.engine.log_determinant.interval

    def value(self, rho: FloatArray | float) -> FloatArray:
        """ℓ(ρ), elementwise."""
        grid = np.asarray(rho, dtype=float)
        logdet = self.engine.log_determinant.value(grid)
        if self.drops_unit_root:
            logdet = logdet - np.log1p(-grid)
        q = self._squares(grid)
        return np.asarray(-0.5 * self.m * (np.log(2 * np.pi) + 1.0 + np.log(q / self.m)) + self.t_star * logdet)

    def slopes(self, rho: float) -> tuple[float, float]:
        """(ℓ', ℓ'')."""
        first, second = self.engine.log_determinant.derivatives(rho)
        if self.drops_unit_root:
            first += 1.0 / (1.0 - rho)
            second += 1.0 / (1.0 - rho) ** 2
        cross, square = self.products[0, 1], self.products[1, 1]
        q = float(self._squares(rho))
        lean = cross - rho * square
        return (
            self.m * lean / q + self.t_star * first,
            self.m * (-square / q + 2.0 * lean**2 / q**2) + self.t_star * second,
        )

    def _squares(self, rho: FloatArray | float) -> FloatArray:
        p = self.products
        return np.asarray(p[0, 0] - 2.0 * rho * p[0, 1] + rho * np.asarray(rho) * p[1, 1])


def maximise(likelihood: ConcentratedLikelihood) -> Solution:
    """The global maximum of ℓ(ρ): a grid for the bracket, then Newton steps kept inside it by bisection.

    ℓ can have two maxima for dense W with few regions, hence the grid.
    """
    low, high = likelihood.interval
    angles = np.cos(np.pi * (np.arange(GRID) + 0.5) / GRID)[::-1]
    grid = np.concatenate([[low], (low + high) / 2 + (high - low) / 2 * angles, [high]])
    values = likelihood.value(grid)
    best = int(np.nanargmax(values))
    if best in (0, grid.size - 1):
        end = float(grid[best])
        return Solution(end, f"the likelihood is still rising at ρ = {end:.4f}", False, True, grid.size, np.nan)
    low, high, rho = float(grid[best - 1]), float(grid[best + 1]), float(grid[best])
    score, bend = likelihood.slopes(rho)
    evaluations = grid.size + 1
    for _ in range(60):
        low, high = (rho, high) if score > 0 else (low, rho)
        newton = rho - score / bend if bend < 0 else np.inf
        step = newton if low < newton < high else 0.5 * (low + high)
        moved = abs(step - rho)
        rho = step
        score, bend = likelihood.slopes(rho)
        evaluations += 1
        if moved < 1e-14 or abs(score) < 1e-9 * np.sqrt(abs(bend)):
            break
    scaled = abs(score) / np.sqrt(max(-bend, 1e-300))
    converged = bool(scaled < 1e-6 and bend < 0)
    return Solution(rho, "converged" if converged else "did not converge", converged, False, evaluations, float(scaled))
