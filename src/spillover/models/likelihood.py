"""Concentrated log-likelihoods and their maximisers.

With e0 = M_Z y and e1 = M_Z W y, q(ρ) = e0'e0 − 2ρ e0'e1 + ρ² e1'e1 and
ℓ(ρ) = −(m/2)[ln 2π + 1 + ln(q(ρ)/m)] + T* LD(ρ), LD = ln|I − ρW| (less ln(1 − ρ) for each unit
root of W that is transformed away): three numbers from the data, each evaluation costs O(1) beyond LD.

A spatial error filters every column with B = I − λW. One QR of the columns C and their lags W C gives a
triangle [R1 R2] with C − λWC = Q (R1 − λR2): each λ then costs a QR of a few rows, whatever n and t are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy import optimize

from spillover.numerics.engine import WeightsEngine
from spillover.numerics.joint import JointMultiplier
from spillover.numerics.least_squares import Projection, project
from spillover.typing import FloatArray

GRID = 48


@dataclass(frozen=True)
class Solution:
    """A maximum: value, status in words, function evaluations and scaled score.

    `value` is ρ where the model has one spatial lag, else λ, else nan for several lags; `parameters` holds all.
    """

    value: float
    status: str
    converged: bool
    at_bound: bool
    evaluations: int
    score: float
    parameters: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class ConcentratedLikelihood:
    """ℓ(ρ) from the residual cross-products (e0'e0, e0'e1, e1'e1), m observations and T* copies of LD."""

    products: FloatArray
    m: int
    t_star: int
    engine: WeightsEngine
    unit_roots: int

    @property
    def interval(self) -> tuple[float, float]:
        """The closed interval of ρ that is searched."""
        return self.engine.log_determinant.interval

    def value(self, rho: FloatArray | float) -> FloatArray:
        """ℓ(ρ), elementwise."""
        grid = np.asarray(rho, dtype=float)
        logdet = log_determinant(self.engine, grid, self.unit_roots)
        return np.asarray(gaussian(self._squares(grid), self.m) + self.t_star * logdet)

    def slopes(self, rho: float) -> tuple[float, float]:
        """(ℓ', ℓ'')."""
        first, second = determinant_slopes(self.engine, rho, self.unit_roots)
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


def gaussian(squares: FloatArray | float, m: int) -> FloatArray:
    """−(m/2)[ln 2π + 1 + ln(q/m)] for a residual sum of squares q."""
    return np.asarray(-0.5 * m * (np.log(2 * np.pi) + 1.0 + np.log(np.asarray(squares) / m)))


def log_determinant(engine: WeightsEngine, at: FloatArray | float, unit_roots: int) -> FloatArray:
    """ln|I − ρW|, less ln(1 − ρ) for each unit root that is transformed away."""
    value = engine.log_determinant.value(at)
    return value - unit_roots * np.log1p(-np.asarray(at)) if unit_roots else value


def determinant_slopes(engine: WeightsEngine, at: float, unit_roots: int) -> tuple[float, float]:
    """First and second derivative of `log_determinant`."""
    first, second = engine.log_determinant.derivatives(at)
    if unit_roots:
        unit = 1.0 / (1.0 - at)
        return first + unit_roots * unit, second + unit_roots * unit**2
    return first, second


def maximise(likelihood: ConcentratedLikelihood) -> Solution:
    """The global maximum of ℓ(ρ), located with a rough log-determinant where the exact one is expensive.

    A stochastic log-determinant is made more precise until its error does not matter here.
    """
    engine = likelihood.engine
    solution = _search(replace(likelihood, engine=engine.rough))
    if engine.rough is not engine:
        climb = _climb(likelihood, *likelihood.interval, solution.value, solution.evaluations)
        solution = _search(likelihood) if solution.at_bound or not climb.converged else climb
    if solution.converged:
        information = -likelihood.slopes(solution.value)[1]
        if not engine.is_precise(solution.value, information, likelihood.t_star):
            return maximise(likelihood)
    return solution


def _search(likelihood: ConcentratedLikelihood) -> Solution:
    """A grid for the bracket, because ℓ can have two maxima for dense W with few regions; then `_climb`."""
    grid = chebyshev_grid(likelihood.interval, GRID)
    values = likelihood.value(grid)
    best = int(np.nanargmax(values))
    if best in (0, grid.size - 1):
        end = float(grid[best])
        return Solution(end, f"the likelihood is still rising at ρ = {end:.4f}", False, True, grid.size, np.nan)
    return _climb(likelihood, float(grid[best - 1]), float(grid[best + 1]), float(grid[best]), grid.size)


def _climb(likelihood: ConcentratedLikelihood, low: float, high: float, rho: float, evaluations: int) -> Solution:
    """Newton steps from ρ, kept inside (low, high) by bisection."""
    score, bend = likelihood.slopes(rho)
    evaluations += 1
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
    status = "converged" if converged else "did not converge"
    return Solution(rho, status, converged, False, evaluations, float(scaled), (rho,))


def chebyshev_grid(interval: tuple[float, float], count: int) -> FloatArray:
    """`count` points that crowd towards the ends, and the ends."""
    low, high = interval
    angles = np.cos(np.pi * (np.arange(count) + 0.5) / count)[::-1]
    return np.concatenate([[low], (low + high) / 2 + (high - low) / 2 * angles, [high]])


@dataclass(frozen=True, eq=False)
class FilteredLikelihood:
    """ℓ of models with a spatial error, from the triangle [R1 R2] of columns (Z, y, W y) and of their lags.

    Attributes
    ----------
    plain, lagged : (r, k + 2) R1 and R2.
    k : number of regressors.
    error, lag : engines of λ and of ρ; lag None when the model has no W y.
    """

    plain: FloatArray
    lagged: FloatArray
    k: int
    m: int
    t_star: int
    error: WeightsEngine
    lag: WeightsEngine | None
    unit_roots: int

    def filtered(self, lam: float) -> Projection:
        """Least squares of (y, W y) on Z after filtering with λ."""
        projection = project(self.plain - lam * self.lagged, self.k)
        assert isinstance(projection, Projection)
        return projection

    def inner(self, lam: float) -> ConcentratedLikelihood | None:
        """ℓ(ρ) at this λ, or None without W y."""
        if self.lag is None:
            return None
        products = self.filtered(lam).residual_products
        return ConcentratedLikelihood(products, self.m, self.t_star, self.lag, self.unit_roots)

    def at(self, lam: float) -> tuple[float, float]:
        """(ℓ maximised over ρ, that ρ)."""
        determinant = self.t_star * float(log_determinant(self.error, lam, self.unit_roots))
        likelihood = self.inner(lam)
        if likelihood is None:
            return float(gaussian(self.filtered(lam).residual_products[0, 0], self.m)) + determinant, 0.0
        solution = maximise(likelihood)
        return float(likelihood.value(solution.value)) + determinant, solution.value

    def score(self, lam: float) -> float:
        """dℓ/dλ along the maximum over everything else (envelope): m r'(R2 v)/r'r − T* tr W(I − λW)^{-1}."""
        rho = self.at(lam)[1]
        projection = self.filtered(lam)
        last = np.array([1.0]) if self.lag is None else np.array([1.0, -rho])
        v = np.concatenate([-projection.coefficients @ last, last])
        residual = (self.plain - lam * self.lagged) @ v
        first = determinant_slopes(self.error, lam, self.unit_roots)[0]
        return float(self.m * (residual @ (self.lagged @ v)) / (residual @ residual) + self.t_star * first)


def maximise_filtered(likelihood: FilteredLikelihood) -> Solution:
    """The global maximum over (ρ, λ): a grid over λ with ρ profiled, then the root of the score inside the bracket.

    (ρ, λ) with one W is weakly identified and can have two maxima, hence a full grid over λ.
    """
    grid = chebyshev_grid(likelihood.error.log_determinant.interval, GRID)
    values = np.array([likelihood.at(float(lam))[0] for lam in grid])
    best = int(np.nanargmax(values))
    if best in (0, grid.size - 1):
        end = float(grid[best])
        return Solution(end, f"the likelihood is still rising at λ = {end:.4f}", False, True, grid.size, np.nan)
    low, high = float(grid[best - 1]), float(grid[best + 1])
    found = optimize.minimize_scalar(
        lambda lam: -likelihood.at(lam)[0], bounds=(low, high), method="bounded", options={"xatol": 1e-7}
    )
    lam = float(found.x)
    evaluations = grid.size + int(found.nfev)
    for width in (1e-5, 1e-4, 1e-3):  # polish on the score, whose sign change locates the maximum to machine accuracy
        left, right = max(low, lam - width), min(high, lam + width)
        if likelihood.score(left) > 0 > likelihood.score(right):
            lam = float(optimize.brentq(likelihood.score, left, right, xtol=1e-14))
            break
    score = likelihood.score(lam)
    step = 1e-5
    bend = (likelihood.score(lam + step) - likelihood.score(lam - step)) / (2 * step)
    scaled = abs(score) / np.sqrt(max(-bend, 1e-300))
    inner = likelihood.inner(lam)
    rho = None if inner is None else maximise(inner)
    converged = bool(scaled < 1e-5 and bend < 0 and (rho is None or rho.converged))
    at_bound = rho is not None and rho.at_bound
    status = rho.status if at_bound and rho is not None else "converged" if converged else "did not converge"
    parameters = (lam,) if rho is None else (rho.value, lam)
    return Solution(parameters[0], status, converged, at_bound, evaluations, float(scaled), parameters)


def maximise_joint(
    projection: Projection,
    m: int,
    t_star: int,
    matrices: tuple[sp.csr_matrix, ...],
    unit_roots: int,
) -> Solution:
    """Several lags of the outcome: ℓ(ρ_1, …, ρ_K) by SLSQP on Σ|ρ_k| < 1 from several starts.

    Σ|ρ_k| < 1 is sufficient for an invertible S when the rows of every W sum to at most one.
    """
    count = len(matrices)
    products = projection.residual_products

    def negative(rhos: FloatArray) -> float:
        v = np.concatenate([[1.0], -rhos])
        joint = JointMultiplier(matrices, rhos)
        # |·|: trial points may leave Σρ < 1 before the constraint brings them back.
        logdet = joint.log_determinant() - unit_roots * np.log(abs(1.0 - rhos.sum()))
        return -float(gaussian(v @ products @ v, m) + t_star * logdet)

    def slope(rhos: FloatArray) -> FloatArray:
        v = np.concatenate([[1.0], -rhos])
        joint = JointMultiplier(matrices, rhos)
        lean = (products @ v)[1:]
        trace = np.array([joint.trace(k) for k in range(count)]) - unit_roots / (1.0 - rhos.sum())
        return -(m * lean / (v @ products @ v) - t_star * trace)

    best = None
    evaluations = 0
    inside = {"type": "ineq", "fun": lambda r: 1.0 - 1e-6 - np.abs(r).sum()}
    for start in (0.0, 0.3 / count, -0.2 / count):
        found = optimize.minimize(
            negative, np.full(count, start), jac=slope, method="SLSQP", constraints=inside,
            bounds=[(-0.9999, 0.9999)] * count, options={"ftol": 1e-13, "maxiter": 300},
        )  # fmt: skip
        evaluations += int(found.nfev)
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    rhos = np.asarray(best.x)
    for _ in range(4):  # Newton on the analytic score: SLSQP stops on the function value
        step = 1e-6
        bend = np.array([(slope(rhos + step * d) - slope(rhos - step * d)) / (2 * step) for d in np.eye(count)])
        move = np.linalg.solve(bend, slope(rhos))
        if np.abs(rhos - move).sum() >= 1.0:
            break
        rhos = rhos - move
    at_bound = bool(np.abs(rhos).sum() > 1.0 - 1e-4)
    scaled = float(np.sqrt(abs(slope(rhos) @ np.linalg.solve(bend, slope(rhos)))))
    converged = bool(scaled < 1e-4 and not at_bound)
    status = "converged" if converged else "Σ|ρ| reached 1" if at_bound else "did not converge"
    return Solution(float("nan"), status, converged, at_bound, evaluations, scaled, tuple(float(r) for r in rhos))
