"""The likelihood of the observed outcomes when some cells of y are missing and X is complete.

With P the within projector (J_T, J_n or both), S = I − ρW and A = P S restricted to the missing cells, the complete
data have the quadratic form ‖b + A y_m − P Z δ‖², Λ = A'A = P_mm − ρ(PW + W'P)_mm + ρ²(W'PW)_mm. Integrating y_m
out leaves

    ℓ(ρ, δ, σ²) = −(m_o/2) ln 2πσ² − q(ρ, δ)/2σ² + T* LD(ρ) − ½ ln|Λ(ρ)|,   m_o = n*T* − missing cells,

with q the least squares over y_m as well. Both δ and σ² concentrate out, so that one search over ρ finds the maximum
and no EM iterations are needed. The effects are integrated out flat in the reduced form, as in Lee & Yu (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy import optimize

from spillover.errors import EstimationError
from spillover.models.columns import least_squares
from spillover.models.likelihood import Solution, determinant_slopes, log_determinant
from spillover.numerics.engine import WeightsEngine
from spillover.numerics.least_squares import Projection
from spillover.numerics.within import Transformation
from spillover.typing import BoolArray, FloatArray

GRID = 24
STEP = 1e-3  # of the searched interval, for derivatives in ρ by Richardson's rule


@dataclass(frozen=True, eq=False)
class Profile:
    """Everything at one ρ: least squares, log-likelihood, its score, completed outcome and residuals (n, t)."""

    rho: float
    projection: Projection
    loglik: float
    score: float
    completed: FloatArray
    residuals: FloatArray
    sigma2: float

    @property
    def slopes(self) -> FloatArray:
        """(k,) δ at this ρ."""
        return self.projection.coefficients[:, 0]


@dataclass(frozen=True, eq=False)
class ObservedLikelihood:
    """ℓ(ρ) with δ, σ² and the missing outcomes concentrated out.

    Attributes
    ----------
    y : (n, t) outcome; missing cells hold any finite number.
    z : (k, n, t) regressors, not demeaned.
    missing : (n, t).
    engine : of W; None fixes ρ at 0.
    """

    y: FloatArray
    z: FloatArray
    missing: BoolArray
    transformation: Transformation
    engine: WeightsEngine | None
    terms: Sequence[str]

    @property
    def m(self) -> int:
        """Effective number of observed outcomes."""
        return self.transformation.m - int(self.missing.sum())

    @cached_property
    def _matrix(self) -> sp.csr_matrix:
        n = self.y.shape[0]
        return sp.csr_matrix((n, n)) if self.engine is None else self.engine.matrix

    @cached_property
    def _parts(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Λ's three (missing, missing) matrices: of 1, of −ρ and of ρ²."""
        regions, periods = np.nonzero(self.missing)
        n, t = self.y.shape
        kept, at = np.unique(regions, return_inverse=True)
        w = self._matrix[:, kept]
        within = w[kept].toarray()
        plain, first, second = np.eye(kept.size), within + within.T, (w.T @ w).toarray()
        if self.transformation.removes_periods:
            sums = np.asarray(w.sum(axis=0)).ravel()
            plain = plain - 1.0 / n
            first = first - (sums[None, :] + sums[:, None]) / n
            second = second - np.outer(sums, sums) / n
        time = (periods[:, None] == periods[None, :]) - (1.0 / t if self.transformation.removes_regions else 0.0)
        spread = np.ix_(at, at)
        return plain[spread] * time, first[spread] * time, second[spread] * time

    def at(self, rho: float) -> Profile:
        """The profile at ρ; O(missing³ + n t k²)."""
        plain, first, second = self._parts
        factor = self._factor(plain - rho * first + rho**2 * second)
        remove, w = self.transformation.remove_means, self._matrix
        block = np.stack([*self.z, self.y - rho * (w @ self.y)])
        block = remove(block)
        right = (block - rho * _lag(w.T, block))[:, self.missing]
        fill = np.zeros_like(block)
        solved = scipy.linalg.cho_solve(factor, right.T) if right.shape[1] else right.T
        fill[:, self.missing] = solved.T
        block -= remove(fill - rho * _lag(w, fill))
        projection = least_squares(block.reshape(len(block), -1).T, self.terms)
        slopes = projection.coefficients[:, 0]
        completed = self.y.copy()
        completed[self.missing] -= solved[:, -1] - solved[:, :-1] @ slopes
        q = float(projection.residual_products[0, 0])
        residuals = block[-1] - np.tensordot(slopes, block[:-1], axes=1)
        loglik = -0.5 * self.m * (np.log(2 * np.pi * q / self.m) + 1.0) - float(np.log(np.diag(factor[0])).sum())
        score = self.m * float(np.sum(residuals * (w @ completed))) / q
        if right.shape[1] and self.engine is not None:
            score -= 0.5 * float(
                np.sum(scipy.linalg.cho_solve(factor, np.eye(len(plain))) * (2 * rho * second - first))
            )
        level, slope = self._log_determinant(rho)
        t_star = self.transformation.t_star
        return Profile(
            rho, projection, loglik + t_star * level, score + t_star * slope, completed, residuals, q / self.m
        )

    def _factor(self, precision: FloatArray) -> tuple[FloatArray, bool]:
        try:
            return scipy.linalg.cho_factor(precision, lower=True) if precision.size else (precision, True)
        except np.linalg.LinAlgError:
            raise EstimationError(
                "the missing outcomes cannot be told from the effects",
                causes=("a region or period with almost no observed outcome",),
                fix="drop it with balanced_panel(panel, columns)",
            ) from None

    def _log_determinant(self, rho: float) -> tuple[float, float]:
        if self.engine is None:
            return 0.0, 0.0
        roots = self.transformation.unit_roots
        value = float(log_determinant(self.engine, rho, roots))
        return value, determinant_slopes(self.engine, rho, roots)[0]


