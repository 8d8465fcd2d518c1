"""Shares, attribution, curves, sensitivity, words: what is made of the paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mechanisms.mediation_data import OUTCOME, SERIAL, TRUTH, simulate_system, three_weights
from spillover.errors import OptionError, UndefinedShareError, UnknownColumnError
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.mechanisms.attribution import shapley_weights
from spillover.mechanisms.confounding import correlation_at, slope_at
from spillover.mechanisms.exposure import Exposure
from spillover.mechanisms.mediate import EquationOptions, mediate
from spillover.mechanisms.result import MediationResult
from spillover.mechanisms.robustness import delta_for, e_value, robustness_value
from spillover.panel.panel import Panel
from spillover.study.mechanisms import describe_mediation
from spillover.weights.weights import SpatialWeights


@pytest.fixture(scope="module")
def weights() -> dict[str, SpatialWeights]:
    return three_weights(50)


@pytest.fixture(scope="module")
def result(weights: dict[str, SpatialWeights]) -> MediationResult:
    return mediate(OUTCOME, SERIAL, "x", simulate_system(weights, 8, seed=1), weights, lag=0)


@pytest.fixture(scope="module")
def helping(weights: dict[str, SpatialWeights]) -> MediationResult:
    """All channels of one sign: the first two."""
    mediators = {name: SERIAL[name] for name in ("first", "second")}
    formula = "y ~ x + W*x + m1 + m2 + W*m2 + c + W*y"
    return mediate(formula, mediators, "x", simulate_system(weights, 20, seed=1, third=False), weights, lag=0)


# -- shares ---------------------------------------------------------------------------------------------


def test_shares_sum_to_one_and_have_the_error_of_a_ratio(helping: MediationResult) -> None:
    shares = helping.shares("spillover").set_index("channel")
    parts = ["not through a channel", "first", "second"]
    assert shares.loc[parts, "estimate"].sum() == pytest.approx(1.0)
    assert shares.loc["all channels", "estimate"] == pytest.approx(
        1.0 - shares.loc["not through a channel", "estimate"]
    )
    # var(a/b) = [var a − 2s cov(a, b) + s² var b]/b², from the joint covariance of the effects
    effects = helping.effect_estimates.subset(["spillover: first", "spillover: total"])
    s, b, v = effects.values[0] / effects.values[1], effects.values[1], effects.cov
    expected = np.sqrt(v[0, 0] - 2 * s * v[0, 1] + s**2 * v[1, 1]) / b
    assert shares.loc["first", "std_error"] == pytest.approx(expected, rel=1e-9)


def test_no_shares_where_channels_work_against_each_other(result: MediationResult) -> None:
    # The third channel has a·b = −.6·.4 < 0.
    with pytest.raises(UndefinedShareError, match="different signs") as caught:
        result.shares("own")
    assert "third" in str(caught.value)
    assert "third" in str(result.why_no_shares("own"))
    assert "effects()" in str(caught.value)


def test_no_shares_of_a_total_that_includes_zero(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 5, seed=3)
    noise = np.random.default_rng(1).normal(size=panel.shape)
    silent = panel.with_variables({"x": noise})
    found = mediate("y ~ x + m1", {"first": "m1 ~ x"}, "x", silent, lag=0)
    with pytest.raises(UndefinedShareError, match="includes zero"):
        found.shares("total")
    assert "No shares of the spillover" in found.sentences()[0]


# -- attribution ----------------------------------------------------------------------------------------


def test_attribution_sums_to_the_spillover_of_every_path(result: MediationResult) -> None:
    parts = result.attribution().groupby("path")["estimate"].sum()
    spill = result.paths().query("effect == 'spillover'").set_index("path")["estimate"]
    for path, value in spill.items():
        assert parts[path] == pytest.approx(value, abs=1e-10)


def test_attribution_equals_shapley_values_of_dense_spillovers(
    result: MediationResult, weights: dict[str, SpatialWeights]
) -> None:
    # v(S) from explicit matrices with terms set to zero, and the average over all 4! orders, by definition.
    from itertools import permutations

    p = dict(zip(result.estimates.names, result.estimates.values, strict=True))
    w, second = weights["W"].matrix.toarray(), weights["second"].matrix.toarray()
    i = np.eye(50)
    players = ("second: W*x", "second: rho", "outcome: W*m2", "outcome: rho")

    def v(on: set[str]) -> float:
        q = {name: p[name] if name in on else 0.0 for name in players}
        m = np.linalg.inv(i - q["outcome: rho"] * w) @ (p["outcome: m2"] * i + q["outcome: W*m2"] * w)
        m = m @ np.linalg.inv(i - q["second: rho"] * second) @ (p["second: x"] * i + q["second: W*x"] * second)
        return float(m.sum() - np.trace(m)) / 50

    expected = dict.fromkeys(players, 0.0)
    orders = list(permutations(players))
    for order in orders:
        for place, player in enumerate(order):
            gain = v(set(order[: place + 1])) - v(set(order[:place]))
            expected[player] += gain / len(orders)
    found = result.attribution().query("path == 'second'")
    assert found["estimate"].to_list() == pytest.approx(list(expected.values()), abs=1e-10)
    assert found["equation"].to_list() == ["second", "second", "outcome", "outcome"]


def test_shapley_values_of_a_game_with_a_known_solution() -> None:
    # The glove game: player 0 has a left glove, 1 and 2 right ones; the values are 2/3, 1/6, 1/6.
    worth = np.array([float(state & 1 and state & 6) > 0 for state in range(8)], dtype=float)
    assert shapley_weights(3) @ worth == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_a_path_without_spatial_terms_has_nothing_to_attribute(weights: dict[str, SpatialWeights]) -> None:
    found = mediate("y ~ m1 + W*x + x", {"first": "m1 ~ x"}, "x", simulate_system(weights, 6, seed=2), weights, lag=0)
    assert set(found.attribution()["path"]) == {"not through a channel"}


def test_a_system_without_space_is_told_as_one(weights: dict[str, SpatialWeights]) -> None:
    found = mediate("y ~ x + m1", {"first": "m1 ~ x"}, "x", simulate_system(weights, 6, seed=2), lag=0)
    assert found.attribution().empty
    assert "nothing next door" in found.sentences()[1]
    assert "first" in found.summary()
    assert set(found.simultaneous()["effect"]) == {"own", "spillover"}
    assert describe_mediation(found).attribution == ()


# -- exposures, products, options -----------------------------------------------------------------------


def test_an_exposure_is_one_coefficient_for_home_and_next_door(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 6, seed=5)
    near = weights["near"]
    own = np.linspace(0.5, 1.0, 50)
    exposure = Exposure(near, own)
    found = mediate("y ~ m1 + W*m1 + W*y", {"first": "m1 ~ reach*x"}, "x", panel, {**weights, "reach": exposure}, lag=0)
    p = dict(zip(found.estimates.names, found.estimates.values, strict=True))
    i, w = np.eye(50), weights["W"].matrix.toarray()
    matrix = np.linalg.inv(i - p["outcome: rho"] * w) @ (p["outcome: m1"] * i + p["outcome: W*m1"] * w)
    matrix = matrix @ (p["first: reach*x"] * (np.diag(own) + near.matrix.toarray()))
    row = found.paths().set_index("effect")["estimate"]
    assert row["own"] == pytest.approx(np.trace(matrix) / 50, abs=1e-10)
    assert row["total"] == pytest.approx(matrix.sum() / 50, abs=1e-10)
    # switched off, an exposure leaves what it gives the region itself: with all off nothing spills over
    assert found.attribution()["estimate"].sum() == pytest.approx(row["spillover"], abs=1e-10)
    assert exposure.align(exposure.regions[::-1]).own[0] == own[-1]


def test_a_square_acts_by_its_slope_at_the_level(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 8, seed=6)
    found = mediate("y ~ x + m1 + m1:m1", {"first": "m1 ~ x"}, "x", panel, lag=0)
    p = dict(zip(found.estimates.names, found.estimates.values, strict=True))
    mean = panel["m1"].mean()
    expected = p["first: x"] * (p["outcome: m1"] + 2 * mean * p["outcome: m1:m1"])
    assert found.paths().set_index(["path", "effect"]).loc[("first", "total"), "estimate"] == pytest.approx(expected)
    moved = mediate("y ~ x + m1 + m1:m1", {"first": "m1 ~ x"}, "x", panel, lag=0, at={"first": 2.0})
    expected = p["first: x"] * (p["outcome: m1"] + 4 * p["outcome: m1:m1"])
    assert moved.paths().set_index(["path", "effect"]).loc[("first", "total"), "estimate"] == pytest.approx(expected)
    with pytest.raises(UnknownColumnError, match="in no product"):
        mediate("y ~ x + m1", {"first": "m1 ~ x"}, "x", panel, lag=0, at={"first": 2.0})


def test_short_forms_write_the_equations(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 6, seed=7)
    w = weights["W"]
    short = mediate("y", {"a": "m1", "b": "m3"}, "x", panel, w, controls=["c"], model="sdm", lag=0)
    a = "m1 ~ x + c + W*x + W*c + W*m1"
    b = "m3 ~ x + c + W*x + W*c + W*m3"
    y = "y ~ x + m1 + m3 + c + W*x + W*m1 + W*m3 + W*c + W*y"
    long = mediate(y, {"a": a, "b": b}, "x", panel, w, lag=0)
    assert [e.text for e in short.system.equations] == [a, b, y]
    assert np.allclose(short.effects()["estimate"], long.effects()["estimate"])


def test_equations_may_have_effects_of_their_own(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 6, seed=8)
    own = EquationOptions("m1 ~ x - 1", {"effects": "none"})
    found = mediate("y ~ x + m1", {"first": own}, "x", panel, lag=0)
    x, m = panel["x"].ravel(), panel["m1"].ravel()
    assert found.estimates["first: x"] == pytest.approx(x @ m / (x @ x))  # through the origin, no effects


def test_the_treatment_comes_first_by_default(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 8, seed=9)
    found = mediate("y ~ x + m1", {"first": "m1 ~ x"}, "x", panel)
    assert found.sample.panel.periods == tuple(range(2001, 2008))
    assert "2000" in " ".join(found.notes)
    by_hand = mediate("y ~ lag(x) + m1", {"first": "m1 ~ lag(x)"}, "lag(x)", panel, lag=0)
    assert np.allclose(found.effects()["estimate"], by_hand.effects()["estimate"])
    both = mediate("y ~ x + m1", {"first": "m1 ~ x"}, "x", panel, lag=1, mediator_lag=1)
    p = both.estimates
    later = panel.select(periods=range(2002, 2008))
    lagged = later.with_variables({"x2": panel["x"][:, :-2], "m_before": panel["m1"][:, 1:-1]})
    from spillover.models.fit import fit

    check = fit("y ~ x2 + m_before", lagged, model="ols").estimates
    assert [p["outcome: x"], p["outcome: m1"]] == pytest.approx([check["x2"], check["m_before"]])


def test_a_gap_in_the_years_is_never_jumped_over(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 8, seed=10)
    gapped = panel.select(periods=[p for p in panel.periods if p != 2004])
    found = mediate("y ~ x + m1", {"first": "m1 ~ x"}, "x", gapped, lag=1)
    assert found.sample.panel.periods == (2001, 2002, 2003, 2006, 2007)


# -- curves ---------------------------------------------------------------------------------------------


def test_an_inverted_u_is_found_where_it_turns() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 8))
    m = 2.0 + 0.5 * x + 0.6 * rng.normal(size=(60, 8))
    y = 4.0 * m - m**2 + rng.normal(size=(60, 8))  # turns at 2
    panel = Panel(tuple(f"r{i:03d}" for i in range(60)), tuple(range(8)), {"x": x, "q": m, "y": y})
    found = mediate("y ~ q + q:q", {"competition": "q ~ x"}, "x", panel, lag=0)
    (turn,) = found.turning_points()
    assert turn.shape == "inverted U"
    assert abs(turn.point - 2.0) < 4 * turn.std_error < 0.4
    assert turn.p_value < 0.001
    assert "competition helps up to" in turn.sentence()
    # other levels of the same fit are those of a mediation that was asked for them
    low = mediate("y ~ q + q:q", {"competition": "q ~ x"}, "x", panel, lag=0, at={"competition": 1.2})
    moved = found.at_levels({"competition": 1.2})
    assert list(moved.effects()["estimate"]) == pytest.approx(list(low.effects()["estimate"]), rel=1e-12)
    assert list(moved.effects()["std_error"]) == pytest.approx(list(low.effects()["std_error"]), rel=1e-10)
    assert found.mediator_values("competition") == pytest.approx(m)
    with pytest.raises(UnknownColumnError, match="is in no product"):
        found.at_levels({"x": 1.0})
    rising = panel.with_variables({"y": 4.0 * m + 0.1 * m**2 + rng.normal(size=(60, 8))})
    (turn,) = mediate("y ~ q + q:q", {"competition": "q ~ x"}, "x", rising, lag=0).turning_points()
    assert turn.shape == "no turn within the data"


# -- sensitivity ----------------------------------------------------------------------------------------


def test_the_curve_starts_at_the_estimate_and_its_inverse_inverts_it(result: MediationResult) -> None:
    curve = result.confounding("first", [0.0, 0.2])
    assert not isinstance(curve, NotApplicable)
    assert curve.slopes[0] == pytest.approx(result.estimates["outcome: m1"], abs=1e-12)
    row = result.effects().set_index(["channel", "effect"])
    expected = [row.loc[("first", kind), "estimate"] for kind in ("own", "spillover", "total")]
    assert np.allclose(curve.effects[0], expected, atol=1e-12)
    errors = [row.loc[("first", kind), "std_error"] for kind in ("own", "spillover", "total")]
    assert np.allclose(curve.std_errors[0], errors)
    assert correlation_at(float(slope_at(np.array([0.3]), 1.2, 0.9, 0.5)[0]), 1.2, 0.9, 0.5) == pytest.approx(0.3)


def test_what_is_not_visible_has_nothing_to_undo(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 6, seed=16)
    noise = panel.with_variables({"m1": np.random.default_rng(3).normal(size=panel.shape)})
    curve = mediate("y ~ x + m1", {"first": "m1 ~ x"}, "x", noise, lag=0).confounding("first")
    assert not isinstance(curve, NotApplicable)
    assert not curve.visible
    assert "not visible to begin with" in curve.sentence()


def test_at_the_break_even_the_effect_is_zero(result: MediationResult) -> None:
    for channel in ("first", "second", "third"):
        curve = result.confounding(channel)
        assert not isinstance(curve, NotApplicable)
        for kind, even in enumerate(curve.break_even):
            again = result.confounding(channel, [even])
            assert not isinstance(again, NotApplicable)
            assert again.effects[0, kind] == pytest.approx(0.0, abs=1e-9)


def test_a_planted_confounder_is_found_where_it_was_planted() -> None:
    # Errors of m1 and y correlate by .3, b = .7 in truth; all spatial terms are there (ρ_k = .4, ρ_y = .35).
    weights = three_weights(200)
    panel = simulate_system(weights, 25, seed=11, confounder=0.3)
    found = mediate(OUTCOME, SERIAL, "x", panel, weights, lag=0)
    naive = found.estimates["outcome: m1"]
    curve = found.confounding("first", [0.0, 0.3])
    assert not isinstance(curve, NotApplicable)
    error = found.estimates.std_errors[found.estimates.index("outcome: m1")]
    assert naive - TRUTH["outcome: m1"] > 8 * error  # without the correction the truth is far outside
    assert curve.slopes[1] == pytest.approx(TRUTH["outcome: m1"], abs=3 * error)


def test_a_mediator_without_a_slope_of_its_own_has_no_curve(weights: dict[str, SpatialWeights]) -> None:
    found = mediate("y ~ x + W*m1", {"first": "m1 ~ x"}, "x", simulate_system(weights, 6, seed=2), weights, lag=0)
    curve = found.confounding("first")
    assert isinstance(curve, NotApplicable)
    assert "not told" in found.sensitivity()["says"][0]


def test_robustness_value_of_a_published_example(result: MediationResult) -> None:
    # Cinelli & Hazlett (2020), Darfur: t = 4.18 with 783 degrees of freedom has RV = 13.9 % and, at 5 %, 7.6 %;
    # partial R² = 2.2 %. From the definition RV = ½(√(f⁴ + 4f²) − f²), f = t/√df.
    f = 4.18 / np.sqrt(783)
    assert 0.5 * (np.sqrt(f**4 + 4 * f**2) - f**2) == pytest.approx(0.139, abs=5e-4)
    value = robustness_value(result.fits[0], "first", "x")
    f = abs(value.statistic) / np.sqrt(49 * 7 - 3 - 1)
    assert value.value == pytest.approx(0.5 * (np.sqrt(f**4 + 4 * f**2) - f**2))
    assert value.partial_r_squared == pytest.approx(f**2 / (1 + f**2))
    # a confounder that explains RV of what is left of both takes the estimate away: bias factor R²/√(1 − R²) = f
    assert value.value / np.sqrt(1 - value.value) == pytest.approx(f)
    assert 0 < value.value_significant < value.value


def test_oster_delta_returns_the_selection_that_was_planted() -> None:
    # Y = βX + W1 + W2 + e, W1 observed, W2 not and orthogonal to it, cov(X, W2)/var W2 = δ cov(X, W1)/var W1; every
    # moment is known, and with R_max that of X, W1 and W2 together the formula has to return δ for the true β.
    for beta, v1, v2, c1, delta, vx, ve in [
        (0.5, 1.0, 2.0, 0.4, 1.0, 2.0, 1.0),
        (0.3, 1.5, 0.7, 0.5, 0.6, 1.5, 0.5),
        (-0.4, 1.0, 1.0, 0.3, 1.7, 1.0, 0.3),
    ]:
        c2 = delta * c1 / v1 * v2
        moments = np.array([[vx, c1, c2], [c1, v1, 0], [c2, 0, v2]])
        slopes = np.array([beta, 1.0, 1.0])
        explained = slopes @ moments @ slopes
        vy = explained + ve
        short = moments[0] @ slopes / vx
        observed = moments[:2] @ slopes
        long = np.linalg.solve(moments[:2, :2], observed)
        arguments = (short, long[0], short**2 * vx / vy, long @ observed / vy, explained / vy)
        found = delta_for(beta, *arguments, np.array([vy, vx, vx - c1**2 / v1]))
        assert found == pytest.approx(delta, abs=1e-9)


def test_e_value_of_a_published_example() -> None:
    # VanderWeele & Ding (2017): a risk ratio of 3.9 has the E-value 7.26, its limit of 1.8 has 3.0.
    value = e_value("x", np.log(3.9) / 0.91, (np.log(3.9) - np.log(1.8)) / 1.78, 1.0)
    assert value.value == pytest.approx(7.26, abs=0.01)
    assert value.value_limit == pytest.approx(3.0, abs=0.01)
    assert e_value("x", 0.1, 1.0, 1.0).value_limit == 1.0


def test_an_interaction_of_treatment_and_mediator_is_seen(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 10, seed=12)
    found = mediate("y ~ x + m1 + m3", {"first": "m1 ~ x", "third": "m3 ~ x"}, "x", panel, weights, lag=0)
    planted = panel.with_variables({"y": panel["y"] + 0.5 * panel["x"] * panel["m3"]})
    moved = mediate("y ~ x + m1 + m3", {"first": "m1 ~ x", "third": "m3 ~ x"}, "x", planted, weights, lag=0)
    tests = moved.interaction_tests()
    assert all(isinstance(test, HypothesisTest) for test in tests)
    assert [test.name for test in tests] == ["treatment × first", "treatment × third", "treatment × all mediators"]
    assert isinstance(tests[1], HypothesisTest)
    assert tests[1].p_value < 1e-6
    quiet = found.interaction_tests()[1]
    assert isinstance(quiet, HypothesisTest)
    assert quiet.p_value > 0.01
    inside = mediate(
        "y ~ x + m1 + m3 + x:m3 + x:m1", {"first": "m1 ~ x", "third": "m3 ~ x"}, "x", planted, weights, lag=0
    )
    assert isinstance(inside.interaction_tests()[0], NotApplicable)


def test_residuals_that_move_together_are_told(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 8, seed=13)
    twin = panel["m3"] + 0.5 * (panel["m1"] - panel["m1"].mean())
    found = mediate(
        "y ~ x + m1 + twin", {"a": "m1 ~ x", "b": "twin ~ x"}, "x", panel.with_variables({"twin": twin}), lag=0
    )
    assert any("a cause that is not in the system" in note for note in found.notes)
    assert found.residual_correlations()["a", "b"] > 0.2


# -- words ----------------------------------------------------------------------------------------------


def test_the_summary_says_what_it_rests_on(result: MediationResult) -> None:
    text = result.summary()
    for assumption in result.assumptions:
        assert assumption in text
    assert "Sequential ignorability" in text
    assert "none: the paths have different signs" in text
    assert "one period" in " ".join(result.assumptions)  # same period: dates tell nothing


def test_backwash_and_harm_are_said() -> None:
    rng = np.random.default_rng(2)
    weights = three_weights(60)["W"]
    x = rng.normal(size=(60, 10))
    capital = x - 1.5 * weights.lag(x) + 0.3 * rng.normal(size=(60, 10))
    pressure = x + 0.3 * rng.normal(size=(60, 10))
    y = capital - pressure + 0.3 * rng.normal(size=(60, 10))
    panel = Panel(weights.regions, tuple(range(10)), {"x": x, "k": capital, "q": pressure, "y": y})
    mediators = {"capital allocation": "k ~ x + W*x", "competition": "q ~ x"}
    sentences = mediate("y ~ k + q", mediators, "x", panel, weights, lag=0).sentences()
    told = {s.split(":")[0]: s for s in sentences}
    assert "draws from the neighbours" in told["Capital allocation"]
    assert "lowers it at home" in told["Competition"]
    assert "hurts innovation at home" in told["Competition"]


def test_results_do_not_depend_on_units(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 8, seed=14)
    first = mediate(OUTCOME, SERIAL, "x", panel, weights, lag=0).effects()
    scaled = replace(panel, variables={**panel.variables, "y": 1e6 * panel["y"], "m2": 1e-3 * panel["m2"]})
    second = mediate(OUTCOME, SERIAL, "x", scaled, weights, lag=0).effects()
    assert np.allclose(1e6 * first["estimate"], second["estimate"], rtol=1e-6)
    assert np.allclose(1e6 * first["std_error"], second["std_error"], rtol=1e-5)


def test_an_inverted_u_is_written_for_you_where_asked(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 6, seed=15)
    curved = {"competition": EquationOptions("m1", shape="inverted-u")}
    found = mediate("y", curved, "x", panel, weights["W"], model="ols", lag=0)
    assert found.system.outcome.text == "y ~ x + m1 + m1:m1"
    with pytest.raises(OptionError, match="m1:m1"):
        mediate("y ~ x + m1", curved, "x", panel, weights["W"], lag=0)
