"""Tests of the residuals of a fit: spatial autocorrelation, unequal variances, serial correlation.

Moments of Moran's I are those of least-squares residuals, M ε with M = Q − Z(Z'Z)⁻¹Z' and Q the projection that removes
the effects, so that neither the slopes nor the effects count as autocorrelation (Cliff & Ord 1981, §8.3). With ρ or λ
estimated they are only approximate, which `form` says; the score test `remaining_error_test` is exact to first order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy import stats

from spillover.diagnostics.lagrange import _centred_traces
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.numerics.engine import WeightsEngine
from spillover.numerics.within import Transformation
from spillover.typing import FloatArray

MORAN_REFERENCE = "Cliff & Ord (1981), moments of least-squares residuals"
BREUSCH_PAGAN_REFERENCE = "Koenker (1981), Koenker & Bassett (1982), the studentised Breusch–Pagan test"
SERIAL_REFERENCE = "Wooldridge (2010, §10.5.4), clustered by region"
REMAINING_REFERENCE = "Anselin (1988), score test for a spatial error in the lag model, centred"


# -- spatial autocorrelation ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ResidualMoran:
    """Moran's I of residuals: overall (period None) or in one period.

    `statistic` is (n/S₀) e'We/e'e with S₀ the sum of all weights, `expected` and `variance` its moments under the null.
    """

    period: int | str | None
    statistic: float
    expected: float
    variance: float
    test: HypothesisTest


def residual_moran(
    residuals: FloatArray, z: FloatArray, matrix: sp.csr_matrix, transformation: Transformation, *, exact: bool = True
) -> ResidualMoran:
    """Moran's I of the residuals of all periods, against its moments for normal errors.

    Parameters
    ----------
    residuals : (n, t).   z : (n t, k) demeaned regressors, periods within regions.
    exact : False when ρ or λ was estimated too.

    Cost: O(links k t).
    """
    n, t = residuals.shape
    k = z.shape[1]
    exact_means = transformation.exact
    trace, gram = _centred_traces(matrix, exact_means.centring)
    t_left, n_left = exact_means.t_star, exact_means.n_star
    inverse = _inverse_gram(z)
    lagged = _symmetric_lag(z.T.reshape(k, n, t), matrix, transformation)
    products = inverse @ (z.T @ lagged)
    df = n_left * t_left - k
    first = t_left * trace - float(np.trace(products))
    second = (
        t_left * gram / 2.0 - 2.0 * float(np.sum(inverse * (lagged.T @ lagged))) + float(np.sum(products * products.T))
    )
    return _moran(residuals, matrix, first / df, 2.0 * (df * second - first**2) / (df**2 * (df + 2.0)), None, exact)


def residual_moran_by_period(
    residuals: FloatArray,
    z: FloatArray,
    matrix: sp.csr_matrix,
    transformation: Transformation,
    periods: Sequence[int | str],
    *,
    exact: bool = True,
) -> tuple[ResidualMoran, ...]:
    """Moran's I of the residuals of every period.

    The residuals of period t have covariance S = cP − Z_t(Z'Z)⁻¹Z_t' (c = 1 − 1/T after region effects, with T of its
    segment, P centring after period effects); the ratio has mean tr VS/tr S and, by a first-order expansion with the
    exact small-sample factor of spherical errors, variance 2 tr[((V − rI)S)²]/(tr S)²·d/(d + 2), d = (tr S)²/tr S²,
    V = (W + W')/2.
    """
    n, t = residuals.shape
    k = z.shape[1]
    inverse = _inverse_gram(z)
    trace, gram = _centred_traces(matrix, transformation.exact.centring)
    n_left, shares = transformation.exact.n_star, transformation.exact.period_shares
    found = []
    for s, period in enumerate(periods):
        own = z.reshape(n, t, k)[:, s, :]
        c = float(shares[s])
        if c == 0.0:  # alone in its segment: no residual is left
            continue
        lagged = _symmetric_lag(own.T[:, :, None], matrix, transformation)
        cross, square = own.T @ lagged, own.T @ own
        size = c * n_left - float(np.sum(inverse * square))
        mean = (c * trace - float(np.sum(inverse * cross))) / size

        def spread(
            r: float, c: float = c, cross: FloatArray = cross, square: FloatArray = square, lagged: FloatArray = lagged
        ) -> float:
            """tr[((V − rI)S)²]."""
            whole = gram / 2.0 - 2.0 * r * trace + r * r * n_left
            outer = lagged.T @ lagged - 2.0 * r * cross + r * r * square
            inner = inverse @ (cross - r * square)
            return c * c * whole - 2.0 * c * float(np.sum(inverse * outer)) + float(np.sum(inner * inner.T))

        mixed = inverse @ square
        squares = c * c * n_left - 2.0 * c * float(np.trace(mixed)) + float(np.sum(mixed * mixed.T))
        d = size**2 / squares
        variance = 2.0 * spread(mean) / size**2 * d / (d + 2.0)
        found.append(_moran(residuals[:, s : s + 1], matrix, mean, variance, period, exact))
    return tuple(found)


def _moran(
    residuals: FloatArray, matrix: sp.csr_matrix, mean: float, variance: float, period: int | str | None, exact: bool
) -> ResidualMoran:
    ratio = float(np.sum(residuals * (matrix @ residuals)) / np.sum(residuals * residuals))
    deviate = (ratio - mean) / np.sqrt(variance)
    scale = matrix.shape[0] / float(matrix.sum())
    when = "" if period is None else f" in {period}"
    test = HypothesisTest(
        name=f"residual Moran's I{when}",
        statistic=float(deviate),
        null=f"residuals of neighbours are unrelated{when}",
        distribution="N(0, 1)",
        p_value=float(2.0 * stats.norm.sf(abs(deviate))),
        reference=MORAN_REFERENCE,
        form="" if exact else "approximate",
    )
    return ResidualMoran(period, scale * ratio, scale * mean, scale**2 * variance, test)


def _symmetric_lag(columns: FloatArray, matrix: sp.csr_matrix, transformation: Transformation) -> FloatArray:
    """(n t, k) of (W + W')/2 applied to (k, n, t) columns, period means removed where the effects remove them."""
    k, n, t = columns.shape
    flat = columns.transpose(1, 0, 2).reshape(n, k * t)
    lagged = transformation.exact.centring.left(np.asarray((matrix @ flat + matrix.T @ flat) / 2.0)).reshape(n, k, t)
    return np.asarray(lagged.transpose(0, 2, 1).reshape(n * t, k))


def _inverse_gram(z: FloatArray) -> FloatArray:
    """(Z'Z)⁻¹ from the triangular factor."""
    inverse = np.linalg.inv(np.asarray(np.linalg.qr(z, mode="r")))
    return np.asarray(inverse @ inverse.T)


def remaining_error_test(
    residuals: FloatArray,
    wy: FloatArray,
    z: FloatArray,
    engine: WeightsEngine,
    rho: float,
    sigma2: float,
    transformation: Transformation,
) -> HypothesisTest | NotApplicable:
    """Score test of a spatial error left in the residuals of SAR or SDM (one W for both).

    d = e'We/σ² − T* tr V, variance I_λλ − I_λψ I_ψψ⁻¹ I_ψλ over ψ = (δ, ρ, σ²), V = JWJ and G = JGJ after period
    effects: I_λλ = T* tr(V² + V'V), I_λρ = T* tr(V'G + VG), I_λσ = T* tr V/σ², I_λδ = 0.

    Parameters
    ----------
    residuals, wy : (n, t), demeaned.   z : (n t, k), demeaned.
    sigma2 : with divisor n*T*.

    Returns
    -------
    `NotApplicable` beyond the size for which n × n work is cheap.
    """
    name = "LM error in the lag model"
    if not engine.dense:
        return NotApplicable(name, f"it needs n × n work, which stops at n = 1,200; here n = {engine.n}")
    w, g = engine.matrix.toarray(), engine.multiplier(rho).dense_g
    w, g = transformation.exact.centring.both(w), transformation.exact.centring.both(g)
    t_star, m = transformation.t_star, transformation.m
    reach = wy - transformation.apply(engine.multiplier(rho).apply_g(residuals))  # G(Zδ + effects)
    slope = np.linalg.lstsq(z, reach.ravel(), rcond=None)[0]
    rest = reach.ravel() - z @ slope
    # σ² profiled out of the (ρ, λ) block: I_σσ = m/(2σ⁴), I_·σ = T* tr(·)/σ².
    trace = np.array([np.trace(g), np.trace(w)])
    block = t_star * np.array([[_gram(g, g), _gram(w, g)], [_gram(w, g), _gram(w, w)]])
    block -= 2.0 * t_star**2 * np.outer(trace, trace) / m
    block[0, 0] += float(rest @ rest) / sigma2
    score = float(np.sum(residuals * (engine.matrix @ residuals))) / sigma2 - t_star * trace[1]
    variance = block[1, 1] - block[0, 1] ** 2 / block[0, 0]
    if variance <= 1e-10 * block[1, 1]:
        return NotApplicable(name, "ρ and λ cannot be told apart in this design")
    return HypothesisTest.chi2(
        name,
        score**2 / variance,
        df=1,
        null="no spatial error is left beside the spatial lag (λ = 0)",
        reference=REMAINING_REFERENCE,
        form="valid",
        null_model="lag",
    )


def _gram(a: FloatArray, b: FloatArray) -> float:
    """tr(A'B + AB)."""
    return float(np.sum(a * b) + np.sum(a * b.T))


# -- variances ---------------------------------------------------------------------------------------


def heteroskedasticity_test(residuals: FloatArray, drivers: FloatArray) -> HypothesisTest | NotApplicable:
    """Studentised Breusch–Pagan: m R² of e² on a constant and the regressors, χ²(rank).

    Parameters
    ----------
    residuals : (n, t).
    drivers : (n t, q) regressors in levels (not demeaned: variances depend on levels), without a constant.

    The number of observations multiplies R²; under region effects e² of one region are slightly related (order 1/T²).
    """
    name = "studentised Breusch–Pagan"
    squares = residuals.ravel() ** 2
    centred = drivers - drivers.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    kept = centred[:, length > 1e-9 * np.linalg.norm(drivers, axis=0)]
    if kept.shape[1] == 0:
        return NotApplicable(name, "no regressor varies, so nothing can drive the variance")
    kept = kept / np.linalg.norm(kept, axis=0)
    u, s, _ = np.linalg.svd(kept, full_matrices=False)
    basis = u[:, s > 1e-9 * s[0]]
    gap = squares - squares.mean()
    fitted = basis.T @ gap
    return HypothesisTest.chi2(
        name,
        squares.size * float(fitted @ fitted) / float(gap @ gap),
        df=basis.shape[1],
        null="the error variance does not depend on the regressors",
        reference=BREUSCH_PAGAN_REFERENCE,
    )


def serial_correlation_test(
    residuals: FloatArray, transformation: Transformation, periods: Sequence[int | str]
) -> HypothesisTest | NotApplicable:
    """Slope of e_it on e_i,t−1 against its value for independent errors, clustered by region.

    Region effects make independent errors correlate −1/(T − 1) within a segment of T periods; without them, and between
    segments, the null value is 0. Only neighbouring
    periods count where periods are whole numbers with gaps.

    Parameters
    ----------
    residuals : (n, t).   periods : t labels.
    """
    n, t = residuals.shape
    name = "serial correlation"
    if t < 3:
        return NotApplicable(name, f"it needs at least three periods, and there are {t}")
    follows = _consecutive(periods)
    if follows.sum() < 2:
        return NotApplicable(name, "fewer than two pairs of neighbouring periods")
    before, after = residuals[:, :-1][:, follows], residuals[:, 1:][:, follows]
    expected = _null_slopes(transformation)[follows]
    # Rows under the null value, so that the test does not need a consistent slope under the alternative.
    rows = np.sum(before * (after - expected * before), axis=1)
    error = float(np.sqrt(np.sum((rows - rows.mean()) ** 2) * n / (n - 1.0)))
    statistic = float(rows.sum()) / error
    return HypothesisTest(
        name=name,
        statistic=statistic,
        null="errors of a region are unrelated from one period to the next",
        distribution=f"t({n - 1})",
        p_value=float(2.0 * stats.t.sf(abs(statistic), n - 1)),
        df=float(n - 1),
        reference=SERIAL_REFERENCE,
    )


def _null_slopes(transformation: Transformation) -> FloatArray:
    """(t − 1,) slope of e_it on e_i,t−1 for independent errors."""
    slopes = np.zeros(transformation.t - 1)
    for periods in transformation.segment_means:
        if periods.size > 1:
            inside = np.isin(np.arange(transformation.t), periods)
            slopes[inside[1:] & inside[:-1]] = -1.0 / (periods.size - 1.0)
    return slopes


def _consecutive(periods: Sequence[int | str]) -> np.ndarray:
    """(t − 1,) whether each period is followed by the next one; labels that are not whole numbers always are."""
    if not all(isinstance(period, int) for period in periods):
        return np.ones(len(periods) - 1, dtype=bool)
    steps = np.diff(np.array(periods, dtype=float))
    return np.asarray(steps == steps.min())
