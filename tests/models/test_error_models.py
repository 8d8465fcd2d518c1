"""Models with a spatial error, several W and every covariance, by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import spillover as so
from simulated import lattice, named_weights, nearest, row_standardised, simulate_sdm
from spillover.errors import AssumptionWarning, DesignError, OptionError, WeakIdentificationWarning
from spillover.models.result import SpatialFit
from spillover.weights.weights import SpatialWeights

FORMULA = "y ~ x0 + x1"
W1 = named_weights(row_standardised(lattice(6, 5)))
W2 = named_weights(row_standardised(nearest(30, 4, 1)))
EFFECTS = ("none", "individual", "time", "two-way")
CASES = [("sem", False), ("sdem", False), ("sac", True), ("gns", True), ("sac", False)]
pytestmark = pytest.mark.filterwarnings("ignore:ρ and λ share one W")


def fitted(model: str, two: bool, effects: str, covariance: str = "information") -> SpatialFit:
    panel = simulate_sdm(W1, 6, seed=4)
    return so.fit(
        FORMULA, panel, W1, model=model, effects=effects, covariance=covariance, weights_error=W2 if two else W1,
        weights_x=W1,
    )  # fmt: skip


class Brute:
    """The Gaussian likelihood of explicitly transformed data, with dense matrices."""

    def __init__(self, fit: SpatialFit) -> None:
        self.fit = fit
        n, t = fit.design.shape
        transformation = fit.design.transformation

        def basis(size: int, remove: bool) -> np.ndarray:
            q = np.linalg.qr(np.column_stack([np.ones(size), np.eye(size)[:, 1:]]))[0]
            return q[:, 1:] if remove else np.eye(size)

        self.f_n = basis(n, transformation.removes_periods)
        self.f_t = basis(t, transformation.removes_regions)
        eye = np.eye(self.f_n.shape[1])
        self.lag = self.f_n.T @ fit.roles.outcome[0][1].matrix.toarray() @ self.f_n if fit.roles.outcome else 0 * eye
        self.error = self.f_n.T @ fit.roles.error.matrix.toarray() @ self.f_n if fit.roles.error else 0 * eye
        block = fit.design.block
        self.z = np.array([self.f_n.T @ block[j] @ self.f_t for j in range(fit.design.k)])
        self.y = self.f_n.T @ fit.design.y @ self.f_t

    def loglik(self, parameters: np.ndarray) -> float:
        """ℓ(δ, ρ?, λ?, σ²)."""
        k = len(self.z)
        spatial = dict(zip([t.name for t in self.fit.point.terms], parameters[k:-1], strict=True))
        eye = np.eye(len(self.lag))
        s, b = eye - spatial.get("rho", 0.0) * self.lag, eye - spatial.get("lambda", 0.0) * self.error
        e = b @ (s @ self.y - np.tensordot(parameters[:k], self.z, axes=1))
        sigma2, t = parameters[-1], self.y.shape[1]
        logdet = np.linalg.slogdet(s)[1] + np.linalg.slogdet(b)[1]
        return float(-0.5 * e.size * np.log(2 * np.pi * sigma2) - 0.5 * np.sum(e * e) / sigma2 + t * logdet)


def numeric_hessian(function, at: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    step = 1e-4 * np.maximum(np.abs(at), 0.1)
    k = at.size
    result = np.empty((k, k))
    for i in range(k):
        for j in range(k):
            a, b = np.zeros(k), np.zeros(k)
            a[i], b[j] = step[i], step[j]
            corners = [function(at + p * a + q * b) * p * q for p in (1, -1) for q in (1, -1)]
            result[i, j] = sum(corners) / (4 * step[i] * step[j])
    return result


@pytest.mark.parametrize("effects", EFFECTS)
@pytest.mark.parametrize(("model", "two"), CASES)
def test_maximum_hessian_and_likelihood_are_those_of_the_transformed_data(model: str, two: bool, effects: str) -> None:
    fit = fitted(model, two, effects)
    brute = Brute(fit)
    at = np.append(fit.estimates.values, fit.point.sigma2)
    assert fit.statistics["log_likelihood"] == pytest.approx(brute.loglik(at), abs=1e-8)
    # Central differences with relative step 1e-4: gradient good to 1e-5, Hessian to about 1e-4.
    gradient = [(brute.loglik(at + d) - brute.loglik(at - d)) / 2e-5 for d in 1e-5 * np.eye(at.size)]
    assert np.abs(gradient).max() < 2e-4
    assert fit.point.hessian is not None
    expected = -numeric_hessian(brute.loglik, at)
    assert fit.point.hessian == pytest.approx(expected, rel=2e-4, abs=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("effects", ["none", "two-way"])
@pytest.mark.parametrize(("model", "two"), [("sem", False), ("sac", True), ("gns", True)])
def test_expected_information_is_the_mean_of_observed_ones(model: str, two: bool, effects: str) -> None:
    """E[−ℓ''] at the estimate over 4,000 draws of ε; elements within four Monte Carlo errors and 2 %."""
    fit = fitted(model, two, effects)
    brute = Brute(fit)
    values, k = fit.estimates.values, fit.design.k
    spatial = dict(zip([t.name for t in fit.point.terms], values[k:], strict=True))
    eye = np.eye(len(brute.lag))
    s, b = eye - spatial.get("rho", 0.0) * brute.lag, eye - spatial.get("lambda", 0.0) * brute.error
    g, h = brute.lag @ np.linalg.inv(s), brute.error @ np.linalg.inv(b)
    gb = b @ g @ np.linalg.inv(b)
    sigma2, t = fit.point.sigma2, brute.y.shape[1]
    rng = np.random.default_rng(0)
    mean = np.tensordot(values[:k], brute.z, axes=1)
    scores = []
    for _ in range(4000):
        e = np.sqrt(sigma2) * rng.normal(size=brute.y.shape)
        rows = [np.sum((b @ z) * e) / sigma2 for z in brute.z]
        if "rho" in spatial:
            rows.append(np.sum(e * (b @ g @ mean + gb @ e)) / sigma2 - t * np.trace(g))
        if "lambda" in spatial:
            rows.append(np.sum(e * (h @ e)) / sigma2 - t * np.trace(h))
        rows.append(np.sum(e * e) / (2 * sigma2**2) - e.size / (2 * sigma2))
        scores.append(rows)
    simulated = np.linalg.inv(np.cov(np.array(scores).T))[:-1, :-1]
    ratio = np.diag(fit.estimates.cov) / np.diag(simulated)
    assert ratio == pytest.approx(np.ones(ratio.size), abs=0.10)  # variance of 4,000 draws: 2.2 % each, inverted


def test_weak_identification_is_said() -> None:
    panel = simulate_sdm(W1, 6, seed=4)
    with pytest.warns(WeakIdentificationWarning, match="correlation"):
        fit = so.fit(FORMULA, panel, W1, model="sac")
    assert -1 < float(fit.statistics["correlation_rho_lambda"]) < 0  # type: ignore[arg-type]
    assert any("weakly identified" in note for note in fit.notes)


def test_effects_of_error_models_are_those_of_their_mean() -> None:
    sem = fitted("sem", False, "two-way").effects(variables=["x0"])
    assert sem["estimate"].iloc[1] == 0.0
    sdem = fitted("sdem", False, "two-way")
    rows = sdem.effects(variables=["x0"])["estimate"].to_numpy()
    assert rows[:2] == pytest.approx([sdem.estimates["x0"], sdem.estimates["W*x0"]])


def test_another_w_for_regressors_gives_the_dense_effects() -> None:
    fit = so.fit(FORMULA, simulate_sdm(W1, 6, seed=4), W1, weights_x=W2, effects="individual")
    s = np.eye(30) - fit.rho * W1.matrix.toarray()
    m = np.linalg.solve(s, fit.estimates["x0"] * np.eye(30) + fit.estimates["W*x0"] * W2.matrix.toarray())
    rows = fit.effects(variables=["x0"])
    assert rows["estimate"].to_numpy() == pytest.approx(
        [np.trace(m) / 30, (m.sum() - np.trace(m)) / 30, m.sum() / 30], abs=1e-12
    )

    def total(values: np.ndarray) -> float:
        s = np.eye(30) - values[-1] * W1.matrix.toarray()
        m = np.linalg.solve(s, values[0] * np.eye(30) + values[2] * W2.matrix.toarray())
        return float(np.trace(m) / 30)

    at, step = fit.estimates.values, 1e-6
    gradient = np.array([(total(at + d) - total(at - d)) / (2 * step) for d in step * np.eye(at.size)])
    assert rows["std_error"].iloc[0] == pytest.approx(np.sqrt(gradient @ fit.estimates.cov @ gradient), rel=1e-6)


def test_two_lags_of_the_outcome_reach_the_maximum_of_the_dense_likelihood() -> None:
    panel = simulate_sdm(W1, 8, seed=4)
    fit = so.fit(FORMULA, panel, {"rook": W1, "near": W2}, model="sar", effects="two-way")
    assert fit.estimates.names[-2:] == ("rho: rook", "rho: near")
    design, m, t_star = fit.design, fit.design.transformation.m, fit.design.transformation.t_star

    def loglik(rhos: np.ndarray) -> float:
        target = design.y - rhos[0] * design.block[design.k + 1] - rhos[1] * design.block[design.k + 2]
        e = target.ravel() - design.z @ np.linalg.lstsq(design.z, target.ravel(), rcond=None)[0]
        s = np.eye(30) - rhos[0] * W1.matrix.toarray() - rhos[1] * W2.matrix.toarray()
        logdet = np.linalg.slogdet(s)[1] - np.log(1 - rhos.sum())
        return float(-0.5 * m * (np.log(2 * np.pi) + 1 + np.log(e @ e / m)) + t_star * logdet)

    rhos = fit.estimates.values[-2:]
    assert fit.statistics["log_likelihood"] == pytest.approx(loglik(rhos), abs=1e-9)
    for shift in ((1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3), (5e-4, -5e-4)):
        assert loglik(rhos + shift) < loglik(rhos)
    one = so.fit(FORMULA, panel, {"rook": W1}, model="sar", effects="two-way")
    assert one.estimates.names[-1] == "rho"
    with pytest.raises(OptionError, match="weights_x"):
        so.fit(FORMULA, panel, {"rook": W1, "near": W2}, model="sdm")


# -- covariances -----------------------------------------------------------------------------------------


def rows_by_hand(fit: SpatialFit) -> np.ndarray:
    return np.moveaxis(fit.design.block[: fit.design.k] * fit.residuals, 0, -1)


def test_hc_two_way_and_driscoll_kraay_are_the_textbook_sandwiches() -> None:
    panel = simulate_sdm(W1, 12, seed=4)
    fit = so.fit(FORMULA, panel, W1, model="slx", effects="time")
    z = fit.design.z
    bread = np.linalg.inv(z.T @ z)
    rows = rows_by_hand(fit)
    n, t, k = rows.shape
    flat = rows.reshape(-1, k)
    free = (n - 1) * t
    hc = bread @ (flat.T @ flat) @ bread
    assert fit.with_covariance("hc").estimates.cov == pytest.approx(hc * free / (free - k), rel=1e-9)
    regions, periods = rows.sum(axis=1), rows.sum(axis=0)
    two_way = bread @ (regions.T @ regions * n / (n - 1) + periods.T @ periods * t / (t - 1)) @ bread - hc
    assert fit.with_covariance("two-way-cluster").estimates.cov == pytest.approx(two_way * free / (free - k), rel=1e-9)
    meat = periods.T @ periods
    lags = int(4 * (t / 100) ** (2 / 9))
    for lag in range(1, lags + 1):
        cross = periods[lag:].T @ periods[:-lag]
        meat += (1 - lag / (lags + 1)) * (cross + cross.T)
    dk = bread @ meat @ bread * t / (t - 1)
    assert fit.with_covariance("driscoll-kraay").estimates.cov == pytest.approx(dk, rel=1e-9)
    assert fit.with_covariance("driscoll-kraay").estimates.df == t - 1


def test_period_scores_of_a_lag_model_sum_to_zero() -> None:
    """The score vanishes at the maximum: Driscoll–Kraay's period sums hold it exactly."""
    from spillover.models.covariance import period_scores, score_rows

    for model, two in CASES:
        point = fitted(model, two, "two-way").point
        h = period_scores(point, score_rows(point))
        assert h.sum(axis=0) == pytest.approx(np.zeros(h.shape[1]), abs=1e-5 * np.abs(h).max())


