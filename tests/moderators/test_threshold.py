"""Threshold search against brute force; tests, sets and refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from simulated import named_weights, nearest, row_standardised
from spillover.errors import DesignError, OptionError, UnknownColumnError
from spillover.models.fit import fit
from spillover.moderators.threshold import fit_threshold
from spillover.moderators.threshold_bootstrap import Scheme
from spillover.moderators.threshold_columns import Switch, candidate_values, explain, thin
from spillover.moderators.threshold_set import critical_value
from spillover.numerics.kernels import kernel_root, wendland
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel
from spillover.simulation.planted import PlantedThresholds, SharedDenominator
from spillover.weights.weights import SpatialWeights


@pytest.fixture(scope="module")
def weights() -> SpatialWeights:
    return named_weights(row_standardised(nearest(40, 4, seed=3)))


@pytest.fixture(scope="module")
def panel(weights: SpatialWeights) -> Panel:
    return PlantedThresholds(40, 6, jumps=((0.8, 0.2),), rho=0.3, theta=0.4).draw(2, weights)


# -- search ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("effects", ["none", "individual", "time", "two-way"])
def test_running_sums_are_demeaned_least_squares(effects: str) -> None:
    """Explained sums of squares at every γ from dense least squares, with ties in q and two switching columns."""
    rng = np.random.default_rng(0)
    n, t = 12, 7
    transformation = Transformation(effects, "lee-yu", n, t)  # type: ignore[arg-type]
    q = rng.normal(size=(n, t)).round(1)
    switch = Switch(rng.normal(size=(2, n, t)), q, (None, None), transformation)
    z = transformation.remove_means(rng.normal(size=(3, n, t))).reshape(3, -1).T
    basis = np.linalg.qr(z)[0]
    y = transformation.remove_means(rng.normal(size=(2, n, t))).reshape(2, -1).T
    right = y - basis @ (basis.T @ y)
    gammas = candidate_values(q, 0.1)
    found = explain(switch, basis, right, gammas).products
    for gamma, products in zip(gammas, found, strict=True):
        masked = transformation.remove_means(switch.columns * (q <= gamma)).reshape(2, -1).T
        full = np.column_stack([z, masked])
        rest = y - full @ np.linalg.lstsq(full, y, rcond=None)[0]
        assert right.T @ right - products == pytest.approx(rest.T @ rest, abs=1e-10)


def ssr(panel: Panel, regressors: list[np.ndarray]) -> float:
    """Sum of squares of y on regressors with two-way effects by brute force."""
    within = Transformation("two-way", "lee-yu", *panel.shape)
    z = within.remove_means(np.stack(regressors)).reshape(len(regressors), -1).T
    y = within.apply(panel["y"]).ravel()
    return float(np.sum((y - z @ np.linalg.lstsq(z, y, rcond=None)[0]) ** 2))


def test_the_estimate_is_the_best_of_all_values(panel: Panel) -> None:
    found = fit_threshold("y ~ x", panel, threshold="q", switching="x", bootstrap=None)
    x, q = panel["x"], panel["q"]
    values = candidate_values(q, 0.10)
    squares = [ssr(panel, [x, x * (q <= gamma)]) for gamma in values]
    best = int(np.argmin(squares))
    threshold = found.thresholds[0]
    assert threshold.value == values[best]
    variance = squares[best] / (39 * 5)  # m = (n − 1)(t − 1)
    assert threshold.ratio == pytest.approx((np.array(squares) - squares[best]) / variance, abs=1e-8)
    assert found.counts == (int((q <= values[best]).sum()), int((q > values[best]).sum()))
    # slopes per regime are those of an ordinary fit with the two regressors
    split = panel.with_variables({"low": x * (q <= values[best]), "high": x * (q > values[best])})
    direct = fit("y ~ low + high", split, model="ols")
    assert found.estimates.values == pytest.approx(direct.estimates.values, rel=1e-9)
    assert found.estimates.std_errors == pytest.approx(direct.estimates.std_errors, rel=1e-9)


def test_two_thresholds_are_the_best_pair() -> None:
    """The sequential search with refinement reaches the joint minimum found by trying all pairs."""
    panel = PlantedThresholds(30, 5, jumps=((1.5, -0.5), (-1.2, 0.6))).draw(4)
    found = fit_threshold("y ~ x", panel, threshold="q", switching="x", thresholds=2, bootstrap=None)
    x, q = panel["x"], panel["q"]
    values = candidate_values(q, 0.10)
    share = np.array([np.mean(q <= gamma) for gamma in values])
    pairs = [(a, b) for a, b in itertools.combinations(range(values.size), 2) if share[b] - share[a] >= 0.05]
    squares = [ssr(panel, [x, x * (q <= values[a]), x * (q <= values[b])]) for a, b in pairs]
    a, b = pairs[int(np.argmin(squares))]
    assert [each.value for each in found.thresholds] == [values[a], values[b]]
    assert found.regimes[1].startswith(f"{values[a]:.6g} < q ≤")
    assert sum(found.counts) == 150


def test_with_a_lagged_outcome_every_candidate_is_a_fitted_sdm(panel: Panel, weights: SpatialWeights) -> None:
    """The profile equals 2[ℓ(γ̂) − ℓ(γ)] of the exact estimator, run anew at each of some γ."""
    found = fit_threshold("y ~ x", panel, weights, threshold="q", switching=("x", "W*x"), bootstrap=None)
    threshold = found.thresholds[0]
    x, q, lag = panel["x"], panel["q"], weights.lag(panel["x"])

    def loglik(gamma: float) -> float:
        low = q <= gamma
        wide = panel.with_variables({"xl": x * low, "lag": lag, "lagl": lag * low})
        return float(fit("y ~ x + xl + lag + lagl", wide, weights, model="sar").statistics["log_likelihood"])

    best = loglik(threshold.value)
    assert found.statistics["log_likelihood"] == pytest.approx(best, abs=1e-7)
    for at in (0, 40, 90, threshold.gammas.size - 1):
        expected = 2.0 * (best - loglik(float(threshold.gammas[at])))
        assert threshold.ratio[at] == pytest.approx(expected, abs=1e-5)


def test_senders_threshold_masks_before_lagging(panel: Panel, weights: SpatialWeights) -> None:
    found = fit_threshold(
        "y ~ x", panel, weights, threshold="q", switching="W*x", side="sender", model="slx", bootstrap=None
    )
    x, q = panel["x"], panel["q"]
    values = candidate_values(q, 0.10)
    squares = [ssr(panel, [x, weights.lag(x), weights.lag(x * (q <= gamma))]) for gamma in values]
    assert found.thresholds[0].value == values[int(np.argmin(squares))]
    low = weights.lag(x * (q <= found.thresholds[0].value))
    direct = fit("y ~ x + low + high", panel.with_variables({"low": low, "high": weights.lag(x) - low}), model="ols")
    assert found.estimates.values == pytest.approx(direct.estimates.values, rel=1e-8)


def test_region_by_segment_effects_are_removed_from_every_masked_column(panel: Panel) -> None:
    """Means by region × segment: no running sums then, and still the best of all values."""
    segments = ("a", "a", "a", "b", "b", "b")
    found = fit_threshold("y ~ x", panel, threshold="q", switching="x", segments=segments, bootstrap=None)
    within = Transformation("two-way", "lee-yu", *panel.shape, None, (np.arange(3), np.arange(3, 6)))
    x, q, y = panel["x"], panel["q"], within.apply(panel["y"]).ravel()
    values = candidate_values(q, 0.10)
    squares = []
    for gamma in values:
        z = within.remove_means(np.stack([x, x * (q <= gamma)])).reshape(2, -1).T
        squares.append(float(np.sum((y - z @ np.linalg.lstsq(z, y, rcond=None)[0]) ** 2)))
    assert found.thresholds[0].value == values[int(np.argmin(squares))]
    assert found.thresholds[0].ratio.argmin() == int(np.argmin(squares))


def test_summary_shows_sets_regimes_and_tests(panel: Panel, weights: SpatialWeights) -> None:
    found = fit_threshold("y ~ x", panel, weights, threshold="q", switching="W*x", draws=99)
    text = found.summary()
    for part in ("thresholds: q at", "W*x [q ≤", "indirect: x | q >", "there is no threshold", "note: Errors of the"):
        assert part in text


def test_effects_by_regime_are_derivatives(panel: Panel, weights: SpatialWeights) -> None:
    found = fit_threshold("y ~ x", panel, weights, threshold="q", switching=("x", "W*x"), bootstrap=None)
    b, w = found.estimates, weights.matrix.toarray()
    table = found.effects().set_index(["regime", "effect"])
    for regime in found.regimes:
        m = np.linalg.solve(np.eye(40) - b["rho"] * w, b[f"x [{regime}]"] * np.eye(40) + b[f"W*x [{regime}]"] * w)
        direct, total = np.trace(m) / 40, m.sum() / 40
        assert table.loc[(regime, "direct"), "estimate"] == pytest.approx(direct, rel=1e-10)
        assert table.loc[(regime, "indirect"), "estimate"] == pytest.approx(total - direct, rel=1e-10)


# -- sets --------------------------------------------------------------------------------------------


def test_the_confidence_set_is_where_the_ratio_is_low(panel: Panel) -> None:
    found = fit_threshold("y ~ x", panel, threshold="q", switching="x", bootstrap=None)
    threshold = found.thresholds[0]
    critical = critical_value(0.95)
    assert critical == pytest.approx(7.3523, abs=1e-4)  # Hansen (1999), table of c(α): 7.35
    inside = threshold.gammas[threshold.ratio / threshold.eta2 <= critical]
    for gamma in threshold.gammas:
        assert threshold.covers(float(gamma)) == (gamma in inside)
        assert threshold.covers(float(gamma) + 1e-9) == (gamma in inside)  # between two values: as the lower one
    assert threshold.hull[0] == inside[0]
    assert sum(low <= threshold.value < high for low, high in threshold.intervals) == 1
    assert not threshold.covers(float(threshold.gammas[0]) - 1.0)
    plain = fit_threshold("y ~ x", panel, threshold="q", switching="x", bootstrap=None, scaled=False).thresholds[0]
    assert plain.profile == pytest.approx(threshold.ratio)
    assert set(threshold.tidy().columns) >= {"gamma", "scaled_ratio", "in_set"}


def test_eta2_by_hand() -> None:
    """Errors twice as large near γ̂ as on average, x = ±1: η̂² is the ratio of mean squares under the kernel."""
    from spillover.moderators.threshold_set import error_ratio

    rng = np.random.default_rng(1)
    q = rng.uniform(-1, 1, (50, 8))
    x = np.sign(rng.normal(size=(50, 8)))
    e = rng.normal(size=(50, 8)) * np.where(np.abs(q) < 0.5, 2.0, 1.0)
    switch = Switch(x[None], q, (None,), Transformation("two-way", "lee-yu", 50, 8))
    quarter, third = np.quantile(q, [0.25, 0.75])
    h = 2.34 * min(q.std(ddof=1), (third - quarter) / 1.349) * 400**-0.2
    k = np.maximum(1 - (q / h) ** 2, 0)
    assert error_ratio(switch, 0.0, np.array([0.7]), e) == pytest.approx(
        np.sum(k * e**2) / np.sum(k) / np.mean(e**2), rel=1e-12
    )


# -- bootstrap ---------------------------------------------------------------------------------------


def test_spatial_multipliers_have_the_kernel_as_correlation() -> None:
    places = np.random.default_rng(0).uniform(0, 500, (40, 2))
    residuals = np.random.default_rng(1).normal(size=(40, 5))
    scheme = Scheme("spatial", kernel_root(places, 300.0), 2)
    drawn = scheme.errors(residuals, np.random.default_rng(2), 20_000) / residuals[:, :, None]
    kernel = wendland(np.linalg.norm(places[:, None] - places[None], axis=2) / 300.0)
    # sd of an entry of a correlation from 20,000 draws ≤ 1/√20,000 = .007; five of them over 1,600 entries
    assert np.abs(drawn[:, 0] @ drawn[:, 0].T / 20_000 - kernel).max() < 0.036
    assert np.abs(drawn[:, 0] - drawn[:, 1]).max() < 1e-9  # a block of two periods
    assert np.abs((drawn[:, 1] * drawn[:, 2]).mean(axis=1)).max() < 0.036
    period = Scheme("period", None, 1).errors(residuals, np.random.default_rng(2), 10) / residuals[:, :, None]
    assert np.ptp(period, axis=0).max() < 1e-9
    hansen = Scheme("hansen", None, 1).errors(residuals, np.random.default_rng(2), 3)
    assert all(any(np.array_equal(path, row) for row in residuals) for path in hansen[:, :, 0])


def test_large_maps_have_a_moving_average_close_to_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    from spillover.numerics import kernels

    places = np.random.default_rng(0).uniform(0, 1000, (600, 2))
    monkeypatch.setattr(kernels, "DENSE_ROOT", 100)
    root = kernels.kernel_root(places, 300.0).matrix
    assert root is not None
    found = (root @ root.T).toarray()
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert np.diag(found) == pytest.approx(np.ones(600), rel=1e-12)
    assert found[distance > 300.0].max() == 0.0
    assert np.abs(found - wendland(distance / 300.0)).mean() < 0.05


def test_drawn_statistics_are_searches_of_the_drawn_samples(panel: Panel) -> None:
    """Drawn samples, searched by brute force least squares, have the sums of squares that the tables give."""
    from spillover.moderators.threshold_bootstrap import NullModel, Sampler
    from spillover.moderators.threshold_objective import SumOfSquares
    from spillover.moderators.threshold_search import build_grid, search

    rng = np.random.default_rng(5)
    within = Transformation("two-way", "lee-yu", *panel.shape)
    x, q = panel["x"], panel["q"]
    switch = Switch(x[None], q, (None,), within)
    basis = np.linalg.qr(within.apply(x).reshape(-1, 1))[0]
    gammas = thin(candidate_values(q, 0.1), 25)
    grid = build_grid(switch, basis, gammas, 0.05)
    objective = SumOfSquares(within.m)
    errors = rng.normal(size=(*panel.shape, 3))
    null = NullModel((7,), np.array([0.9]), np.zeros(panel.shape), None)
    start, cross = Sampler(grid, basis, within, None, 0.0).tables(null, errors)
    found = search(grid, objective, start, cross, 2)
    for i in range(3):
        drawn = panel.with_variables({"y": 0.9 * x * (q <= gammas[7]) + errors[:, :, i]})
        one = [ssr(drawn, [x, x * (q <= gamma)]) for gamma in gammas]
        first = gammas[int(np.argmin(one))]
        apart = [g for g in gammas if abs(np.mean(q <= g) - np.mean(q <= first)) >= 0.05]
        two = min(ssr(drawn, [x, x * (q <= first), x * (q <= gamma)]) for gamma in apart)
        assert found.values[:, i] == pytest.approx([ssr(drawn, [x]), min(one), two], rel=1e-9)


def test_drawn_samples_of_a_lag_model_are_solved_and_fitted(panel: Panel, weights: SpatialWeights) -> None:
    """y* = S^{-1}(Zδ + e*) and its likelihood ratio from the exact estimator."""
    from spillover.moderators.threshold_bootstrap import NullModel, Sampler
    from spillover.moderators.threshold_objective import concentrated
    from spillover.moderators.threshold_search import build_grid, search

    rng = np.random.default_rng(6)
    within = Transformation("two-way", "lee-yu", *panel.shape)
    x, q = panel["x"], panel["q"]
    switch = Switch(x[None], q, (None,), within)
    basis = np.linalg.qr(within.apply(x).reshape(-1, 1))[0]
    gammas = thin(candidate_values(q, 0.1), 8)
    grid = build_grid(switch, basis, gammas, 0.05)
    objective = concentrated(weights.engine, within.m, within.t_star, within.unit_roots, 0.3, 0.08)
    errors = rng.normal(size=(*panel.shape, 2))
    null = NullModel((), np.zeros(0), np.zeros(panel.shape), 0.5 * x)
    start, cross = Sampler(grid, basis, within, weights, 0.3).tables(null, errors)
    found = search(grid, objective, start, cross, 1)
    for i in range(2):
        y = np.linalg.solve(np.eye(40) - 0.3 * weights.matrix.toarray(), 0.5 * x + errors[:, :, i])
        drawn = panel.with_variables({"y": y})
        without = fit("y ~ x", drawn, weights, model="sar").statistics["log_likelihood"]
        best = max(
            fit("y ~ x + xl", drawn.with_variables({"xl": x * (q <= gamma)}), weights, model="sar").statistics[
                "log_likelihood"
            ]
            for gamma in gammas
        )
        ratio = objective.statistic(found.values[0], found.values[1])[i]
        assert ratio == pytest.approx(2.0 * (best - without), abs=1e-6)


def test_a_planted_threshold_is_found_and_tested() -> None:
    panel = PlantedThresholds(range_km=150.0, jumps=((0.8, 0.3),)).draw(7)
    found = fit_threshold("y ~ x", panel, threshold="q", switching="x", draws=399, seed=1)
    threshold, test = found.thresholds[0], found.threshold_tests[0]
    assert threshold.value == pytest.approx(0.3, abs=0.1)
    assert threshold.covers(0.3)
    assert test.test.p_value == pytest.approx(1 / 400)
    assert test.reach_km == pytest.approx(6 * test.dependence.range_km)
    assert 50 < test.dependence.range_km < 400
    assert found.supported() == 1
    again = fit_threshold("y ~ x", panel, threshold="q", switching="x", draws=399, seed=1)
    assert np.array_equal(again.threshold_tests[0].drawn, test.drawn)


def test_a_threshold_in_the_spillover() -> None:
    weights = named_weights(row_standardised(nearest(100, 5, seed=1)))
    panel = PlantedThresholds(rho=0.3, theta=0.5, lag_jump=(1.2, -0.4)).draw(8, weights)
    found = fit_threshold("y ~ x", panel, weights, threshold="q", switching="W*x", draws=199, seed=1)
    assert found.thresholds[0].covers(-0.4)
    low, high = found.regimes
    assert found.estimates[f"W*x [{low}]"] - found.estimates[f"W*x [{high}]"] == pytest.approx(1.2, abs=0.25)
    assert found.threshold_tests[0].test.form == "likelihood ratio"
    assert found.threshold_tests[0].test.p_value < 0.01
    effects = found.effects().set_index(["regime", "effect"])["estimate"]
    assert effects[low, "indirect"] > effects[high, "indirect"] + 1.0


def test_errors_that_persist_get_one_multiplier_per_region() -> None:
    """Autocorrelation .8 and none in space: blocks of ⌈10^(1/3)⌉ = 3 periods would reject .12 for .05."""
    panel = PlantedThresholds(60, 10, serial=0.8).draw(3)
    found = fit_threshold("y ~ x", panel, threshold="q", switching="x", draws=99, grid=40)
    test = found.threshold_tests[0]
    assert test.dependence.is_serial
    assert (test.reach_km, test.block) == (0.0, 10)
    assert any("one multiplier for all periods" in note for note in found.notes)
    near = fit_threshold("y ~ x", panel, threshold="q", switching="x", draws=99, grid=40, reach_km=100.0)
    assert near.threshold_tests[0].block == 3


def test_relabelling_and_units_change_nothing() -> None:
    panel = PlantedThresholds(40, 6, jumps=((0.8, 0.2),), range_km=100.0).draw(9)
    base = fit_threshold("y ~ x", panel, threshold="q", switching="x", draws=99, seed=3)
    scaled = panel.with_variables({"y": 1e4 * panel["y"], "x": 1e-3 * panel["x"], "q": 100.0 * panel["q"] + 5.0})
    other = fit_threshold("y ~ x", scaled, threshold="q", switching="x", draws=99, seed=3)
    assert other.thresholds[0].value == pytest.approx(100.0 * base.thresholds[0].value + 5.0)
    assert other.thresholds[0].profile == pytest.approx(base.thresholds[0].profile, rel=1e-6, abs=1e-8)
    assert other.threshold_tests[0].drawn == pytest.approx(base.threshold_tests[0].drawn, rel=1e-6)


# -- refusals ----------------------------------------------------------------------------------------


def test_centred_the_unit_inside_a_logarithm_changes_nothing(weights: SpatialWeights) -> None:
    """log(c·x) = log c + log x: a constant more in what switches; uncentred, the threshold itself would move."""
    panel = PlantedThresholds(40, 6, jumps=((0.8, 0.2),), rho=0.3, theta=0.4).draw(2, weights)
    asked = {"threshold": "q", "switching": ("x", "W*x"), "draws": 99, "bootstrap": "hansen", "centred": True}
    found = fit_threshold("y ~ x", panel, weights, **asked)
    moved = fit_threshold("y ~ x", panel.with_variables({"x": panel["x"] + 7.0}), weights, **asked)
    assert moved.thresholds[0].value == found.thresholds[0].value
    assert moved.estimates.values == pytest.approx(found.estimates.values, rel=1e-6)
    assert moved.threshold_tests[0].drawn == pytest.approx(found.threshold_tests[0].drawn, rel=1e-6)
    # by hand: with the mean the second column is another one, and that is Hansen's model
    x, q = panel["x"] + 7.0, panel["q"]
    gammas = candidate_values(q, 0.10)
    uncentred = [ssr(panel, [x, x * (q <= gamma)]) for gamma in gammas]
    centred = [ssr(panel, [x, (x - x.mean()) * (q <= gamma)]) for gamma in gammas]
    assert gammas[np.argmin(uncentred)] != gammas[np.argmin(centred)]
    far = panel.with_variables({"x": x})
    by_default = fit_threshold("y ~ x", far, threshold="q", switching="x", bootstrap=None)
    assert by_default.thresholds[0].value == gammas[np.argmin(uncentred)]
    assert any("x is far from zero" in note for note in by_default.notes)
    assert not any("far from zero" in note for note in moved.notes)


def test_a_shared_denominator_is_no_threshold() -> None:
    """No slope changes, q and y share a denominator: what switches uncentred jumps with it, in every panel."""
    found = dict.fromkeys((True, False), 0)
    for seed in range(12):
        panel = SharedDenominator().draw(seed)
        for centred in found:
            fitted = fit_threshold(
                "y ~ x", panel, threshold="q", switching="x", draws=99, grid=40, seed=seed, centred=centred
            )
            found[centred] += fitted.threshold_tests[0].test.p_value <= 0.05
    assert found[False] == 12
    assert found[True] <= 3  # binomial(12, .05): more than three in 2 of 1,000


def test_bad_input_is_refused_in_words(panel: Panel, weights: SpatialWeights) -> None:
    ties = panel.with_variables({"rating": np.repeat([1.0, 2.0, 3.0, 4.0], 10)})
    with pytest.raises(DesignError, match=r"too few distinct values[\s\S]*ties everywhere"):
        fit_threshold("y ~ x", ties, threshold="rating", switching="x")
    with pytest.raises(DesignError, match="same everywhere"):
        fit_threshold("y ~ x", panel.with_variables({"k": np.ones(40)}), threshold="k", switching="x")
    with pytest.raises(UnknownColumnError, match="is to switch"):
        fit_threshold("y ~ x", panel, threshold="q", switching="W*x")
    with pytest.raises(OptionError, match="one, two or three"):
        fit_threshold("y ~ x", panel, threshold="q", switching="x", thresholds=4)
    named = fit_threshold("y ~ x", panel, threshold={"quality": "q"}, switching="x", bootstrap=None)
    assert named.regimes[0].startswith("quality ≤")
    with pytest.raises(OptionError, match="one variable"):
        fit_threshold("y ~ x", panel, threshold={"a": "q", "b": "x"}, switching="x")
    with pytest.raises(OptionError, match="trim is a share"):
        fit_threshold("y ~ x", panel, threshold="q", switching="x", trim=10)
    with pytest.raises(OptionError, match="not in sem"):
        fit_threshold("y ~ x", panel, weights, threshold="q", switching="x", model="sem")
    with pytest.raises(OptionError, match="too few draws"):
        fit_threshold("y ~ x", panel, threshold="q", switching="x", draws=10)
    blind = Panel(panel.regions, panel.periods, dict(panel.variables))
    with pytest.raises(OptionError, match="no map"):
        fit_threshold("y ~ x", blind, threshold="q", switching="x")


def test_a_regime_with_too_few_observations_is_refused(panel: Panel) -> None:
    from spillover.moderators.threshold_objective import SumOfSquares
    from spillover.moderators.threshold_problem import ThresholdProblem

    within = Transformation("two-way", "lee-yu", *panel.shape)
    switch = Switch(panel["x"][None], panel["q"], (None,), within)
    basis = np.linalg.qr(within.apply(panel["x"]).reshape(-1, 1))[0]
    problem = ThresholdProblem(None, (), switch, basis, np.ones((240, 1)), SumOfSquares(within.m))  # type: ignore[arg-type]
    middle = np.sort(panel["q"].ravel())[118:122]  # four values around the median, a threshold between them
    with pytest.raises(DesignError, match="regime would have too few observations"):
        problem.profile(middle, [float(middle[1])])


def test_few_periods_are_too_few_for_whole_period_multipliers(panel: Panel) -> None:
    with pytest.raises(OptionError, match="ten periods"):
        fit_threshold("y ~ x", panel, threshold="q", switching="x", bootstrap="period")
