"""Rings of distance: against explicit least squares, by hand, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import spillover as so
from moderators.space import reordered, scatter, slx_panel
from spillover.errors import AssumptionWarning, DesignError, OptionError, ValueDomainError
from spillover.inference.estimates import Estimates
from spillover.moderators.monotone import monotone_tests
from spillover.moderators.rings import fit_rings

DISTANCES = scatter(45)
EDGES = (0, 80, 160, 300)
STEP = lambda d: np.select([(d > 0) & (d <= 80), d <= 160, d <= 300], [0.9, 0.5, 0.2], 0.0) * (d > 0)  # noqa: E731
PANEL = slx_panel(DISTANCES, 12, seed=1, spatial=STEP)


@pytest.fixture(scope="module")
def fit():
    return fit_rings("y ~ x + z", PANEL, edges=EDGES, distances=DISTANCES)


def explicit(panel, columns):
    """Least squares with region and period dummies: coefficients, residuals, projected columns, all dense."""
    n, t = panel.shape
    dummies = np.hstack([np.kron(np.eye(n), np.ones((t, 1))), np.kron(np.ones((n, 1)), np.eye(t))[:, 1:]])
    z = np.column_stack([column.ravel() for column in columns])
    z = z - dummies @ np.linalg.lstsq(dummies, z, rcond=None)[0]
    y = panel["y"].ravel()
    y = y - dummies @ np.linalg.lstsq(dummies, y, rcond=None)[0]
    b = np.linalg.lstsq(z, y, rcond=None)[0]
    return b, y - z @ b, z


def ring_columns(x, mean=False):
    d = np.asarray(DISTANCES.matrix)
    found = []
    for near, far in ((0, 80), (80, 160), (160, 300)):
        ring = ((d > near) & (d <= far)).astype(float)
        np.fill_diagonal(ring, 0.0)
        if mean:
            count = ring.sum(1, keepdims=True)
            ring = np.divide(ring, count, out=np.zeros_like(ring), where=count > 0)
        found.append(ring @ x)
    return found


def test_equals_dummies_and_conley_by_hand(fit):
    columns = [PANEL["x"], PANEL["z"], *ring_columns(PANEL["x"])]
    b, e, z = explicit(PANEL, columns)
    part = fit["sum"]
    assert part.coefficients.values == pytest.approx(b, rel=1e-9)
    bread = np.linalg.inv(z.T @ z)
    scores = (z * e[:, None]).reshape(45, 12, 5)
    u = np.asarray(DISTANCES.matrix) / 600.0  # twice the outer edge
    kernel = np.where(u < 1, (1 - u) ** 4 * (4 * u + 1), 0.0)
    meat = np.einsum("ij,itk,jtl->kl", kernel, scores, scores) * 45 / 44  # serially uncorrelated: no lags
    assert part.coefficients.cov == pytest.approx(bread @ meat @ bread, rel=1e-8)
    assert part.coefficients.df == 11.0
    b_mean, _, _ = explicit(PANEL, [PANEL["x"], PANEL["z"], *ring_columns(PANEL["x"], mean=True)])
    assert fit["mean"].coefficients.values == pytest.approx(b_mean, rel=1e-9)


def test_finds_the_steps_and_what_is_received(fit):
    limits = fit["sum"].band.limits()
    truth = np.array([0.9, 0.5, 0.2])
    assert ((limits[:, 0] < truth) & (truth < limits[:, 1])).all()
    table = fit.table()
    d = np.asarray(DISTANCES.matrix)
    counts = [((d > a) & (d <= b)).sum() for a, b in ((0, 80), (80, 160), (160, 300))]
    assert table["pairs"].tolist() == counts
    assert table["received"].to_numpy() == pytest.approx(table["estimate"].to_numpy() * np.array(counts) / 45)
    assert fit.reach == 300.0
    # the band is wider than the pointwise interval, and its smallest p-value tests all rings together
    assert (table["band_low"] < table["conf_low"]).all()
    assert (table["p_adjusted"] >= table["p_value"]).all()


def test_zero_beyond_is_a_wald_test_with_t_minus_one(fit):
    part = fit["sum"].estimates
    last = part.values[1:] @ np.linalg.solve(part.cov[1:, 1:], part.values[1:]) / 2
    row = fit.tests().set_index("test").loc["zero beyond 80 km, Wald"]
    assert row["statistic"] == pytest.approx(last)
    assert row["p_value"] == pytest.approx(stats.f.sf(last, 2, 11))


def test_monotone_tests_reject_the_wrong_order_only():
    cov = 0.01 * np.eye(3)
    falling = monotone_tests(Estimates(("a", "b", "c"), np.array([0.9, 0.5, 0.2]), cov, 11.0, "test"), 999, 1)
    assert [test.p_value < 0.05 for test in falling] == [False, True]
    # two estimates out of order by 2 with variance .01 each: distance (2²/2)/.01 = 200
    swapped = monotone_tests(Estimates(("a", "b"), np.array([0.0, 2.0]), cov[:2, :2], None, "test"), 999, 1)
    assert swapped[0].statistic == pytest.approx(200.0)
    assert swapped[0].p_value == pytest.approx(1e-3)


def test_order_of_regions_does_not_matter(fit):
    panel, distances = reordered(PANEL, DISTANCES)
    other = fit_rings("y ~ x + z", panel, edges=EDGES, distances=distances)
    assert other.estimates.values == pytest.approx(fit.estimates.values, rel=1e-9)
    assert other.estimates.cov == pytest.approx(fit.estimates.cov, rel=1e-8)


def test_mass_weighted_means():
    rng = np.random.default_rng(3)
    mass = rng.uniform(1, 5, 45)
    panel = PANEL.with_variables({"people": mass})
    found = fit_rings("y ~ x + z", panel, edges=EDGES, distances=DISTANCES, mass="people")
    d = np.asarray(DISTANCES.matrix)
    ring = ((d > 0) & (d <= 80)) * mass[None, :]
    total = ring.sum(1, keepdims=True)
    by_hand = np.divide(ring, total, out=np.zeros_like(ring), where=total > 0) @ PANEL["x"]
    from spillover.moderators.ring_exposure import build_rings, expose

    assert expose(build_rings(DISTANCES, EDGES), PANEL["x"], "mass", mass)[0] == pytest.approx(by_hand)
    assert set(found.exposures) == {"sum", "mean", "mass"}
    empty = panel.with_variables({"people": np.where(np.arange(45) == 4, 0.0, mass)})
    with pytest.raises(ValueDomainError, match="r004"):
        fit_rings("y ~ x", empty, edges=EDGES, distances=DISTANCES, mass="people")


def test_empty_rings_of_some_regions_get_their_own_intercept_without_region_effects():
    found = fit_rings("y ~ x + z", PANEL, edges=(0, 40, 80, 160), distances=DISTANCES, effects="time")
    empty = found.rings.empty
    assert 0 < empty[0] < 1
    assert "no region at 0–40 km" in found["mean"].coefficients.names
    assert not any(name.startswith("no region") for name in found["sum"].coefficients.names)
    assert any("nobody at 0–40 km" in note for note in found.notes)


def test_serial_correlation_is_told_and_differenced():
    rng = np.random.default_rng(5)
    shocks = rng.normal(size=(45, 12))
    for s in range(1, 12):
        shocks[:, s] = 0.7 * shocks[:, s - 1] + np.sqrt(1 - 0.49) * shocks[:, s]
    panel = PANEL.with_variables({"y": PANEL["y"] + 3.0 * shocks})
    with pytest.warns(AssumptionWarning, match="serially correlated"):
        plain = fit_rings("y ~ x + z", panel, edges=EDGES, distances=DISTANCES)
    assert plain.checks.serial == pytest.approx(0.63, abs=0.12)  # 9/10 of the variance has .7, the rest none
    found = fit_rings("y ~ x + z", panel, edges=EDGES, distances=DISTANCES, quasi_difference="auto")
    a = found.design.differencing
    assert a == pytest.approx(plain.checks.serial)
    assert found.design.shape == (45, 11)
    assert abs(found.checks.serial) < 0.2
    # by hand: the same regression on z_t − a z_{t−1}
    moved = {name: values[:, 1:] - a * values[:, :-1] for name, values in panel.variables.items()}
    x = ring_columns(panel["x"])
    made = so.Panel(panel.regions, panel.periods[1:], moved)
    b, _, _ = explicit(made, [moved["x"], moved["z"], *(c[:, 1:] - a * c[:, :-1] for c in x)])
    assert found["sum"].coefficients.values == pytest.approx(b, rel=1e-8)


def test_clusters_are_warned_of_where_errors_are_related_over_space():
    d = np.asarray(DISTANCES.matrix)
    root = np.linalg.cholesky(np.exp(-d / 200.0) + 1e-9 * np.eye(45))
    panel = PANEL.with_variables({"y": PANEL["y"] + 3 * root @ np.random.default_rng(2).normal(size=(45, 12))})
    with pytest.warns(AssumptionWarning, match="clusters by region do not count"):
        fit_rings("y ~ x + z", panel, edges=EDGES, distances=DISTANCES, covariance="cluster")


def test_country_by_year_effects():
    groups = {region: "north" if k % 2 else "south" for k, region in enumerate(PANEL.regions)}
    found = fit_rings("y ~ x + z", PANEL, edges=EDGES, distances=DISTANCES, groups=groups)
    assert found.design.transformation.unit_roots == 2
    limits = found["sum"].band.limits()
    assert (limits[:, 0] < [0.9, 0.5, 0.2]).all()
    assert (limits[:, 1] > [0.9, 0.5, 0.2]).all()


@pytest.mark.parametrize(
    ("edges", "error", "says"),
    [
        ((0, 100, 50), OptionError, "increasing"),
        (("near", "far"), OptionError, "increasing"),
        ((-10, 100), OptionError, "increasing"),
        ((0, 0.001, 100), DesignError, r"no region has any other[\s\S]*0–0.001 km"),
        ((0, 100, 5000, 6000), DesignError, "5000–6000 km"),
    ],
)
def test_edges_that_are_none(edges, error, says):
    with pytest.raises(error, match=says):
        fit_rings("y ~ x", PANEL, edges=edges, distances=DISTANCES)


def test_few_regions_and_cross_sections():
    small = scatter(8)
    with pytest.raises(DesignError, match="too few regions"):
        fit_rings("y ~ x", slx_panel(small, 5, 1), edges=EDGES, distances=small)
    one = PANEL.select(periods=[2003])
    found = fit_rings("y ~ x + z", one, edges=EDGES, distances=DISTANCES)
    assert found.estimates.df == 44.0  # one period: the map is the sample
    with pytest.raises(DesignError, match="at least two periods"):
        fit_rings("y ~ x", one, edges=EDGES, distances=DISTANCES, effects="two-way")