def test_conley_with_a_tiny_cutoff_is_hc_and_kernel_is_definite() -> None:
    import geopandas as gpd
    from shapely.geometry import box

    shapes = [box(100 * j, 100 * i, 100 * j + 100, 100 * i + 100) for i in range(6) for j in range(5)]
    map_ = gpd.GeoDataFrame(geometry=shapes, index=list(W1.regions))
    panel = simulate_sdm(W1, 6, seed=4)
    panel = so.Panel(panel.regions, panel.periods, panel.variables, geometry=map_)
    fit = so.fit(FORMULA, panel, W1, model="sdm", effects="time")
    tiny = fit.with_covariance("conley", cutoff_km=1.0, time_lags=0).estimates.cov
    hc = fit.with_covariance("hc").estimates.cov
    free = 29 * 6
    assert tiny * (29 / 30) == pytest.approx(hc * (free - 4) / free, rel=1e-9)
    for cutoff in (150.0, 400.0, 1000.0):
        cov = fit.with_covariance("conley", cutoff_km=cutoff, time_lags=2).estimates.cov
        assert np.linalg.eigvalsh(cov)[0] > 0


@pytest.mark.parametrize("effects", EFFECTS)
def test_sandwich_covers_the_variance_of_the_score_under_skewed_errors(effects: str) -> None:
    """Σ of the score (ρ, σ²) under χ²(1) − 1 errors: I + Ω against 20,000 draws."""
    from spillover.models.covariance import Point, information, nonnormal_score_variance

    base = so.fit(FORMULA, simulate_sdm(W1, 4, seed=4), W1, effects=effects)
    transformation = base.design.transformation
    rng = np.random.default_rng(1)
    k, sigma2 = base.design.k, 2.0
    # Moments of χ²(1) − 1: variance 2, third 8, excess κ4 = 48.
    point = Point(base.design, base.point.block, base.residuals, base.point.inverse_gram, sigma2, base.point.terms)
    import spillover.models.covariance as module

    original = module._cumulants
    module._cumulants = lambda _: (8.0, 48.0)  # type: ignore[assignment]
    try:
        expected = np.linalg.inv(
            np.block(
                [
                    [information(point).with_sigma[:, :-1], information(point).with_sigma[:, -1:]],
                    [information(point).with_sigma[:, -1:].T, np.array([[_sigma_variance(point)]])],
                ]
            )
        ) + nonnormal_score_variance(point)
    finally:
        module._cumulants = original
    a = point.quadratic.matrices[0]  # type: ignore[index]
    draws = []
    for _ in range(20_000):
        e = transformation.apply(rng.chisquare(1, size=(30, 4)) - 1.0)
        draws.append(
            [
                (np.sum(e * (a @ e)) + np.sum(point.linear[0] * e)) / sigma2,
                np.sum(e * e) / (2 * sigma2**2),
            ]
        )
    simulated = np.cov(np.array(draws).T)
    # Kurtosis 15 of the errors: a variance of 20,000 draws is good to about 4 %.
    assert expected[k:, k:] == pytest.approx(simulated, rel=0.10)


