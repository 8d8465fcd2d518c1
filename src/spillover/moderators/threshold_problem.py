"""The arrays of a threshold search, its estimates value by value, and the profile of each threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spillover.errors import DesignError
from spillover.models.result import SpatialFit
from spillover.moderators.columns import Column
from spillover.moderators.threshold_columns import Switch, explain, extend_basis, thin
from spillover.moderators.threshold_objective import Objective, SumOfSquares, concentrated
from spillover.moderators.threshold_set import Threshold, error_ratio
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

LEAST_BETWEEN = 0.05
"""Share of the observations in a regime between two thresholds."""

EXACT_NUMBERS = 2_000_000_000  # multiplications of a search value by value, where running sums do not apply


@dataclass(frozen=True, eq=False)
class ThresholdProblem:
    """Arrays of one search: everything but γ.

    Attributes
    ----------
    null : the model without thresholds. columns : its regressors. switch : those that switch.
    basis : (n t, k) orthonormal basis of the regressors, demeaned.
    right : (n t, s) residuals of y (and W y) on the basis.
    objective : what is minimised over γ.
    """

    null: SpatialFit
    columns: Sequence[Column]
    switch: Switch
    basis: FloatArray
    right: FloatArray
    objective: Objective

    @classmethod
    def of(
        cls,
        null: SpatialFit,
        columns: Sequence[Column],
        chosen: Sequence[int],
        q: FloatArray,
        side: str,
        w: SpatialWeights | None,
        *,
        centred: bool = False,
    ) -> ThresholdProblem:
        design, transformation = null.design, null.design.transformation
        own = {column.variable: column.values for column in columns if column.part == "own"}
        late = [columns[i].part == "lag" and side == "sender" for i in chosen]
        raw = [own[columns[i].variable] if at else columns[i].values for i, at in zip(chosen, late, strict=True)]
        # Uncentred, c·1(q ≤ γ) jumps by c̄ at γ: the unit inside a logarithm would decide where the threshold is.
        if centred and _takes_up_a_constant(null):
            raw = [values - values.mean() for values in raw]
        switch = Switch(np.stack(raw), q, tuple(w if at else None for at in late), transformation)
        basis = np.linalg.qr(design.z)[0]
        last = design.k + (2 if null.roles.outcome else 1)
        right = design.columns[:, design.k : last]
        right = right - basis @ (basis.T @ right)
        objective: Objective = SumOfSquares(transformation.m)
        if null.roles.outcome:
            engine = null.roles.outcome[0][1].engine
            error = float(null.estimates.std_errors[null.estimates.index("rho")])
            counts = (transformation.m, transformation.t_star, transformation.unit_roots)
            objective = concentrated(engine, *counts, null.rho, error)
        return cls(null, columns, switch, basis, right, objective)

    @property
    def takes_up_a_constant(self) -> bool:
        """Whether effects or an intercept take up a constant among the regressors."""
        return _takes_up_a_constant(self.null)

    @property
    def products(self) -> FloatArray:
        """(s, s) residual cross-products without threshold."""
        return np.asarray(self.right.T @ self.right)

    def given(self, values: Sequence[float]) -> tuple[FloatArray, FloatArray]:
        """(basis, right) with thresholds at these values among the regressors."""
        if not values:
            return self.basis, self.right
        transformation = self.switch.transformation
        masked = np.concatenate([transformation.remove_means(self.switch.masked(value)) for value in values])
        basis = extend_basis(self.basis, masked.reshape(len(masked), -1).T)
        return basis, self.right - basis @ (basis.T @ self.right)

    def profile(self, candidates: FloatArray, others: Sequence[float]) -> tuple[FloatArray, FloatArray]:
        """(γ, objective) of one threshold beside others, where regimes are large enough."""
        looked_at = np.concatenate([candidates, np.array(others, dtype=float)])
        share = np.searchsorted(np.sort(self.switch.q, axis=None), looked_at, side="right") / self.switch.q.size
        apart = np.ones(candidates.size, dtype=bool)
        for other in share[candidates.size :]:
            apart &= np.abs(share[: candidates.size] - other) >= LEAST_BETWEEN - 1e-12
        allowed = np.asarray(candidates[apart])
        if not allowed.size:
            raise DesignError(
                "there is no room for another threshold: a regime would have too few observations",
                expected=f"at least {100 * LEAST_BETWEEN:g} % of the observations between two thresholds",
                fix="ask for fewer thresholds, or lower trim",
            )
        basis, right = self.given(others)
        explained = explain(self.switch, basis, right, allowed)
        found = self.objective.value(right.T @ right - explained.products)
        if not np.isfinite(found).all():  # sums of squares below rounding, of which there is no logarithm
            raise DesignError(
                "with a threshold the regressors give the outcome exactly: nothing is left to tell thresholds apart",
                causes=("an outcome computed from the regressors", "errors of less than a billionth of the outcome"),
                fix="take out what the outcome was computed from",
            )
        return allowed, found


def estimate_thresholds(problem: ThresholdProblem, candidates: FloatArray, count: int) -> list[float]:
    """Thresholds one after the other; then each again beside the others, until none moves (three rounds suffice)."""
    if not problem.switch.runs:
        candidates = thin(candidates, max(100, EXACT_NUMBERS // problem.basis.size))
    values: list[float] = []
    for _ in range(count):
        gammas, objective = problem.profile(candidates, values)
        values.append(float(gammas[np.argmin(objective)]))
    for _ in range(3 * (count > 1)):
        before = list(values)
        for i in range(count):
            others = values[:i] + values[i + 1 :]
            gammas, objective = problem.profile(candidates, others)
            values[i] = float(gammas[np.argmin(objective)])
        if values == before:
            break
    return sorted(values)


def describe_thresholds(
    problem: ThresholdProblem, candidates: FloatArray, values: Sequence[float], name: str, level: float, scaled: bool
) -> tuple[tuple[Threshold, ...], tuple[int, ...]]:
    """(thresholds with their profiles, observations in each regime)."""
    residuals, jumps = _solve(problem, values)
    variance = float(np.sum(residuals**2)) / problem.switch.transformation.m
    q = problem.switch.q
    found = []
    for i, value in enumerate(values):
        others = [*values[:i], *values[i + 1 :]]
        gammas, objective = problem.profile(candidates, others)
        ratio = objective - objective.min()
        if isinstance(problem.objective, SumOfSquares):
            ratio = ratio / variance
        eta2 = error_ratio(problem.switch, value, jumps[i], residuals)
        share = float(np.mean(q <= value))
        found.append(Threshold(name, value, share, gammas, ratio, eta2, level, scaled))
    edges = [-np.inf, *values, np.inf]
    counts = tuple(int(np.sum((q > low) & (q <= high))) for low, high in pairwise(edges))
    return tuple(found), counts


def _solve(problem: ThresholdProblem, values: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """(residuals (n, t), jumps (l, p)) of the model with thresholds at these values."""
    transformation = problem.switch.transformation
    masked = np.concatenate([transformation.remove_means(problem.switch.masked(value)) for value in values])
    basis, right = problem.given(values)
    rho = rho_at(problem, right.T @ right)
    residuals = right[:, 0] - (rho * right[:, 1] if right.shape[1] > 1 else 0.0)
    y = problem.right[:, 0] - (rho * problem.right[:, 1] if right.shape[1] > 1 else 0.0)
    columns = masked.reshape(len(masked), -1).T
    columns = columns - problem.basis @ (problem.basis.T @ columns)
    jumps = np.linalg.lstsq(columns, y, rcond=None)[0]
    return residuals.reshape(problem.switch.q.shape), jumps.reshape(len(values), problem.switch.p)


def rho_at(problem: ThresholdProblem, products: FloatArray) -> float:
    if isinstance(problem.objective, SumOfSquares):
        return 0.0
    return float(problem.objective.best_rho(products[None])[0])  # type: ignore[attr-defined]


def _takes_up_a_constant(fit: SpatialFit) -> bool:
    design = fit.design
    within = design.transformation
    return within.removes_regions or within.removes_periods or design.terms[0] == "(Intercept)"
