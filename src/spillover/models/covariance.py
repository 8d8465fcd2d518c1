"""Covariances of the estimates (δ, ρ, λ), every kind for every model.

The score of a spatial parameter is a linear form plus a quadratic one, ε'Aε with A = G for ρ in SAR and SDM,
W(I − λW)^{-1} for λ, BGB^{-1} for ρ beside a spatial error. The terms ε_i A_ij ε_j of a quadratic form are shared
by two regions. Rows that give each region "its" part are then correlated across regions even when the errors are
not, and clustering such rows misses half of the variance. We therefore aggregate the linear and diagonal parts by
cluster, kernel or period, and add the variance of the off-diagonal part in closed form,
2 Σ_{i≠j} H_ij² Σ_tu K(t, u) e_it e_iu e_jt e_ju with H = (A + A')/2 and K the kernel in time (one for clusters). It is
consistent under any heteroskedasticity and serial correlation within regions, and unlike martingale-difference rows it
does not depend on the order of the regions. See docs/decisions/003.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from spillover.errors import EstimationError
from spillover.models.design import Design
from spillover.models.quadratic import QuadraticParts, off_diagonal_variance, quadratic_parts
from spillover.numerics.operators import Operator, Traces, traces
from spillover.numerics.pairs import rademacher
from spillover.numerics.within import Centring, Positions
from spillover.typing import FloatArray

TRACE_PROBES = 128


@dataclass(frozen=True, eq=False)
class SpatialTerm:
    """One spatial parameter: its name, estimate, operator A, and for lags of y the column of that lag."""

    name: str
    value: float
    operator: Operator
    lag_column: int | None


@dataclass(frozen=True, eq=False)
class Point:
    """The data and the maximum at which a covariance is evaluated.

    Attributes
    ----------
    block : (k + 1 + q, n, t) columns of the design, filtered by I − λW where there is a spatial error.
    residuals : (n, t) ε̂, demeaned (filtered).
    inverse_gram : (k, k) (Z'Z)^{-1} of the filtered regressors.
    terms : the spatial parameters, lags of y first, λ last.
    hessian : (k + q + 1, k + q + 1) negative second derivatives of ℓ in (δ, spatial, σ²), or None for least squares.
    """

    design: Design
    block: FloatArray
    residuals: FloatArray
    inverse_gram: FloatArray
    sigma2: float
    terms: tuple[SpatialTerm, ...] = ()
    hessian: FloatArray | None = None
    _cache: dict[str, object] = field(default_factory=dict)

    @property
    def k(self) -> int:
        """Number of slopes."""
        return self.design.k

    @property
    def z(self) -> FloatArray:
        """(n t, k) filtered regressors."""
        return self.block[: self.k].reshape(self.k, -1).T

    @property
    def centring(self) -> Centring:
        """J: operators act between period means (of groups), A stands for JAJ."""
        return self.design.transformation.centring

    @cached_property
    def linear(self) -> FloatArray:
        """(q, n, t) linear parts g of the spatial scores: W y − A ε̂ demeaned for lags of y, zero for λ.

        B W y = A(BZδ + effects) + A ε holds whatever the effects are, so they never have to be estimated.
        """
        transformation = self.design.transformation
        parts = np.zeros((len(self.terms), *self.residuals.shape))
        for i, term in enumerate(self.terms):
            if term.lag_column is not None:
                image = transformation.remove_means(term.operator.apply(self.residuals))
                parts[i] = self.block[term.lag_column] - image
        return parts

    @cached_property
    def traces(self) -> Traces:
        """Traces of the operators and of their products."""
        operators = tuple(term.operator for term in self.terms)
        return traces(operators, self.centring, lambda: rademacher(self.residuals.shape[0], TRACE_PROBES))

    @cached_property
    def quadratic(self) -> QuadraticParts:
        """Diagonals and off-diagonal weights of the symmetrised operators."""
        operators = tuple(term.operator for term in self.terms)
        return quadratic_parts(operators, self.residuals, self.centring, self.traces)


# -- expected information ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Information:
    """Inverse of the expected information of (δ, spatial, σ²).

    Attributes
    ----------
    covariance : (k + q, k + q) of (δ, spatial).
    with_sigma : (k + q, k + q + 1) rows of the full inverse, σ² as the last column.
    """

    covariance: FloatArray
    with_sigma: FloatArray


def information(point: Point) -> Information:
    """Expected information (Lee 2004; Lee & Yu 2010; Anselin 1988 for errors), inverted by blocks.

    I_δδ = Z'Z/σ², I_δρ = Z'g/σ², I_kl = g_k'g_l/σ² + T*(tr A_kA_l + tr A_k'A_l), I_kσ = T* tr A_k/σ²,
    I_σσ = m/(2σ⁴); Z and g filtered, A centred to JAJ when unit roots of W are transformed away.
    """
    transformation, sigma2, k = point.design.transformation, point.sigma2, point.k
    t_star, m, q = transformation.t_star, transformation.m, len(point.terms)
    flat = point.linear.reshape(q, -1)
    slopes = point.inverse_gram @ (point.z.T @ flat.T)  # (k, q)
    spread = flat - (point.z @ slopes).T
    first = t_star * point.traces.first
    inner = spread @ spread.T / sigma2 + t_star * point.traces.pairs - 2.0 * np.outer(first, first) / m
    spatial = np.linalg.inv(inner)
    covariance = np.empty((k + q, k + q))
    covariance[:k, :k] = sigma2 * point.inverse_gram + slopes @ spatial @ slopes.T
    covariance[:k, k:] = -slopes @ spatial
    covariance[k:, :k] = covariance[:k, k:].T
    covariance[k:, k:] = spatial
    sigma_column = -(2.0 * sigma2 / m) * covariance[:, k:] @ first
    return Information(covariance, np.column_stack([covariance, sigma_column]))


def information_covariance(point: Point) -> FloatArray:
    """Inverse expected information; for least squares with the unbiased error variance."""
    if not point.terms:
        free = point.design.transformation.free_observations - point.k
        return point.inverse_gram * float(np.sum(point.residuals**2)) / free
    return information(point).covariance


def hessian_covariance(point: Point) -> FloatArray:
    """Inverse of the observed information (negative Hessian of ℓ)."""
    if not point.terms or point.hessian is None:
        return information_covariance(point)
    scale = 1.0 / np.sqrt(np.abs(np.diag(point.hessian)))
    inverse = np.linalg.inv(point.hessian * np.outer(scale, scale)) * np.outer(scale, scale)
    check_definite(inverse, "observed Hessian", "the likelihood is not concave at its maximum")
    return inverse[:-1, :-1]


def sandwich_covariance(point: Point) -> FloatArray:
    """QML sandwich under i.i.d. errors that are not normal: third and fourth moments (Lee 2004)."""
    if not point.terms:
        return information_covariance(point)
    bread = information(point).with_sigma
    covariance = information(point).covariance
    excess = nonnormal_score_variance(point)
    return covariance + bread @ excess @ bread.T


def nonnormal_score_variance(point: Point) -> FloatArray:
    """(k + q + 1, k + q + 1) Ω: what third and fourth moments add to the variance of the score.

    The errors enter through the diagonals of J_T ⊗ A, of J_T ⊗ J_N for σ². With region means removed the third-moment
    terms vanish; κ4 and μ3 are recovered from demeaned residuals with the factors of the within transformation.
    """
    transformation, sigma2, e = point.design.transformation, point.sigma2, point.residuals
    n, t = e.shape
    k, q = point.k, len(point.terms)
    third, fourth = _cumulants(point)
    transformation = transformation.exact
    diagonals = np.vstack([point.quadratic.diagonals, 0.5 / sigma2 * transformation.region_shares])
    excess = np.zeros((k + q + 1, k + q + 1))
    squares = float(np.sum(transformation.period_shares**2))
    excess[k:, k:] = fourth * squares * (diagonals @ diagonals.T) / sigma2**2
    if not transformation.removes_regions:
        linear = np.concatenate([point.block[:k], point.linear, np.zeros((1, n, t))]).sum(axis=2)  # (k + q + 1, n)
        mixed = np.zeros_like(excess)
        mixed[:, k:] = third * (linear @ diagonals.T) / sigma2**2
        excess += mixed + mixed.T
    return excess


def _cumulants(point: Point) -> tuple[float, float]:
    """(μ3, κ4) of the errors from within residuals; a mean of r cells shrinks them by a_r and c_r, σ² by b_r."""
    transformation, e = point.design.transformation.exact, point.residuals
    a, b, c, normal = 1.0, 1.0, 1.0, 1.0
    for r in (transformation.region_sizes, transformation.period_sizes):
        left = 1.0 / r
        c *= float(np.mean((1.0 - left) ** 4 + (1.0 - left) * left**3))
        a *= float(np.mean((1.0 - left) ** 3 - (1.0 - left) * left**2))
        b *= float(np.mean(1.0 - left))
        normal *= float(np.mean((1.0 - left) ** 2))
    second = float(np.mean(e**2)) / b
    # A difference of two periods is symmetric: its third moment is zero and says nothing about that of the errors.
    third = float(np.mean(e**3)) / a if abs(a) > 1e-12 else 0.0
    return third, (float(np.mean(e**4)) - 3.0 * normal * second**2) / c


# -- robust: scores by region and period ---------------------------------------------------------------


def score_rows(point: Point) -> FloatArray:
    """(n, t, k + q + 1) linear and diagonal parts of the scores of (δ, spatial, σ²); (n, t, k) for least squares."""
    e, sigma2, k = point.residuals, point.sigma2, point.k
    slopes = np.moveaxis(point.block[:k] * e, 0, -1)
    if not point.terms:
        return slopes
    transformation = point.design.transformation
    n, t = e.shape
    rows = np.empty((n, t, k + len(point.terms) + 1))
    rows[:, :, :k] = slopes / sigma2
    # Centred with what the transformation leaves of σ², so that rows sum to the score.
    periods = transformation.period_shares
    gap = e**2 - sigma2 * periods
    for i, term in enumerate(point.terms):
        own = point.quadratic.diagonals[i][:, None] * gap
        rows[:, :, k + i] = (own if term.lag_column is None else own + e * point.linear[i]) / sigma2
    rows[:, :, -1] = (e**2 - sigma2 * np.outer(transformation.region_shares, periods)) / (2.0 * sigma2**2)
    return rows


def region_scores(point: Point) -> FloatArray:
    """(n, ·) sums of `score_rows` over periods, without holding the rows."""
    e, sigma2 = point.residuals, point.sigma2
    slopes = np.einsum("knt,nt->nk", point.block[: point.k], e)
    if not point.terms:
        return slopes
    transformation = point.design.transformation
    squares = np.sum(e**2, axis=1)
    gap = squares - sigma2 * transformation.t_star
    spatial = np.einsum("qnt,nt->nq", point.linear, e) + (point.quadratic.diagonals * gap).T
    last = (squares - sigma2 * transformation.t_star * transformation.region_shares) / (2.0 * sigma2**2)
    return np.column_stack([slopes / sigma2, spatial / sigma2, last])


def group_scores(point: Point, groups: Positions) -> FloatArray:
    """(G, ·) scores by group, with the whole quadratic form of each: operators link no two groups."""
    rows = region_scores(point)
    e, k = point.residuals, point.k
    for i, term in enumerate(point.terms):
        own = point.quadratic.diagonals[i] * np.sum(e**2, axis=1)
        rows[:, k + i] += (np.sum(e * term.operator.apply(e), axis=1) - own) / point.sigma2
    return np.array([rows[members].sum(axis=0) for members in groups])


def period_scores(point: Point, rows: FloatArray) -> FloatArray:
    """(t, ·) scores by period, the off-diagonal quadratic forms included as they are."""
    totals = rows.sum(axis=0)
    e, k = point.residuals, point.k
    for i, term in enumerate(point.terms):
        full = np.sum(e * term.operator.apply(e), axis=0)
        own = point.quadratic.diagonals[i] @ e**2
        totals[:, k + i] += (full - own) / point.sigma2
    return totals


def bread(point: Point) -> FloatArray:
    """Maps scores to estimates: (Z'Z)^{-1} for least squares, rows of the inverse information otherwise."""
    return information(point).with_sigma if point.terms else point.inverse_gram


def add_off_diagonal(point: Point, meat: FloatArray, kernel: FloatArray) -> FloatArray:
    """The meat with the off-diagonal variances of the quadratic scores added."""
    k, q = point.k, len(point.terms)
    if q:
        meat = meat.copy()
        meat[k : k + q, k : k + q] += off_diagonal_variance(point.quadratic, point.residuals, point.sigma2, kernel)
    return meat


def check_definite(covariance: FloatArray, name: str, why: str) -> None:
    """Refuse a covariance that is not positive definite in every direction; nothing is forced."""
    size = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    smallest = float(np.linalg.eigvalsh(covariance / np.outer(size, size))[0])
    if smallest <= 1e-10:
        raise EstimationError(
            f"the {name} covariance is not positive definite",
            got=f"smallest eigenvalue {smallest:.3g} of its correlation matrix",
            expected="a positive one",
            causes=(why, "too few clusters or periods for this many parameters"),
            fix='use covariance="cluster" or "information"',
        )
