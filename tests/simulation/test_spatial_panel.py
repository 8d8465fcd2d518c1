"""Exact spatial panels: truth against brute force with the same draws, laws of what is drawn, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spillover as so
from simulated import lattice, named_weights, nearest, row_standardised
from spillover.errors import ConfigurationError, OptionError, UnknownColumnError
from spillover.simulation.config import SystemConfig
from spillover.simulation.simulate import simulate
from spillover.simulation.spatial_panel import (
    ErrorLaw,
    Regressor,
    SpatialPanelConfig,
    SyntheticWeights,
    draw_inputs,
    simulate_spatial_panel,
    solve_outcome,
)
from spillover.simulation.spatial_world import RUN_IN, build_world, largest_root, run_in

X = (Regressor("a", 1.0, 0.5, spatial=0.4), Regressor("b", -0.5, 0.3))
PLAIN = (Regressor("a", 1.0), Regressor("b", -0.5))
SHAPES = {  # model → what it has
    "ols": {"regressors": PLAIN},
    "slx": {"regressors": X},
    "sar": {"regressors": PLAIN, "rho": 0.4},
    "sdm": {"regressors": X, "rho": -0.4},
    "sem": {"regressors": PLAIN, "lam": 0.3},
    "sdem": {"regressors": X, "lam": 0.3},
    "sac": {"regressors": PLAIN, "rho": 0.4, "lam": 0.3},
    "gns": {"regressors": X, "rho": 0.4, "lam": -0.3},
}
KINDS = ("knn", "queen", "exponential")


def config_of(model: str, **changes: object) -> SpatialPanelConfig:
    return SpatialPanelConfig(**{"model": model, "n_regions": 30, "n_periods": 5, **SHAPES[model], **changes})  # type: ignore


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("model", SHAPES)
def test_truth_is_what_a_perturbation_with_the_same_draws_does(model: str, dynamic: bool) -> None:
    lags = {"tau": 0.3, "eta": 0.2 if "rho" in SHAPES[model] else 0.0} if dynamic else {}
    config = config_of(model, **lags, weights=SyntheticWeights(KINDS[len(model) % 3]))
    world = build_world(config, 1)
    inputs = draw_inputs(config, world, 1)
    base = solve_outcome(config, world, inputs)
    truth = simulate(config, 1)[1]
    first = RUN_IN * dynamic
    for name in ("a", "b"):
        for sender in (0, 17):
            moved = inputs.regressors[name].copy()
            moved[sender, first] += 1.0
            change = solve_outcome(config, world, inputs.with_regressor(name, moved)) - base
            response = truth.matrix(name)[:, sender]
            for horizon in range(3):
                # Linear: only rounding of sums of about 100 terms of size 1 remains.
                np.testing.assert_allclose(change[:, horizon], response, atol=1e-10)
                response = truth.carry(response)


def test_a_lasting_change_approaches_the_long_run_effect() -> None:
    config = config_of("sdm", tau=0.3, eta=0.1, rho=0.3, n_periods=80)
    world = build_world(config, 1)
    inputs = draw_inputs(config, world, 1)
    moved = inputs.regressors["a"].copy()
    moved[3, RUN_IN:] += 1.0
    change = (solve_outcome(config, world, inputs.with_regressor("a", moved)) - solve_outcome(config, world, inputs))[
        :, -1
    ]
    truth = simulate(config, 1)[1]
    # The largest root is (τ + η)/(1 − ρ) = .571; .571^80 = 4e-20.
    np.testing.assert_allclose(change, truth.matrix("a", "long")[:, 3], atol=1e-10)
    lasting = truth.impulse("a", 80, lasting=True)
    assert lasting.total[-1] == pytest.approx(truth.total("a", "long"), abs=1e-10)
    assert lasting.direct[-1] == pytest.approx(truth.direct("a", "long"), abs=1e-10)
    # Row sums of one: totals by hand. Short (1 + .5)/(1 − .3); long 1.5/(1 − .3 − .3 − .1).
    assert truth.total("a") == pytest.approx(1.5 / 0.7, abs=1e-12)
    assert truth.total("a", "long") == pytest.approx(1.5 / 0.3, abs=1e-12)


@pytest.mark.parametrize("weights", [row_standardised(nearest(25, 4, 1)), 0.2 * nearest(25, 4, 1)])
def test_effects_by_region_are_those_of_the_dense_matrix(weights: np.ndarray) -> None:
    w = named_weights(weights, "none")
    config = SpatialPanelConfig("gns", regressors=X, rho=0.4, tau=0.2, eta=0.1, effects="individual", weights=w)
    truth = simulate(config, 2)[1]
    links = w.matrix.toarray()
    for horizon, left in (("short", np.eye(25) - 0.4 * links), ("long", 0.8 * np.eye(25) - 0.5 * links)):
        m = np.linalg.inv(left) @ (np.eye(25) + 0.5 * links)
        found = truth.by_region("a", horizon)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.own, np.diag(m), atol=1e-12)
        np.testing.assert_allclose(found.received, m.sum(axis=1) - np.diag(m), atol=1e-12)
        np.testing.assert_allclose(found.emitted, m.sum(axis=0) - np.diag(m), atol=1e-12)
        assert found.indirect == pytest.approx(found.emitted.mean(), abs=1e-12)
    assert truth.targets()["indirect: a (long)"] == pytest.approx((m.sum() - np.trace(m)) / 25, abs=1e-12)


def test_every_model_is_recovered_without_noise() -> None:
    # With an error of 1e-6 the right estimator must return the parameters: the panel obeys its equation.
    for model in ("sar", "sdm", "slx"):
        config = config_of(model, errors=ErrorLaw(1e-6))
        panel, truth = simulate(config.with_changes(n_periods=8), 3)
        fit = so.fit(config.formula, panel, truth.weights, model=model)  # type: ignore[arg-type]
        for name in fit.estimates.names:
            assert fit.estimates[name] == pytest.approx(truth.parameters[name], abs=1e-4)


def test_spatial_errors_have_their_covariance() -> None:
    w = named_weights(row_standardised(lattice(4, 4)))
    config = SpatialPanelConfig(
        "sem", n_periods=20_000, regressors=(Regressor("a", 0.0),), lam=0.5, effects="none", weights=w
    )
    y = simulate(config, 1)[0]["y"]
    b = np.eye(16) - 0.5 * w.matrix.toarray()
    expected = np.linalg.inv(b) @ np.linalg.inv(b).T
    # 20,000 independent periods: the se of a covariance near 1 is about sqrt(2/20,000) = .01.
    np.testing.assert_allclose(np.cov(y), expected, atol=0.06)


@pytest.mark.parametrize("shape", ["normal", "t5", "skewed"])
def test_errors_have_mean_zero_and_their_variance(shape: str) -> None:
    law = ErrorLaw(2.0, shape, heteroskedastic=0.5, serial=0.6)  # type: ignore[arg-type]
    config = SpatialPanelConfig("ols", 400, 200, regressors=(Regressor(beta=0.0),), effects="none", errors=law)
    e = draw_inputs(config, build_world(config, 1), 5).errors
    spread = e.std(axis=1)
    # 80,000 cells, but AR(.6) leaves a quarter as many: se of the variance about 3 %.
    assert e.mean() == pytest.approx(0.0, abs=0.06)
    assert np.mean(spread**2) == pytest.approx(4.0, rel=0.08)
    assert np.corrcoef(e[:, 1:].ravel(), e[:, :-1].ravel())[0, 1] == pytest.approx(0.6, abs=0.03)
    assert np.log(spread).std() == pytest.approx(0.5, rel=0.25)
    skewness = np.mean((e / spread[:, None]) ** 3)
    assert (skewness > 0.4) == (shape == "skewed")


def test_regressors_have_their_persistence_and_autocorrelation() -> None:
    w = named_weights(row_standardised(lattice(20, 20)))
    law = Regressor("a", persistence=0.8, spatial=0.6, sd=2.0, region_sd=0.0)
    config = SpatialPanelConfig("slx", n_periods=60, regressors=(law,), weights=w)
    x = draw_inputs(config, build_world(config, 1), 1).regressors["a"]
    assert np.mean(x**2) == pytest.approx(4.0, rel=0.1)
    assert np.corrcoef(x[:, 1:].ravel(), x[:, :-1].ravel())[0, 1] == pytest.approx(0.8, abs=0.03)
    slope = np.sum(x * w.lag(x)) / np.sum(w.lag(x) ** 2)
    f = np.linalg.inv(np.eye(400) - 0.6 * w.matrix.toarray())
    links = w.matrix.toarray()
    expected = np.trace(f.T @ links @ f) / np.trace(f.T @ links.T @ links @ f)
    assert slope == pytest.approx(expected, abs=0.05)


def test_the_endogeneity_dial_and_its_instrument() -> None:
    config = SpatialPanelConfig(
        "ols", 300, 100, regressors=(Regressor(persistence=0.0),), endogeneity=0.6, instrument=0.5
    )
    inputs = draw_inputs(config, build_world(config, 1), 1)
    x = inputs.regressors["x0"]
    x = (x - x.mean(axis=1, keepdims=True)).ravel()
    assert inputs.instrument is not None
    # corr(x, ε) = .6 √(1 − .5²) = .520; corr(x, b) = .5; corr(b, ε) = 0. 30,000 cells: se .006.
    assert np.corrcoef(x, inputs.errors.ravel())[0, 1] == pytest.approx(0.6 * np.sqrt(0.75), abs=0.02)
    assert np.corrcoef(x, inputs.instrument.ravel())[0, 1] == pytest.approx(0.5, abs=0.02)
    assert np.corrcoef(inputs.errors.ravel(), inputs.instrument.ravel())[0, 1] == pytest.approx(0.0, abs=0.02)
    panel = simulate(config, 1)[0]
    assert "instrument" in panel
    assert "instrument" not in simulate(config.with_changes(instrument=0.0), 1)[0]


def test_counts_have_the_exponential_mean() -> None:
    config = SpatialPanelConfig(
        "slx", 60, 4, regressors=(Regressor("a", 0.3, 0.2),), counts=True, intercept=1.0, errors=ErrorLaw(0.0)
    )
    world = build_world(config, 1)
    log_mean = np.log(np.mean([simulate(config, s)[0]["y"].mean() for s in range(200)]))
    # ln E[y] of the log-normal mean: intercept + half the variance of the logarithm.
    links = world.weights.matrix
    spread = 2 * (0.3**2 + 0.2**2 * np.mean(links.multiply(links).sum(axis=1))) + 1.0 + 1.0
    assert log_mean == pytest.approx(1.0 + spread / 2, abs=0.35)
    truth = simulate(config, 1)[1]
    assert truth.counts
    assert truth.indirect("a") == pytest.approx(0.2, abs=1e-12)
    with pytest.raises(OptionError, match="too large"):
        simulate(config.with_changes(intercept=30.0), 1)


def test_the_same_seed_gives_the_same_panel_and_parts_have_their_own_streams() -> None:
    config = config_of("sdm", instrument=0.4)
    one, two, other = (simulate_spatial_panel(config, seed)[0] for seed in (7, 7, 8))
    for name in one.variables:
        np.testing.assert_array_equal(one[name], two[name])
        assert not np.array_equal(one[name], other[name])
    changed = simulate(config.with_changes(errors=ErrorLaw(3.0, "t5"), effects="none"), 7)[0]
    np.testing.assert_array_equal(one["a"], changed["a"])
    assert one.geometry is not None
    assert list(one.geometry.index) == list(one.regions)


def test_maps_are_part_of_the_design_unless_asked_otherwise() -> None:
    fixed = config_of("sdm")
    assert simulate(fixed, 1)[1].weights is simulate(fixed, 2)[1].weights
    drawn = fixed.with_changes(weights=SyntheticWeights(map_seed=None))
    assert (simulate(drawn, 1)[1].weights.matrix != simulate(drawn, 2)[1].weights.matrix).nnz > 0
    assert (simulate(drawn, 1)[1].weights.matrix != simulate(drawn, 1)[1].weights.matrix).nnz == 0


def test_a_given_w_is_aligned_by_id() -> None:
    w = named_weights(row_standardised(nearest(12, 3, 1)))
    shuffled = w.align(w.regions[::-1])
    straight = SpatialPanelConfig("sar", rho=0.5, weights=w, n_periods=4)
    turned = straight.with_changes(weights=shuffled)
    np.testing.assert_allclose(simulate(straight, 1)[0]["y"], simulate(turned, 1)[0]["y"], atol=1e-12)


def test_one_door_for_every_tier() -> None:
    panel, truth = simulate(SystemConfig(n_regions=20, n_periods=3), 1)
    assert "patents" in panel
    assert truth.spillover > 0
    with pytest.raises(OptionError, match="not a configuration"):
        simulate({"n_regions": 3}, 1)
    for seed in (-1, 1.5, True):
        with pytest.raises(OptionError, match="seed"):
            simulate(config_of("ols"), seed)  # type: ignore[arg-type]


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(OptionError) as caught:
        SpatialPanelConfig(
            model="slx",
            n_periods=0,
            rho=1.2,
            lam=0.1,
            regressors=(Regressor("y", persistence=1.0), Regressor("y", spatial=1.0, sd=-1.0)),
            errors=ErrorLaw(sigma=0.0, shape="cauchy", serial=1.0, heteroskedastic=-1.0),  # type: ignore[arg-type]
            endogeneity=1.0,
            instrument=1.0,
            weights=SyntheticWeights("knn", neighbours=100),
            weights_error=SyntheticWeights("rook"),  # type: ignore[arg-type]
        )
    message = str(caught.value)
    for part in (
        "n_periods",
        "rho = 1.2",
        "lam = 0.1",
        "called 'y'",
        "not unique",
        "persistence",
        "spatial",
        "sd = -1",
    ):
        assert part in message
    for part in ("sigma", "cauchy", "serial", "heteroskedastic", "endogeneity", "instrument", "neighbours", "rook"):
        assert part in message
    assert "stationary" in message


@pytest.mark.parametrize(
    "wrong",
    [
        {"tau": 0.6, "rho": 0.3, "eta": 0.1},  # exactly one: a unit root
        {"tau": -0.8, "rho": 0.3, "eta": -0.6},
        {"tau": 1.0},
        {"rho": float("nan")},
        {"n_regions": 40.0},
        {"errors": "normal"},
        {"regressors": ()},
        {"counts": True},
        {"regressors": [Regressor()]},
    ],
)
def test_what_is_not_stationary_or_not_a_number_is_refused(wrong: dict) -> None:
    with pytest.raises(OptionError, match="inadmissible"):
        SpatialPanelConfig(**{"model": "sdm", **wrong})


def test_stationarity_is_exact_for_the_w_at_hand() -> None:
    # A row-standardised 4 × 4 rook lattice is bipartite: its smallest eigenvalue is −1, the largest 1.
    w = named_weights(row_standardised(lattice(4, 4)))
    # at ω = −1: (τ − η)/(1 + ρ) = (.5 + .5)/(1 − .3) > 1, though τ + ρ + η = −.3.
    config = SpatialPanelConfig("sar", rho=-0.3, tau=0.5, eta=-0.5, weights=w)
    assert largest_root(-0.3, 0.5, -0.5, w) == pytest.approx(1.0 / 0.7, abs=1e-12)
    with pytest.raises(OptionError, match="not stationary"):
        simulate(config, 1)
    raw = named_weights(lattice(4, 4), "none")
    with pytest.raises(OptionError, match="outside the interval"):
        simulate(SpatialPanelConfig("sar", rho=0.5, weights=raw), 1)


def test_unknown_names_are_told() -> None:
    truth = simulate(config_of("sdm"), 1)[1]
    with pytest.raises(UnknownColumnError):
        truth.direct("c")
    with pytest.raises(OptionError):
        truth.direct("a", "medium")
    assert set(truth.as_dict()["regions"]["a"]) == set(truth.regions)


def test_the_run_in_is_long_enough_near_a_unit_root() -> None:
    # the largest root is (τ + η)/(1 − ρ) at ω = 1: .699/.7 = .99857, and ln(.001)/ln(.99857) = 4831.97
    config = config_of("sar", tau=0.699, rho=0.3, n_regions=12)
    world = build_world(config, 1)
    root = 0.699 / 0.7
    years = run_in(config, world)
    assert years == int(np.ceil(np.log(1e-3) / np.log(root))) == 4832
    inputs = draw_inputs(config, world, 1)
    assert inputs.errors.shape == (12, years + 5)
    assert run_in(config_of("sar", tau=0.3), world) == RUN_IN
    assert run_in(config_of("sar"), world) == 0
    # a path that starts far away, at 1,000 everywhere instead of 0: a thousandth of it is left in the first year
    raised = inputs.errors.copy()
    raised[:, 0] += 1000.0 / 0.699 * (1 - 0.3)
    change = solve_outcome(config, world, replace(inputs, errors=raised)) - solve_outcome(config, world, inputs)
    assert 0 < np.abs(change[:, 0]).max() < 1000.0 / 0.699 * 1e-3
    with pytest.raises(OptionError, match="so near one that 48,3"):
        simulate(config_of("sar", tau=0.6999, rho=0.3, n_regions=12), 1)


def test_a_mistake_is_told_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        SpatialPanelConfig(n_regions=0)
    assert caught.value.problems == ("n_regions = 0: at least 5 regions are needed",)  # nothing about neighbours
    x = Regressor("x")
    with pytest.raises(ConfigurationError) as caught:
        SpatialPanelConfig(regressors=(x, Regressor("z"), x, Regressor("a\nb")))
    told = "\n".join(caught.value.problems)
    assert "names that are not unique: 'x'" in told
    assert "a\nb" not in told  # a name is shown as Python spells it


def test_a_given_w_and_another_number_of_regions_is_a_mistake() -> None:
    w = named_weights(row_standardised(nearest(12, 3, 1)))
    assert SpatialPanelConfig("sar", weights=w).n_regions == 12
    assert SpatialPanelConfig("sar", n_regions=12, weights=w).n_regions == 12
    with pytest.raises(ConfigurationError, match="n_regions = 30, but the given weights are of 12 regions"):
        SpatialPanelConfig("sar", n_regions=30, weights=w)


def test_values_of_the_wrong_kind_do_not_hide_the_other_mistakes() -> None:
    raw = named_weights(lattice(4, 4), "none")
    with pytest.raises(ConfigurationError) as caught:
        SpatialPanelConfig(
            model="sar",
            n_periods=2.5,  # type: ignore[arg-type]
            rho=10**400,  # type: ignore[arg-type]
            counts="yes",  # type: ignore[arg-type]
            regressors=(Regressor("a", beta=None), Regressor("b", persistence=2.0)),  # type: ignore[arg-type]
            errors=ErrorLaw(sigma="large", shape="cauchy"),  # type: ignore[arg-type]
            endogeneity=2.0,
            weights=SyntheticWeights("exponential", decay_per_km=5.0),
        )
    assert len(caught.value.problems) == 9
    told = str(caught.value)
    for part in (
        "n_periods = 2.5",
        "rho = 1",
        "counts",
        "beta = None",
        "persistence",
        "sigma",
        "cauchy",
        "endogeneity",
    ):
        assert part in told
    assert "cuts the kernel at 1.33 km" in told
    # where something else is wrong, stationarity for this very W is told with it
    with pytest.raises(ConfigurationError, match=r"endogeneity = 2[\s\S]*rho = 0.5 is outside the interval"):
        SpatialPanelConfig("sar", rho=0.5, weights=raw, endogeneity=2.0)
    with pytest.raises(ConfigurationError, match="50,000,000"):
        SpatialPanelConfig(n_regions=10**9)
