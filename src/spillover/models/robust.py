"""Sandwich covariances: heteroskedasticity, clusters (regions, groups, two ways), Driscoll–Kraay, Conley.

Each returns the covariance of (δ, spatial) and the degrees of freedom of its t distribution.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from spillover.errors import AssumptionWarning, DesignError, OptionError
from spillover.models.covariance import (
    Point,
    add_off_diagonal,
    bread,
    check_definite,
    group_scores,
    period_scores,
    region_scores,
    score_rows,
)
from spillover.numerics.kernels import wendland
from spillover.numerics.within import Transformation
from spillover.typing import FloatArray

LEAST_GROUPS = 10


def cluster_covariance(point: Point) -> tuple[FloatArray, float]:
    """Clustered by region, t(n − 1): with few clusters the normal quantile is too short."""
    t = point.residuals.shape[1]
    rows = region_scores(point)
    meat = add_off_diagonal(point, rows.T @ rows, np.ones((t, t)))
    return _sandwich(point, meat) * cluster_factor(point.design.transformation, point.k), float(len(rows) - 1)


def cluster_factor(transformation: Transformation, k: int) -> float:
    """n/(n − G) · m/(m − k) of errors clustered by region: squared residuals are too small by about as much.

    G is the number of groups whose period means are removed, at least one: a mean of n_g regions takes 1/n_g of their
    variance with it, and regions do not nest in it. m are the free observations, k the slopes. Cameron & Miller (2015)
    discuss such factors.
    """
    return (
        transformation.n / (transformation.n - max(1, len(transformation.group_means))) * few_slopes(transformation, k)
    )


def few_slopes(transformation: Transformation, k: int) -> float:
    """m/(m − k)."""
    return transformation.free_observations / (transformation.free_observations - k)


def group_cluster_covariance(point: Point) -> tuple[FloatArray, float]:
    """Clustered by group, t(G − 1): any dependence inside a group; refused below ten groups.

    Factor G/(G − 1) · m/(m − k). The quadratic scores must link no two groups, so that the whole form of a group is one
    term.
    """
    groups = point.design.transformation.groups or ()
    count = len(groups)
    if count < LEAST_GROUPS:
        raise OptionError(
            "too few groups to cluster by group",
            got=f"{count} groups",
            expected=f"at least {LEAST_GROUPS}",
            fix='give groups=… with more groups, or use covariance="cluster" (by region)',
        )
    scores = group_scores(point, groups)
    return _sandwich(point, scores.T @ scores) * count / (count - 1) * few_slopes(
        point.design.transformation, point.k
    ), float(count - 1)


def hc_covariance(point: Point) -> tuple[FloatArray, float]:
    """Heteroskedasticity-robust (HC1: factor m/(m − k)).

    With region means removed the residuals understate the variances (Stock & Watson 2008): multiplied by t/(t − 1), or
    t/(t − segments), which repairs the homoskedastic case only, with a warning.
    """
    transformation = point.design.transformation
    free = transformation.free_observations
    rows = score_rows(point).reshape(point.residuals.size, -1)
    t = point.residuals.shape[1]
    meat = add_off_diagonal(point, rows.T @ rows, np.eye(t))
    covariance = _sandwich(point, meat) * few_slopes(point.design.transformation, point.k)
    if transformation.removes_regions:
        warnings.warn(
            "heteroskedasticity-robust errors are too small with region effects and few periods; cluster by region",
            AssumptionWarning,
            stacklevel=4,
        )
        covariance = covariance * t / transformation.exact.t_star
    return covariance, float(free - point.k)


def two_way_cluster_covariance(point: Point) -> tuple[FloatArray, float]:
    """Clustered by region and by period: V_region + V_period − V_both (Cameron, Gelbach & Miller 2011)."""
    n, t = point.residuals.shape
    _needs_periods(point, 5, "two-way clustering")
    rows = score_rows(point)
    regions = add_off_diagonal(point, _outer(region_scores(point)), np.ones((t, t))) * n / (n - 1)
    periods = _outer(period_scores(point, rows)) * t / (t - 1)
    both = add_off_diagonal(point, _outer(rows.reshape(n * t, -1)), np.eye(t))
    covariance = _sandwich(point, regions + periods - both) * few_slopes(point.design.transformation, point.k)
    check_definite(covariance, "two-way clustered", "the difference V_region + V_period − V_both need not be definite")
    return covariance, float(min(n, t) - 1)


def driscoll_kraay_covariance(point: Point, lags: int | None = None) -> tuple[FloatArray, float]:
    """Period sums of the scores with Bartlett weights: any cross-sectional dependence (Driscoll & Kraay 1998).

    lags : ⌊4 (t/100)^{2/9}⌋ by default. Consistent as t grows: refused below ten periods.
    """
    t = point.residuals.shape[1]
    _needs_periods(point, 10, "Driscoll–Kraay errors")
    chosen = choose_lags(lags, t)
    h = period_scores(point, score_rows(point))
    meat = bartlett_products(h, h, chosen)
    covariance = _sandwich(point, meat) * t / (t - 1)
    check_definite(covariance, "Driscoll–Kraay", f"{t} periods for {len(covariance)} parameters")
    return covariance, float(t - 1)


def conley_covariance(
    point: Point, distances: Callable[[float], sp.csr_matrix], cutoff_km: float, lags: int | None = None
) -> tuple[FloatArray, float]:
    """Product kernel: Wendland's (1 − x)⁴(4x + 1) in distance, Bartlett in time (Conley 1999).

    Parameters
    ----------
    distances : cut-off → sparse (n, n) distances in km up to it (zeros stand for "further away"; the diagonal is own).
    lags : lags in time; ⌊4 (t/100)^{2/9}⌋ by default, 0 for one period.

    Both factors are positive definite, so the product is. The off-diagonal quadratic parts keep independence across
    regions.
    """
    n, t = point.residuals.shape
    chosen = choose_lags(lags, t) if t > 1 else 0
    rows = score_rows(point)
    meat = near_products(rows, rows, wendland_kernel(distances(cutoff_km), cutoff_km), chosen)
    gap = np.abs(np.subtract.outer(np.arange(t), np.arange(t)))
    meat = add_off_diagonal(point, (meat + meat.T) / 2.0, np.maximum(1.0 - gap / (chosen + 1), 0.0))
    covariance = _sandwich(point, meat) * n / (n - 1)
    check_definite(covariance, "Conley", "a cut-off that is long relative to the map")
    return covariance, float(n - 1)


def bartlett_products(left: FloatArray, right: FloatArray, lags: int) -> FloatArray:
    """(p, q) Σ_tu K(t, u) left_t right_u' of period sums (t, p) and (t, q), K Bartlett's kernel."""
    total = left.T @ right
    for lag in range(1, lags + 1):
        total += (1 - lag / (lags + 1)) * (left[lag:].T @ right[:-lag] + left[:-lag].T @ right[lag:])
    return np.asarray(total)


def wendland_kernel(distances: sp.csr_matrix, cutoff_km: float) -> sp.csr_matrix:
    """(n, n) Wendland's kernel of distances in km, one on the diagonal; pairs that are not stored are further away.

    Stored zeros are other regions at the same place.
    """
    near = sp.csr_matrix(distances)
    weights = wendland(near.data / cutoff_km)
    kernel = sp.csr_matrix((weights, near.indices, near.indptr), shape=near.shape)
    return sp.csr_matrix(kernel + sp.identity(near.shape[0], format="csr"))


def near_products(left: FloatArray, right: FloatArray, kernel: sp.csr_matrix, lags: int) -> FloatArray:
    """(p, q) Σ_ij K_ij Σ_tu K(t, u) left_it right_ju' of rows (n, t, p) and (n, t, q), K(t, u) Bartlett's kernel.

    Cost: O(links t q + n t p q lags).
    """
    n, t, q = right.shape
    smooth = np.asarray(kernel @ right.reshape(n, t * q)).reshape(n, t, q)
    total = np.zeros((left.shape[2], q))
    for lag in range(lags + 1):
        cross = np.einsum("nsk,nsl->kl", left[:, : t - lag], smooth[:, lag:], optimize=True)
        if lag:
            cross = cross + np.einsum("nsk,nsl->kl", left[:, lag:], smooth[:, : t - lag], optimize=True)
        total += (1.0 - lag / (lags + 1)) * cross
    return total


def choose_lags(lags: int | None, t: int) -> int:
    """Lags in time: as asked, or ⌊4 (t/100)^{2/9}⌋."""
    if lags is None:
        return int(4 * (t / 100) ** (2 / 9))
    if not isinstance(lags, int) or isinstance(lags, bool) or not 0 <= lags < t / 2:
        raise OptionError(
            "time_lags", got=repr(lags), expected=f"a whole number from 0 to less than half of {t} periods"
        )
    return lags


def _outer(rows: FloatArray) -> FloatArray:
    return np.asarray(rows.T @ rows)


def _sandwich(point: Point, meat: FloatArray) -> FloatArray:
    slices = bread(point)
    return np.asarray(slices @ meat @ slices.T)


def _needs_periods(point: Point, least: int, what: str) -> None:
    t = point.residuals.shape[1]
    if t < least:
        raise DesignError(
            f"more periods are needed for {what}",
            got=f"{t} {'period' if t == 1 else 'periods'}",
            expected=f"at least {least}",
            fix='use covariance="cluster", which needs many regions instead',
        )
