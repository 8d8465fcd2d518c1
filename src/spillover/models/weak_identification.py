"""Tests and confidence sets that rest on the moments alone: Hansen's J, Anderson–Rubin sets, exogeneity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import scipy.linalg
from scipy import optimize, stats

from spillover.errors import EstimationError
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.models.moments import (
    MomentSystem,
    cluster_sums,
    degrees_of_freedom,
    moment_covariance,
    orthonormalise,
    sample_factor,
    solve_moments,
)
from spillover.typing import FloatArray

Nuisance: TypeAlias = Literal["projection", "strong"]

GRID = 201
REFINED = 1e-8  # of the width of the grid: accuracy of the ends of a confidence set


def efficient_root(system: MomentSystem, residuals: FloatArray, kind: str) -> FloatArray:
    """Lower Cholesky factor of S = var(H'ε) at the residuals.

    Raises EstimationError when S is singular: more instruments than clusters.
    """
    try:
        root = scipy.linalg.cholesky(moment_covariance(system.basis, residuals, system, kind), lower=True)
    except np.linalg.LinAlgError:
        root = np.zeros((1, 1))
    size = np.abs(np.diag(root))
    if size.min() <= 1e-7 * size.max():
        raise EstimationError(
            "the covariance of the moments is singular",
            got=f"{system.basis.shape[1]} instruments (exogenous regressors included), {system.shape[0]} regions",
            expected="fewer instruments than clusters",
            fix='lower instrument_orders, or use covariance="hc1" for the weight',
        ) from None
    return np.asarray(root)


def overidentification(system: MomentSystem, residuals: FloatArray, kind: str) -> HypothesisTest | NotApplicable:
    """Sargan's test (homoskedastic), else Hansen's J at the efficient two-step estimate.

    residuals : (m,) of a consistent first step.
    """
    spare = system.basis.shape[1] - system.regressors.shape[1]
    robust = kind != "homoskedastic"
    name = "Hansen J" if robust else "Sargan"
    if spare == 0:
        return NotApplicable(name, "as many instruments as endogenous regressors: exactly identified")
    if kind == "cluster" and system.basis.shape[1] >= system.shape[0]:
        return NotApplicable(
            name, f"{system.basis.shape[1]} instruments and only {system.shape[0]} clusters: the weight is singular"
        )
    root = efficient_root(system, residuals, kind)
    target = system.basis.T @ system.outcome
    values, _ = solve_moments(system.gamma, target, root)
    gap = scipy.linalg.solve_triangular(root, target - system.gamma @ values, lower=True)
    return HypothesisTest.chi2(
        name,
        float(gap @ gap),
        df=spare,
        null="the instruments are uncorrelated with the errors (overidentifying restrictions hold)",
        reference="Hansen (1982, Econometrica 50:1029)" if robust else "Sargan (1958, Econometrica 26:393)",
        form=kind,
    )


@dataclass(frozen=True)
class ConfidenceSet:
    """All values of one parameter that an Anderson–Rubin test does not reject; valid with weak instruments.

    Attributes
    ----------
    intervals : closed pieces inside `searched`, in order; none when every value is rejected.
    unbounded : far values of either sign are not rejected: the instruments say nothing from afar.
    df : of the F distribution.
    """

    term: str
    level: float
    intervals: tuple[tuple[float, float], ...]
    searched: tuple[float, float]
    unbounded: bool
    df: tuple[int, float]
    method: str

    def __contains__(self, value: float) -> bool:
        return any(low <= value <= high for low, high in self.intervals)

    def sentence(self) -> str:
        """The set in words."""
        share = f"{100 * self.level:g} %"
        low, high = self.searched
        inside = f"[{low:.4g}, {high:.4g}]"
        if not self.intervals:
            return (
                f"The {share} set of {self.term} within {inside} is empty: every value is rejected, so the instruments "
                "or the specification are rejected, not only a value."
            )
        pieces = " or ".join(f"[{a:.4f}, {b:.4f}]" for a, b in self.intervals)
        if self.intervals == (self.searched,):
            return f"The {share} set of {self.term} is all of {inside}: the instruments do not inform about it."
        text = f"The {share} set of {self.term} is {pieces}"
        if any(end in self.searched for piece in self.intervals for end in piece):
            text += f", open at the end of the interval searched, {inside}"
        if self.unbounded:
            text += "; far values are not rejected either (weak instruments)"
        return text + "."


def anderson_rubin_set(
    system: MomentSystem,
    term: str,
    position: int,
    kind: str,
    searched: tuple[float, float],
    level: float = 0.95,
    nuisance: Nuisance = "projection",
) -> ConfidenceSet:
    """Confidence set of one endogenous coefficient by inverting the Anderson–Rubin test.

    Parameters
    ----------
    position : of the parameter among `system.endogenous`.
    searched : interval that is searched on a grid of 201 points, ends refined to 1e-8 of its width.

    The statistic is minimised over the other endogenous coefficients. nuisance="projection" compares it with F(q, ·)
    all the same: never too short. "strong" counts q less those coefficients: shorter, valid when they are strongly
    identified (see the conditional F).
    Source: Anderson & Rubin (1949); projection, Dufour & Taamouti (2005). Cost: one pass over the data, then O(q³)
    per value.
    """
    statistic = AndersonRubin(system, kind)
    q = system.excluded.shape[1]
    others = len(system.endogenous) - 1
    df1 = q - others if nuisance == "strong" else q
    df2 = degrees_of_freedom(system, kind, system.basis.shape[1])
    bound = float(stats.f.isf(1.0 - level, df1, df2)) * df1 / q
    profile = _Profile(statistic, len(system.endogenous), position)
    low, high = searched
    grid = np.linspace(low, high, GRID)
    inside = np.array([profile(value) <= bound for value in grid])
    width = REFINED * (high - low)

    def crossing(a: float, b: float) -> float:
        return float(optimize.brentq(lambda value: profile(value) - bound, a, b, xtol=width))

    intervals = []
    edges = np.flatnonzero(np.diff(inside.astype(int)))
    ends = [crossing(float(grid[i]), float(grid[i + 1])) for i in edges]
    starts = [low, *ends] if inside[0] else ends
    if inside[-1]:
        starts.append(high)
    intervals = [(starts[i], starts[i + 1]) for i in range(0, len(starts), 2)]
    if not intervals:
        intervals = _between_grid_points(profile, grid, bound, crossing)
    return ConfidenceSet(
        term=term,
        level=level,
        intervals=tuple(intervals),
        searched=searched,
        unbounded=bool(profile.from_afar() <= bound),
        df=(df1, df2),
        method=f"Anderson–Rubin, {kind}, F({df1}, {df2:g})"
        + ("" if not others else ", projection" if nuisance == "projection" else ", others strongly identified"),
    )


def _between_grid_points(
    profile: Callable[[float], float], grid: FloatArray, bound: float, crossing: Callable[[float, float], float]
) -> list[tuple[float, float]]:
    """A set narrower than the grid: the minimum between the neighbours of the best grid point."""
    best = int(np.argmin([profile(value) for value in grid]))
    a, b = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, grid.size - 1)])
    found = optimize.minimize_scalar(profile, bounds=(a, b), method="bounded", options={"xatol": 1e-10 * (b - a)})
    if found.fun > bound:
        return []
    return [(crossing(a, float(found.x)), crossing(float(found.x), b))]


class AndersonRubin:
    """c = (1, −b) → F statistic of "y − y₂b does not depend on the instruments", with its gradient.

    The tensor of all cross-products of scores is built once, so a value costs O(q² k² + q³) whatever the data.
    """

    def __init__(self, system: MomentSystem, kind: str) -> None:
        z, columns = system.excluded, system.partialled()
        q, width = z.shape[1], columns.shape[1]
        self.q = q
        self.slopes = z.T @ columns
        rest = columns - z @ self.slopes
        factor = sample_factor(system, kind, system.basis.shape[1])
        if kind == "homoskedastic":
            gram = rest.T @ rest / system.free
            tensor = np.einsum("ij,ab->iajb", np.eye(q), gram)
        else:
            scores = np.stack([cluster_sums(z * rest[:, [a]], system, kind) for a in range(width)], axis=2)
            flat = scores.reshape(scores.shape[0], -1)
            tensor = (flat.T @ flat).reshape(q, width, q, width)
        self.tensor = tensor * factor

    def __call__(self, c: FloatArray) -> float:
        """The statistic."""
        return self.with_gradient(c)[0]

    def with_gradient(self, c: FloatArray) -> tuple[float, FloatArray]:
        """(statistic, ∂/∂c): with S(c)a = g(c), g'S⁻¹g has the slope 2G'a − 2 [a'T a] c."""
        half = self.tensor @ c
        gap = self.slopes @ c
        try:
            pull = scipy.linalg.cho_solve(scipy.linalg.cho_factor(np.einsum("iaj,a->ij", half, c)), gap)
        except np.linalg.LinAlgError:
            return 0.0, np.zeros_like(c)  # a singular covariance cannot reject
        bend = pull @ np.einsum("iaj,j->ia", half, pull)
        return float(gap @ pull) / self.q, 2.0 * (self.slopes.T @ pull - bend) / self.q


class _Profile:
    """The statistic as a function of one coefficient, minimised over the others.

    Two starts: the minimum at the value before, and the least squares fit of the moments.
    """

    def __init__(self, statistic: AndersonRubin, endogenous: int, position: int) -> None:
        self.statistic = statistic
        self.fixed = position + 1
        self.free = [a for a in range(1, endogenous + 1) if a != self.fixed]
        self.last: FloatArray | None = None

    def __call__(self, value: float, outcome: float = 1.0) -> float:
        c = np.zeros(1 + len(self.free) + 1)
        c[0], c[self.fixed] = outcome, -value
        if not self.free:
            return self.statistic(c)

        def evaluate(others: FloatArray) -> tuple[float, FloatArray]:
            c[self.free] = others
            level, slope = self.statistic.with_gradient(c)
            return level, slope[self.free]

        slopes = self.statistic.slopes
        c[self.free] = 0.0
        starts = [np.linalg.lstsq(slopes[:, self.free], -slopes @ c, rcond=None)[0]]
        if self.last is not None:
            starts.append(self.last)
        found = [optimize.minimize(evaluate, start, jac=True, method="BFGS") for start in starts]
        best = min(found, key=lambda each: float(each.fun))
        self.last = np.asarray(best.x)
        return float(best.fun)

    def from_afar(self) -> float:
        """The limit as the coefficient grows without bound: "the instruments do not move this regressor"."""
        return self(1.0, outcome=0.0)


def exogeneity_test(
    system: MomentSystem, first_stage_residuals: FloatArray, tested: tuple[int, ...], kind: str
) -> HypothesisTest | NotApplicable:
    """Wald test that first-stage residuals of the endogenous regressors do not enter the equation.

    Parameters
    ----------
    first_stage_residuals : (m, r) v̂ of a, and W v̂, means removed.
    tested : positions in the regressors of a and W a, which are taken as exogenous once v̂ is in; W y stays
        instrumented.

    Under the null v̂ is not a generated regressor that matters, so ordinary errors hold. Hausman (1978); Wooldridge
    (2010, §6.3).
    """
    name = "exogeneity (control function)"
    rest = tuple(at for at in system.endogenous if at not in tested)
    inside = [j for j in range(system.regressors.shape[1]) if j not in rest]
    included, _, repeated = orthonormalise(np.column_stack([system.regressors[:, inside], first_stage_residuals]))
    if repeated:
        return NotApplicable(name, "the first-stage residuals are combinations of the regressors")
    excluded, _, _ = orthonormalise(system.excluded, included)
    if excluded.shape[1] < len(rest):
        return NotApplicable(name, "no instruments are left for W y once the first-stage residuals are in")
    k, r = system.regressors.shape[1], first_stage_residuals.shape[1]
    regressors = np.column_stack([system.regressors, first_stage_residuals])
    augmented = MomentSystem(
        regressors,
        system.outcome,
        np.column_stack([included, excluded]),
        included.shape[1],
        rest,
        system.transformation,
    )
    values, bread = solve_moments(augmented.gamma, augmented.basis.T @ augmented.outcome)
    cov = one_step_covariance(augmented, augmented.residuals(values), bread, kind)[k:, k:]
    gap = values[k:]
    return HypothesisTest.chi2(
        name,
        float(gap @ np.linalg.solve(cov, gap)),
        df=r,
        null="the regressors behind | are exogenous (their first-stage residuals do not enter)",
        reference="Hausman (1978, Econometrica 46:1251)",
        form=kind,
    )


def one_step_covariance(system: MomentSystem, residuals: FloatArray, bread: FloatArray, kind: str) -> FloatArray:
    """Covariance of two-stage least squares: (Q̂'Q̂)⁻¹ Q̂'ΩQ̂ (Q̂'Q̂)⁻¹, Q̂ = P_H Q."""
    k = system.regressors.shape[1]
    factor = sample_factor(system, kind, k)
    if kind == "homoskedastic":
        return bread * float(residuals @ residuals) / system.free * factor
    fitted = system.basis @ system.gamma
    sums = cluster_sums(fitted * residuals[:, None], system, kind)
    return np.asarray(bread @ (sums.T @ sums) @ bread * factor)
