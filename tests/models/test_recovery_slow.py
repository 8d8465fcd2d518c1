"""Recovery of known parameters over simulated panels; `make test-slow`. Results in docs/validation.md."""

from __future__ import annotations

import numpy as np
import pytest

import spillover as so
from simulated import lattice, named_weights, nearest, row_standardised, simulate_sdm
from spillover.weights.weights import SpatialWeights

pytestmark = pytest.mark.slow
SEEDS = 400


def true_effects(weights: SpatialWeights, rho: float, beta: float, theta: float) -> np.ndarray:
    """Direct and indirect effect from the dense effect matrix."""
    n = weights.n
    m = np.linalg.solve(np.eye(n) - rho * weights.matrix.toarray(), beta * np.eye(n) + theta * weights.matrix.toarray())
    return np.array([np.trace(m) / n, (m.sum() - np.trace(m)) / n])


@pytest.mark.parametrize("covariance", ["cluster", "information"])
@pytest.mark.parametrize("effects", ["individual", "two-way"])
def test_sdm_intervals_cover(effects: str, covariance: str) -> None:
    weights = named_weights(row_standardised(nearest(100, 5, 0)))
    truth = true_effects(weights, 0.4, 1.0, 0.5)
    estimates, covered = [], []
    for seed in range(SEEDS):
        panel = simulate_sdm(weights, 8, seed=10_000 + seed)
        if effects == "individual":  # without the period effects that this model does not remove
            panel = simulate_without_periods(weights, 8, seed)
        fit = so.fit("y ~ x0 + x1", panel, weights, effects=effects, covariance=covariance)
        rows = fit.effects(variables=["x0"]).iloc[:2]
        low, high = fit.estimates.confint()[-1]
        estimates.append([*rows["estimate"], fit.rho])
        inside = (rows["conf_low"].to_numpy() <= truth) & (truth <= rows["conf_high"].to_numpy())
        covered.append([*inside, low <= 0.4 <= high])
    bias = np.mean(estimates, axis=0) - [*truth, 0.4]
    error = np.std(estimates, axis=0) / np.sqrt(SEEDS)
    coverage = np.mean(covered, axis=0)
    print(f"{effects}, {covariance}: bias {bias.round(4)} (mc se {error.round(4)}), coverage {coverage}")
    # 400 seeds: two binomial standard errors of a 95 % coverage are 2.2 points; ρ has a bias of order 1/(nt).
    assert (coverage >= 0.92).all()
    assert (coverage <= 0.98).all()
    assert np.abs(bias[2]) < 0.02


def simulate_without_periods(weights: SpatialWeights, t: int, seed: int) -> so.Panel:
    """`simulate_sdm` with the period effects taken out of the outcome exactly."""
    panel = simulate_sdm(weights, t, seed=10_000 + seed)
    # Row-standardised W: a period effect α enters y as α/(1 − ρ) in every region, so it is recomputed and removed.
    rng = np.random.default_rng(10_000 + seed)
    rng.normal(size=(2, weights.n, t)), rng.normal(size=(2, weights.n, 1)), rng.normal(size=(weights.n, 1))
    periods = rng.normal(size=(1, t))
    return panel.with_variables({"y": panel["y"] - periods / (1 - 0.4)})


def test_clustered_errors_cover_under_serial_correlation_where_information_errors_do_not() -> None:
    weights = named_weights(row_standardised(lattice(10, 10)))
    rng = np.random.default_rng(1)
    coverage = {"cluster": [], "information": []}  # type: dict[str, list[bool]]
    inverse = np.linalg.inv(np.eye(100) - 0.4 * weights.matrix.toarray())
    truth = true_effects(weights, 0.4, 1.0, 0.5)[1]
    for _ in range(SEEDS):
        x, e = np.empty((100, 12)), np.empty((100, 12))
        x[:, 0], e[:, 0] = rng.normal(size=100), rng.normal(size=100)
        for s in range(1, 12):
            x[:, s] = 0.8 * x[:, s - 1] + 0.6 * rng.normal(size=100)
            e[:, s] = 0.8 * e[:, s - 1] + 0.6 * rng.normal(size=100)
        y = inverse @ (x + 0.5 * weights.lag(x) + e)
        fit = so.fit("y ~ x", so.Panel(weights.regions, tuple(range(12)), {"y": y, "x": x}), weights)
        for name, found in coverage.items():
            row = fit.with_covariance(name).effects().iloc[1]  # type: ignore[arg-type]
            found.append(row["conf_low"] <= truth <= row["conf_high"])
    shares = {name: float(np.mean(found)) for name, found in coverage.items()}
    print(f"AR(.8) errors, indirect effect: coverage {shares}")
    assert 0.92 <= shares["cluster"] <= 0.98
    assert shares["information"] < 0.85


@pytest.mark.parametrize("effects", ["none", "individual", "time", "two-way"])
@pytest.mark.parametrize("t", [5, 60])
def test_valid_lm_tests_have_their_size(effects: str, t: int) -> None:
    weights = named_weights(row_standardised(lattice(7, 7)))
    rng = np.random.default_rng(t)
    rejected = []
    rounds = 1000
    for _ in range(rounds):
        x = rng.normal(size=(49, t)) + rng.normal(size=(49, 1))
        mean = x + (rng.normal(size=(49, 1)) if effects in ("individual", "two-way") else 0.0)
        mean = mean + (rng.normal(size=(1, t)) if effects in ("time", "two-way") else 0.0)
        panel = so.Panel(weights.regions, tuple(range(t)), {"y": mean + rng.normal(size=(49, t)), "x": x})
        fit = so.fit("y ~ x", panel, weights, model="slx", effects=effects)
        tests = fit.tests("valid").query("null_model == 'ols'")
        rejected.append((tests["p_value"] < 0.05).to_numpy())
    size = np.mean(rejected, axis=0)
    print(f"LM size, {effects}, T = {t}: {size}")
    # 1,000 rounds: three binomial standard errors of 5 % are 2.1 points.
    assert (np.abs(size - 0.05) < 0.021).all()


@pytest.mark.parametrize("effects", ["time", "two-way"])
def test_valid_lm_tests_have_their_size_when_rows_do_not_sum_to_one(effects: str) -> None:
    """Exponential distances divided by one number, and period effects that trend: Wι ≠ ι lets them into W Z b."""
    at = np.array([(i, j) for i in range(7) for j in range(7)], dtype=float)
    distance = np.linalg.norm(at[:, None] - at[None], axis=2)
    links = np.exp(-distance) * (distance > 0)
    weights = named_weights(links / links.sum(axis=1).max(), "scalar")
    rng = np.random.default_rng(8)
    rejected = []
    for _ in range(1000):
        x = rng.normal(size=(49, 10)) + rng.normal(size=(49, 1))
        mean = x + np.arange(10.0) + (rng.normal(size=(49, 1)) if effects == "two-way" else 0.0)
        panel = so.Panel(weights.regions, tuple(range(10)), {"y": mean + rng.normal(size=(49, 10)), "x": x})
        tests = so.fit("y ~ x", panel, weights, model="slx", effects=effects).tests("valid")
        rejected.append((tests.query("null_model == 'ols'")["p_value"] < 0.05).to_numpy())
    size = np.mean(rejected, axis=0)
    print(f"LM size, scalar W, {effects}: {size}")
    assert (np.abs(size - 0.05) < 0.021).all()  # three binomial standard errors of 1,000 rounds
