"""SAR and SDM with an estimated decay: against `fit` at the decay found, dense brute force, numeric derivatives."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp

import spillover as so
from moderators.space import kernel_matrix, lag_panel, reordered, scatter
from spillover.errors import EstimationError
from spillover.models.covariance import information_covariance
from spillover.moderators import decay_search, kernel_determinant
from spillover.moderators.decay import fit_decay
from spillover.moderators.decay_lag import centred_periods
from spillover.moderators.distances import Distances
from spillover.moderators.kernel_determinant import KernelDeterminants
from spillover.moderators.kernels import Kernel
from spillover.numerics.within import Transformation
from spillover.typing import no_progress
from spillover.weights.weights import SpatialWeights

DISTANCES = scatter(40)
PANEL = lag_panel(DISTANCES, 8, seed=1, rho=0.4, theta=1.5)
LIMITS = (0.002, 0.2)


def weights(rate, standardise="none", scale=1.0):
    kernel = kernel_matrix(DISTANCES, lambda d: np.exp(-rate * d)) / scale
    return SpatialWeights(sp.csr_matrix(kernel), DISTANCES.regions, "exponential").standardise(standardise)


@pytest.mark.parametrize("model", ["sar", "sdm"])
def test_equals_fit_at_the_decay_it_found(model):
    """Region effects only: the transformation is exact for every W, and `fit` maximises the same likelihood."""
    found = fit_decay("y ~ x", PANEL, model=model, distances=DISTANCES, effects="individual", draws=199)
    other = so.fit(
        "y ~ x", PANEL, weights(found.profile.rate, scale=found.statistics["scale"]), model=model, effects="individual"
    )
    assert found.statistics["log_likelihood"] == pytest.approx(other.statistics["log_likelihood"], rel=1e-11)
    assert found.estimates["rho"] == pytest.approx(other.rho, rel=1e-6)
    own = other.effects().set_index("term")["estimate"]
    for term in ("direct: x", "indirect: x", "total: x"):
        assert found.effect_estimates[term] == pytest.approx(own[term], rel=1e-6)
    # a search over the decay by `fit` itself finds nothing higher
    for rate in found.profile.rate * np.array([0.9, 1.1]):
        scale = np.linalg.eigvalsh(kernel_matrix(DISTANCES, lambda d, r=rate: np.exp(-r * d)))[-1]
        near = so.fit("y ~ x", PANEL, weights(rate, scale=scale), model=model, effects="individual")
        assert near.statistics["log_likelihood"] < found.statistics["log_likelihood"]


def test_equals_lee_and_yu_with_rows_of_sum_one():
    found = fit_decay("y ~ x", PANEL, model="sdm", distances=DISTANCES, standardise="row", draws=199)
    other = so.fit("y ~ x", PANEL, weights(found.profile.rate, "row"), model="sdm")
    assert found.statistics["log_likelihood"] == pytest.approx(other.statistics["log_likelihood"], rel=1e-10)
    assert found.estimates["rho"] == pytest.approx(other.rho, rel=1e-6)


def test_any_scale_leaves_decay_and_effects_as_they_are():
    """A constant only sets the units of θ and ρ: W divided by 7 is the same model."""
    found = fit_decay("y ~ x", PANEL, model="sdm", distances=DISTANCES, effects="individual", draws=199)
    scale = found.statistics["scale"]
    other = so.fit("y ~ x", PANEL, weights(found.profile.rate, scale=7 * scale), model="sdm", effects="individual")
    assert other.statistics["log_likelihood"] == pytest.approx(found.statistics["log_likelihood"], rel=1e-11)
    assert other.rho == pytest.approx(7 * found.estimates["rho"], rel=1e-5)


def test_joint_information_is_the_curvature_of_the_likelihood():
    """Expected information of (β, θ, ρ, δ) against the Hessian of the full likelihood, in one long panel."""
    t = 400
    panel = lag_panel(DISTANCES, t, seed=100, rho=0.4, theta=1.5, periods=0.0)
    found = fit_decay("y ~ x", panel, model="sdm", distances=DISTANCES, effects="individual", draws=199)
    scale = found.statistics["scale"]

    def negative(p):
        beta, theta, rho, rate = p
        w = kernel_matrix(DISTANCES, lambda d: np.exp(-rate * d)) / scale
        e = panel["y"] - rho * w @ panel["y"] - beta * panel["x"] - theta * w @ panel["x"]
        e = e - e.mean(axis=1, keepdims=True)
        return 20 * (t - 1) * np.log(np.sum(e**2)) - (t - 1) * np.linalg.slogdet(np.eye(40) - rho * w)[1]

    p = found.estimates.values
    steps = np.diag(2e-3 * np.abs(p))
    hessian = np.array(
        [
            [negative(p + a + b) - negative(p + a - b) - negative(p - a + b) + negative(p - a - b) for b in steps]
            for a in steps
        ]
    ) / (4 * np.outer(steps.sum(1), steps.sum(1)))
    size = np.sqrt(np.diag(hessian))
    expected = np.linalg.inv(information_covariance(_point(found)))
    # observed and expected information differ by terms of order 1/√(n t) = .8 %, a few of them
    assert expected / np.outer(size, size) == pytest.approx(hessian / np.outer(size, size), abs=0.04)


def _point(found):
    from spillover.moderators.decay_search import DecayTask, search_decay

    task = DecayTask("sdm", found.kernel, False, found.profile.limits, 0.95, 199, 1, no_progress)
    return search_decay(task, found.design).at.point


def test_effects_and_their_errors_by_dense_algebra():
    found = fit_decay("y ~ x", PANEL, model="sdm", distances=DISTANCES, draws=199)
    scale = found.statistics["scale"]

    def effects(p):
        beta, theta, rho, rate = p
        w = kernel_matrix(DISTANCES, lambda d: np.exp(-rate * d)) / scale
        m = np.linalg.solve(np.eye(40) - rho * w, beta * np.eye(40) + theta * w)
        return np.array([np.trace(m), m.sum() - np.trace(m), m.sum()]) / 40

    p = found.estimates.values
    assert found.effect_estimates.values == pytest.approx(effects(p), rel=1e-9)
    jacobian = np.array([(effects(p + h) - effects(p - h)) / (2 * h.sum()) for h in np.diag(1e-6 * np.abs(p))]).T
    cov = jacobian @ found.estimates.cov @ jacobian.T
    assert found.effect_estimates.cov == pytest.approx(cov, rel=1e-4)


def test_order_of_regions_does_not_matter():
    found = fit_decay("y ~ x", PANEL, model="sdm", distances=DISTANCES, draws=199)
    panel, distances = reordered(PANEL, DISTANCES)
    other = fit_decay("y ~ x", panel, model="sdm", distances=distances, draws=199)
    assert other.estimates.values == pytest.approx(found.estimates.values, rel=1e-5)
    assert other.estimates.std_errors == pytest.approx(found.estimates.std_errors, rel=1e-4)


# -- the log-determinant -------------------------------------------------------------------------------


def determinants(row=False, centred=False, distances=DISTANCES, kernel="exponential"):
    return KernelDeterminants(distances, Kernel(kernel), row, centred, LIMITS, no_progress)


def test_centred_log_determinant_is_the_trace_of_j_log_s():
    w, scale, engine = determinants(centred=True).weights(0.01, 0.0)
    assert scale == pytest.approx(np.linalg.eigvalsh(kernel_matrix(DISTANCES)).max())
    j = np.eye(40) - 1.0 / 40
    for rho in (-0.8, 0.3, 0.9):
        dense = np.trace(j @ scipy.linalg.logm(np.eye(40) - rho * w)).real
        assert float(engine.log_determinant.value(rho)) == pytest.approx(dense, abs=1e-8)
        first, second = engine.log_determinant.derivatives(rho)
        g = w @ np.linalg.inv(np.eye(40) - rho * w)
        assert first == pytest.approx(-np.trace(j @ g), abs=1e-8)
        assert second == pytest.approx(-np.trace(j @ g @ g), abs=1e-7)


def test_centred_and_row_standardised_agree_with_lee_and_yu():
    plain = determinants(row=True).weights(0.01, 0.0)[2].log_determinant
    rows = weights(0.01, "row")
    assert float(plain.value(0.4)) == pytest.approx(np.linalg.slogdet(np.eye(40) - 0.4 * rows.matrix.toarray())[1])
    # a regular W has Wι = ι without standardisation: the four corners of a square
    corners = np.array([[0, 1, 2**0.5, 1], [1, 0, 1, 2**0.5], [2**0.5, 1, 0, 1], [1, 2**0.5, 1, 0]]) * 100
    square = Distances(("a", "b", "c", "d"), corners, "corners")
    found = determinants(centred=True, distances=square).weights(0.01, 0.0)
    s = np.eye(4) - 0.4 * found[0]
    assert float(found[2].log_determinant.value(0.4)) == pytest.approx(np.linalg.slogdet(s)[1] - np.log(1 - 0.4))


def test_asymmetric_distances_have_complex_spectra():
    lopsided = np.asarray(DISTANCES.matrix) * (1.0 + 0.4 * np.random.default_rng(0).random((40, 40)))
    np.fill_diagonal(lopsided, 0.0)
    one_way = Distances(DISTANCES.regions, lopsided, "one way")
    for centred in (False, True):
        w, _, engine = determinants(centred=centred, distances=one_way).weights(0.01, 0.0)
        j = np.eye(40) - centred / 40.0
        dense = np.trace(j @ scipy.linalg.logm(np.eye(40) - 0.5 * w)).real
        assert float(engine.log_determinant.value(0.5)) == pytest.approx(dense, abs=1e-7)


@pytest.mark.parametrize("window", [(0.007, 0.0175), (0.0083, 0.0129), (0.01, 0.0124)])
@pytest.mark.parametrize("row", [False, True])
def test_interpolation_between_decays(monkeypatch, row, window):
    """Nine nodes over a factor of 2.5 in the rate, six over 1.56, four over 1.24."""
    exact = determinants(row=row, centred=not row)
    few = determinants(row=row, centred=not row)
    values = {
        rate: exact.weights(rate, 0.0) for rate in window[0] * (window[1] / window[0]) ** np.array([0.07, 0.5, 0.9])
    }
    monkeypatch.setattr(kernel_determinant, "EXACT_LIMIT", 10)
    few.focus(window)
    for rate, (_, scale, engine) in values.items():
        w, other, mixed = few.weights(rate, 0.0)
        assert other == pytest.approx(scale, rel=5e-6)  # any scale will do; the determinant's is one to this digit
        for rho in (-0.5, 0.3, 0.8):
            gap = float(mixed.log_determinant.value(rho)) - float(engine.log_determinant.value(rho))
            assert abs(gap) < 5e-5  # twenty periods make a thousandth of a log-likelihood
    with pytest.raises(EstimationError, match="eigenvalue problem for every trial"):
        determinants(kernel="stretched").weights(0.01, 1.0)


def test_many_regions_find_the_same_decay(monkeypatch):
    """The search with interpolated log-determinants against the exact one on the same data."""
    exact = fit_decay("y ~ x", PANEL, model="sdm", distances=DISTANCES, draws=199)
    monkeypatch.setattr(kernel_determinant, "EXACT_LIMIT", 10)
    quick = fit_decay("y ~ x", PANEL, model="sdm", distances=DISTANCES, draws=199)
    assert quick.profile.rate == pytest.approx(exact.profile.rate, rel=1e-3)
    assert quick.statistics["log_likelihood"] == pytest.approx(exact.statistics["log_likelihood"], abs=2e-3)
    ends = [(fit.intervals["likelihood"].low, fit.intervals["likelihood"].high) for fit in (exact, quick)]
    assert ends[1] == pytest.approx(ends[0], rel=5e-3)


def test_a_sharp_decay_is_found_with_six_nodes(monkeypatch):
    """A tenth of the noise: the interval fits into the narrow window, and the answer is that of the exact search."""
    panel = lag_panel(DISTANCES, 8, seed=1, rho=0.4, theta=1.5, noise=0.1)
    exact = fit_decay("y ~ x", panel, model="sdm", distances=DISTANCES, draws=199)
    monkeypatch.setattr(kernel_determinant, "EXACT_LIMIT", 10)
    monkeypatch.setattr(decay_search, "CLOSER", decay_search.CLOSER[:2])
    quick = fit_decay("y ~ x", panel, model="sdm", distances=DISTANCES, draws=199)
    assert quick.profile.rate == pytest.approx(exact.profile.rate, rel=1e-3)
    ends = [(fit.intervals["likelihood"].low, fit.intervals["likelihood"].high) for fit in (exact, quick)]
    assert ends[1] == pytest.approx(ends[0], rel=5e-3)


def test_scores_are_centred():
    """Under ρ = 0: mean of d ℓ/dρ over panels, with and without the correction, in its own standard errors."""
    n, t = 40, 6
    w, _, engine = determinants(centred=True).weights(0.004, 0.0)
    plain = determinants().weights(0.004, 0.0)[2]
    effects = centred_periods(Transformation("two-way", "lee-yu", n, t))
    assert (effects.m, effects.t_star, effects.unit_roots) == (39 * 5, 5, 0)
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(400):
        y = rng.normal(size=(n, t)) + 3.0 * rng.normal(size=(1, t))
        e, lag = effects.apply(y), effects.apply(w @ y)
        scores.append(effects.m * np.sum(e * lag) / np.sum(e**2))
    mean, error = np.mean(scores), np.std(scores) / 20.0
    assert abs(mean + effects.t_star * engine.log_determinant.derivatives(0.0)[0]) < 3 * error
    assert abs(mean + effects.t_star * plain.log_determinant.derivatives(0.0)[0]) > 10 * error


@pytest.mark.slow
@pytest.mark.parametrize("model", ["sar", "sdm"])
def test_size_of_the_test_of_no_spillover(model):
    """400 panels without a spillover: scores not freed of β and σ² period by period reject .003 and .010 at 5 %."""
    small = 0
    for seed in range(400):
        panel = lag_panel(DISTANCES, 10, seed, rho=0.0, theta=0.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = fit_decay("y ~ x", panel, model=model, distances=DISTANCES, draws=399, seed=seed)
        small += found.null_test.p_value <= 0.05
    assert 0.02 <= small / 400 <= 0.09  # three standard errors of .011 around .05
