"""Simultaneous bands against quadrature, step-down adjustments by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from spillover.errors import EstimationError, OptionError
from spillover.inference.estimates import Estimates
from spillover.inference.multiplicity import (
    false_discovery,
    holm,
    multiplier_statistics,
    normal_maxima,
    romano_wolf,
    simultaneous_band,
)


def estimates(cov: np.ndarray, values: np.ndarray | None = None, df: float | None = None) -> Estimates:
    h = len(cov)
    return Estimates(
        tuple(f"b{i}" for i in range(h)), np.zeros(h) if values is None else values, cov, df, "information matrix"
    )


def maximum_modulus(h: int, df: float, level: float = 0.95) -> float:
    """Studentised maximum modulus of h independent estimates: ∫ (2Φ(cs) − 1)^h f(s) ds = level by quadrature."""

    def covered(c: float) -> float:
        return integrate.quad(
            lambda v: (2 * stats.norm.cdf(c * np.sqrt(v / df)) - 1) ** h * stats.chi2.pdf(v, df), 0, np.inf, limit=200
        )[0]

    return float(optimize.brentq(lambda c: covered(c) - level, 1.0, 20.0))


def test_independent_estimates_have_the_sidak_quantile() -> None:
    band = simultaneous_band(estimates(np.diag([1.0, 4.0, 9.0, 1e-6, 1e6])), draws=200_000)
    exact = stats.norm.isf((1 - 0.95**0.2) / 2)  # Šidák for five independent estimates: 2.5688
    # sd of the sample quantile: √(.95·.05/200,000)/f(c), f(c) = 10 φ(c) (2Φ(c) − 1)⁴ = .141 → .0035; four of them
    assert band.critical == pytest.approx(exact, abs=0.014)
    assert band.limits()[:, 1] == pytest.approx(band.critical * np.array([1, 2, 3, 1e-3, 1e3]), rel=1e-12)


@pytest.mark.parametrize(("df", "h"), [(9.0, 5), (19.0, 5), (4.0, 3), (9.0, 1)])
def test_multivariate_t_against_quadrature(df: float, h: int) -> None:
    band = simultaneous_band(estimates(np.eye(h)), df=df, draws=100_000)
    assert band.critical == pytest.approx(maximum_modulus(h, df), rel=0.006)
    assert band.df == df


def test_one_estimate_or_perfect_correlation_is_the_pointwise_interval() -> None:
    one = np.outer([1.0, -2.0, 3.0], [1.0, -2.0, 3.0])  # three multiples of one estimate
    band = simultaneous_band(estimates(one, df=12.0), draws=100_000)
    assert band.critical == pytest.approx(stats.t.isf(0.025, 12), rel=0.006)
    assert simultaneous_band(estimates(one, df=12.0), df=None, draws=100_000).critical == pytest.approx(1.96, abs=0.02)


def test_adjusted_p_values_agree_with_the_band() -> None:
    correlation = 0.6 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    for df in (None, 8.0):
        band = simultaneous_band(estimates(correlation, df=df))
        at_edge = simultaneous_band(estimates(correlation, np.full(6, band.critical), df))
        assert at_edge.p_values() == pytest.approx(np.full(6, 0.05), abs=2e-4)
        table = at_edge.tidy()
        assert (table["p_adjusted"] >= table["p_value"] - 1e-12).all()
        assert table["band_low"].to_numpy() == pytest.approx(np.zeros(6), abs=1e-12)


def test_exactly_known_estimates_have_no_width_and_do_not_widen_the_others() -> None:
    cov = np.diag([1.0, 0.0, 1.0])
    band = simultaneous_band(estimates(cov, np.array([1.0, 0.0, 2.0])))
    assert band.critical == simultaneous_band(estimates(np.eye(2))).critical
    assert band.limits()[1] == pytest.approx([0.0, 0.0])
    assert np.isnan(band.p_values()[1])
    with pytest.raises(EstimationError, match="no estimate has a positive standard error"):
        simultaneous_band(estimates(np.zeros((2, 2))))


def test_same_seed_same_numbers_and_order_does_not_matter_for_scale() -> None:
    rng = np.random.default_rng(4)
    root = rng.standard_normal((5, 3))  # singular covariance: five points of a curve of three parameters
    cov = root @ root.T
    first = normal_maxima(cov, seed=3)
    assert np.array_equal(first, normal_maxima(cov, seed=3))
    scale = np.diag([1e-3, 1.0, 1e3, 10.0, 0.1])
    assert np.quantile(normal_maxima(scale @ cov @ scale, seed=3), 0.95) == pytest.approx(
        np.quantile(first, 0.95), rel=0.02
    )


def test_coverage_of_a_random_curve() -> None:
    """Truth inside the whole band in 95 % of draws; pointwise intervals cover the curve much less often."""
    rng = np.random.default_rng(11)
    grid = np.linspace(-2, 2, 21)
    basis = np.column_stack([np.ones(21), grid, grid**2])
    cov = basis @ np.diag([1.0, 0.5, 0.2]) @ basis.T
    c = simultaneous_band(estimates(cov)).critical
    errors = rng.standard_normal((4000, 3)) * np.sqrt([1.0, 0.5, 0.2]) @ basis.T
    largest = np.abs(errors / np.sqrt(np.diag(cov))).max(axis=1)
    assert (largest <= c).mean() == pytest.approx(0.95, abs=0.012)  # 3.5 binomial sd of 4,000 rounds
    assert (largest <= 1.96).mean() < 0.90


def test_holm_by_hand() -> None:
    # sorted .01 .02 .03 .04 → ·4 ·3 ·2 ·1 = .04 .06 .06 .04 → running maximum .04 .06 .06 .06
    assert holm(np.array([0.04, 0.01, 0.03, 0.02])) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    with_gap = holm(np.array([0.01, np.nan, 0.04]))
    assert with_gap[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(with_gap[1])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])
    with pytest.raises(EstimationError, match="nothing to adjust"):
        holm(np.array([np.nan]))


def test_romano_wolf_by_hand() -> None:
    # 99 null draws of two statistics: (k/10, 0) for k = 1…99, so the first column is .1 … 9.9 and the second is 0.
    null = np.column_stack([np.arange(1, 100) / 10, np.zeros(99)])
    adjusted = romano_wolf(np.array([-9.85, 0.5]), null)
    # first: max ≥ 9.85 in one draw → 2/100; second: among itself only, 0 ≥ .5 never → 1/100, raised to 2/100
    assert adjusted == pytest.approx([0.02, 0.02])
    # the smaller statistic is the correlated one: it is compared with its own draws, the larger with the maximum
    assert romano_wolf(np.array([5.0, 20.0]), null) == pytest.approx([51 / 100, 1 / 100])
    with pytest.raises(EstimationError, match="drawn together"):
        romano_wolf(np.array([1.0]), null)


def test_step_down_never_rejects_less_than_the_single_step() -> None:
    rng = np.random.default_rng(5)
    correlation = 0.8 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    null = rng.multivariate_normal(np.zeros(6), correlation, size=4000)
    statistics = np.array([3.4, 2.5, 2.2, 0.3, 1.1, 0.2])
    single = np.array([(1 + (np.abs(null).max(axis=1) >= t).sum()) / 4001 for t in statistics])
    stepped = romano_wolf(statistics, null)
    assert (stepped <= single + 1e-12).all()
    assert stepped[1] < single[1]
    assert (stepped <= holm(2 * stats.norm.sf(statistics)) + 0.01).all()


def test_multiplier_statistics_have_the_clustered_covariance() -> None:
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((60, 3))
    groups = np.repeat(np.arange(20), 3)
    sums = rows.reshape(20, 3, 3).sum(axis=1)
    cov = sums.T @ sums
    errors = np.sqrt(np.diag(cov))
    for law in ("normal", "rademacher"):
        drawn = multiplier_statistics(rows, groups, errors, draws=40_000, seed=1, law=law)
        # sd of an entry of a sample covariance of unit variances ≤ √2/√40,000 = .007; four of them
        assert np.abs(np.cov(drawn.T) - cov / np.outer(errors, errors)).max() < 0.03
    with pytest.raises(EstimationError, match="do not fit together"):
        multiplier_statistics(rows, groups[:5], errors)


def test_false_discovery_by_hand() -> None:
    p = np.array([0.01, 0.04, 0.03, np.nan])
    # Benjamini–Hochberg: .01·3/1, .03·3/2 = .045, .04·3/3 = .04 → running minimum from the largest: .03 .04 .04
    assert false_discovery(p, dependent=False)[:3] == pytest.approx([0.03, 0.04, 0.04])
    # Yekutieli multiplies by 1 + 1/2 + 1/3 = 11/6
    assert false_discovery(p)[:3] == pytest.approx(np.array([0.03, 0.04, 0.04]) * 11 / 6)
    assert np.isnan(false_discovery(p)[3])


def test_bad_input_is_refused_in_words() -> None:
    one = estimates(np.eye(2))
    with pytest.raises(OptionError, match="share between 0 and 1"):
        simultaneous_band(one, level=95)
    with pytest.raises(OptionError, match="too few draws"):
        simultaneous_band(one, draws=50)
    with pytest.raises(OptionError, match="degrees of freedom are positive"):
        simultaneous_band(one, df=0)
    with pytest.raises(OptionError, match="seed"):
        simultaneous_band(one, seed=-1)
    with pytest.raises(OptionError, match="law"):
        multiplier_statistics(np.ones((2, 1)), np.array([0, 1]), np.ones(1), law="uniform")  # type: ignore[arg-type]