def _sigma_variance(point) -> float:  # type: ignore[no-untyped-def]
    """V_σσ of the inverse information: 2σ⁴/m + c²V_ρρ."""
    from spillover.models.covariance import information

    m = point.design.transformation.m
    slope = 2.0 * point.sigma2 / m * point.design.transformation.t_star * point.traces.first
    spatial = information(point).covariance[-1:, -1:]
    return float(2.0 * point.sigma2**2 / m + slope @ spatial @ slope)


def test_kinds_that_the_sample_cannot_support_are_refused(grid_panel: so.Panel, queen_grid: SpatialWeights) -> None:
    fit = so.fit(FORMULA, grid_panel, queen_grid)
    with pytest.raises(DesignError, match="at least 10"):
        fit.with_covariance("driscoll-kraay")
    four = so.fit(FORMULA, grid_panel.select(periods=[2000, 2001, 2002, 2003]), queen_grid)
    with pytest.raises(DesignError, match="at least 5"):
        four.with_covariance("two-way-cluster")
    with pytest.warns(AssumptionWarning, match="few periods"):
        four.with_covariance("hc")
    raw = SpatialWeights(sp.csr_matrix(0.1 * queen_grid.matrix), queen_grid.regions, "scaled", "scalar")
    with pytest.raises(OptionError, match="rows sum to one"):
        so.fit(FORMULA, grid_panel, raw, model="sem", correction="none")


