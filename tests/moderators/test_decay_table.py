"""Fits to a table of ranges by distance band.

Expected numbers: the paper's Table 2 fitted by an independent implementation (least squares and Poisson likelihoods
written separately, checked by a second one); they are stated to three significant digits, hence rel=5e-3 unless a
number carries more digits. Where a number can be had by hand, the derivation is beside it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.errors import EstimationError, OptionError
from spillover.moderators.decay_table import fit_decay_table, fit_joint_decay

BANDS = [(0, 50), (50, 100), (100, 200), (200, 300)]
TRANSFERS = ([50, 30, 15, 5], [80, 50, 30, 15])
TALENT = ([100, 60, 30, 10], [150, 100, 60, 30])
COLUMNS = {"transfers": TRANSFERS, "talent": TALENT}

three_digits = {"rel": 5e-3}  # half a unit of the third significant digit, at worst


@pytest.mark.parametrize(
    ("column", "scale", "decay", "error", "low", "high", "half", "r_squared", "residual_se", "rmse"),
    [
        (TRANSFERS, 79.16, 0.00899, 0.00040, 0.00772, 0.01026, 77.1, 0.994, 0.096, 0.074),
        (TALENT, 153.37, 0.00885, 0.00040, 0.00756, 0.01013, 78.4, 0.994, 0.097, 0.075),
    ],
)
def test_edge_reading(column, scale, decay, error, low, high, half, r_squared, residual_se, rmse):
    fit = fit_decay_table(BANDS, *column, reading="edge")
    assert fit.scale == pytest.approx(scale, rel=1e-4)  # five digits are known
    assert fit.value == pytest.approx(decay, abs=5e-6)  # last digit known
    assert fit.std_error == pytest.approx(error, abs=5e-6)
    assert (fit.low, fit.high) == pytest.approx((low, high), abs=5e-6)
    assert fit.half_distance_km == pytest.approx(half, abs=0.05)
    assert fit.statistics["r_squared"] == pytest.approx(r_squared, abs=5e-4)
    assert fit.statistics["residual_se"] == pytest.approx(residual_se, abs=5.1e-4)  # residual se √(rss/3)
    assert fit.statistics["rmse"] == pytest.approx(rmse, abs=5e-4)  # √(rss/5)
    assert fit.label == "calibration, not evidence"


def test_edge_reading_fitted_values():
    assert fit_decay_table(BANDS, *TRANSFERS).fitted == pytest.approx((79.2, 50.5, 32.2, 13.1, 5.3), abs=0.05)
    assert fit_decay_table(BANDS, *TALENT).fitted == pytest.approx((153.4, 98.5, 63.3, 26.1, 10.8), abs=0.05)


def test_joint_decay_of_both_columns():
    fit = fit_joint_decay(BANDS, COLUMNS)
    assert fit.intercepts == pytest.approx((78.41, 154.82), abs=0.005)
    assert fit.decay_per_km == pytest.approx(0.00892, abs=5e-6)
    assert fit.std_error == pytest.approx(0.00026, abs=5e-6)
    assert (fit.low, fit.high) == pytest.approx((0.00829, 0.00954), abs=5e-6)
    assert (fit.half_distance_km, fit.half_low_km, fit.half_high_km) == pytest.approx((77.7, 72.6, 83.6), abs=0.05)
    # beyond 50 km talent = 2 × transfers, so the columns are nearly the same five points
    assert fit.residual_correlation == pytest.approx(0.94, abs=5e-3)


def test_joint_decay_lies_between_the_separate_ones():
    # equal designs: the common slope is the mean of the two slopes
    separate = [fit_decay_table(BANDS, *column).value for column in COLUMNS.values()]
    assert fit_joint_decay(BANDS, COLUMNS).decay_per_km == pytest.approx(np.mean(separate), rel=1e-12)


@pytest.mark.parametrize(("column", "rss"), [(TRANSFERS, 0.0276), (TALENT, 0.0284)])
def test_shifted_power_law_tends_to_the_exponential(column, rss):
    fit = fit_decay_table(BANDS, *column, law="shifted")
    assert fit.statistics["rss"] == pytest.approx(rss, abs=5e-5)
    assert fit.statistics["inverse_d0_per_km"] < 1e-6  # d0 → ∞
    assert fit.value == pytest.approx(fit_decay_table(BANDS, *column).value, rel=1e-4)


@pytest.mark.parametrize(("column", "shape"), [(TRANSFERS, 1.03), (TALENT, 1.08)])
def test_stretched_exponential_shape_is_near_one(column, shape):
    fit = fit_decay_table(BANDS, *column, law="stretched")
    assert fit.statistics["shape"] == pytest.approx(shape, abs=5e-3)
    assert fit.statistics["rss"] <= fit_decay_table(BANDS, *column).statistics["rss"]  # it nests the exponential


def test_stretched_law_half_distance_solves_its_definition():
    fit = fit_decay_table(BANDS, *TALENT, law="stretched")
    remaining = np.exp(-((fit.value * fit.half_distance_km) ** fit.statistics["shape"]))
    assert remaining == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("column", [TRANSFERS, TALENT])
def test_pure_power_law_at_edges(column):
    # beyond 50 km the columns are proportional, so both give the same exponent
    fit = fit_decay_table(BANDS, *column, law="power")
    assert fit.value == pytest.approx(1.21, abs=5e-3)
    assert fit.std_error == pytest.approx(0.25, abs=5e-3)
    assert fit.statistics["r_squared"] == pytest.approx(0.920, abs=5e-4)
    assert fit.statistics["rss"] == pytest.approx(0.239, abs=5e-4)
    assert fit.half_distance_km is None


@pytest.mark.parametrize(
    ("column", "scale", "decay", "half", "deviance", "profile", "wald"),
    [
        (TRANSFERS, 78.2, 0.00850, 81.5, 0.11, (0.0060, 0.0113), (0.0062, 0.0116)),
        (TALENT, 151.0, 0.00827, 83.8, 0.06, (0.0065, 0.0102), (0.0066, 0.0104)),
    ],
)
def test_midpoint_reading(column, scale, decay, half, deviance, profile, wald):
    fit = fit_decay_table(BANDS, *column, reading="midpoint")
    assert fit.scale == pytest.approx(scale, abs=0.05)
    assert fit.value == pytest.approx(decay, abs=5e-6)
    assert fit.half_distance_km == pytest.approx(half, abs=0.05)
    assert fit.statistics["deviance"] == pytest.approx(deviance, abs=5e-3)
    assert (fit.low, fit.high) == pytest.approx(profile, abs=5e-5)
    assert (fit.statistics["wald_log_low"], fit.statistics["wald_log_high"]) == pytest.approx(wald, abs=5e-5)


@pytest.mark.parametrize(("column", "exponent", "deviance"), [(TRANSFERS, 0.67, 3.47), (TALENT, 0.65, 7.58)])
def test_midpoint_reading_of_the_power_law(column, exponent, deviance):
    fit = fit_decay_table(BANDS, *column, reading="midpoint", law="power")
    assert fit.value == pytest.approx(exponent, abs=5e-3)
    assert fit.statistics["deviance"] == pytest.approx(deviance, abs=5e-3)


def test_midpoint_fit_keeps_the_total():
    # the Poisson score of the scale: fitted values add up to the observed ones
    assert sum(fit_decay_table(BANDS, *TALENT, reading="midpoint").fitted) == pytest.approx(270.0, rel=1e-9)


@pytest.mark.parametrize(
    ("column", "scale", "decay", "profile", "halves"),
    [
        (TRANSFERS, 77.6, 0.00865, (0.0047, 0.0136), (80, 51, 148)),
        (TALENT, 150.9, 0.00845, (0.0049, 0.0128), (82, 54, 140)),
    ],
)
def test_interval_reading(column, scale, decay, profile, halves):
    fit = fit_decay_table(BANDS, *column, reading="interval")
    assert fit.scale == pytest.approx(scale, abs=0.05)
    assert fit.value == pytest.approx(decay, abs=5e-6)
    assert (fit.low, fit.high) == pytest.approx(profile, abs=5.1e-5)
    assert (fit.half_distance_km, fit.half_low_km, fit.half_high_km) == pytest.approx(halves, abs=0.55)


def test_joint_interval_reading():
    fit = fit_joint_decay(BANDS, COLUMNS, reading="interval")
    assert fit.decay_per_km == pytest.approx(0.00856, abs=5.1e-6)
    assert (fit.low, fit.high) == pytest.approx((0.0057, 0.0119), abs=5.1e-5)
    assert fit.half_distance_km == pytest.approx(80.9, abs=0.05)
    assert (fit.half_low_km, fit.half_high_km) == pytest.approx((58, 122), abs=0.5)


@pytest.mark.parametrize(
    ("averaging", "against", "transfers", "talent"),
    [("midpoint", "distance", 1.4, 1.6), ("distance", "distance", 2.8, 3.6), ("area", "area", 1.2, 1.4)],
)
def test_aic_of_power_against_exponential(averaging, against, transfers, talent):
    for column, expected in ((TRANSFERS, transfers), (TALENT, talent)):
        power = fit_decay_table(BANDS, *column, reading="interval", law="power", averaging=averaging)
        exponential = fit_decay_table(BANDS, *column, reading="interval", averaging=against)
        gap = power.statistics["aic"] - exponential.statistics["aic"]
        assert gap == pytest.approx(expected, abs=0.1)  # published to one decimal, both AICs rounded


@pytest.mark.parametrize(("column", "decay"), [(TRANSFERS, 0.00882), (TALENT, 0.00866)])
def test_interval_reading_with_area_averages(column, decay):
    fit = fit_decay_table(BANDS, *column, reading="interval", averaging="area")
    assert fit.value == pytest.approx(decay, abs=5e-6)


@pytest.mark.parametrize(
    ("column", "law", "averaging", "low", "high"),
    [
        (TRANSFERS, "exponential", "distance", 0.0054, 0.0125),
        (TALENT, "exponential", "distance", 0.0054, 0.0122),
        (TRANSFERS, "exponential", "area", 0.0055, 0.0129),
        (TALENT, "exponential", "area", 0.0055, 0.0126),
        (TRANSFERS, "power", "midpoint", 0.58, 0.89),
        (TALENT, "power", "midpoint", 0.58, 0.83),
    ],
)
def test_identified_set(column, law, averaging, low, high):
    fit = fit_decay_table(BANDS, *column, reading="set", law=law, averaging=averaging)
    digit = 5e-5 if law == "exponential" else 5e-3
    assert (fit.low, fit.high) == pytest.approx((low, high), abs=digit)
    assert fit.value is None


def test_identified_set_of_half_distances():
    fit = fit_decay_table(BANDS, *TRANSFERS, reading="set")
    assert (fit.half_low_km, fit.half_high_km) == pytest.approx((55, 129), abs=0.5)


def test_power_set_ends_by_hand():
    # at midpoints 25, 75, 150, 250 the lower end for transfers is where the bands 2 and 4 just fit together:
    # 30/75^-α ... the binding pair is low of band 1 against high of band 4, or high of 4 against low of 1:
    # L1/g1 = U4/g4  ⇔  50·25^α = 15·250^α  ⇔  α = ln(50/15)/ln(10) = .523 (not binding);
    # L2/g2 = U4/g4  ⇔  30·75^α = 15·250^α  ⇔  α = ln 2 / ln(250/75) = .5757 (binding)
    fit = fit_decay_table(BANDS, *TRANSFERS, reading="set", law="power")
    assert fit.low == pytest.approx(np.log(2) / np.log(250 / 75), rel=1e-9)


@pytest.mark.parametrize(("column", "exponent"), [(TRANSFERS, 2.12), (TALENT, 2.11)])
def test_ring_reading(column, exponent):
    fit = fit_decay_table(BANDS, *column, reading="ring")
    assert fit.value == pytest.approx(exponent, abs=5e-3)
    assert fit.std_error == pytest.approx(0.25, abs=5e-3)


def test_ring_reading_of_transfers():
    fit = fit_decay_table(BANDS, *TRANSFERS, reading="ring")
    assert fit.statistics["r_squared"] == pytest.approx(0.974, abs=5e-4)
    # cumulative shares by hand: (65, 105, 127.5, 137.5) / 137.5 = 47, 76, 93, 100 %
    shares = [fit.statistics[f"share_within_{edge}_km"] for edge in (50, 100, 200, 300)]
    assert shares == pytest.approx([65 / 137.5, 105 / 137.5, 127.5 / 137.5, 1.0], rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(decay=st.floats(0.002, 0.05), scale=st.floats(1.0, 1e4), units=st.floats(0.01, 100.0))
def test_edge_reading_recovers_an_exact_exponential_in_any_unit(decay, scale, units):
    edges = np.array([0.0, 20.0, 60.0, 90.0, 150.0])
    values = units * scale * np.exp(-decay * edges)
    bands = list(pairwise(edges))
    fit = fit_decay_table(bands, values[1:], values[:-1])
    assert fit.value == pytest.approx(decay, rel=1e-9)
    assert fit.scale == pytest.approx(units * scale, rel=1e-9)


@pytest.mark.parametrize(
    ("bands", "low", "high", "says"),
    [
        (BANDS, [50, 30, 15], [80, 50, 30, 15], "4 bands but 3 low"),
        (BANDS, [80, 30, 15, 5], [50, 50, 30, 15], "inverted"),
        (BANDS, [50, np.nan, 15, 5], [80, 50, 30, 15], "finite"),
        ([(0, 50), (60, 100), (100, 200)], [50, 30, 15], [80, 50, 30], "adjacent"),
        ([(0, 50), (40, 100), (100, 200)], [50, 30, 15], [80, 50, 30], "do not overlap"),
        ([(0, 50), (50, 100), (100, np.inf)], [50, 30, 15], [80, 50, 30], "an open band needs an end"),
        (BANDS, [50, 30, 15, -5], [80, 50, 30, 15], "not negative"),
        (BANDS, [50, 30, 15, 0], [80, 50, 30, 15], "no logarithm"),
        (BANDS[:2], [50, 30], [80, 50], "at least three"),
        ([(0, 50), (50,)], [50, 30], [80, 50], "one .nearest, farthest. pair"),
        (None, [50, 30], [80, 50], "one .nearest, farthest. pair"),
        (BANDS, ["many", 30, 15, 5], [80, 50, 30, 15], "expected: numbers"),
        (BANDS, [50, 30, 15, 5], [80, 55, 30, 15], "read as values at the band edges"),
    ],
)
def test_tables_that_cannot_be_read(bands, low, high, says):
    with pytest.raises(OptionError, match=says):
        fit_decay_table(bands, low, high)


def test_unknown_and_impossible_readings():
    with pytest.raises(OptionError, match="Did you mean 'interval'"):
        fit_decay_table(BANDS, *TRANSFERS, reading="intervals")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="more parameters"):
        fit_decay_table(BANDS, *TRANSFERS, reading="interval", law="shifted")
    with pytest.raises(OptionError, match="more parameters"):
        fit_decay_table(BANDS, *TRANSFERS, reading="ring", law="stretched")
    with pytest.raises(OptionError, match="negative binomial"):
        fit_decay_table(BANDS, *TRANSFERS, reading="edge", size=5.0)
    with pytest.raises(OptionError, match="negative binomial"):
        fit_decay_table(BANDS, *TRANSFERS, reading="interval", size=-1.0)
    with pytest.raises(OptionError, match="whole numbers"):
        fit_decay_table(BANDS, [50.5, 30, 15, 5], [80, 50.5, 30, 15], reading="interval")


def test_values_that_do_not_fall_have_no_decay():
    with pytest.raises(EstimationError, match="no estimate inside"):
        fit_decay_table(BANDS, [1, 2, 3, 4], [2, 3, 4, 5], reading="midpoint")
    with pytest.raises(EstimationError, match="inside all ranges"):
        fit_decay_table(BANDS, [1, 30, 1, 30], [2, 50, 2, 50], reading="set")


# -- tables of other users: more bands, gaps, single numbers, zeros, other laws --------------------------

FINE = [(0, 20), (20, 50), (50, 90), (90, 150), (150, 230), (230, 330)]


def band_means(bands, value):
    """Averages over distance by Simpson's rule on a fine grid: independent of the quadrature that is tested."""
    from scipy.integrate import simpson

    grids = [np.linspace(*band, 2001) for band in bands]
    return np.array([simpson(value(grid), x=grid) / (grid[-1] - grid[0]) for grid in grids])


