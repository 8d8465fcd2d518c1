"""Poisson SLX against Newton's method on explicit dummies."""

from __future__ import annotations

import numpy as np
import pytest

from simulated import lattice, named_weights, nearest, row_standardised
from spillover.errors import DesignError, EstimationError, ValueDomainError
from spillover.models.counts import fit_counts
from spillover.panel.panel import Panel
from spillover.typing import Effects
from spillover.weights.weights import SpatialWeights

FORMULA = "patents ~ x0 + x1"


def simulate_counts(weights: SpatialWeights, t: int, seed: int, level: float = 1.0) -> Panel:
    """Poisson SLX with β = (.5, −.3), θ = (.4, .2) and two-way effects correlated with x."""
    rng = np.random.default_rng(seed)
    n = weights.n
    region, period = rng.normal(size=(n, 1)), 0.5 * rng.normal(size=(1, t))
    x = 0.7 * rng.normal(size=(2, n, t)) + 0.5 * region + 0.5 * period
    index = level + 0.5 * x[0] - 0.3 * x[1] + 0.4 * weights.lag(x[0]) + 0.2 * weights.lag(x[1]) + region + period
    y = rng.poisson(np.exp(index)).astype(float)
    return Panel(weights.regions, tuple(range(2000, 2000 + t)), {"patents": y, "x0": x[0], "x1": x[1]})


