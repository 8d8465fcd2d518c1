"""Effects against the dense effect matrix, their errors against numeric derivatives and draws."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import spillover as so
from simulated import lattice, named_weights, nearest, row_standardised, simulate_sdm
from spillover.effects import kernel
from spillover.effects.regional import effect_matrix, regional_effects, strongest_links
from spillover.errors import AssumptionWarning, OptionError, UnknownColumnError
from spillover.models.result import SpatialFit
from spillover.weights.weights import SpatialWeights

FORMULA = "y ~ x0 + x1"
MAPS = {
    "row-standardised lattice": (named_weights(row_standardised(lattice(6, 5))), "two-way"),
    "row-standardised nearest": (named_weights(row_standardised(nearest(30, 4, 1))), "two-way"),
    "raw distances": (named_weights(sp.csr_matrix(nearest(30, 4, 1) / 5.0), "none"), "individual"),
}


def dense_effects(fit: SpatialFit, weights: SpatialWeights, values: np.ndarray, name: str) -> np.ndarray:
    """(n, n) M = (I − ρW)^{-1}(βI + θW) at any parameter vector."""
    w = weights.matrix.toarray()
    own, neighbour = fit.design.own[name], fit.design.neighbour.get(name)
    rho = values[-1] if fit.roles.outcome else 0.0
    theta = values[neighbour] if neighbour is not None else 0.0
    return np.linalg.solve(np.eye(len(w)) - rho * w, values[own] * np.eye(len(w)) + theta * w)


def numeric_errors(function, fit: SpatialFit) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Delta-method errors by central differences."""
    at, step = fit.estimates.values, 1e-6
    columns = []
    for i in range(at.size):
        shift = np.zeros(at.size)
        shift[i] = step
        columns.append((function(at + shift) - function(at - shift)) / (2 * step))
    jacobian = np.stack(columns, axis=-1)
    return np.sqrt(np.einsum("...p,pq,...q->...", jacobian, fit.estimates.cov, jacobian))


@pytest.mark.parametrize("model", ["ols", "slx", "sar", "sdm"])
@pytest.mark.parametrize("name", MAPS)
def test_averages_and_errors_equal_the_dense_effect_matrix(model: str, name: str) -> None:
    weights, effects = MAPS[name]
    fit = so.fit(FORMULA, simulate_sdm(weights, 5, seed=2), weights, model=model, effects=effects)

    def averages(values: np.ndarray) -> np.ndarray:
        m = dense_effects(fit, weights, values, "x1")
        direct, total = np.trace(m) / 30, m.sum() / 30
        return np.array([direct, total - direct, total])

    rows = fit.effects(variables=["x1"])
    assert rows["effect"].tolist() == ["direct", "indirect", "total"]
    assert rows["estimate"].to_numpy() == pytest.approx(averages(fit.estimates.values), abs=1e-10)
    # Central differences with step 1e-6 are good to about 1e-8.
    assert rows["std_error"].to_numpy() == pytest.approx(numeric_errors(averages, fit), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("model", ["slx", "sar", "sdm"])
@pytest.mark.parametrize("name", MAPS)
def test_effects_by_region_equal_the_dense_effect_matrix(
    model: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "CHUNK", 7)  # several chunks and a remainder
    weights, effects = MAPS[name]
    fit = so.fit(FORMULA, simulate_sdm(weights, 5, seed=2), weights, model=model, effects=effects)

    def by_region(values: np.ndarray) -> np.ndarray:
        m = dense_effects(fit, weights, values, "x0")
        own = np.diag(m)
        return np.stack([own, m.sum(axis=1) - own, m.sum(axis=0) - own])

    found = regional_effects(fit, "x0")
    assert np.stack([found.own, found.received, found.emitted]) == pytest.approx(
        by_region(fit.estimates.values), abs=1e-10
    )
    assert np.stack([found.own_se, found.received_se, found.emitted_se]) == pytest.approx(
        numeric_errors(by_region, fit), rel=1e-5, abs=1e-8
    )
    assert effect_matrix(fit, "x0") == pytest.approx(dense_effects(fit, weights, fit.estimates.values, "x0"), abs=1e-10)
    # What is received in total is what is emitted in total: n times the indirect effect.
    indirect = fit.effects(variables=["x0"]).query("effect == 'indirect'")["estimate"].item()
    assert found.received.sum() == pytest.approx(30 * indirect, abs=1e-9)
    assert found.emitted.sum() == pytest.approx(30 * indirect, abs=1e-9)


def test_strongest_links_are_the_largest_off_diagonal_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "CHUNK", 7)
    weights, _ = MAPS["row-standardised nearest"]
    fit = so.fit(FORMULA, simulate_sdm(weights, 5, seed=2), weights)
    m = dense_effects(fit, weights, fit.estimates.values, "x0")
    np.fill_diagonal(m, 0.0)
    expected = np.sort(np.abs(m).ravel())[::-1][:10]
    links = strongest_links(fit, "x0", 10)
    assert [abs(link.effect) for link in links] == pytest.approx(expected, abs=1e-12)
    for link in links:
        assert m[weights.regions.index(link.receiver), weights.regions.index(link.sender)] == pytest.approx(link.effect)


