"""Effects against the dense effect matrix, their errors against numeric derivatives and draws."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import spillover as so
from simulated import lattice, named_weights, nearest, row_standardised, simulate_sdm
from spillover.effects import kernel
from spillover.effects.regional import effect_matrix, regional_effects, strongest_links
from spillover.errors import OptionError, UnknownColumnError
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