def newton(y: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(coefficients, means, information) of a Poisson regression, dummies and all."""
    beta = np.linalg.lstsq(design, np.log(y + 0.5), rcond=None)[0]
    for _ in range(60):
        mean = np.exp(design @ beta)
        information = (design * mean[:, None]).T @ design
        beta = beta + np.linalg.solve(information, design.T @ (y - mean))
    mean = np.exp(design @ beta)
    return beta, mean, (design * mean[:, None]).T @ design


def dummies(n: int, t: int, effects: str) -> np.ndarray:
    regions, periods = np.kron(np.eye(n), np.ones((t, 1))), np.kron(np.ones((n, 1)), np.eye(t))
    return {
        "none": np.ones((n * t, 1)),
        "individual": regions,
        "time": periods,
        "two-way": np.hstack([regions, periods[:, 1:]]),
    }[effects]


@pytest.fixture(scope="module")
def weights() -> SpatialWeights:
    return named_weights(row_standardised(nearest(25, 4, 1)))


@pytest.mark.parametrize("effects", ["none", "individual", "time", "two-way"])
@pytest.mark.parametrize("cluster", ["region", "period", "none"])
def test_it_is_newton_on_dummies(effects: Effects, cluster: str, weights: SpatialWeights) -> None:
    t = 8
    panel = simulate_counts(weights, t, 2)
    fit = fit_counts(FORMULA, panel, weights, effects=effects, cluster=cluster)
    x = [panel["x0"], panel["x1"], weights.lag(panel["x0"]), weights.lag(panel["x1"])]
    design = np.column_stack([*(v.ravel() for v in x), dummies(25, t, effects)])
    y = panel["patents"].ravel()
    beta, mean, information = newton(y, design)
    at = [fit.estimates.index(name) for name in ("x0", "x1", "W*x0", "W*x1")]
    assert fit.estimates.values[at] == pytest.approx(beta[:4], abs=1e-8)
    assert fit.fitted.ravel() == pytest.approx(mean, rel=1e-7)
    # The slope block of the dummy regression's inverse information and scores (Frisch–Waugh with weights).
    bread, root = np.linalg.inv(information)[:4, :4], np.sqrt(mean)[:, None]
    rest = design[:, :4] * root
    rest = (rest - design[:, 4:] * root @ np.linalg.lstsq(design[:, 4:] * root, rest, rcond=None)[0]) / root
    if effects == "none":  # the intercept is a parameter like any other, and is left out with the cluster too
        bread, rest = np.linalg.inv(information), design
    codes = {"region": np.repeat(np.arange(25), t), "period": np.tile(np.arange(t), 25), "none": np.arange(25 * t)}
    moves = []
    for c in range(codes[cluster].max() + 1):
        rows = codes[cluster] == c
        score = rest[rows].T @ (y - mean)[rows]
        gone = (rest[rows] * mean[rows, None]).T @ rest[rows] if cluster != "none" else 0.0
        moves.append(np.linalg.solve(np.linalg.inv(bread) - gone, score))  # β less β without the cluster, in one step
    count = len(moves)
    factor = count / (count - 1) if cluster == "none" else (count - 1) / count
    brute = (np.array(moves).T @ np.array(moves) * factor)[:4, :4]
    assert fit.estimates.cov[np.ix_(at, at)] == pytest.approx(brute, rel=1e-6)
    assert fit.statistics["log_likelihood"] == pytest.approx(
        float(np.sum(y * np.log(mean) - mean) - sum(np.log(np.arange(1, int(v) + 1)).sum() for v in y)), rel=1e-10
    )


def test_regions_without_events_are_dropped_and_named(weights: SpatialWeights) -> None:
    panel = simulate_counts(weights, 6, 3)
    y = np.array(panel["patents"])
    y[[4, 9]] = 0.0
    y[:, 2] = 0.0
    quiet = panel.with_variables({"patents": y})
    fit = fit_counts(FORMULA, quiet, weights)
    assert "2 regions without any event were dropped: r004, r009." in fit.notes
    assert "1 periods without any event were dropped: 2002." in fit.notes
    assert fit.statistics["n_dropped"] == 25 * 6 - 23 * 5
    # The others' W x still counts the quiet regions: brute force on the rows that are left.
    keep = np.ones((25, 6), dtype=bool)
    keep[[4, 9]] = False
    keep[:, 2] = False
    x = [panel["x0"], panel["x1"], weights.lag(panel["x0"]), weights.lag(panel["x1"])]
    rows, columns = np.nonzero(keep)
    design = np.column_stack(
        [*(v[keep] for v in x), np.eye(25)[rows][:, keep.any(axis=1)], np.eye(6)[columns][:, [1, 3, 4, 5]]]
    )
    assert fit.estimates.values == pytest.approx(newton(y[keep], design)[0][:4], abs=1e-8)
    # Without effects of their own quiet regions say something, and stay.
    assert fit_counts(FORMULA, quiet, weights, effects="none").statistics["n_dropped"] == 0


def test_semi_elasticities(weights: SpatialWeights) -> None:
    panel = simulate_counts(weights, 6, 3)
    fit = fit_counts(FORMULA, panel, weights)
    effects = fit.semi_elasticities()
    assert effects["direct: x0"] == fit.estimates["x0"]
    assert effects["indirect: x0"] == pytest.approx(fit.estimates["W*x0"], rel=1e-12)  # rows sum to one
    assert effects["total: x0"] == pytest.approx(fit.estimates["x0"] + fit.estimates["W*x0"], rel=1e-12)
    # W → 3W leaves the effects unchanged.
    tripled = SpatialWeights(3.0 * weights.matrix, weights.regions, "three times", "none")
    other = fit_counts(FORMULA, panel, tripled).semi_elasticities()
    assert other.values == pytest.approx(effects.values, rel=1e-7)
    assert other.std_errors == pytest.approx(effects.std_errors, rel=1e-6)


def test_scaling_and_relabelling(weights: SpatialWeights) -> None:
    panel = simulate_counts(weights, 6, 3)
    base = fit_counts(FORMULA, panel, weights)
    scaled = fit_counts(FORMULA, panel.with_variables({"x0": 1e6 * panel["x0"]}), weights)
    factor = np.array([1e6, 1.0, 1e6, 1.0])
    assert scaled.estimates.values * factor == pytest.approx(base.estimates.values, rel=1e-7)
    more = fit_counts(FORMULA, panel.with_variables({"patents": 10.0 * panel["patents"]}), weights)
    assert more.estimates.values == pytest.approx(base.estimates.values, abs=1e-8)  # a unit is absorbed by the effects
    assert more.estimates.cov == pytest.approx(base.estimates.cov, rel=1e-6)
    order = np.random.default_rng(1).permutation(25)
    shuffled = SpatialWeights(
        weights.matrix[order][:, order], tuple(weights.regions[i] for i in order), "shuffled", "row"
    )
    assert fit_counts(FORMULA, panel, shuffled).estimates.values == pytest.approx(base.estimates.values, abs=1e-10)


def test_what_is_not_a_count_or_has_no_maximum_is_refused(weights: SpatialWeights) -> None:
    panel = simulate_counts(weights, 6, 3)
    with pytest.raises(ValueDomainError, match="not a count") as caught:
        fit_counts("x0 ~ x1", panel, weights)
    assert "the counts themselves" in str(caught.value)
    y, only = np.array(panel["patents"]), np.zeros((25, 6))
    only[3, :3] = 1.0
    y[3, :3] = 0.0
    y[3, 3:] += 1.0
    separated = panel.with_variables({"patents": y, "only": only})
    with pytest.raises(EstimationError, match="no finite maximum"):
        fit_counts("patents ~ x0 + only", separated)
    with pytest.raises(DesignError, match="too few clusters"):
        fit_counts(FORMULA, panel.select(periods=[2000, 2001, 2002]), weights, cluster="period")
    with pytest.raises(DesignError, match="every count"):
        fit_counts(FORMULA, panel.with_variables({"patents": np.zeros((25, 6))}), weights)


def test_a_slope_that_rests_on_one_region_is_said(weights: SpatialWeights) -> None:
    panel = simulate_counts(weights, 8, 3, level=3.0)
    only = np.zeros((25, 8))
    only[3] = np.random.default_rng(0).normal(size=8)
    fit = fit_counts("patents ~ x0 + only", panel.with_variables({"only": only}))
    assert "A slope rests almost on r003 alone: its clustered error is not reliable." in fit.notes


@pytest.mark.slow
def test_clustered_intervals_cover_under_overdispersed_counts() -> None:
    """Counts with gamma heterogeneity, not Poisson: 95 % intervals by region cover 91–98 % of 400 panels of 150
    regions (3.6 standard errors). With 64 regions, whose expected counts differ by e⁴, they cover 90–94 %."""
    weights = named_weights(row_standardised(lattice(15, 10, queen=True)))
    truth, covered, values = np.array([0.5, -0.3, 0.4, 0.2]), [], []
    for seed in range(400):
        panel = simulate_counts(weights, 6, seed, level=2.0)
        rng = np.random.default_rng(seed)
        noisy = rng.poisson(panel["patents"] * rng.gamma(4.0, 0.25, size=(150, 6))).astype(float)
        fit = fit_counts(FORMULA, panel.with_variables({"patents": noisy}), weights)
        low, high = fit.estimates.confint().T
        covered.append((low <= truth) & (truth <= high))
        values.append(fit.estimates.values)
    bias = np.mean(values, axis=0) - truth
    assert (np.abs(bias) < 3.5 * np.std(values, axis=0) / 20).all(), bias
    rate = np.mean(covered, axis=0)
    assert ((rate > 0.91) & (rate < 0.98)).all(), rate