def test_several_lags_stay_on_the_side_of_zero_and_do_not_depend_on_the_scale_of_w() -> None:
    """Two binary W: the maximum beyond the singularity is not taken; 0.1 W only multiplies ρ by ten."""
    near = SpatialWeights(sp.csr_matrix(lattice(6, 5)), W1.regions, "rook", "none")
    far = SpatialWeights(sp.csr_matrix(nearest(30, 4, 1)), W1.regions, "near", "none")
    w = 0.12 * near.matrix.toarray() - 0.03 * far.matrix.toarray()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(30, 8))
        y = np.linalg.solve(np.eye(30) - w, x + rng.normal(size=(30, 8)))
        panel = so.Panel(W1.regions, tuple(range(8)), {"y": y, "x": x})
        fit = so.fit("y ~ x", panel, {"near": near, "far": far}, model="sar", effects="individual")
        rhos = fit.estimates.values[-2:]
        total = rhos[0] * near.matrix.toarray() + rhos[1] * far.matrix.toarray()
        values = np.linalg.eigvals(total)
        assert values.real[np.abs(values.imag) < 1e-9].max() < 1.0
        tenth = {
            name: SpatialWeights(sp.csr_matrix(0.1 * v.matrix), v.regions, name, "none")
            for name, v in (("near", near), ("far", far))
        }
        other = so.fit("y ~ x", panel, tenth, model="sar", effects="individual")
        assert other.estimates.values[-2:] == pytest.approx(10 * rhos, rel=1e-6)
        assert other.statistics["log_likelihood"] == pytest.approx(fit.statistics["log_likelihood"], abs=1e-8)


