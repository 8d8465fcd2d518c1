"""Missing outcomes by likelihood, against the explicit density of what is observed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

import spillover as so
from simulated import lattice, named_weights, nearest, row_standardised, simulate_sdm
from spillover.effects.impacts import average_effects
from spillover.errors import DesignError, EstimationError, MissingCellError, OptionError
from spillover.models.missing import fit_missing
from spillover.panel.panel import Panel
from spillover.typing import Effects
from spillover.weights.weights import SpatialWeights

FORMULA = "y ~ x0 + x1"
EFFECTS: tuple[Effects, ...] = ("none", "individual", "time", "two-way")


def with_holes(panel: Panel, share: float, seed: int = 0) -> Panel:
    y = np.array(panel["y"])
    y[np.random.default_rng(seed).random(y.shape) < share] = np.nan
    return panel.with_variables({"y": y})


def effect_columns(n: int, t: int, effects: str) -> np.ndarray:
    """(n t, p) dummies, rows as periods within regions."""
    regions, periods = np.kron(np.eye(n), np.ones((t, 1))), np.kron(np.ones((n, 1)), np.eye(t))
    return {
        "none": np.zeros((n * t, 0)),
        "individual": regions,
        "time": periods,
        "two-way": np.hstack([regions, periods[:, 1:]]),
    }[effects]


@pytest.mark.parametrize("effects", EFFECTS)
def test_likelihood_is_the_density_of_the_observed_outcomes(effects: Effects) -> None:
    """y_o ~ N(E(S^{-1}Zδ + effects), σ²E(S'S)^{-1}E'); effects leave through an orthonormal complement of their
    columns among the observed rows. That density and ours differ by a constant, and share their maximum."""
    weights = named_weights(row_standardised(nearest(12, 3, 2)))
    n, t = 12, 4
    panel = with_holes(simulate_sdm(weights, t, seed=3), 0.2)
    fit = fit_missing(FORMULA, panel, weights, effects=effects, model="sdm")
    seen = np.isfinite(panel["y"]).ravel()
    dummies = effect_columns(n, t, effects)[seen]
    f = np.linalg.svd(dummies, full_matrices=True)[0][:, np.linalg.matrix_rank(dummies) :] if dummies.size else None
    y, k = panel["y"].ravel()[seen], fit.design.k

    def density(parameters: np.ndarray) -> float:
        inverse = np.linalg.inv(np.eye(n) - parameters[k] * weights.matrix.toarray())
        mean = (inverse @ np.tensordot(parameters[:k], fit.design.z_raw, axes=1)).ravel()[seen]
        omega = parameters[k + 1] * np.kron(inverse @ inverse.T, np.eye(t))[np.ix_(seen, seen)]
        gap = y - mean
        if f is not None:
            gap, omega = f.T @ gap, f.T @ omega @ f
        return float(-0.5 * (np.linalg.slogdet(2 * np.pi * omega)[1] + gap @ np.linalg.solve(omega, gap)))

    from spillover.models.missing_likelihood import ObservedLikelihood

    filled = np.where(np.isfinite(panel["y"]), panel["y"], 7.0)  # any number: it must not matter
    assert fit.weights is not None
    ours = ObservedLikelihood(
        filled, fit.design.z_raw, ~fit.design.observed, fit.design.transformation, fit.weights.engine, fit.design.terms
    )  # type: ignore[arg-type]
    gaps = []
    for rho in (-0.4, 0.1, 0.3, 0.7):
        profile = ours.at(rho)
        gaps.append(profile.loglik - density(np.array([*profile.slopes, rho, profile.sigma2])))
    assert gaps == pytest.approx([gaps[0]] * 4, abs=1e-9)  # 38 logs and squares in double precision
    if effects == "none":
        assert gaps[0] == pytest.approx(0.0, abs=1e-9)  # no effects, no constant
    # The score is the derivative of ℓ: central differences with step 1e-5.
    slope = (ours.at(0.3 + 1e-5).loglik - ours.at(0.3 - 1e-5).loglik) / 2e-5
    assert ours.at(0.3).score == pytest.approx(slope, abs=1e-5)

    # Gradient zero and Hessian of the brute-force density: the reported covariance is its inverse.
    at = np.array([*fit.estimates.values, fit.statistics["sigma2"]])
    gradient = optimize.approx_fprime(at, density, 1e-6)
    assert gradient == pytest.approx(np.zeros(at.size), abs=5e-3)  # forward differences: curvature × 1e-6
    steps, h = np.eye(at.size) * 1e-3, 1e-3
    hessian = np.array(
        [
            [
                (density(at + a + b) - density(at + a - b) - density(at - a + b) + density(at - a - b)) / (4 * h * h)
                for b in steps
            ]
            for a in steps
        ]
    )
    brute = np.linalg.inv(-hessian)[: k + 1, : k + 1]
    assert fit.estimates.cov == pytest.approx(brute, rel=2e-3, abs=1e-5)  # second differences, error of order h²
    # The completed outcome is the conditional mean: brute force for the model without effects.
    if effects == "none":
        inverse = np.linalg.inv(np.eye(n) - fit.rho * weights.matrix.toarray())
        mean = (inverse @ np.tensordot(fit.estimates.values[:k], fit.design.z_raw, axes=1)).ravel()
        omega = np.kron(inverse @ inverse.T, np.eye(t))
        expected = mean[~seen] + omega[np.ix_(~seen, seen)] @ np.linalg.solve(omega[np.ix_(seen, seen)], y - mean[seen])
        assert fit.outcome.ravel()[~seen] == pytest.approx(expected, abs=1e-9)
    assert fit.outcome.ravel()[seen] == pytest.approx(y, abs=0)


@pytest.mark.parametrize("effects", EFFECTS)
@pytest.mark.parametrize("model", ["ols", "slx", "sar", "sdm"])
def test_nothing_missing_is_the_ordinary_fit(
    model: str, effects: Effects, grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    w = None if model == "ols" else queen_grid
    ordinary = so.fit(FORMULA, grid_panel, w, model=model, effects=effects)  # type: ignore[arg-type]
    ours = fit_missing(FORMULA, grid_panel, w, model=model, effects=effects)
    assert ours.estimates.values == pytest.approx(ordinary.estimates.values, abs=1e-9)
    assert ours.statistics["log_likelihood"] == pytest.approx(ordinary.statistics["log_likelihood"], abs=1e-9)


@pytest.mark.parametrize("effects", EFFECTS)
def test_without_a_lag_it_is_least_squares_with_dummies(
    effects: Effects, grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    panel = with_holes(grid_panel, 0.25)
    fit = fit_missing(FORMULA, panel, queen_grid, model="slx", effects=effects)
    seen = np.isfinite(panel["y"]).ravel()
    x = [panel["x0"], panel["x1"], queen_grid.lag(panel["x0"]), queen_grid.lag(panel["x1"])]
    design = np.column_stack([*(v.ravel() for v in x), effect_columns(42, 6, effects)])
    if effects == "none":
        design = np.column_stack([design, np.ones(len(design))])
    beta, rest, rank, _ = np.linalg.lstsq(design[seen], panel["y"].ravel()[seen], rcond=None)
    at = [fit.estimates.index(name) for name in ("x0", "x1", "W*x0", "W*x1")]
    assert fit.estimates.values[at] == pytest.approx(beta[:4], rel=1e-9)
    cov = np.linalg.pinv(design[seen].T @ design[seen])[:4, :4] * rest[0] / (seen.sum() - rank)
    assert fit.estimates.cov[np.ix_(at, at)] == pytest.approx(cov, rel=1e-8)


def test_effects_and_notes(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    fit = fit_missing(FORMULA, with_holes(grid_panel, 0.1), queen_grid)
    total = (fit.estimates["x0"] + fit.estimates["W*x0"]) / (1 - fit.rho)
    assert average_effects(fit)["total: x0"] == pytest.approx(total, rel=1e-12)
    assert "missing and integrated out" in fit.notes[0]
    assert fit.statistics["n_missing"] == fit.statistics["n_regions"] * 6 - fit.statistics["n_observations"]
    # Scaling a regressor changes only its own coefficient.
    scaled = with_holes(grid_panel, 0.1).with_variables({"x1": 1e6 * grid_panel["x1"]})
    other = fit_missing(FORMULA, scaled, queen_grid)
    assert other.rho == pytest.approx(fit.rho, abs=1e-9)
    assert other.estimates["x1"] == pytest.approx(fit.estimates["x1"] / 1e6, rel=1e-8)


def test_what_is_never_observed_is_named(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    y = np.array(grid_panel["y"])
    y[3] = np.nan
    hidden = grid_panel.with_variables({"y": y})
    with pytest.raises(DesignError, match="never observed") as caught:
        fit_missing(FORMULA, hidden, queen_grid)
    assert "r003" in str(caught.value)
    # Without an effect of its own the region can stay, never seen.
    assert np.isfinite(fit_missing(FORMULA, hidden, queen_grid, effects="time").outcome[3]).all()
    y = np.array(grid_panel["y"])
    y[:5, :3] = np.nan
    y[5:, 3:] = np.nan
    with pytest.raises(DesignError, match="cannot be compared") as caught:
        fit_missing(FORMULA, grid_panel.with_variables({"y": y}), queen_grid)
    assert "r000, r001, r002, r003, r004 in 2003, 2004, 2005" in str(caught.value)
    x = np.array(grid_panel["x0"])
    x[0, 0] = np.nan
    with pytest.raises(MissingCellError, match="x0 of r000 in 2000"):
        fit_missing(FORMULA, grid_panel.with_variables({"x0": x}), queen_grid)
    unstandardised = named_weights(lattice(7, 6, queen=True), "none")
    with pytest.raises(OptionError, match="rows sum to one"):
        fit_missing(FORMULA, with_holes(grid_panel, 0.1), unstandardised)
    fit_missing(FORMULA, with_holes(grid_panel, 0.1), unstandardised, effects="individual")


def test_too_many_missing_outcomes_are_refused() -> None:
    weights = named_weights(row_standardised(lattice(30, 30)))
    panel = with_holes(simulate_sdm(weights, 10, seed=1), 0.5)
    with pytest.raises(EstimationError, match="too many missing outcomes"):
        fit_missing(FORMULA, panel, weights)


@pytest.mark.slow
def test_missing_outcomes_do_not_bias_and_intervals_cover() -> None:
    """Two-way SDM, 25 % of the outcomes missing after the first year, 300 panels: bias within 3 Monte Carlo errors plus
    .02 (ML of ρ has a small-sample bias of that size here), coverage 91–98.5 % (3 standard errors at 300)."""
    weights = named_weights(row_standardised(nearest(60, 4, 0)))
    found, covered = [], []
    truth = np.array([1.0, -0.5, 0.5, 0.3, 0.4])
    for seed in range(300):
        full = simulate_sdm(weights, 6, seed=5_000 + seed)
        y = np.array(with_holes(full, 0.25, seed)["y"])
        y[:, 0] = full["y"][:, 0]  # so that no region is never observed
        panel = full.with_variables({"y": y})
        fit = fit_missing(FORMULA, panel, weights)
        low, high = fit.estimates.confint().T
        found.append(fit.estimates.values)
        covered.append((low <= truth) & (truth <= high))
    bias = np.mean(found, axis=0) - truth
    error = np.std(found, axis=0) / np.sqrt(300)
    assert (np.abs(bias) < 3 * error + 0.02).all(), (bias, error)
    assert ((np.mean(covered, axis=0) > 0.91) & (np.mean(covered, axis=0) < 0.985)).all(), np.mean(covered, axis=0)
