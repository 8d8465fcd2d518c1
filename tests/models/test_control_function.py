"""Control-function QML: against the same fit by hand, and what the bootstrap promises."""

from __future__ import annotations

import numpy as np
import pytest

import spillover as so
from simulated import named_weights, nearest, row_standardised
from spillover.errors import OptionError
from spillover.models.control_function import fit_control_function
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


@pytest.fixture(scope="module")
def weights() -> SpatialWeights:
    return named_weights(row_standardised(nearest(50, 4, 0)))


@pytest.fixture(scope="module")
def panel(weights: SpatialWeights) -> Panel:
    rng = np.random.default_rng(8)
    x, z, v, e = rng.normal(size=(4, 50, 5))
    a = np.exp(0.5 * (z + 0.4 * x + v))
    mean = x + np.log(a) + 0.5 * weights.lag(x) + 0.8 * v + 0.6 * e + rng.normal(size=(50, 1))
    y = np.linalg.solve(np.eye(50) - 0.4 * weights.matrix.toarray(), mean)
    return Panel(weights.regions, tuple(range(5)), {"y": y, "x": x, "a": a, "z": z})


@pytest.mark.parametrize("model", ["ols", "slx", "sar", "sdm"])
def test_estimates_are_those_of_the_augmented_model(model: str, panel: Panel, weights: SpatialWeights) -> None:
    found = fit_control_function("y ~ x | log(a) ~ z", panel, weights, model=model, draws=50)  # type: ignore[arg-type]

    def within(values: np.ndarray) -> np.ndarray:
        return values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()

    columns = [panel["x"], panel["z"]]
    if model in ("slx", "sdm"):
        columns += [weights.lag(values) for values in columns]
    h = np.column_stack([within(values).ravel() for values in columns])
    a = within(np.log(panel["a"])).ravel()
    v = (a - h @ np.linalg.lstsq(h, a, rcond=None)[0]).reshape(50, 5)
    made = panel.with_variables({"v": v, "Wv": weights.lag(v)})
    formula = "y ~ x + log(a) + v" + ("" if model == "ols" else " + Wv")
    lagged = ["x", "log(a)"] if model in ("slx", "sdm") else None
    by_hand = so.fit(formula, made, weights, model=model, lagged=lagged)  # type: ignore[arg-type]
    assert found.estimates.values == pytest.approx(by_hand.estimates.values, rel=1e-7)
    assert found.residual_terms == ("residual_log_a",) + (() if model == "ols" else ("W_residual_log_a",))
    effects = found.effects()
    assert sorted(set(effects["variable"])) == ["log(a)", "x"]
    assert found.exogeneity.p_value < 0.001
    assert found.first_stage.terms[0] == "log(a)"


def test_same_seed_same_numbers(panel: Panel, weights: SpatialWeights) -> None:
    first, second, other = (
        fit_control_function("y ~ x | log(a) ~ z", panel, weights, draws=50, seed=seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.draws, second.draws)
    assert not np.array_equal(first.draws, other.draws)
    assert first.estimates.values == pytest.approx(other.estimates.values)
    assert first.draws.shape == (50 - first.failed, first.estimates.values.size)
    assert "wild bootstrap by region" in first.estimates.method


def test_bootstrap_errors_count_the_first_stage(panel: Panel, weights: SpatialWeights) -> None:
    """With v in the equation the error of v̂ adds to that of log(a): larger than second-stage errors alone."""
    found = fit_control_function("y ~ x | log(a) ~ z", panel, weights, draws=199, seed=1)
    center = found.draws.mean(axis=0)
    # The bootstrap world has the estimates as its truth: 199 draws give the mean to 1/14 of an error, plus bias.
    assert np.abs(center - found.estimates.values).max() < 0.5 * found.estimates.std_errors.max()
    second_stage = found.fit.with_covariance("cluster").estimates
    at = found.estimates.index("log(a)")
    assert found.estimates.std_errors[at] > second_stage.std_errors[at]


def test_mistakes(panel: Panel, weights: SpatialWeights) -> None:
    with pytest.raises(OptionError, match="endogenous regressor"):
        fit_control_function("y ~ x", panel, weights, draws=50)
    with pytest.raises(OptionError, match="too few bootstrap draws"):
        fit_control_function("y ~ x | a ~ z", panel, weights, draws=10)
