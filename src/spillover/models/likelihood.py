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

from spillover.errors import EstimationError
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


def check_solution(solution: Solution) -> None:
    """Refuse an estimate at the bound of ρ or λ, or one that was not found."""
    if solution.converged and not solution.at_bound:
        return
    raise EstimationError(
        "the maximum of the likelihood is at the bound of its parameters: do not use it"
        if solution.at_bound
        else "the maximiser of the likelihood did not converge",
        got=solution.status,
        expected="a maximum inside the bounds that W sets on ρ and λ",
        causes=(
            "a common trend or shock that effects='none' leaves in the data",
            "an outcome that is nearly the mean of its neighbours by construction (interpolated or smoothed data)",
            "a dense W that makes W y nearly a period mean",
        ),
        fix="add time effects, use a sparser W, or an SLX model, which has neither ρ nor λ",
    )


def check_variance(sigma2: float, y: FloatArray) -> None:
    """Refuse an exact fit to the outcome y."""
    if not np.isfinite(sigma2) or sigma2 <= 1e-20 * float(np.mean(y**2)):
        raise EstimationError(
            "the regressors explain the outcome exactly; there is no error variance to estimate",
            causes=("the outcome (or a part of it) is among the regressors", "an accounting identity"),
            fix="check that no regressor is computed from the outcome",
        )


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


@dataclass(frozen=True, eq=False)
class JointLikelihood:
    """ℓ(ρ_1, …, ρ_K) of several lags of the outcome, on the component of ρ = 0 where S = I − Σ ρ_k W_k is invertible.

    Attributes
    ----------
    products : (1 + K, 1 + K) cross-products of the residuals of y and of its lags.
    """

    products: FloatArray
    matrices: tuple[sp.csr_matrix, ...]
    m: int
    t_star: int
    unit_roots: int

    def admits(self, rhos: FloatArray) -> bool:
        """Whether ρ lies in the component of 0; with a unit root taken out Σρ < 1 is that root's side."""
        if self.unit_roots and rhos.sum() >= 1.0:
            return False
        return JointMultiplier(self.matrices, rhos).is_admissible()

    def value(self, rhos: FloatArray) -> float:
        """ℓ at an admissible ρ."""
        v = np.concatenate([[1.0], -rhos])
        logdet = JointMultiplier(self.matrices, rhos).log_determinant()
        if self.unit_roots:
            logdet -= self.unit_roots * float(np.log1p(-rhos.sum()))
        return float(gaussian(v @ self.products @ v, self.m)) + self.t_star * logdet

    def slope(self, rhos: FloatArray) -> FloatArray:
        """(K,) ℓ'."""
        v = np.concatenate([[1.0], -rhos])
        joint = JointMultiplier(self.matrices, rhos)
        trace = np.array([joint.trace(k) for k in range(rhos.size)])
        if self.unit_roots:
            trace = trace - self.unit_roots / (1.0 - rhos.sum())
        return np.asarray(self.m * (self.products @ v)[1:] / (v @ self.products @ v) - self.t_star * trace)

    def bend(self, rhos: FloatArray, scale: FloatArray) -> FloatArray:
        """(K, K) ℓ'' by central differences of ℓ'."""
        steps = 1e-6 * np.diag(scale)
        rows = [(self.slope(rhos + d) - self.slope(rhos - d)) / (2.0 * d.sum()) for d in steps]
        return (np.array(rows) + np.array(rows).T) / 2.0


def maximise_joint(likelihood: JointLikelihood, scale: FloatArray) -> Solution:
    """Newton climbs from several starts; a step is halved until it is admissible and ℓ rises.

    scale : (K,) upper bounds of each ρ_k alone, so that multiplying a W by a constant changes nothing but its ρ.
    """
    count = scale.size
    starts = [np.zeros(count), 0.3 * scale / count, -0.2 * scale / count, *(0.5 * np.diag(scale))]
    climbs = [_climb_joint(likelihood, start, scale) for start in starts if likelihood.admits(start)]
    rhos = max((rhos for rhos, _ in climbs), key=likelihood.value)
    steps = sum(steps for _, steps in climbs)
    slope, bend = likelihood.slope(rhos), likelihood.bend(rhos, scale)
    scaled = float(np.sqrt(abs(slope @ np.linalg.solve(bend, slope))))
    at_bound = not likelihood.admits(rhos * (1.0 + 1e-4))
    converged = bool(scaled < 1e-4 and not at_bound and np.linalg.eigvalsh(bend)[-1] < 0)
    status = "converged" if converged else "S is close to singular" if at_bound else "did not converge"
    return Solution(float("nan"), status, converged, at_bound, steps, scaled, tuple(float(r) for r in rhos))


def _climb_joint(likelihood: JointLikelihood, rhos: FloatArray, scale: FloatArray) -> tuple[FloatArray, int]:
    """(a local maximum, Newton steps taken)."""
    value = likelihood.value(rhos)
    for steps in range(1, 61):
        slope, bend = likelihood.slope(rhos), likelihood.bend(rhos, scale)
        uphill = np.linalg.eigvalsh(bend)[-1] < 0
        move = -np.linalg.solve(bend, slope) if uphill else 0.1 * scale * np.sign(slope)
        share = 1.0
        while share > 1e-12:
            trial = rhos + share * move
            if likelihood.admits(trial) and (risen := likelihood.value(trial)) >= value:
                break
            share /= 2.0
        else:
            return rhos, steps
        rhos, value = trial, risen
        if float(np.abs(share * move / scale).max()) < 1e-11:
            return rhos, steps
    return rhos, 60