def _lag(matrix: sp.csr_matrix, block: FloatArray) -> FloatArray:
    """W applied to the middle axis of (k, n, t)."""
    return np.stack([matrix @ values for values in block])


def maximise_observed(likelihood: ObservedLikelihood, engine: WeightsEngine) -> Solution:
    """The global maximum: a grid for the bracket, then the root of the score to machine accuracy."""
    low, high = engine.log_determinant.interval
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    inner = middle + half * np.cos(np.pi * (np.arange(GRID) + 0.5) / GRID)[::-1]
    grid = np.concatenate([[low], inner, [high]])
    values = np.array([likelihood.at(float(rho)).loglik for rho in grid])
    best = int(np.nanargmax(values))
    if best in (0, grid.size - 1):
        end = float(grid[best])
        return Solution(end, f"the likelihood is still rising at ρ = {end:.4f}", False, True, grid.size, np.nan)
    rho, report = optimize.brentq(
        lambda value: likelihood.at(value).score, grid[best - 1], grid[best + 1], xtol=1e-13, full_output=True
    )
    bend = slopes_in_rho(likelihood, float(rho), 2.0 * half)[0]
    scaled = abs(likelihood.at(float(rho)).score) / np.sqrt(max(-bend, 1e-300))
    converged = bool(scaled < 1e-6 and bend < 0)
    status = "converged" if converged else "did not converge"
    return Solution(float(rho), status, converged, False, grid.size + report.function_calls, float(scaled))


def slopes_in_rho(likelihood: ObservedLikelihood, rho: float, width: float) -> tuple[float, FloatArray]:
    """(ℓ''(ρ), dδ̂/dρ) by central differences of the exact score and of δ̂(ρ), with Richardson's correction."""
    step = min(STEP * width, 0.1 * (1.0 - rho)) if rho < 1.0 else STEP * width
    found = {j: likelihood.at(rho + j * step) for j in (-2, -1, 1, 2)}

    def derivative(values: dict[int, FloatArray]) -> FloatArray:
        near = (values[1] - values[-1]) / (2.0 * step)
        far = (values[2] - values[-2]) / (4.0 * step)
        return (4.0 * near - far) / 3.0

    bend = derivative({j: np.array([profile.score]) for j, profile in found.items()})
    return float(bend[0]), derivative({j: profile.slopes for j, profile in found.items()})
