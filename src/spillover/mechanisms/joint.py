"""Joint covariance of the estimates of several equations on one sample, from their stacked influence functions.

Estimate − truth ≈ B_e s_e in each equation e, with scores s_e and bread B_e. The scores of all equations are summed by
region (period, kernel) side by side, so that the covariance between equations follows from what their errors do
together: V_ef = B_e Ω_ef B_f'. The blocks on the diagonal are those of the single fits (docs/decisions/003).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np

from spillover.errors import check_option
from spillover.inference.estimates import Estimates
from spillover.models.covariance import Point, bread, group_scores, period_scores, region_scores, score_rows
from spillover.models.result import SpatialFit, distances_of
from spillover.models.robust import (
    bartlett_products,
    choose_lags,
    cluster_factor,
    few_slopes,
    near_products,
    wendland_kernel,
)
from spillover.typing import FloatArray

JointCovariance: TypeAlias = Literal["cluster", "cluster-group", "conley", "driscoll-kraay", "information"]
JOINT = get_args(JointCovariance)

METHODS = {
    "cluster": "clustered by region, jointly over the equations",
    "cluster-group": "clustered by group, jointly over the equations",
    "conley": "Conley, jointly over the equations",
    "driscoll-kraay": "Driscoll–Kraay, jointly over the equations",
    "information": "information matrices; errors of different equations taken as uncorrelated",
}


def joint_estimates(names: Sequence[str], fits: Sequence[SpatialFit], kind: str) -> Estimates:
    """All coefficients as "equation: term", with their joint covariance.

    Parameters
    ----------
    names : of the equations.
    fits : one per equation, on the same regions and periods, each with covariance `kind`.
    kind : "cluster" (by region), "cluster-group", "conley", "driscoll-kraay", or "information", which takes the
        equations as uncorrelated.
    """
    check_option("covariance", kind, JOINT)
    sizes = [fit.estimates.values.size for fit in fits]
    ends = np.cumsum([0, *sizes])
    covariance = np.zeros((ends[-1], ends[-1]))
    between = _between(fits, kind)
    for e, fit in enumerate(fits):
        rows = slice(ends[e], ends[e + 1])
        covariance[rows, rows] = fit.estimates.cov
        for f in range(e):
            columns = slice(ends[f], ends[f + 1])
            block = between[e, f]
            covariance[rows, columns], covariance[columns, rows] = block, block.T
    freedom = [fit.estimates.df for fit in fits if fit.estimates.df is not None]
    return Estimates(
        names=tuple(f"{name}: {term}" for name, fit in zip(names, fits, strict=True) for term in fit.estimates.names),
        values=np.concatenate([fit.estimates.values for fit in fits]),
        cov=covariance,
        df=min(freedom) if freedom else None,
        method=METHODS[kind],
    )


def _between(fits: Sequence[SpatialFit], kind: str) -> dict[tuple[int, int], FloatArray]:
    """Covariances between equations e > f."""
    pairs = [(e, f) for e in range(len(fits)) for f in range(e)]
    points = [fit.point for fit in fits]
    n, t = points[0].residuals.shape
    if kind == "information":
        return {(e, f): np.zeros((fits[e].estimates.values.size, fits[f].estimates.values.size)) for e, f in pairs}
    lags = choose_lags(fits[0].spec.time_lags, t) if t > 1 else 0
    kernel: FloatArray | None = None  # in time, of the pairs of regions that the scores of two ρ's share
    if kind == "driscoll-kraay":
        sums = [period_scores(point, score_rows(point)) for point in points]
        meats = {(e, f): bartlett_products(sums[e], sums[f], lags) for e, f in pairs}
    elif kind == "cluster-group":
        sums = [group_scores(point, point.design.transformation.groups or ()) for point in points]
        meats = {(e, f): sums[e].T @ sums[f] for e, f in pairs}
    elif kind == "cluster":
        sums, kernel = [region_scores(point) for point in points], np.ones((t, t))
        meats = {(e, f): sums[e].T @ sums[f] for e, f in pairs}
    else:
        cutoff = fits[0].spec.cutoff_km
        assert cutoff is not None
        near = wendland_kernel(distances_of(fits[0].panel)(cutoff), cutoff)
        rows = [score_rows(point) for point in points]
        meats = {(e, f): near_products(rows[e], rows[f], near, lags) for e, f in pairs}
        kernel = np.maximum(1.0 - np.abs(np.subtract.outer(np.arange(t), np.arange(t))) / (lags + 1), 0.0)
    maps = [bread(point) * np.sqrt(_factor(point, kind)) for point in points]
    for (e, f), meat in meats.items():
        if kernel is not None:
            _add_shared_pairs(meat, points[e], points[f], kernel)
    return {(e, f): maps[e] @ meat @ maps[f].T for (e, f), meat in meats.items()}


def _factor(point: Point, kind: str) -> float:
    """What the covariance of one equation is multiplied by for few clusters and many slopes."""
    n, t = point.residuals.shape
    transformation = point.design.transformation
    if kind == "cluster":
        return cluster_factor(transformation, point.k)
    if kind == "cluster-group":
        count = len(transformation.groups or ())
        return count / (count - 1) * few_slopes(transformation, point.k)
    return t / (t - 1) if kind == "driscoll-kraay" else n / (n - 1)


def _add_shared_pairs(meat: FloatArray, first: Point, second: Point, kernel: FloatArray) -> None:
    """Add 2 Σ_{i≠j} H_k,ij H_l,ij Σ_tu K(t, u) e_it e_jt f_iu f_ju, which the ρ-scores of two equations share.

    Its expectation is zero where the errors of the equations are uncorrelated; it is left out on maps that are too
    large for n × n work.
    """
    left, right = first.quadratic.matrices if first.terms else (), second.quadratic.matrices if second.terms else ()
    if not left or not right:
        return
    e, f = first.residuals, second.residuals
    if np.all(kernel == 1.0):
        products = (e @ e.T) * (f @ f.T)
    else:
        products = np.zeros((e.shape[0], e.shape[0]))
        for t, u in np.argwhere(kernel > 0.0):
            products += kernel[t, u] * np.outer(e[:, t], e[:, t]) * np.outer(f[:, u], f[:, u])
    np.fill_diagonal(products, 0.0)
    scale = 2.0 / (first.sigma2 * second.sigma2)
    for k, a in enumerate(left):
        for l, b in enumerate(right):
            meat[first.k + k, second.k + l] += scale * np.sum(a * b * products)
