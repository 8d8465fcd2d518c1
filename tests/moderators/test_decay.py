"""Decay by profile likelihood in SLX: against brute force, against `fit`, and what must not matter."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import least_squares

import spillover as so
from moderators.space import DECAY, kernel_matrix, reordered, scatter, slx_panel
from spillover.errors import (
    AlignmentError,
    DesignError,
    OptionError,
    UnknownColumnError,
    WeakIdentificationWarning,
    WeightsError,
)
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.moderators.decay import fit_decay
from spillover.moderators.distances import Distances, measure_distances
from spillover.weights.points import Points
from spillover.weights.weights import SpatialWeights

DISTANCES = scatter(50)
PANEL = slx_panel(DISTANCES, 8, seed=1)


@pytest.fixture(scope="module")
def fit():
    return fit_decay("y ~ x + z", PANEL, distances=DISTANCES, draws=199)


def two_way(values):
    return values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True) + values.mean()


def brute_residuals(p, panel=PANEL, distances=DISTANCES):
    """Demeaned residuals at (β_x, β_z, θ, δ), written without the package."""
    kernel = kernel_matrix(distances, lambda d: np.exp(-p[3] * d))
    return two_way(panel["y"] - p[0] * panel["x"] - p[1] * panel["z"] - p[2] * kernel @ panel["x"])


def test_equals_nonlinear_least_squares(fit):
    # independent code: all four parameters at once by Levenberg–Marquardt on demeaned residuals
    found = least_squares(lambda p: brute_residuals(p).ravel(), [1.0, -0.5, 1.0, 0.01], method="lm", xtol=1e-14)
    assert fit.estimates.values == pytest.approx(found.x, rel=1e-5)  # Brent stops at 1e-7 of log δ
    # Gauss–Newton errors clustered by region, from the numeric Jacobian
    e, jacobian = brute_residuals(found.x), -found.jac.reshape(50, 8, 4)
    bread = np.linalg.inv(found.jac.T @ found.jac)
    sums = np.einsum("nt,ntk->nk", e, jacobian)
    cov = bread @ sums.T @ sums @ bread * 50 / 49
    assert fit.estimates.cov == pytest.approx(cov, rel=2e-3)  # forward differences of the optimiser


def test_equals_fit_at_the_decay_it_found(fit):
    kernel = sp.csr_matrix(kernel_matrix(DISTANCES, lambda d: np.exp(-fit.profile.rate * d)))
    w = SpatialWeights(kernel, DISTANCES.regions, "exponential")
    other = so.fit("y ~ x + z", PANEL, w, model="slx", lagged=["x"])
    assert fit.statistics["log_likelihood"] == pytest.approx(other.statistics["log_likelihood"], rel=1e-12)
    assert fit.estimates.values[:3] == pytest.approx(other.estimates.values[[0, 1, 2]], rel=1e-9)
    indirect = other.effects().set_index("term").loc["indirect: x", "estimate"]
    assert fit.effect_estimates["indirect: x"] == pytest.approx(indirect, rel=1e-9)
    assert fit.effect_estimates["indirect: z"] == 0.0


def test_the_interval_ends_where_the_likelihood_ratio_says(fit):
    interval = fit.intervals["likelihood"]
    for rate in (interval.low, interval.high):
        e = least_squares(lambda p, r=rate: brute_residuals([*p, r]).ravel(), [1.0, -0.5, 1.0], method="lm")
        best = float(np.sum(fit.residuals**2))
        m = 49 * 7
        assert m * np.log(2.0 * e.cost / best) == pytest.approx(3.841459, abs=1e-3)
    low, high = fit.half_interval
    assert (low, high) == pytest.approx((np.log(2) / interval.high, np.log(2) / interval.low))
    assert low < fit.half_distance < high
    assert interval.low < DECAY < interval.high
    assert fit.identified
    assert f"Half-distance {fit.half_distance:.0f} km" in fit.sentence()


def test_the_curve_is_the_kernel_times_theta(fit):
    curve = fit.curve([0.0, 50.0, 100.0])
    theta, rate = fit.estimates["W*x"], fit.profile.rate
    assert curve["effect"].to_numpy() == pytest.approx(theta * np.exp(-rate * np.array([0.0, 50.0, 100.0])))
    assert curve["std_error"][0] == pytest.approx(fit.estimates.std_errors[fit.estimates.index("W*x")])
    # delta method by hand at d = 100: gradient (κ, −θdκ)
    k = np.exp(-100.0 * rate)
    block = fit.estimates.cov[2:, 2:]
    g = np.array([k, -theta * 100.0 * k])
    assert curve["std_error"][2] == pytest.approx(np.sqrt(g @ block @ g), rel=1e-9)


def test_the_profile_can_be_drawn(fit):
    frame = fit.profile_frame()
    assert frame["half_distance"].is_monotonic_increasing
    assert (frame["deviance"] >= 0).all()
    inside = frame[frame["deviance"] < 3.841459]
    low, high = fit.half_interval
    assert low <= inside["half_distance"].min() <= inside["half_distance"].max() <= high


def test_the_spillover_error_counts_the_decay(fit):
    # indirect = θ Σ_ij e^(−δ d_ij)/n; gradient by central differences
    d = np.asarray(DISTANCES.matrix)

    def indirect(theta, rate):
        return theta * (np.exp(-rate * d).sum() - 50) / 50

    theta, rate = fit.estimates.values[2:]
    h = 1e-7
    g = np.array([indirect(1.0, rate), (indirect(theta, rate + h) - indirect(theta, rate - h)) / (2 * h)])
    error = np.sqrt(g @ fit.estimates.cov[2:, 2:] @ g)
    found = fit.effect_estimates
    assert found.std_errors[found.index("indirect: x")] == pytest.approx(error, rel=1e-6)
    assert found["indirect: x"] == pytest.approx(indirect(theta, rate), rel=1e-12)


def test_order_and_names_of_regions_do_not_matter(fit):
    panel, distances = reordered(PANEL, DISTANCES)
    other = fit_decay("y ~ x + z", panel, distances=distances, draws=199)
    assert other.estimates.values == pytest.approx(fit.estimates.values, rel=1e-6)
    assert other.null_test.p_value == fit.null_test.p_value


def test_units_do_not_matter(fit):
    scaled = PANEL.with_variables({"y": 1e3 * PANEL["y"], "x": 1e-4 * PANEL["x"]})
    metres = replace(DISTANCES, matrix=1000.0 * np.asarray(DISTANCES.matrix), unit="m", points=None)
    other = fit_decay("y ~ x + z", scaled, distances=metres, draws=199)
    assert other.half_distance == pytest.approx(1000.0 * fit.half_distance, rel=1e-6)
    assert other.estimates["W*x"] == pytest.approx(1e7 * fit.estimates["W*x"], rel=1e-6)
    assert "decay_per_m" in other.parameters


def test_a_reach_that_holds_all_pairs_changes_nothing(fit):
    near = measure_distances(DISTANCES.points, reach_km=DISTANCES.longest + 1.0)
    other = fit_decay("y ~ x + z", PANEL, distances=near, draws=199)
    assert other.estimates.values == pytest.approx(fit.estimates.values, rel=1e-6)
    assert any("left out" in note for note in other.notes)


def test_row_standardisation_is_another_model(fit):
    row = fit_decay("y ~ x + z", PANEL, distances=DISTANCES, standardise="row", draws=199)
    assert row.statistics["log_likelihood"] < fit.statistics["log_likelihood"]
    kernel = kernel_matrix(DISTANCES, lambda d: np.exp(-row.profile.rate * d))
    w = SpatialWeights(sp.csr_matrix(kernel), DISTANCES.regions, "exponential").standardise("row")
    other = so.fit("y ~ x + z", PANEL, w, model="slx", lagged=["x"])
    assert row.statistics["log_likelihood"] == pytest.approx(other.statistics["log_likelihood"], rel=1e-12)
    assert any("remote region" in note for note in row.notes)
    # the derivative of a row-standardised kernel, by differences of the fitted exposures
    from spillover.moderators.decay_slx import SlxLikelihood

    slx, h = SlxLikelihood(row.design, row.kernel, True), 1e-6
    slope = slx.slopes(0.01, 0.0, 1)[0]
    assert slope == pytest.approx((slx.weigh(0.01 + h, 0.0) - slx.weigh(0.01 - h, 0.0)) / (2 * h), abs=1e-6)


@pytest.mark.parametrize(
    ("law", "function", "half"),
    [
        ("power", lambda d: np.where(d > 0, np.maximum(d, 15.0), 15.0) ** -1.5 * 15**1.5, 15.0 * 2 ** (1 / 1.5)),
        ("shifted", lambda d: (1 + d / 40.0) ** -2.0, 40.0 * (np.sqrt(2) - 1)),
        ("stretched", lambda d: np.exp(-((d / 90.0) ** 1.8)), 90.0 * np.log(2) ** (1 / 1.8)),
    ],
)
def test_other_laws_are_recovered_without_noise(law, function, half):
    panel = slx_panel(DISTANCES, 8, seed=2, noise=1e-3, spatial=function)
    found = fit_decay("y ~ x + z", panel, distances=DISTANCES, kernel=law, minimum_km=15.0, draws=199)
    # the residual noise of a thousandth leaves the third digit of a law with a shape open
    assert found.half_distance == pytest.approx(half, rel=2e-3)
    low, high = found.half_interval
    assert low < half < high


def test_several_regressors_may_share_the_law():
    both = fit_decay("y ~ x + z", PANEL, distances=DISTANCES, lagged=["z"], draws=199)
    assert both.design.lagged == ("x", "z")
    assert both.estimates.names == ("x", "z", "W*x", "W*z", "decay_per_km")
    assert abs(both.estimates["W*z"]) < 4.0 * both.estimates.std_errors[3]
    other = fit_decay("y ~ x + z", PANEL, distances=DISTANCES, treatment="z", draws=199)
    assert other.treatment == "z"


def test_without_a_spillover_the_decay_is_not_identified():
    panel = slx_panel(DISTANCES, 12, seed=3, theta=0.0)
    with pytest.warns(WeakIdentificationWarning, match="do not identify"):
        found = fit_decay("y ~ x + z", panel, distances=DISTANCES, draws=499)
    assert found.null_test.p_value > 0.05
    assert not found.identified
    assert None in found.half_interval
    assert "do not identify" in found.sentence()


def test_the_null_test_is_a_bootstrap_of_whole_periods(fit):
    """One draw of the multipliers, refitted in full: the largest log-likelihood ratio over the grid."""
    from spillover.moderators.decay_null import _multipliers, _null_rss, sup_test_slx
    from spillover.moderators.decay_slx import SlxLikelihood

    panel = slx_panel(DISTANCES, 10, seed=4, theta=0.02)
    found = fit_decay("y ~ x + z", panel, distances=DISTANCES, draws=199, seed=5)
    slx = SlxLikelihood(found.design, found.kernel)
    e = slx.outcome.reshape(50, 10)
    xi = _multipliers(10, 199, 5)[:, 0]
    assert set(xi) == {-1.0, 1.0}
    drawn = replace(found.design, y=found.design.transformation.apply(e * xi))
    again = SlxLikelihood(drawn, found.kernel)
    ratio = max(2.0 * (again(rate, 0.0) - again.null_value) for rate in found.profile.rates)
    assert _null_rss(slx, e, xi[:, None])[0] == pytest.approx(float(again.outcome @ again.outcome), rel=1e-10)
    trials = [(float(rate), 0.0) for rate in found.profile.rates]
    one = sup_test_slx(slx, trials, 1, 5)
    assert isinstance(one, HypothesisTest)
    assert (one.p_value == 1.0) == (ratio >= one.statistic)  # (1 + exceeded)/(1 + 1)


def test_two_periods_have_no_null_test():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fit_decay("y ~ x", slx_panel(scatter(60), 2, 1), distances=scatter(60))
    assert isinstance(found.null_test, NotApplicable)
    assert "there are 2" in found.null_test.reason


def test_a_cross_section_has_an_interval_and_no_null_test():
    one = PANEL.select(periods=[2003])
    found = fit_decay("y ~ x + z", one, distances=DISTANCES)
    assert isinstance(found.null_test, NotApplicable)
    assert found.estimates.names[0] == "(Intercept)"
    low, high = found.half_interval
    assert low < found.half_distance < high
    assert found.checks.serial is None


def test_spatially_related_errors_change_the_interval():
    d = np.asarray(DISTANCES.matrix)
    rng = np.random.default_rng(8)
    root = np.linalg.cholesky(np.exp(-d / 200.0) + 1e-9 * np.eye(50))
    related = PANEL.with_variables({"y": PANEL["y"] + 3.0 * root @ rng.normal(size=(50, 8))})
    found = fit_decay("y ~ x + z", related, distances=DISTANCES, draws=199)
    assert found.checks.spatial
    assert found.checks.range_km > 50.0
    assert found.interval is found.intervals["wald"]
    assert found.estimates.method.startswith(f"Conley, {4 * found.checks.range_km:.4g} km")
    assert found.estimates.df == 7.0  # T − 1
    asked = fit_decay("y ~ x + z", related, distances=DISTANCES, covariance="period", draws=199)
    assert asked.estimates.method == "clustered by period"


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"kernel": "gaussian"}, OptionError, "kernel"),
        ({"model": "sem"}, OptionError, "model"),
        ({"treatment": "w"}, UnknownColumnError, "not a regressor"),
        ({"search_km": (200.0, 100.0)}, OptionError, "search_km"),
        ({"level": 95.0}, OptionError, "confidence level"),
        ({"model": "sdm", "groups": {}}, OptionError, "links inside groups"),
        ({"quasi_difference": 1.5}, OptionError, "quasi_difference"),
        ({"covariance": "hc"}, OptionError, "covariance"),
    ],
)
def test_impossible_options(options, error, says):
    with pytest.raises(error, match=says):
        fit_decay("y ~ x + z", PANEL, distances=DISTANCES, **options)


def test_ids_that_differ_and_panels_that_are_none():
    with pytest.raises(AlignmentError, match="only in the distances"):
        fit_decay("y ~ x", PANEL, distances=scatter(51))
    with pytest.raises(OptionError, match="not a Panel"):
        fit_decay("y ~ x", PANEL.to_frame(), distances=DISTANCES)  # type: ignore[arg-type]


def test_coincident_regions_have_no_power_of_their_distance():
    places = DISTANCES.points.coordinates.copy()
    places[1] = places[0]
    same = measure_distances(Points(DISTANCES.regions, places, False))
    with pytest.raises(WeightsError, match="r000 and r001"):
        fit_decay("y ~ x", PANEL, distances=same, kernel="power")
    fit_decay("y ~ x", PANEL, distances=same, kernel="power", minimum_km=10.0, draws=199)
    fit_decay("y ~ x", PANEL, distances=same, draws=199)  # the exponential is finite at zero


def test_careless_input_is_told_by_name():
    """A constant outcome, equal distances, half a search and too few draws: each found, none a bare traceback."""
    n, t = PANEL.shape
    with pytest.raises(DesignError, match="nothing is left of the outcome"):
        fit_decay("y ~ x", PANEL.with_variables({"y": np.ones((n, t))}), distances=DISTANCES)
    equal = Distances(DISTANCES.regions, 100.0 * (1.0 - np.eye(n)), "a table of hundreds")
    with pytest.raises(DesignError, match="equally far apart"):
        fit_decay("y ~ x", PANEL, distances=equal)
    for options, says in (
        ({"search_km": (10.0,)}, "not a range of half-distances"),
        ({"draws": 0}, "too few draws"),
        ({"seed": -1}, "a seed is a whole number"),
    ):
        with pytest.raises(OptionError, match=says):
            fit_decay("y ~ x", PANEL, distances=DISTANCES, **options)


def test_pairs_without_a_connection_have_no_weight():
    broken = np.asarray(DISTANCES.matrix).copy()
    broken[:25, 25:] = broken[25:, :25] = np.inf
    halves = Distances(DISTANCES.regions, broken, "two islands")
    found = fit_decay("y ~ x + z", PANEL, distances=halves, draws=199)
    kernel = np.where(np.isfinite(broken), np.exp(-found.profile.rate * np.where(np.isfinite(broken), broken, 0)), 0)
    np.fill_diagonal(kernel, 0.0)
    assert found.effect_estimates["indirect: x"] == pytest.approx(found.estimates["W*x"] * kernel.sum() / 50)
