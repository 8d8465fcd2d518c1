"""`fit`: Panel + SpatialWeights + ModelSpec → SpatialFit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from spillover.errors import (
    AssumptionWarning,
    OptionError,
    WeakIdentificationWarning,
    show_labels,
)
from spillover.models.columns import least_squares
from spillover.models.covariance import Point, SpatialTerm
from spillover.models.design import Design, build_design
from spillover.models.groups import check_groups, describe_groups
from spillover.models.likelihood import (
    ConcentratedLikelihood,
    FilteredLikelihood,
    JointLikelihood,
    Solution,
    check_solution,
    check_variance,
    gaussian,
    log_determinant,
    maximise,
    maximise_filtered,
    maximise_joint,
)
from spillover.models.observed import observed_information
from spillover.models.result import SpatialFit, estimates_at
from spillover.models.spec import Groups, ModelSpec, Roles, assign_roles
from spillover.numerics.joint import JointMultiplier
from spillover.numerics.least_squares import Projection, project, triangle_of
from spillover.numerics.operators import FilteredOperator, GOperator, JointOperator
from spillover.numerics.threads import one_blas_thread
from spillover.panel.panel import Panel, Period
from spillover.typing import Correction, CovarianceName, Effects, FloatArray, ModelName
from spillover.weights.weights import SpatialWeights


def fit(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | Mapping[str, SpatialWeights] | None = None,
    *,
    model: ModelName = "sdm",
    effects: Effects | None = None,
    correction: Correction = "lee-yu",
    covariance: CovarianceName = "default",
    lagged: Sequence[str] | None = None,
    weights_x: SpatialWeights | None = None,
    weights_error: SpatialWeights | None = None,
    cutoff_km: float | None = None,
    time_lags: int | None = None,
    groups: Groups = None,
    segments: Mapping[Period, str] | Sequence[str] | None = None,
) -> SpatialFit:
    """Fit  y = ρ W y + X β + W X θ + effects + u,  u = λ W u + ε  by exact maximum likelihood.

    Parameters
    ----------
    formula : "log(patents) ~ log(lq) + log(rd)"; arithmetic of panel variables and log, exp, sqrt, lag, …
    panel : n regions × t periods.
    weights : W, aligned to the panel by region id or refused; a mapping of names to several W gives the outcome
        several spatial lags (`weights_x`, `weights_error` must then be named where the model needs them).
    model : "ols", "slx", "sar", "sdm", "sem", "sdem", "sac" or "gns".
    effects : "none", "individual", "time", "two-way"; two-way for panels and none for cross-sections by default.
    correction : "lee-yu" counts (n − 1) and (t − 1) where means are removed; "none" counts n and t.
    covariance : "default" or a name of `ModelSpec`.
    lagged : regressors that also enter as W x; all by default.
    weights_x, weights_error : another W for the regressors or the error.
    cutoff_km, time_lags : of Conley's and Driscoll and Kraay's kernels.
    groups : column of `panel.groups`, or region → group (country, macro-region): period effects are then one per group
        and period. W y and W u need a W with links inside groups only (`within_groups`), rows of sum one.
    segments : period → name of its segment, or t names: region effects are then one per region and segment.

    Returns
    -------
    SpatialFit, always with finite numbers.

    Raises
    ------
    AlignmentError : the ids of W and of the panel differ.
    MissingCellError, ValueDomainError, FormulaError : from the formula and the data.
    DesignError : constant or collinear columns (named), too few observations, groups of one region, a W in which ρ
        cannot be told from a scale (all groups complete and of one size, Lee 2007).
    WeightsError : W crosses groups (with examples).
    EstimationError : the maximum is at the bound of ρ or λ, or was not found.

    Cost: one QR of (n t, k + 2) columns (twice as many with a spatial error), then O(1) per trial value; W is prepared
    once per W. Groups cost O(Σ n_g³) more.
    Sources: Lee & Yu (2010), J. Econometrics 154:165, group by group; Lee (2007), J. Econometrics 140:333; LeSage &
    Pace (2009).
    """
    spec = ModelSpec.of(
        panel,
        formula,
        model=model,
        effects=effects,
        correction=correction,
        covariance=covariance,
        lagged=lagged,
        cutoff_km=cutoff_km,
        time_lags=time_lags,
        groups=groups,
        segments=segments,
    )
    return fit_spec(spec, panel, weights, weights_x=weights_x, weights_error=weights_error)


def fit_spec(
    spec: ModelSpec,
    panel: Panel,
    weights: SpatialWeights | Mapping[str, SpatialWeights] | None = None,
    *,
    weights_x: SpatialWeights | None = None,
    weights_error: SpatialWeights | None = None,
) -> SpatialFit:
    """`fit` for a ready `ModelSpec`."""
    check_kinds(panel, weights, weights_x, weights_error)
    roles = assign_roles(spec, panel.regions, weights, weights_x, weights_error)
    cautions = check_groups(spec, panel, roles, lambda: _check_time_effects(spec, roles))
    engines = [w.engine for w in [*(w for _, w in roles.outcome), roles.error] if w is not None]
    if any(not engine.dense for engine in engines):
        with one_blas_thread():
            return _fit_aligned(spec, panel, roles, cautions)
    return _fit_aligned(spec, panel, roles, cautions)


def check_kinds(panel: object, weights: object, *others: object) -> None:
    """Arrays and frames have no region ids to align by: say how to make what is needed."""
    if not isinstance(panel, Panel):
        raise OptionError(
            "the data are not a Panel",
            got=type(panel).__name__,
            fix="spillover.read_panel(table, region=…, period=…) takes files and any data frame",
        )
    several = list(weights.values()) if isinstance(weights, Mapping) else [weights]
    for w in [*several, *others]:
        if w is not None and not isinstance(w, SpatialWeights):
            raise OptionError(
                "W is not a SpatialWeights",
                got=type(w).__name__,
                fix="spillover.weights.from_object(W, regions=[…]) takes arrays, frames, graphs and sparse matrices",
            )


def _fit_aligned(spec: ModelSpec, panel: Panel, roles: Roles, cautions: tuple[str, ...]) -> SpatialFit:
    design = build_design(spec, panel, roles)
    lags = _error_lags(design, roles)
    triangle = _triangle(design, lags)
    projection = _project(design, triangle)
    solution = _solve(design, roles, triangle, projection)
    parameters = np.array(solution.parameters if solution is not None else ())
    q = len(roles.outcome)
    rhos, lam = parameters[:q], float(parameters[q]) if roles.error is not None else 0.0
    if lags is not None:
        size = len(design.block)
        filtered = project(triangle[:, :size] - lam * triangle[:, size:], design.k)
        assert isinstance(filtered, Projection)
        projection = filtered
    coefficients = projection.coefficients[:, 0] - projection.coefficients[:, 1 : 1 + q] @ rhos
    block = design.block if lags is None else design.block - lam * lags
    residuals = block[design.k] - np.tensordot(rhos, block[design.k + 1 : design.k + 1 + q], axes=1)
    residuals = residuals - (block[: design.k].reshape(design.k, -1).T @ coefficients).reshape(design.shape)
    sigma2 = float(np.sum(residuals**2)) / design.transformation.m
    check_variance(sigma2, design.y_raw)
    terms = _spatial_terms(design, roles, rhos, lam)
    values = np.concatenate([coefficients, parameters])
    point = Point(
        design,
        block,
        residuals,
        projection.inverse_gram,
        sigma2,
        terms,
        observed_information(design, triangle, values, sigma2, roles) if solution is not None else None,
    )
    fitted = SpatialFit(
        spec=spec,
        estimates=estimates_at(spec, point, values, panel),
        statistics=_statistics(spec, point, roles, solution, projection),
        solution=solution,
        roles=roles,
        point=point,
        notes=(*cautions, *describe_groups(panel, spec, design.transformation), *_notes(spec, roles, design)),
        panel=panel,
    )
    return _warn_of_weak_identification(fitted)


def check_design(
    spec: ModelSpec,
    panel: Panel,
    weights: SpatialWeights | Mapping[str, SpatialWeights] | None = None,
) -> None:
    """Raise what `fit_spec` raises before it estimates: ids, missing cells, constant or collinear columns."""
    roles = assign_roles(spec, panel.regions, weights, None, None)
    check_groups(spec, panel, roles, lambda: _check_time_effects(spec, roles))
    design = build_design(spec, panel, roles)
    _project(design, _triangle(design, None))


def _error_lags(design: Design, roles: Roles) -> FloatArray | None:
    """(k + 1 + q, n, t) W_error of every column, demeaned; None without a spatial error."""
    if roles.error is None:
        return None
    lags = np.stack([roles.error.lag(column) for column in design.block])
    return design.transformation.remove_means(lags)


def _triangle(design: Design, lags: FloatArray | None) -> FloatArray:
    """Triangular factor of the columns, and of their error lags beside them."""
    if lags is None:
        return triangle_of(design.columns)
    both = np.concatenate([design.block, lags])
    return triangle_of(both.reshape(len(both), -1).T)


def _project(design: Design, triangle: FloatArray) -> Projection:
    return least_squares(triangle[:, : len(design.block)], design.terms)


def _solve(design: Design, roles: Roles, triangle: FloatArray, projection: Projection) -> Solution | None:
    if not roles.outcome and roles.error is None:
        return None
    transformation = design.transformation
    counts = (transformation.m, transformation.t_star)
    if len(roles.outcome) > 1:
        if roles.error is not None:
            raise OptionError(
                "several spatial lags of the outcome together with a spatial error are not identified in practice",
                fix="use model='sdm' or 'sar' with several W, or one W with model='sac' or 'gns'",
            )
        matrices = tuple(w.matrix for _, w in roles.outcome)
        likelihood = JointLikelihood(projection.residual_products, matrices, *counts, transformation.unit_roots)
        solution = maximise_joint(likelihood, np.array([w.engine.bounds[1] for _, w in roles.outcome]))
    elif roles.error is None:
        engine = roles.outcome[0][1].engine
        solution = maximise(
            ConcentratedLikelihood(projection.residual_products, *counts, engine, transformation.unit_roots)
        )
    else:
        size = design.k + 1 + len(roles.outcome)
        keep = [*range(size), *range(len(design.block), len(design.block) + size)]
        part = triangle[:, keep]
        lag = roles.outcome[0][1].engine if roles.outcome else None
        solution = maximise_filtered(
            FilteredLikelihood(
                part[:, :size],
                part[:, size:],
                design.k,
                *counts,
                roles.error.engine,
                lag,
                transformation.unit_roots,
            )
        )
    check_solution(solution)
    return solution


def _spatial_terms(design: Design, roles: Roles, rhos: FloatArray, lam: float) -> tuple[SpatialTerm, ...]:
    terms: list[SpatialTerm] = []
    error = GOperator(roles.error.engine, lam) if roles.error is not None else None
    if len(roles.outcome) == 1:
        inner = GOperator(roles.outcome[0][1].engine, float(rhos[0]))
        # B and G commute when both belong to one W, so the filter leaves G as it is.
        shared = error is None or error.engine is inner.engine
        operator = inner if shared or error is None else FilteredOperator(inner, error)
        terms.append(SpatialTerm("rho", float(rhos[0]), operator, design.k + 1))
    elif roles.outcome:
        joint = JointMultiplier(tuple(w.matrix for _, w in roles.outcome), rhos)
        terms += [
            SpatialTerm(name, float(rho), JointOperator(joint, i), design.k + 1 + i)
            for i, (name, rho) in enumerate(zip(roles.rho_names, rhos, strict=True))
        ]
    if error is not None:
        terms.append(SpatialTerm("lambda", lam, error, None))
    return tuple(terms)


def _check_time_effects(spec: ModelSpec, roles: Roles) -> None:
    """The exact transformation of time effects needs Wι = ι for every W of the outcome and of the error."""
    if not spec.has_period_effects:
        return
    for weights in [*(w for _, w in roles.outcome), *([roles.error] if roles.error is not None else [])]:
        if weights.rows_sum_to_one:
            continue
        if spec.correction == "lee-yu" or spec.has_spatial_error:
            causes = ["W is not row-standardised"]
            if weights.islands:
                causes = [f"islands were kept ({show_labels(weights.islands)}), their rows sum to 0"]
            raise OptionError(
                f"{spec.model} with {spec.effects} effects, exactly transformed, needs a W whose rows sum to one",
                got=f"standardisation {weights.standardisation!r}, row sums from "
                f"{weights.row_sums.min():.4g} to {weights.row_sums.max():.4g}",
                causes=causes,
                fix=("" if spec.groups is None else "use within_groups(weights, groups), which standardises, or ")
                + 'use weights.standardise("row"), effects="individual", model="slx", or, for sar and sdm, '
                'correction="none" (dummies; ρ then carries a bias of order 1/n)',
            )
        warnings.warn(
            "rows of W do not sum to one: with time effects as dummies the estimate of ρ has a bias of order 1/n",
            AssumptionWarning,
            stacklevel=3,
        )


def _log_likelihood(point: Point, roles: Roles) -> float:
    transformation = point.design.transformation
    roots, m = transformation.unit_roots, transformation.m
    total = float(gaussian(point.sigma2 * m, m))
    values = {term.name: term.value for term in point.terms}
    if len(roles.outcome) == 1:
        total += transformation.t_star * float(log_determinant(roles.outcome[0][1].engine, values["rho"], roots))
    elif roles.outcome:
        rhos = np.array([values[name] for name in roles.rho_names])
        joint = JointMultiplier(tuple(w.matrix for _, w in roles.outcome), rhos).log_determinant()
        total += transformation.t_star * (joint - (roots * np.log1p(-rhos.sum()) if roots else 0.0))
    if roles.error is not None:
        total += transformation.t_star * float(log_determinant(roles.error.engine, values["lambda"], roots))
    return total


def _statistics(
    spec: ModelSpec, point: Point, roles: Roles, solution: Solution | None, projection: Projection
) -> dict[str, float | int | str | bool | None]:
    design, transformation = point.design, point.design.transformation
    n, t = design.shape
    m, k = transformation.m, design.k
    loglik = _log_likelihood(point, roles)
    parameters = k + 1 + len(point.terms)
    total = design.y - design.y.mean()
    statistics: dict[str, float | int | str | bool | None] = {
        "log_likelihood": loglik,
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
    if spec.groups is not None:
        statistics["n_groups"] = len(transformation.groups or ())
    if spec.segments is not None:
        statistics["n_segments"] = len(transformation.segments or ())
    if solution is not None:
        statistics |= {
            "converged": solution.converged,
            "score": solution.score,
            "evaluations": solution.evaluations,
        }
    main = roles.outcome[0][1] if roles.outcome else roles.error
    if main is not None and solution is not None:
        name = "rho" if roles.outcome else "lambda"
        statistics |= {
            f"{name}_lower": main.engine.bounds[0],
            f"{name}_upper": main.engine.bounds[1],
            "log_determinant": main.engine.log_determinant.method,
            "log_determinant_error": main.engine.log_determinant.error,
        }
    return statistics


def _notes(spec: ModelSpec, roles: Roles, design: Design) -> tuple[str, ...]:
    notes = []
    n, _ = design.shape
    if spec.has_region_effects and spec.correction == "none":
        notes.append("Without the Lee–Yu transformation σ² is too small by about the factor (T − 1)/T.")
    if spec.resolved_covariance == "cluster" and n < 30:
        notes.append(f"Only {n} clusters: clustered errors are themselves uncertain below about 30 clusters.")
    if not spec.uses_weights:
        return tuple(notes)
    seen = []
    for w in [*(w for _, w in roles.outcome), roles.regressors, roles.error]:
        if w is not None and w not in seen:
            seen.append(w)
            if w.islands:
                notes.append(f"Islands were kept: {show_labels(w.islands, 20)}; their spatial lag is zero.")
            notes += [f"W: {note}" for note in w.notes]
    engines = {id(w.engine): w.engine for w in [*(w for _, w in roles.outcome), roles.error] if w is not None}
    notes += [engine.advice for engine in engines.values() if engine.advice]
    return tuple(notes)


def _warn_of_weak_identification(fitted: SpatialFit) -> SpatialFit:
    """SAC and GNS with one W: ρ and λ are told apart only by functional form; report their correlation."""
    roles = fitted.roles
    if not roles.outcome or roles.error is None or roles.outcome[0][1] is not roles.error:
        return fitted
    from spillover.models.covariance import information_covariance

    v = information_covariance(fitted.point)[-2:, -2:]
    correlation = float(v[0, 1] / np.sqrt(v[0, 0] * v[1, 1]))
    text = f"ρ and λ share one W and are weakly identified: the correlation of their estimates is {correlation:.3f}"
    warnings.warn(text, WeakIdentificationWarning, stacklevel=4)
    return fitted.with_note(text + ".", correlation_rho_lambda=correlation)
