"""`fit`: Panel + SpatialWeights + ModelSpec → SpatialFit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from spillover.errors import AssumptionWarning, DesignError, EstimationError, OptionError, show_labels
from spillover.models.covariance import Point
from spillover.models.design import Design, build_design
from spillover.models.likelihood import ConcentratedLikelihood, Solution, maximise
from spillover.models.result import SpatialFit, estimates_at
from spillover.models.spec import ModelSpec
from spillover.numerics.engine import WeightsEngine
from spillover.numerics.least_squares import Collinearity, Projection, project
from spillover.numerics.threads import one_blas_thread
from spillover.panel.panel import Panel
from spillover.typing import Correction, CovarianceName, Effects, ModelName
from spillover.weights.weights import SpatialWeights


def fit(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    model: ModelName = "sdm",
    effects: Effects | None = None,
    correction: Correction = "lee-yu",
    covariance: CovarianceName = "default",
    lagged: Sequence[str] | None = None,
) -> SpatialFit:
    """Fit  y = ρ W y + X β + W X θ + effects + ε  by exact maximum likelihood (OLS and SLX: least squares).

    Parameters
    ----------
    formula : "log(patents) ~ log(lq) + log(rd)"; arithmetic of panel variables and log, exp, sqrt, lag, …
    panel : n regions × t periods.
    weights : W, aligned to the panel by region id or refused.
    model : "ols", "slx", "sar" or "sdm".
    effects : "none", "individual", "time", "two-way"; two-way for panels and none for cross-sections by default.
    correction : "lee-yu" counts (n − 1) and (t − 1) where means are removed; "none" counts n and t.
    covariance : "default", "information" or "cluster".
    lagged : regressors that also enter as W x; all by default.

    Returns
    -------
    SpatialFit, always with finite numbers.

    Raises
    ------
    AlignmentError : the ids of W and of the panel differ.
    MissingCellError, ValueDomainError, FormulaError : from the formula and the data.
    DesignError : constant or collinear columns (named), too few observations.
    EstimationError : the maximum is at the bound of ρ, or was not found.

    Cost: one QR of (n t, k + 2), then O(1) per trial ρ; W is prepared once per W.
    Source: Lee & Yu (2010), J. Econometrics 154:165; LeSage & Pace (2009).
    """
    spec = ModelSpec(
        formula=formula,
        model=model,
        effects=effects or ("two-way" if panel.shape[1] > 1 else "none"),
        correction=correction,
        covariance=covariance,
        lagged=None if lagged is None else tuple(lagged),
    )
    return fit_spec(spec, panel, weights)


def fit_spec(spec: ModelSpec, panel: Panel, weights: SpatialWeights | None = None) -> SpatialFit:
    """`fit` for a ready `ModelSpec`."""
    aligned = weights.align(panel.regions) if weights is not None and spec.uses_weights else None
    _check_time_effects(spec, aligned)
    if aligned is not None and spec.has_spatial_lag and not aligned.engine.dense:
        with one_blas_thread():
            return _fit_aligned(spec, panel, aligned)
    return _fit_aligned(spec, panel, aligned)


def _fit_aligned(spec: ModelSpec, panel: Panel, aligned: SpatialWeights | None) -> SpatialFit:
    design = build_design(spec, panel, aligned)
    projection = _project(design)
    engine = aligned.engine if aligned is not None and spec.has_spatial_lag else None
    solution = _solve(design, projection, engine)
    rho = None if solution is None else solution.value
    coefficients = projection.coefficients[:, 0] - (rho or 0.0) * projection.coefficients[:, 1]
    residuals = design.y - (rho or 0.0) * design.wy - design.fitted(coefficients)
    m = design.transformation.m
    sigma2 = float(np.sum(residuals**2)) / m
    if not np.isfinite(sigma2) or sigma2 <= 1e-20 * float(np.mean(design.y_raw**2)):
        raise EstimationError(
            "the regressors explain the outcome exactly; there is no error variance to estimate",
            causes=("the outcome (or a part of it) is among the regressors", "an accounting identity"),
            fix="check that no regressor is computed from the outcome",
        )
    point = Point(design, residuals, projection.inverse_gram, sigma2, engine, rho)
    values = coefficients if rho is None else np.append(coefficients, rho)
    return SpatialFit(
        spec=spec,
        estimates=estimates_at(spec, point, values),
        statistics=_statistics(spec, point, solution, projection),
        solution=solution,
        weights=aligned,
        point=point,
        notes=_notes(spec, aligned, design),
    )


def _project(design: Design) -> Projection:
    projection = project(design.columns, design.k)
    if isinstance(projection, Projection):
        return projection
    raise DesignError(
        "some regressors are exact combinations of others",
        got="; ".join(_combination(found, design.terms) for found in projection),
        causes=(
            "a full set of dummies or shares beside an intercept or effects",
            "the same variable in two units or under two names",
            "a W x that repeats what the effects or other regressors already say",
        ),
        fix="drop one regressor of each combination, or choose which are lagged in space with lagged=…",
    )


def _combination(found: Collinearity, terms: Sequence[str]) -> str:
    others = show_labels((terms[i] for i in found.of), 8)
    return f"{terms[found.column]!r} is a combination of {others}" if others else f"{terms[found.column]!r} is constant"


def _solve(design: Design, projection: Projection, engine: WeightsEngine | None) -> Solution | None:
    if engine is None:
        return None
    transformation = design.transformation
    likelihood = ConcentratedLikelihood(
        projection.residual_products, transformation.m, transformation.t_star, engine, transformation.drops_unit_root
    )
    solution = maximise(likelihood)
    if solution.at_bound or not solution.converged:
        low, high = engine.bounds
        raise EstimationError(
            "the maximum of the likelihood is at the bound of ρ: do not use it"
            if solution.at_bound
            else "the maximiser of the likelihood did not converge",
            got=solution.status,
            expected=f"a maximum inside ({low:.4f}, {high:.4f})",
            causes=(
                "a common trend or shock that effects='none' leaves in the data",
                "an outcome that is nearly the mean of its neighbours by construction (interpolated or smoothed data)",
                "a dense W that makes W y nearly a period mean",
            ),
            fix="add time effects, use a sparser W, or an SLX model, which has no ρ",
        )
    return solution


def _check_time_effects(spec: ModelSpec, weights: SpatialWeights | None) -> None:
    """The exact transformation of time effects needs Wι = ι when W y is in the model."""
    removes_periods = spec.effects in ("time", "two-way")
    if weights is None or not spec.has_spatial_lag or not removes_periods or weights.rows_sum_to_one:
        return
    if spec.correction == "lee-yu":
        causes = ["W is not row-standardised"]
        if weights.islands:
            causes = [f"islands were kept ({show_labels(weights.islands)}), their rows sum to 0"]
        raise OptionError(
            f"{spec.model} with {spec.effects} effects and the Lee–Yu transformation needs a W whose rows sum to one",
            got=f"standardisation {weights.standardisation!r}, row sums from "
            f"{weights.row_sums.min():.4g} to {weights.row_sums.max():.4g}",
            causes=causes,
            fix='use weights.standardise("row"), effects="individual", model="slx", or correction="none" '
            "(dummies; ρ then carries a bias of order 1/n)",
        )
    warnings.warn(
        "rows of W do not sum to one: with time effects as dummies the estimate of ρ has a bias of order 1/n",
        AssumptionWarning,
        stacklevel=3,
    )


def _statistics(
    spec: ModelSpec, point: Point, solution: Solution | None, projection: Projection
) -> dict[str, float | int | str | bool | None]:
    design, transformation = point.design, point.design.transformation
    n, t = design.shape
    m, k = transformation.m, design.k
    loglik = -0.5 * m * (np.log(2 * np.pi * point.sigma2) + 1.0)
    parameters = k + 1
    if solution is not None and point.engine is not None:
        logdet = float(point.engine.log_determinant.value(solution.value))
        loglik += transformation.t_star * (
            logdet - (np.log1p(-solution.value) if transformation.drops_unit_root else 0.0)
        )
        parameters += 1
    total = design.y - design.y.mean()
    statistics: dict[str, float | int | str | bool | None] = {
        "log_likelihood": float(loglik),
        "sigma2": point.sigma2,
        "sigma2_unbiased": float(np.sum(point.residuals**2)) / (transformation.free_observations - k),
        "aic": float(-2.0 * loglik + 2.0 * parameters),
        "bic": float(-2.0 * loglik + parameters * np.log(m)),
        "r_squared": float(1.0 - np.sum(point.residuals**2) / np.sum(total**2)),
        "n_regions": n,
        "n_periods": t,
        "n_observations": n * t,
        "n_effective": m,
        "n_parameters": parameters,
        "condition_number": projection.condition,
        "covariance": spec.resolved_covariance,
    }
    if solution is not None and point.engine is not None:
        statistics |= {
            "rho_lower": point.engine.bounds[0],
            "rho_upper": point.engine.bounds[1],
            "converged": solution.converged,
            "score": solution.score,
            "evaluations": solution.evaluations,
            "log_determinant": point.engine.log_determinant.method,
            "log_determinant_error": point.engine.log_determinant.error,
        }
    return statistics


def _notes(spec: ModelSpec, weights: SpatialWeights | None, design: Design) -> tuple[str, ...]:
    notes = []
    n, t = design.shape
    if spec.effects in ("individual", "two-way") and spec.correction == "none":
        notes.append("Without the Lee–Yu transformation σ² is too small by about the factor (T − 1)/T.")
    if weights is not None and weights.islands:
        notes.append(f"Islands were kept: {show_labels(weights.islands, 20)}; their spatial lag is zero.")
    if spec.resolved_covariance == "cluster" and n < 30:
        notes.append(f"Only {n} clusters: clustered errors are themselves uncertain below about 30 clusters.")
    if weights is not None:
        notes += [f"W: {note}" for note in weights.notes]
    return tuple(notes)
