"""The free function of distance: recovery, penalty against a mixed model written out, monotone projection."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from moderators.space import scatter, slx_panel
from spillover.errors import OptionError
from spillover.moderators.kernel_spline import (
    UNDERSMOOTH,
    _basis,
    _knot_edges,
    _smooth,
    evaluate_spline,
    fit_kernel_spline,
)

DISTANCES = scatter(60)
PANEL = slx_panel(DISTANCES, 10, seed=1)


@pytest.fixture(scope="module")
def spline():
    return fit_kernel_spline("y ~ x + z", PANEL, reach_km=500.0, distances=DISTANCES)


def test_holds_an_exponential_kernel(spline):
    assert spline.holds(lambda d: np.exp(-0.01 * d))
    assert spline.direction == "falling"
    assert spline.test.p_value > 0.05
    assert (np.diff(spline.monotone) <= 1e-12).all()
    assert 2.0 < spline.edf < 13.0
    table = spline.table()
    assert table["distance"].iloc[[0, -1]].tolist() == [DISTANCES.shortest, 500.0]
    assert evaluate_spline(spline, table["distance"]) == pytest.approx(table["estimate"].to_numpy())


def test_recovers_a_smooth_kernel_without_noise():
    bump = lambda d: np.exp(-(((d - 150) / 120.0) ** 2)) * (d > 0)  # noqa: E731
    panel = slx_panel(DISTANCES, 10, seed=3, noise=1e-4, spatial=lambda d: bump(d) * (d <= 500))
    found = fit_kernel_spline("y ~ x + z", panel, reach_km=500.0, knots=20, distances=DISTANCES)
    inner = found.distances < 480
    # cubic splines with knots 25 km apart: error of order (25/120)⁴·sup|κ''''|/384 ≈ 10⁻³
    assert found.estimates.values[inner] == pytest.approx(bump(found.distances)[inner], abs=5e-3)
    assert found.test.p_value < 0.05  # it rises before it falls, and almost no noise hides that


def test_a_rising_spillover_is_not_forced_to_fall():
    panel = slx_panel(DISTANCES, 10, seed=4, theta=-1.0)
    found = fit_kernel_spline("y ~ x + z", panel, reach_km=500.0, distances=DISTANCES)
    assert found.direction == "rising"  # from a negative effect nearby towards zero
    assert (np.diff(found.monotone) >= -1e-12).all()


def test_the_penalty_maximises_the_restricted_likelihood(spline):
    """REML of y = Xβ + Cθ + ε with θ = (flat directions, free) + (D⁺ u, u ~ N(0, τ²)), as a dense Gaussian likelihood.

    T = 10 demeaned periods are made full rank by an orthonormal basis, so that the covariance can be inverted.
    """
    smooth = _smooth(spline.design, 500.0, 10)
    n, t = 60, 10

    def contrasts(size):
        return np.linalg.svd(np.eye(size) - 1.0 / size)[0][:, : size - 1]

    basis = np.kron(contrasts(n), contrasts(t))
    y = basis.T @ spline.design.y.ravel()
    c = basis.T @ smooth.columns.reshape(13, -1).T
    x = basis.T @ spline.design.x.reshape(2, -1).T
    penalty = smooth.penalty / UNDERSMOOTH
    values, vectors = np.linalg.eigh(smooth.penalty_matrix)
    flat, bent = vectors[:, :2], vectors[:, 2:] / np.sqrt(values[2:])
    fixed, random = np.column_stack([x, c @ flat]), c @ bent
    m = len(y)

    def restricted(log_ratio):
        """−2 REML with σ² profiled; ratio = τ²/σ² = 1/λ."""
        v = np.eye(m) + np.exp(log_ratio) * random @ random.T
        inverse = np.linalg.inv(v)
        gram = fixed.T @ inverse @ fixed
        p = inverse - inverse @ fixed @ np.linalg.solve(gram, fixed.T @ inverse)
        return (m - 4) * np.log(y @ p @ y) + np.linalg.slogdet(v)[1] + np.linalg.slogdet(gram)[1]

    best = minimize_scalar(restricted, bounds=(-np.log(penalty) - 3, -np.log(penalty) + 3), method="bounded")
    assert -np.log(penalty) == pytest.approx(best.x, abs=1e-2)  # both optimisers stop at about 1e-3


def test_basis_sums_to_one_and_reaches_the_ends():
    edges = _knot_edges(500.0, 10)
    d = np.array([0.0, 123.0, 500.0])
    assert _basis(edges, d).sum(axis=1) == pytest.approx(1.0)
    assert _basis(edges, d).shape == (3, 13)


@pytest.mark.parametrize(
    ("options", "says"), [({"knots": 2}, "knots"), ({"reach_km": 1e5}, "reach_km"), ({"reach_km": -1.0}, "reach_km")]
)
def test_impossible_options(options, says):
    with pytest.raises(OptionError, match=says):
        fit_kernel_spline("y ~ x", PANEL, distances=DISTANCES, **options)


def test_outside_the_reach_there_is_no_curve(spline):
    with pytest.raises(OptionError, match="0 to 500"):
        evaluate_spline(spline, [600.0])
