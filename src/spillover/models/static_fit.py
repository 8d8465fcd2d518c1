"""`StaticFit`: a fitted SAR, SDM, SLX or OLS whose effects or data the main estimator does not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.inference.estimates import Estimates
from spillover.models.columns import Columns
from spillover.models.covariance import SpatialTerm
from spillover.models.likelihood import Solution
from spillover.models.spec import Roles
from spillover.models.views import FitViews
from spillover.numerics.engine import WeightsEngine
from spillover.numerics.operators import GOperator
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class FittedPoint:
    """Where the likelihood is highest: residuals (n, t), σ², ρ and the engine of W (None without W y).

    completed : (n, t) outcome with missing cells at their mean given the observed ones; None when nothing is missing.
    """

    design: Columns
    residuals: FloatArray
    sigma2: float
    engine: WeightsEngine | None
    rho: float | None
    completed: FloatArray | None = None

    @property
    def terms(self) -> tuple[SpatialTerm, ...]:
        """The spatial parameters: ρ where the model has it."""
        if self.engine is None or self.rho is None:
            return ()
        return (SpatialTerm("rho", self.rho, GOperator(self.engine, self.rho), self.design.k + 1),)


@dataclass(frozen=True, eq=False, repr=False)
class StaticFit(FitViews):
    """A fitted model with the parts of a `SpatialFit` that effects, predictions and tables read.

    Attributes
    ----------
    title : what was fitted, in words.
    model : "ols", "slx", "sar" or "sdm".
    estimates : slopes (own, then W*), and `rho` last where the model has it.
    statistics : log_likelihood, sigma2, aic, bic, counts, … by name.
    weights : the W that was used, aligned to the panel; None for OLS.
    notes : what a careful reader should know about this fit.
    """

    title: str
    model: str
    estimates: Estimates
    statistics: Mapping[str, Any]
    solution: Solution | None
    weights: SpatialWeights | None
    point: FittedPoint
    notes: tuple[str, ...]

    @property
    def roles(self) -> Roles:
        """Which W lags the outcome and the regressors."""
        w = self.weights
        if w is None:
            return Roles()
        return Roles((("W", w),) if self.point.engine is not None else (), w if self.design.neighbour else None)

    @property
    def rho(self) -> float:
        """Coefficient of W y; 0 for models without it."""
        return self.point.rho or 0.0

    @property
    def outcome(self) -> FloatArray:
        """(n, t) outcome; missing cells hold their mean given the observed ones, at the estimates."""
        return self.design.y_raw if self.point.completed is None else self.point.completed

    def __repr__(self) -> str:
        n, t = self.design.shape
        return f"StaticFit: {self.title}, {self.design.formula.text}; {n} regions × {t} periods"


def fit_statistics(
    columns: Columns, loglik: float, sigma2: float, m: int, solution: Solution | None, engine: WeightsEngine | None
) -> dict[str, Any]:
    """Log-likelihood, information criteria and counts under the names that `SpatialFit.statistics` uses."""
    n, t = columns.shape
    parameters = columns.k + 1 + int(engine is not None)
    found: dict[str, Any] = {
        "log_likelihood": float(loglik),
        "sigma2": sigma2,
        "aic": float(-2.0 * loglik + 2.0 * parameters),
        "bic": float(-2.0 * loglik + parameters * np.log(m)),
        "n_regions": n,
        "n_periods": t,
        "n_observations": int(columns.observed.sum()),
        "n_effective": m,
        "n_parameters": parameters,
    }
    if solution is not None and engine is not None:
        found |= {
            "rho_lower": engine.bounds[0],
            "rho_upper": engine.bounds[1],
            "converged": solution.converged,
            "score": solution.score,
            "evaluations": solution.evaluations,
            "log_determinant": engine.log_determinant.method,
            "log_determinant_error": engine.log_determinant.error,
        }
    return found