def test_delta_errors_agree_with_simulated_draws() -> None:
    weights = named_weights(row_standardised(lattice(15, 14)))
    fit = so.fit(FORMULA, simulate_sdm(weights, 10, seed=3), weights, covariance="information")
    rng = np.random.default_rng(1)
    draws = rng.multivariate_normal(fit.estimates.values, fit.estimates.cov, size=4000)
    eigenvalues = weights.engine.log_determinant.eigenvalues  # type: ignore[attr-defined]
    own, neighbour = fit.design.own["x0"], fit.design.neighbour["x0"]
    direct = [np.mean((d[own] + d[neighbour] * eigenvalues) / (1 - d[-1] * eigenvalues)) for d in draws]
    rows = fit.effects(variables=["x0"]).set_index("effect")
    assert np.std(direct) == pytest.approx(rows.loc["direct", "std_error"], rel=0.05)  # METHODS D.16: within 5 %


def test_table_by_region_is_tidy_and_names_regions(grid_panel: so.Panel, queen_grid: SpatialWeights) -> None:
    table = so.fit(FORMULA, grid_panel, queen_grid).effects(by="region", variables=["x0"])
    assert {"term", "estimate", "std_error", "p_value", "conf_low", "conf_high", "region", "effect"} <= set(table)
    assert len(table) == 3 * 42
    assert set(table["effect"]) == {"own", "received", "emitted"}


def test_unknown_variables_and_options_are_named(grid_panel: so.Panel, queen_grid: SpatialWeights) -> None:
    fit = so.fit(FORMULA, grid_panel, queen_grid)
    with pytest.raises(UnknownColumnError, match="Did you mean 'x0'"):
        fit.effects(variables=["X0"])
    with pytest.raises(OptionError, match="by"):
        fit.effects(by="province")


def test_steps_in_w_add_up_to_the_effects_and_have_numeric_errors() -> None:
    weights, effects = MAPS["row-standardised nearest"]
    fit = so.fit(FORMULA, simulate_sdm(weights, 5, seed=2), weights, effects=effects)
    w = weights.matrix.toarray()

    def steps(values: np.ndarray) -> np.ndarray:
        beta, theta, rho = values[0], values[2], values[-1]
        found = []
        for q in range(4):
            m = beta * np.eye(30) if q == 0 else rho ** (q - 1) * (rho * beta + theta) * np.linalg.matrix_power(w, q)
            found += [np.trace(m) / 30, (m.sum() - np.trace(m)) / 30, m.sum() / 30]
        return np.array(found)

    table = fit.effects(by="order", variables=["x0"], steps=3)
    assert table["estimate"].to_numpy() == pytest.approx(steps(fit.estimates.values), abs=1e-12)
    assert table["std_error"].to_numpy() == pytest.approx(numeric_errors(steps, fit), rel=1e-5, abs=1e-9)
    many = fit.effects(by="order", variables=["x0"], steps=12)
    total = fit.effects(variables=["x0"])["estimate"].iloc[2]
    # What is left after 12 steps is of the size ρ¹² of the total.
    assert many[many["effect"] == "total"]["estimate"].sum() == pytest.approx(total, rel=abs(fit.rho) ** 10)