def test_strong_lags_of_opposite_signs_are_admissible() -> None:
    rng = np.random.default_rng(5)
    system = np.eye(30) - 0.8 * W1.matrix.toarray() + 0.6 * W2.matrix.toarray()
    x = rng.normal(size=(30, 20))
    panel = so.Panel(
        W1.regions, tuple(range(20)), {"y": np.linalg.solve(system, x + rng.normal(size=(30, 20))), "x": x}
    )
    fit = so.fit("y ~ x", panel, {"rook": W1, "near": W2}, model="sar", effects="individual")
    assert fit.estimates.values[-2:] == pytest.approx([0.8, -0.6], abs=0.15)  # standard errors are about 0.04


def test_an_indefinite_covariance_is_refused() -> None:
    from spillover.errors import EstimationError
    from spillover.models.covariance import check_definite

    with pytest.raises(EstimationError, match="not positive definite"):
        check_definite(np.array([[1.0, 2.0], [2.0, 1.0]]), "test", "a reason")
    panel = simulate_sdm(W1, 12, seed=4)
    fit = so.fit(FORMULA, panel, W1, model="slx")
    for lags in (50, -1, 2.5):
        with pytest.raises(OptionError, match="time_lags"):
            fit.with_covariance("driscoll-kraay", time_lags=lags)  # type: ignore[arg-type]