@pytest.mark.parametrize(
    ("law", "value", "half", "named"),
    [
        # half-distance of (1 + d/60)^−2: 60 (√2 − 1) = 24.85 km
        ("shifted", lambda d: (1 + d / 60.0) ** -2.0, 60 * (np.sqrt(2) - 1), {"exponent": 2.0, "d0_km": 60.0}),
        # half-distance of exp(−(.01 d)^.7): (ln 2)^(1/.7) / .01 = 59.24 km
        ("stretched", lambda d: np.exp(-((0.01 * d) ** 0.7)), np.log(2) ** (1 / 0.7) / 0.01, {"shape": 0.7}),
    ],
)
def test_laws_with_a_shape_are_recovered_from_exact_band_means(law, value, half, named):
    means = 1e4 * band_means(FINE, value)
    fit = fit_decay_table(FINE, means, means, reading="midpoint", law=law)
    assert fit.parameter == "half_distance_km"
    assert fit.half_distance_km == pytest.approx(half, rel=2e-3)  # the optimum is flat along half-distance and shape
    assert fit.low < half < fit.high
    assert {name: fit.statistics[name] for name in named} == pytest.approx(named, rel=2e-2)
    inside = fit_decay_table(FINE, 0.9 * means, 1.1 * means, reading="set", law=law)
    assert inside.half_low_km < half < inside.half_high_km


def test_bands_with_gaps_and_single_numbers():
    bands = [(0, 20), (50, 90), (150, 230)]
    means = 500 * band_means(bands, lambda d: np.exp(-0.012 * d))
    assert fit_decay_table(bands, means, means, reading="midpoint").value == pytest.approx(0.012, rel=1e-5)


def test_a_range_that_begins_at_zero_bounds_the_set_on_one_side_only():
    fit = fit_decay_table(BANDS, [50, 30, 15, 0], [80, 50, 30, 15], reading="set")
    closed = fit_decay_table(BANDS, *TRANSFERS, reading="set")
    assert fit.low == pytest.approx(closed.low)  # U4 still binds from below
    assert fit.high > closed.high


def test_negative_binomial_counts_widen_the_interval_and_tend_to_poisson():
    poisson = fit_decay_table(BANDS, *TRANSFERS, reading="interval")
    wide = fit_decay_table(BANDS, *TRANSFERS, reading="interval", size=5.0)
    near = fit_decay_table(BANDS, *TRANSFERS, reading="interval", size=1e6)
    assert wide.low < poisson.low < poisson.high < wide.high
    assert (near.value, near.low, near.high) == pytest.approx((poisson.value, poisson.low, poisson.high), rel=1e-3)