def test_weighted_averages_equal_the_dense_ones() -> None:
    weights, effects = MAPS["row-standardised nearest"]
    panel = simulate_sdm(weights, 5, seed=2)
    population = np.linspace(1.0, 9.0, 30)
    fit = so.fit(FORMULA, panel.with_variables({"population": population}), weights, effects=effects)
    m = dense_effects(fit, weights, fit.estimates.values, "x0")
    pi = population / population.sum()
    rows = fit.effects(variables=["x0"], average="population")["estimate"].to_numpy()
    assert rows == pytest.approx([pi @ np.diag(m), pi @ (m.sum(axis=1) - np.diag(m)), pi @ m.sum(axis=1)], abs=1e-12)
    equal = fit.effects(variables=["x0"])
    flat = fit.panel.with_variables({"one": np.ones(30)})
    again = so.fit(FORMULA, flat, weights, effects=effects).effects(variables=["x0"], average="one")
    assert again["std_error"].to_numpy() == pytest.approx(equal["std_error"].to_numpy(), rel=1e-8)


def test_simulated_errors_agree_with_delta_errors_and_are_reproducible() -> None:
    weights = named_weights(row_standardised(lattice(15, 14)))
    fit = so.fit(FORMULA, simulate_sdm(weights, 10, seed=3), weights, covariance="information")
    delta = fit.effects(variables=["x0"])
    simulated = fit.effects(variables=["x0"], method="simulation", draws=3000)
    assert simulated["estimate"].to_numpy() == pytest.approx(delta["estimate"].to_numpy())
    assert simulated["std_error"].to_numpy() == pytest.approx(delta["std_error"].to_numpy(), rel=0.05)  # D.16
    again = fit.effects(variables=["x0"], method="simulation", draws=3000)
    assert again.equals(simulated)


def test_simulated_errors_have_the_degrees_of_freedom_of_the_slopes() -> None:
    # The direct effect of a spatial error model is β, so its simulated variance is known: that of a t law with
    # m − k degrees of freedom, df/(df − 2), times m/(m − k). 20,000 draws: 0.5 % of a standard error; twice is allowed.
    weights = named_weights(row_standardised(nearest(30, 4, 1)))
    fit = so.fit(FORMULA, simulate_sdm(weights, 5, seed=2), weights, model="sem", covariance="information")
    free = 29 * 4
    df = free - 2
    simulated = fit.effects(variables=["x0"], method="simulation", draws=20_000)
    expected = fit.estimates.std_errors[0] * np.sqrt(free / df * df / (df - 2))
    assert simulated["std_error"].iloc[0] == pytest.approx(expected, rel=0.01)


def test_inadmissible_draws_are_counted() -> None:
    weights = named_weights(row_standardised(lattice(5, 4)))
    fit = so.fit(FORMULA, simulate_sdm(weights, 2, seed=3, rho=0.85, noise=3.0), weights, effects="none", model="sar")
    from spillover.effects.impacts import simulated_effects

    wide = fit.estimates.cov * 60.0
    object.__setattr__(fit.estimates, "cov", wide)
    with pytest.warns(AssumptionWarning, match="discarded"):
        found, draws = simulated_effects(fit, draws=500)
    assert "discarded" in found.method
    assert draws.discarded > 0


def test_percentile_intervals_hold_the_share_of_draws_and_options_that_do_not_apply_are_refused(
    grid_panel: so.Panel, queen_grid: SpatialWeights
) -> None:
    from spillover.effects.impacts import simulated_effects

    fit = so.fit(FORMULA, grid_panel, queen_grid)
    _, draws = simulated_effects(fit, draws=1000)
    table = fit.effects(method="simulation", draws=1000, level=0.9)
    inside = (draws.values >= table["conf_low"].to_numpy()) & (draws.values <= table["conf_high"].to_numpy())
    assert inside.mean(axis=0) == pytest.approx(np.full(6, 0.9), abs=0.003)
    with pytest.raises(OptionError, match="do not apply"):
        fit.effects(by="region", method="simulation")
