"""Outcomes with missing cells: maximum likelihood of what is observed, with W on the whole map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import scipy.sparse as sp

from spillover.errors import DesignError, EstimationError, MissingCellError, OptionError, check_option, show_labels
from spillover.inference.estimates import Estimates
from spillover.models.columns import MODELS, Columns, build_columns
from spillover.models.likelihood import Solution, check_solution, check_variance
from spillover.models.missing_likelihood import ObservedLikelihood, Profile, maximise_observed, slopes_in_rho
from spillover.models.spec import usual_effects
from spillover.models.static_fit import FittedPoint, StaticFit, fit_statistics
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel
from spillover.typing import BoolArray, Effects, FloatArray
from spillover.weights.weights import SpatialWeights

MOST_MISSING = 4_000  # Λ is dense: 4,000² numbers are 0.13 GB


def fit_missing(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    model: str = "sdm",
    effects: Effects | None = None,
    lagged: Sequence[str] | None = None,
) -> StaticFit:
    """Fit a static model whose outcome has missing cells, with no region dropped and none filled.

    The missing outcomes are part of the map: neighbours receive from them, so dropping their regions would change W.
    They are integrated out of the Gaussian likelihood, which is then maximised directly; where nothing is missing the
    result is that of `fit`.

    Parameters
    ----------
    formula : outcome with NaN where it is missing; regressors complete.
    panel, weights : as in `fit`; W covers all regions, observed or not.
    model : "ols", "slx", "sar" or "sdm".
    effects : "none", "individual", "time" or "two-way" (default for panels).
    lagged : regressors that also enter as W x; all by default.

    Returns
    -------
    StaticFit with observed-information errors (independent, homoskedastic errors). `fit.outcome` holds the outcome
    with missing cells at their mean given the observed ones.

    Raises
    ------
    MissingCellError : a regressor has missing cells.
    DesignError : a region (region effects) or period (period effects) without any observed outcome; regions and
        periods that fall into parts with no observed cell in common.
    OptionError : time effects with a W whose rows do not sum to one.
    EstimationError : the maximum is at the bound of ρ; more than 4,000 missing cells.

    Assumes that outcomes are missing at random given X, the effects and the observed outcomes.
    Cost: about 35 Cholesky factors of (missing cells)².
    Sources: LeSage & Pace (2004), J. Real Estate Finance and Economics 29:233; Lee & Yu (2010).
    """
    check_option("model", model, MODELS)
    chosen: Effects = effects or usual_effects(panel)
    check_option("effects", chosen, get_args(Effects))
    transformation = Transformation(chosen, "lee-yu", *panel.shape)
    w = None if weights is None or model == "ols" else weights.align(panel.regions)
    columns = build_columns(
        formula, panel, w, model=model, transformation=transformation, lagged=lagged, missing_outcome=True
    )
    _check_rows(w if model in ("sar", "sdm") else None, transformation)
    _check_observed(columns, transformation)
    engine = w.engine if w is not None and model in ("sar", "sdm") else None
    likelihood = ObservedLikelihood(
        _filled(columns), columns.z_raw, ~columns.observed, transformation, engine, columns.terms
    )
    solution = None
    if engine is not None:
        solution = maximise_observed(likelihood, engine)
        check_solution(solution)
    profile = likelihood.at(0.0 if solution is None else solution.value)
    check_variance(profile.sigma2, profile.completed)
    rho = None if solution is None else solution.value
    return StaticFit(
        title=f"{model} with {chosen} effects, missing outcomes integrated out",
        model=model,
        estimates=_estimates(columns, likelihood, profile, solution),
        statistics=fit_statistics(columns, profile.loglik, profile.sigma2, likelihood.m, solution, engine)
        | {"n_missing": int((~columns.observed).sum())},
        solution=solution,
        weights=w,
        point=FittedPoint(columns, profile.residuals, profile.sigma2, engine, rho, profile.completed),
        notes=_notes(columns, w),
    )


def _filled(columns: Columns) -> FloatArray:
    """The outcome with its mean in missing cells: a starting value only, the result does not depend on it."""
    return np.where(columns.observed, columns.y_raw, np.nanmean(columns.y_raw))


def _check_rows(w: SpatialWeights | None, transformation: Transformation) -> None:
    if w is None or not transformation.removes_periods or w.rows_sum_to_one:
        return
    raise OptionError(
        "time effects with missing outcomes need a W whose rows sum to one",
        got=f"standardisation {w.standardisation!r}, row sums from {w.row_sums.min():.4g} to {w.row_sums.max():.4g}",
        fix='use weights.standardise("row"), or effects="individual"',
    )


def _check_observed(columns: Columns, transformation: Transformation) -> None:
    """Every region and period that has an effect needs an observed outcome, and two-way effects a connected table."""
    observed = columns.observed
    if np.isinf(columns.y_raw).any():
        raise MissingCellError("the outcome is infinite in some cells", fix="check for the log of zero")
    count = int((~observed).sum())
    if count > MOST_MISSING:
        raise EstimationError(
            "too many missing outcomes for the exact likelihood",
            got=f"{count} missing cells: {3 * count**2 * 8 / 2**30:.1f} GB",
            expected=f"at most {MOST_MISSING}",
            fix="drop the emptiest regions or periods with balanced_panel(panel, columns)",
        )
    lost = [columns.regions[i] for i in np.flatnonzero(~observed.any(axis=1))]
    gone = [columns.periods[j] for j in np.flatnonzero(~observed.any(axis=0))]
    if (transformation.removes_regions and lost) or (transformation.removes_periods and gone):
        names = [*(lost if transformation.removes_regions else []), *(gone if transformation.removes_periods else [])]
        raise DesignError(
            "regions or periods whose outcome is never observed have no effect of their own to estimate",
            got=show_labels(names),
            expected="at least one observed outcome in each",
            fix="drop them by name with panel.select(…) and weights.subset(…), or use other effects",
        )
    if transformation.effects == "two-way":
        _check_connected(columns, observed)
    if transformation.m - count < columns.k + 10:
        raise DesignError(
            "fewer observed outcomes than the model needs",
            got=f"{transformation.m - count} free observations for {columns.k} slopes",
            expected=f"at least {columns.k + 10}",
        )


def _check_connected(columns: Columns, observed: BoolArray) -> None:
    n, t = observed.shape
    table = sp.bmat([[None, sp.csr_matrix(observed)], [sp.csr_matrix(observed.T), None]])
    count, part = sp.csgraph.connected_components(table, directed=False)
    if count == 1:
        return
    smallest = int(np.argmin(np.bincount(part[:n], minlength=count)))
    regions = [columns.regions[i] for i in np.flatnonzero(part[:n] == smallest)]
    periods = [columns.periods[j] for j in np.flatnonzero(part[n:] == smallest)]
    raise DesignError(
        "two-way effects cannot be compared: some regions are observed only in periods in which no other region is",
        got=f"{count} parts; one of them is {show_labels(regions)} in {show_labels(periods)}",
        fix='drop that part, or use effects="individual"',
    )


def _estimates(
    columns: Columns, likelihood: ObservedLikelihood, profile: Profile, solution: Solution | None
) -> Estimates:
    """Inverse of the observed information, ρ last: V_ρρ = −1/ℓ'', V_δδ = σ²(Z̃'Z̃)^{-1} + δ'V_ρρδ''."""
    gram = profile.projection.inverse_gram
    if solution is None or likelihood.engine is None:
        free = likelihood.m - columns.k
        unbiased = profile.sigma2 * likelihood.m / free
        return Estimates(columns.terms, profile.slopes, gram * unbiased, float(free), "observed information")
    low, high = likelihood.engine.log_determinant.interval
    bend, lean = slopes_in_rho(likelihood, solution.value, high - low)
    k = columns.k
    covariance = np.empty((k + 1, k + 1))
    variance = -1.0 / bend
    covariance[:k, :k] = profile.sigma2 * gram + variance * np.outer(lean, lean)
    covariance[:k, k] = covariance[k, :k] = variance * lean
    covariance[k, k] = variance
    values = np.append(profile.slopes, solution.value)
    return Estimates((*columns.terms, "rho"), values, covariance, None, "observed information")


def _notes(columns: Columns, w: SpatialWeights | None) -> tuple[str, ...]:
    cells = np.argwhere(~columns.observed)
    notes = []
    if len(cells):
        named = (f"{columns.regions[i]} in {columns.periods[j]}" for i, j in cells)
        notes.append(
            f"{len(cells)} outcomes ({100 * len(cells) / columns.observed.size:.1f} %) are missing and integrated out, "
            f"assumed missing at random given the rest: {show_labels(named, 20)}."
        )
    if w is not None:
        notes += [f"W: {note}" for note in w.notes]
    return tuple(notes)
