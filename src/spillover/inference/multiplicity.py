"""Many statements at once: simultaneous (sup-t) bands, step-down adjustments, false discovery rate.

A pointwise interval covers one estimate. A curve, a set of rings or a row of channels is read as a whole, so its
band must cover all of them together: estimate ± c·standard error with c the quantile of max |t|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import optimize, stats

from spillover.errors import EstimationError, OptionError, check_level, check_option
from spillover.inference.estimates import Estimates
from spillover.inference.seeds import check_seed
from spillover.typing import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

FEWEST_DRAWS = 1_000  # a 95 % quantile from fewer draws is off by more than the third digit readers see
_BLOCK = 4_000_000  # numbers held at once while drawing


@dataclass(frozen=True, eq=False)
class SimultaneousBand:
    """Estimates with a band that covers all of them together.

    Attributes
    ----------
    estimates : the H estimates, with standard errors s_h > 0 or exactly known (s_h = 0: no width).
    critical : c, so that all H true values lie within estimate ± c·s_h with probability `level`.
    level : joint coverage, a share.
    df : degrees of freedom of the multivariate t, or None for the normal.
    maxima : (draws,) sorted max_h |z_h| of the normal law with the correlation of the estimates.
    """

    estimates: Estimates
    critical: float
    level: float
    df: float | None
    maxima: FloatArray

    @property
    def method(self) -> str:
        """How the critical value was found, in words."""
        law = "normal" if self.df is None else f"multivariate t({self.df:g})"
        return f"sup-t over {len(self.estimates.names)} estimates, {law}, {self.maxima.size} draws"

    def limits(self) -> FloatArray:
        """(H, 2) lower and upper end of the band."""
        half = self.critical * self.estimates.std_errors
        return np.column_stack([self.estimates.values - half, self.estimates.values + half])

    def p_values(self) -> FloatArray:
        """(H,) adjusted p-values: P(max |t| ≥ |t_h|) when every estimate is zero; NaN where the error is zero."""
        statistics = _statistics(self.estimates)
        return np.array([np.nan if np.isnan(value) else _tail(value, self.maxima, self.df) for value in statistics])

    def tidy(self) -> pd.DataFrame:
        """`Estimates.tidy()` with the columns band_low, band_high and p_adjusted."""
        limits = self.limits()
        return self.estimates.tidy(self.level).assign(
            band_low=limits[:, 0], band_high=limits[:, 1], p_adjusted=self.p_values()
        )


def simultaneous_band(
    estimates: Estimates,
    *,
    level: float = 0.95,
    df: float | Literal["estimates"] | None = "estimates",
    draws: int = 10_000,
    seed: int = 0,
) -> SimultaneousBand:
    """Sup-t band: c is the `level` quantile of max_h |t_h|, t with the correlation of the estimates.

    With kernel or cluster multipliers ξ ~ N(0, K) on influence rows Ψ, the law of ξ'Ψ is N(0, Ψ'KΨ): the covariance
    of the estimates says it all, so a Conley or clustered `Estimates` needs no further multipliers.

    Parameters
    ----------
    estimates : H estimates with their joint covariance, which may be singular (a curve of few parameters).
    level : joint coverage, strictly between 0 and 1.
    df : of the multivariate t (one χ² for all draws' coordinates). "estimates" takes those of the estimates. Standard
        errors from T periods (Conley, Driscoll–Kraay) need T − 1: with the normal law five rings at T = 10 are covered
        with probability .85 instead of .95.
    draws : of the normal law, at least 1,000; the χ² of the t is integrated exactly.
    seed : whole number; the same seed gives the same c.

    Raises
    ------
    OptionError : inadmissible level, df or draws. EstimationError : no estimate has a positive standard error.

    Source: Montiel Olea & Plagborg-Møller (2019), Journal of Applied Econometrics 34:1.
    """
    check_level(level)
    freedom = estimates.df if df == "estimates" else df
    if freedom is not None and not float(freedom) > 0.0:
        raise OptionError("degrees of freedom are positive", got=str(df), fix="give df=T−1, or None for the normal law")
    freedom = None if freedom is None else float(freedom)
    maxima = normal_maxima(estimates.cov, draws=draws, seed=seed)
    return SimultaneousBand(estimates, _critical(maxima, level, freedom), level, freedom, maxima)


def normal_maxima(cov: FloatArray, *, draws: int = 10_000, seed: int = 0) -> FloatArray:
    """(draws,) sorted max_h |z_h|, z ~ N(0, correlation of cov); coordinates without variance are left out.

    Cost: O(H³) once for the root, O(draws·H·rank).
    """
    if draws < FEWEST_DRAWS:
        raise OptionError(
            "too few draws for a simultaneous band", got=str(draws), expected=f"at least {FEWEST_DRAWS:,}"
        )
    variance = np.diag(cov)
    used = variance > 1e-14 * float(variance.max(initial=0.0))
    if not used.any():
        raise EstimationError(
            "no estimate has a positive standard error, so there is no band",
            causes=("an effect that is zero by construction", "an empty set of estimates"),
        )
    scale = 1.0 / np.sqrt(variance[used])
    values, vectors = np.linalg.eigh(cov[np.ix_(used, used)] * np.outer(scale, scale))
    kept = values > 1e-12 * values[-1]
    root = vectors[:, kept] * np.sqrt(values[kept])
    root /= np.linalg.norm(root, axis=1, keepdims=True)  # unit variances exactly, whatever was dropped
    generator = _generator(seed)
    step = max(1, _BLOCK // root.shape[0])
    maxima = [
        np.abs(generator.standard_normal((min(step, draws - start), root.shape[1])) @ root.T).max(axis=1)
        for start in range(0, draws, step)
    ]
    return np.sort(np.concatenate(maxima))


def multiplier_statistics(
    rows: FloatArray,
    groups: IntArray,
    std_errors: FloatArray,
    *,
    draws: int = 10_000,
    seed: int = 0,
    law: Literal["normal", "rademacher"] = "normal",
) -> FloatArray:
    """(draws, H) null statistics Σ_g ξ_g (Σ_{m in g} Ψ_mh) / s_h with one multiplier per group.

    Parameters
    ----------
    rows : (m, H) influence rows, so that estimate − truth ≈ their column sums.
    groups : (m,) group of each row: the region, or the period for multipliers common to all regions.
    std_errors : (H,) positive standard errors of the estimates.
    law : of ξ: N(0, 1), or ±1 with equal probability (better with few groups).
    """
    check_option("law", law, ("normal", "rademacher"))
    if rows.ndim != 2 or groups.shape != (rows.shape[0],) or std_errors.shape != (rows.shape[1],):
        raise EstimationError(
            "influence rows, groups and standard errors do not fit together",
            got=f"rows {rows.shape}, groups {groups.shape}, standard errors {std_errors.shape}",
            expected="(m, H), (m,), (H,)",
        )
    _, group = np.unique(groups, return_inverse=True)
    sums = np.zeros((int(group.max()) + 1, rows.shape[1]))
    np.add.at(sums, group, rows)
    generator = _generator(seed)
    shape = (draws, sums.shape[0])
    multipliers = generator.standard_normal(shape) if law == "normal" else 2.0 * generator.integers(0, 2, shape) - 1.0
    return np.asarray(multipliers @ (sums / std_errors))


def holm(p_values: FloatArray) -> FloatArray:
    """(H,) p-values adjusted for the chance of any false rejection, under any dependence; NaN stays and is not counted.

    Source: Holm (1979), Scandinavian Journal of Statistics 6:65.
    """
    tested, given = _finite(p_values)
    order = np.argsort(given, kind="stable")
    factor = np.arange(given.size, 0, -1)
    stepped = np.minimum(np.maximum.accumulate(given[order] * factor), 1.0)
    return _put_back(p_values, tested, order, stepped)


def romano_wolf(statistics: FloatArray, null_statistics: FloatArray) -> FloatArray:
    """(H,) step-down p-values from the joint null law of the statistics: the chance of any false rejection, with the
    dependence used instead of feared, so that it rejects more than Holm.

    Parameters
    ----------
    statistics : (H,) t statistics; their absolute values are compared.
    null_statistics : (B, H) the same statistics drawn under the null (bootstrap, multipliers, permutations).

    Source: Romano & Wolf (2005), Econometrica 73:1237; p-values as in Romano & Wolf (2016), Statistics & Probability
    Letters 113:38.
    """
    if null_statistics.ndim != 2 or null_statistics.shape[1] != statistics.size or len(null_statistics) < 99:
        raise EstimationError(
            "step-down p-values need the statistics drawn together under the null",
            got=f"{null_statistics.shape} for {statistics.size} statistics",
            expected=f"(at least 99, {statistics.size})",
        )
    tested, given = _finite(np.abs(statistics))
    drawn = np.abs(null_statistics[:, tested])
    order = np.argsort(-given, kind="stable")
    # max over the hypotheses that are not yet rejected: running maximum from the smallest statistic upwards
    maxima = np.maximum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]
    raw = (1.0 + (maxima >= given[order]).sum(axis=0)) / (1.0 + len(drawn))
    return _put_back(statistics, tested, order, np.maximum.accumulate(raw))


def false_discovery(p_values: FloatArray, *, dependent: bool = True) -> FloatArray:
    """(H,) p-values adjusted for the share of false rejections among rejections; NaN stays and is not counted.

    `dependent` (default) is valid under any dependence (Benjamini & Yekutieli 2001, Annals of Statistics 29:1165);
    otherwise independence or positive dependence is assumed (Benjamini & Hochberg 1995, JRSS-B 57:289).
    """
    tested, given = _finite(p_values)
    adjusted = stats.false_discovery_control(given, method="by" if dependent else "bh")
    return _put_back(p_values, tested, np.arange(given.size), adjusted)


def _statistics(estimates: Estimates) -> FloatArray:
    errors = estimates.std_errors
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.abs(np.where(errors > 0, estimates.values / errors, np.nan)))


def _tail(value: float, maxima: FloatArray, df: float | None) -> float:
    """P(max |t| ≥ value). With degrees of freedom, |t| = M/s with df·s² ~ χ²(df): s is integrated exactly."""
    if df is None:
        return float((maxima.size - np.searchsorted(maxima, value) + 1.0) / (maxima.size + 1.0))
    if value == 0.0:
        return 1.0
    return float(np.mean(stats.chi2.cdf(df * (maxima / value) ** 2, df)))


def _critical(maxima: FloatArray, level: float, df: float | None) -> float:
    normal = float(np.quantile(maxima, level))
    if df is None:
        return normal
    high = float(stats.t.isf((1.0 - level) / 2.0, df)) + normal
    while _tail(high, maxima, df) > 1.0 - level:
        high *= 2.0
    return float(optimize.brentq(lambda c: _tail(c, maxima, df) - (1.0 - level), 1e-6, high, xtol=1e-10))


def _finite(values: FloatArray) -> tuple[IntArray, FloatArray]:
    tested = np.flatnonzero(~np.isnan(values))
    if not tested.size:
        raise EstimationError("there is nothing to adjust: every value is missing")
    return tested, np.asarray(values, dtype=float)[tested]


def _put_back(like: FloatArray, tested: IntArray, order: IntArray, adjusted: FloatArray) -> FloatArray:
    result = np.full(np.shape(like), np.nan)
    result[tested[order]] = adjusted
    return result


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(check_seed(seed))
