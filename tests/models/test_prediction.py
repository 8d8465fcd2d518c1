"""Predictions and changes against dense brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spillover as so
from simulated import lattice, named_weights, nearest, row_standardised, simulate_sdm
from spillover.effects.impacts import average_effects
from spillover.errors import AlignmentError, AssumptionWarning, MissingCellError, OptionError, UnknownColumnError
from spillover.models.change import change
from spillover.models.missing import fit_missing
from spillover.models.prediction import predict
from spillover.models.static_fit import StaticFit
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

FORMULA = "y ~ x0 + x1"
ALL = [(m, e) for m in ("ols", "slx", "sar", "sdm", "sem", "sdem") for e in ("none", "individual", "time", "two-way")]


def fitted(model: str, effects: str, panel: Panel, weights: SpatialWeights) -> Any:
    return so.fit(FORMULA, panel, None if model == "ols" else weights, model=model, effects=effects)  # type: ignore[arg-type]


def brute_effects(gap: np.ndarray, effects: str) -> np.ndarray:
    """Region means, period means or both of S y − Zδ."""
    mean, rows, columns = gap.mean(), gap.mean(axis=1, keepdims=True), gap.mean(axis=0, keepdims=True)
    zero = np.zeros_like(gap)
    return {"none": zero, "individual": rows + zero, "time": columns + zero, "two-way": rows + columns - mean}[effects]


def brute(
    fit: Any, effects: str, panel: Panel, sample: Panel, w_new: np.ndarray, w: np.ndarray, parameters: np.ndarray
) -> np.ndarray:
    """S'^{-1}(Z'δ + effects), dense."""
    design = fit.design
    rho = parameters[len(design.terms)] if fit.roles.outcome else 0.0

    def mean(source: Panel, matrix: np.ndarray) -> np.ndarray:
        total = np.zeros(source.shape)
        for j, term in enumerate(design.terms):
            column = np.ones(source.shape) if term == "(Intercept)" else source[term.removeprefix("W*")]
            total = total + parameters[j] * (matrix @ column if term.startswith("W*") else column)
        return total

    n = len(w)
    gap = (np.eye(n) - rho * w) @ sample["y"] - mean(sample, w)
    return np.linalg.solve(np.eye(n) - rho * w_new, mean(panel, w_new) + brute_effects(gap, effects))


@pytest.mark.parametrize(("model", "effects"), ALL)
def test_predictions_and_their_delta_errors_equal_brute_force(
    model: str, effects: str, grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    fit = fitted(model, effects, grid_panel, queen_grid)
    rng = np.random.default_rng(0)
    moved = grid_panel.with_variables({"x0": grid_panel["x0"] + rng.normal(size=(42, 6))})
    new = named_weights(row_standardised(nearest(42, 4, 9)))
    w, w_new = queen_grid.matrix.toarray(), new.matrix.toarray()
    values = fit.estimates.values
    # In sample, for new X, for new X and new W.
    assert predict(fit).values == pytest.approx(brute(fit, effects, grid_panel, grid_panel, w, w, values), abs=1e-10)
    assert predict(fit, moved).values == pytest.approx(brute(fit, effects, moved, grid_panel, w, w, values), abs=1e-10)
    found = predict(fit, moved, None if model == "ols" else new, interval=0.9)
    assert found.values == pytest.approx(brute(fit, effects, moved, grid_panel, w_new, w, values), abs=1e-10)
    # Delta errors: numeric gradient of the brute force, plus the error of the effects, dense.
    steps = np.eye(values.size) * 1e-6
    gradient = np.array(
        [
            (
                brute(fit, effects, moved, grid_panel, w_new, w, values + s)
                - brute(fit, effects, moved, grid_panel, w_new, w, values - s)
            )
            / 2e-6
            for s in steps
        ]
    )
    variance = np.einsum("pit,pq,qit->it", gradient, fit.estimates.cov, gradient)
    rho = values[len(fit.design.terms)] if fit.roles.outcome else 0.0
    b = np.eye(42)
    if fit.roles.error is not None:
        b = np.linalg.inv(np.eye(42) - values[-1] * w)
    parts = {  # covariance over regions of the effects of white noise, at any period
        "none": 0.0 * b,
        "individual": b @ b.T / 6,
        "time": np.full((42, 42), np.sum((np.ones(42) @ b) ** 2) / 42**2),
        "two-way": b @ b.T / 6 + (1 - 1 / 6) * np.full((42, 42), np.sum((np.ones(42) @ b) ** 2) / 42**2),
    }
    inverse = np.linalg.inv(np.eye(42) - rho * w_new)
    noise = fit.statistics["sigma2"] * np.diag(inverse @ parts[effects] @ inverse.T)
    assert found.std_errors == pytest.approx(np.sqrt(variance + noise[:, None]), rel=1e-6)  # central differences
    assert found.low is not None
    assert found.high is not None
    assert ((found.low < found.values) & (found.values < found.high)).all()


def test_residuals_give_the_outcome_back_and_a_counterfactual(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    fit = so.fit(FORMULA, grid_panel, queen_grid)
    assert predict(fit, residuals=True).values == pytest.approx(grid_panel["y"], abs=1e-10)
    moved = grid_panel.with_variables({"x0": grid_panel["x0"] + 1.0})
    rise = predict(fit, moved, residuals=True).values - grid_panel["y"]
    # A unit more everywhere: the total effect in every region, since all rows of W sum to one.
    assert rise == pytest.approx(np.full((42, 6), average_effects(fit)["total: x0"]), rel=1e-9)
    with pytest.raises(OptionError, match="no new error"):
        predict(fit, residuals=True, of="outcome", interval=0.9)


def test_trend_leaves_the_multiplier_out(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    fit = so.fit(FORMULA, grid_panel, queen_grid, effects="individual")
    reduced, trend = predict(fit).values, predict(fit, kind="trend", interval=0.95)
    assert trend.values == pytest.approx(reduced - fit.rho * queen_grid.lag(reduced), abs=1e-10)
    assert trend.std_errors is not None
    assert (trend.std_errors > 0).all()


def test_draws_are_seeded_and_agree_with_the_delta_method(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    fit = so.fit(FORMULA, grid_panel, queen_grid)
    one = predict(fit, interval=0.9, draws=2000, seed=4)
    two = predict(fit, interval=0.9, draws=2000, seed=4)
    assert one.low is not None
    assert two.low is not None
    assert np.array_equal(one.low, two.low)
    delta = predict(fit, interval=0.9)
    assert delta.std_errors is not None
    assert one.std_errors is not None
    # 2,000 draws: 1.6 % error of each standard deviation; 252 cells, so 4 of them; plus curvature in ρ.
    assert one.std_errors == pytest.approx(delta.std_errors, rel=0.1)
    outcome = predict(fit, interval=0.9, of="outcome")
    assert outcome.std_errors is not None
    inverse = np.linalg.inv(np.eye(42) - fit.rho * queen_grid.matrix.toarray())
    extra = fit.statistics["sigma2"] * np.sum(inverse**2, axis=1)
    assert outcome.std_errors**2 - delta.std_errors**2 == pytest.approx(np.tile(extra[:, None], 6), rel=1e-9)
    assert list(one.tidy().columns) == ["region", "period", "estimate", "std_error", "conf_low", "conf_high"]
    with pytest.raises(OptionError, match="number of draws"):
        predict(fit, interval=0.9, draws=10)


def test_new_periods_and_regions_need_effects_that_allow_them(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    later = Panel(grid_panel.regions, (2006,), {k: v[:, :1] for k, v in grid_panel.variables.items() if k != "y"})
    fit = so.fit(FORMULA, grid_panel, queen_grid, effects="individual")
    assert predict(fit, later, interval=0.9).values.shape == (42, 1)
    # Same regressors and region effects, so the same prediction as in the first year.
    assert predict(fit, later).values[:, 0] == pytest.approx(predict(fit).values[:, 0], abs=1e-12)
    with pytest.raises(AlignmentError, match="2006"):
        predict(so.fit(FORMULA, grid_panel, queen_grid), later)
    part = grid_panel.select(regions=grid_panel.regions[:20])
    with pytest.raises(AlignmentError, match="W of the fit does not fit"):
        predict(fit, part)
    assert predict(fit, part, queen_grid.subset(part.regions, islands="keep")).values.shape == (20, 6)
    stranger = named_weights(row_standardised(lattice(5, 10, queen=True)))
    with pytest.raises(AlignmentError, match="effects are unknown"):
        predict(fit, simulate_sdm(stranger, 6, seed=1), stranger)
    assert predict(so.fit(FORMULA, grid_panel, queen_grid, effects="none"), simulate_sdm(stranger, 6, seed=1), stranger)
    holes = np.array(grid_panel["x0"])
    holes[0, 0] = np.nan
    with pytest.raises(MissingCellError, match="x0 of r000 in 2000"):
        predict(fit, grid_panel.with_variables({"x0": holes}))


def test_grouped_and_missing_fits_predict_too(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    ordinary = so.fit(FORMULA, grid_panel, queen_grid)
    grouped = so.fit(FORMULA, grid_panel, queen_grid, groups=dict.fromkeys(grid_panel.regions, "all"))
    one, two = predict(ordinary, interval=0.95), predict(grouped, interval=0.95)
    assert two.values == pytest.approx(one.values, abs=1e-9)
    assert two.std_errors == pytest.approx(one.std_errors, rel=1e-8)
    segments = so.fit(FORMULA, grid_panel, queen_grid, segments=("a", "a", "b", "b", "b", "b"))
    errors = predict(segments, interval=0.95).std_errors
    assert errors is not None
    assert errors[:, 0].mean() > errors[:, 5].mean()  # two years carry less than four
    complete = fit_missing(FORMULA, grid_panel, queen_grid)
    assert isinstance(complete, StaticFit)
    assert predict(complete).values == pytest.approx(one.values, abs=1e-8)
    y = np.array(grid_panel["y"])
    y[0, 0] = np.nan
    gappy = fit_missing(FORMULA, grid_panel.with_variables({"y": y}), queen_grid)
    # What is integrated out has no residual of its own beyond its neighbours': the completed value comes back.
    assert predict(gappy, residuals=True).values == pytest.approx(gappy.outcome, abs=1e-9)


@pytest.mark.parametrize("model", ["ols", "slx", "sar", "sdm", "sdem"])
def test_a_change_equals_the_difference_of_predictions(
    model: str, grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    fit = fitted(model, "individual", grid_panel, queen_grid)
    step = np.zeros(42)
    step[[3, 17]] = [2.0, -1.0]
    found = change(fit, {"x0": step})
    moved = grid_panel.with_variables({"x0": grid_panel["x0"] + step[:, None]})
    difference = (predict(fit, moved).values - predict(fit).values)[:, 0]
    assert found.values[:-1] == pytest.approx(difference, abs=1e-10)
    assert found["total"] == pytest.approx(difference.sum(), abs=1e-10)
    named = change(fit, {"x0": {"r017": -1.0, "r003": 2.0}}, regions=["r017", "r003"])
    assert named["r003"] == found["r003"]
    assert named["total"] == pytest.approx(found["total"], abs=1e-12)
    by_year = np.tile(step[:, None], 6) * np.arange(6)  # 2.5 times the step on average
    assert change(fit, {"x0": by_year}).values == pytest.approx(2.5 * found.values, rel=1e-12)

    # Delta errors against a numeric gradient of the dense formula.
    k, w = len(fit.design.terms), queen_grid.matrix.toarray()

    def dense(parameters: np.ndarray) -> np.ndarray:
        rho = parameters[k] if fit.roles.outcome else 0.0
        source = parameters[fit.design.own["x0"]] * step
        if "x0" in fit.design.neighbour:
            source = source + parameters[fit.design.neighbour["x0"]] * (w @ step)
        y = np.linalg.solve(np.eye(42) - rho * w, source)
        return np.append(y, y.sum())

    values = fit.estimates.values
    jacobian = np.array([(dense(values + s) - dense(values - s)) / 2e-6 for s in np.eye(values.size) * 1e-6]).T
    assert found.cov == pytest.approx(jacobian @ fit.estimates.cov @ jacobian.T, rel=1e-6, abs=1e-12)


def test_a_unit_everywhere_is_the_total_effect(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    fit = so.fit(FORMULA, grid_panel, queen_grid)
    found, effects = change(fit, {"x1": np.ones(42)}), average_effects(fit)
    at = effects.index("total: x1")
    assert found["total"] / 42 == pytest.approx(effects.values[at], rel=1e-10)
    assert found.std_errors[-1] / 42 == pytest.approx(effects.std_errors[at], rel=1e-8)


def test_changes_that_cannot_be_meant_are_refused(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    fit = so.fit(FORMULA, grid_panel, queen_grid)
    with pytest.raises(UnknownColumnError, match="no regressor 'x9'"):
        change(fit, {"x9": np.ones(42)})
    with pytest.raises(UnknownColumnError, match="atlantis"):
        change(fit, {"x0": {"atlantis": 1.0}})
    with pytest.raises(OptionError, match="one finite number per region"):
        change(fit, {"x0": np.ones(41)})
    squared = so.fit("y ~ x0 + x0:x1", grid_panel, queen_grid)
    with pytest.warns(AssumptionWarning, match="'x0' is changed while x0:x1"):
        change(squared, {"x0": np.ones(42)})
