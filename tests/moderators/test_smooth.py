"""Smooth transitions against brute-force nonlinear least squares and likelihoods."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from simulated import named_weights, nearest, row_standardised
from spillover.errors import OptionError, UnknownColumnError
from spillover.models.fit import fit
from spillover.moderators.smooth import LOCATION, SLOPE, fit_smooth_transition
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


def draw_smooth(n: int, t: int, seed: int, *, jump: float = 1.0, weights: SpatialWeights | None = None) -> Panel:
    """y = x(1 + jump·g) + two-way effects + ε, g logistic in q with slope 3 per sd around .4; with W: + .3 W y."""
    rng = np.random.default_rng(seed)
    x, q, e = rng.normal(size=(3, n, t))
    g = 1.0 / (1.0 + np.exp(-3.0 * (q - 0.4) / q.std()))
    y = x * (1.0 + jump * g) + 0.5 * e + rng.normal(size=(n, 1)) + rng.normal(size=(1, t))
    if weights is not None:
        y = np.linalg.solve(np.eye(n) - 0.3 * weights.matrix.toarray(), y)
    return Panel(tuple(f"r{i:03d}" for i in range(n)), tuple(range(2000, 2000 + t)), {"y": y, "x": x, "q": q})


def test_estimates_and_errors_are_those_of_nonlinear_least_squares() -> None:
    panel = draw_smooth(60, 8, seed=1)
    found = fit_smooth_transition("y ~ x", panel, threshold="q", switching="x", covariance="information")
    within = Transformation("two-way", "lee-yu", 60, 8)
    x, q = panel["x"], panel["q"]
    y = within.apply(panel["y"]).ravel()

    def residuals(p: np.ndarray) -> np.ndarray:
        g = 1.0 / (1.0 + np.exp(-p[2] * (q - p[3]) / q.std()))
        return y - within.apply(x * (p[0] + p[1] * g)).ravel()

    best = optimize.least_squares(residuals, [1.0, 1.0, 3.0, 0.4], xtol=1e-14, ftol=1e-14, gtol=1e-14)
    names = ["x", "x × g", SLOPE, LOCATION]
    assert [found.estimates[name] for name in names] == pytest.approx(best.x, rel=1e-4)
    # (J'J)^{-1} s² with s² = SSR/(free observations − 4)
    variance = np.sum(best.fun**2) / (59 * 7 - 4)
    cov = np.linalg.inv(best.jac.T @ best.jac) * variance
    at = [found.estimates.index(name) for name in names]
    assert np.sqrt(np.diag(found.estimates.cov))[at] == pytest.approx(np.sqrt(np.diag(cov)), rel=1e-3)
    for name, truth in {"x": 1.0, "x × g": 1.0, SLOPE: 3.0, LOCATION: 0.4}.items():
        assert abs(found.estimates[name] - truth) < 3.5 * found.estimates.std_errors[found.estimates.index(name)]
    assert found.linearity.p_value < 1e-6


def test_with_a_lagged_outcome_the_likelihood_is_maximal() -> None:
    weights = named_weights(row_standardised(nearest(60, 5, seed=2)))
    panel = draw_smooth(60, 8, seed=2, weights=weights)
    found = fit_smooth_transition("y ~ x", panel, weights, threshold="q", switching="x", model="sar")
    x, q = panel["x"], panel["q"]

    def loglik(slope: float, location: float) -> float:
        g = 1.0 / (1.0 + np.exp(-slope * (q - location) / q.std()))
        wide = panel.with_variables({"xg": x * g})
        return float(fit("y ~ x + xg", wide, weights, model="sar").statistics["log_likelihood"])

    best = loglik(found.slope, found.location)
    for slope, location in ((0.97, 1.0), (1.03, 1.0), (1.0, 0.97), (1.0, 1.03)):
        assert loglik(found.slope * slope, found.location * location) < best
    assert found.statistics["log_likelihood"] == pytest.approx(best, abs=1e-5)


def test_effects_move_with_the_transition_and_carry_its_errors() -> None:
    """Effects and their errors against differences of the solved model in all parameters."""
    weights = named_weights(row_standardised(nearest(40, 5, seed=2)))
    panel = draw_smooth(40, 8, seed=3, weights=weights)
    found = fit_smooth_transition("y ~ x", panel, weights, threshold="q", switching=("x", "W*x"), model="sdm")
    b, w, spread = found.estimates, weights.matrix.toarray(), panel["q"].std()
    value = 0.7

    def averages(p: np.ndarray) -> np.ndarray:
        c = dict(zip(b.names, p, strict=True))
        g = 1.0 / (1.0 + np.exp(-c[SLOPE] * (value - c[LOCATION]) / spread))
        m = (c["x"] + c["x × g"] * g) * np.eye(40) + (c["W*x"] + c["W*x × g"] * g) * w
        m = np.linalg.solve(np.eye(40) - c["rho"] * w, m)
        return np.array([np.trace(m), m.sum() - np.trace(m), m.sum()]) / 40

    table = found.effects([value])
    assert table["estimate"].to_numpy() == pytest.approx(averages(b.values), rel=1e-5)
    h = 1e-6 * np.eye(b.values.size)
    gradient = np.column_stack([(averages(b.values + d) - averages(b.values - d)) / 2e-6 for d in h])
    assert table["std_error"].to_numpy() == pytest.approx(np.sqrt(np.diag(gradient @ b.cov @ gradient.T)), rel=1e-4)


def test_a_steep_transition_says_that_it_is_a_threshold() -> None:
    rng = np.random.default_rng(5)
    x, q, e = rng.normal(size=(3, 60, 8))
    y = x * (1.0 + 1.5 * (q > 0.2)) + 0.3 * e
    panel = Panel(tuple(f"r{i:03d}" for i in range(60)), tuple(range(8)), {"y": y, "x": x, "q": q})
    found = fit_smooth_transition("y ~ x", panel, threshold="q", switching="x")
    assert found.location == pytest.approx(0.2, abs=0.05)
    assert found.slope > 30


def test_linearity_is_not_rejected_where_nothing_changes() -> None:
    p = [
        fit_smooth_transition("y ~ x", draw_smooth(60, 8, seed, jump=0.0), threshold="q", switching="x").linearity
        for seed in range(20, 32)
    ]
    # size .06 (docs/moderators.md): of 12 p-values more than three are below .05 in .4 % of cases
    assert sum(test.p_value < 0.05 for test in p) <= 3


def test_bad_input_is_refused_in_words() -> None:
    panel = draw_smooth(40, 6, seed=1)
    with pytest.raises(UnknownColumnError, match="is to switch"):
        fit_smooth_transition("y ~ x", panel, threshold="q", switching="W*x")
    weights = named_weights(row_standardised(nearest(40, 5, seed=2)))
    with pytest.raises(OptionError, match="not in sem"):
        fit_smooth_transition("y ~ x", panel, weights, threshold="q", switching="x", model="sem")
