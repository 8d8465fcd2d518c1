"""A moderated ρ against brute-force likelihoods and derivatives; regimes; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from scipy import stats

from simulated import lattice, named_weights, nearest, row_standardised
from spillover.errors import AssumptionWarning, DesignError, EstimationError, OptionError, UnknownColumnError
from spillover.models.fit import fit
from spillover.moderators.regimes import fit_regimes
from spillover.moderators.strength import fit_moderated_rho
from spillover.moderators.strength_score import lm_moderated_rho
from spillover.numerics.varying import VaryingMultiplier
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


def draw_moderated(
    weights: SpatialWeights,
    t: int,
    seed: int,
    *,
    rho: float = 0.4,
    slope: float = 0.0,
    side: str = "receiver",
    loading: float = 0.0,
    mean: float = 0.0,
    periods: bool = True,
) -> Panel:
    """y = (ρ + slope z)W y (or W(ρ + slope z)y) + x + .5 W x + μ_i + α_t(1 + loading z) + ε, z centred in the lag."""
    rng = np.random.default_rng(seed)
    n, w = weights.n, weights.matrix.toarray()
    x = rng.normal(size=(n, t)) + rng.normal(size=(n, 1))
    z = rng.normal(size=n)
    strength = np.diag(rho + slope * (z - z.mean()))
    right = x + 0.5 * weights.lag(x) + rng.normal(size=(n, 1)) + rng.normal(size=(n, t))
    if periods:
        right = right + (1.0 + loading * z)[:, None] * rng.normal(size=(1, t))
    y = np.linalg.solve(np.eye(n) - (strength @ w if side == "receiver" else w @ strength), right)
    return Panel(weights.regions, tuple(range(2000, 2000 + t)), {"y": y, "x": x, "z": z[:, None] + mean + np.zeros(t)})


@pytest.fixture(scope="module")
def weights() -> SpatialWeights:
    return named_weights(row_standardised(nearest(24, 4, seed=3)))


@pytest.fixture(scope="module")
def panel(weights: SpatialWeights) -> Panel:
    return draw_moderated(weights, 5, seed=1, slope=0.12)


def brute_likelihood(
    panel: Panel, weights: SpatialWeights, effects: str, side: str, delta: np.ndarray, rhos: np.ndarray, sigma2: float
) -> float:
    """Gaussian density of the data transformed by explicit orthonormal F_T and F_N, no formula of the package used."""
    n, t = panel.shape
    w, z = weights.matrix.toarray(), panel["z"][:, 0] - panel["z"][:, 0].mean()
    strength = np.diag(rhos[0] + rhos[1] * z)
    pull = strength @ w if side == "receiver" else w @ strength
    ft = scipy.linalg.null_space(np.ones((1, t))) if effects in ("individual", "two-way") else np.eye(t)
    fn = scipy.linalg.null_space(np.ones((1, n))) if effects in ("time", "two-way") else np.eye(n)
    s = fn.T @ (np.eye(n) - pull) @ fn
    x = panel["x"]
    y, own, lag = (fn.T @ values @ ft for values in (panel["y"], x, weights.lag(x)))
    e = s @ y - delta[0] * own - delta[1] * lag
    if effects == "none":
        e = e - delta[2]
    m = e.size
    return float(
        -0.5 * m * np.log(2 * np.pi * sigma2) - np.sum(e**2) / (2 * sigma2) + e.shape[1] * np.linalg.slogdet(s)[1]
    )


@pytest.mark.parametrize("effects", ["individual", "time", "two-way"])
@pytest.mark.parametrize("side", ["receiver", "sender"])
def test_the_maximum_is_that_of_the_transformed_density(
    panel: Panel, weights: SpatialWeights, effects: str, side: str
) -> None:
    found = fit_moderated_rho(
        "y ~ x",
        panel,
        weights,
        moderators="z",
        effects=effects,
        side=side,
        covariance="hessian",
        trends=False,
    )
    b, sigma2 = found.estimates, found.statistics["sigma2"]
    names = ["x", "W*x", *(["z"] if "z" in b.names else [])]

    def loglik(parameters: np.ndarray) -> float:
        shifted = panel
        if "z" in b.names:  # under period effects alone z is a regressor of its own
            shifted = panel.with_variables({"y": panel["y"]})
        n = len(names)
        value = brute_likelihood(shifted, weights, effects, side, parameters[:2], parameters[n : n + 2], parameters[-1])
        if "z" in b.names:
            value = _with_z(panel, weights, side, parameters)
        return value

    at = np.array([*(b[name] for name in names), b["rho"], b["rho:z"], sigma2])
    assert found.statistics["log_likelihood"] == pytest.approx(loglik(at), abs=1e-8)
    h = 1e-4
    steps = h * np.eye(at.size)
    gradient = np.array([(loglik(at + d) - loglik(at - d)) / (2 * h) for d in steps])
    assert gradient == pytest.approx(np.zeros(at.size), abs=2e-4)  # central differences of a value of order 100
    hessian = np.array(
        [
            [
                (loglik(at + a + c) - loglik(at + a - c) - loglik(at - a + c) + loglik(at - a - c)) / (4 * h * h)
                for c in steps
            ]
            for a in steps
        ]
    )
    covariance = np.linalg.inv(-hessian)[:-1, :-1]
    order = [b.index(name) for name in (*names, "rho", "rho:z")]
    assert b.cov[np.ix_(order, order)] == pytest.approx(covariance, rel=2e-3, abs=2e-6)


def _with_z(panel: Panel, weights: SpatialWeights, side: str, parameters: np.ndarray) -> float:
    """Density under period effects with z among the regressors: y less z's part of S y."""
    n, t = panel.shape
    w, z = weights.matrix.toarray(), panel["z"][:, 0] - panel["z"][:, 0].mean()
    strength = np.diag(parameters[3] + parameters[4] * z)
    pull = strength @ w if side == "receiver" else w @ strength
    fn = scipy.linalg.null_space(np.ones((1, n)))
    s = fn.T @ (np.eye(n) - pull) @ fn
    x = panel["x"]
    e = s @ fn.T @ panel["y"] - fn.T @ (parameters[0] * x + parameters[1] * weights.lag(x) + parameters[2] * panel["z"])
    return float(
        -0.5 * e.size * np.log(2 * np.pi * parameters[5])
        - np.sum(e**2) / (2 * parameters[5])
        + t * np.linalg.slogdet(s)[1]
    )


def test_without_moderation_it_is_the_ordinary_model(panel: Panel, weights: SpatialWeights) -> None:
    """At ρ_1 = 0 the likelihood is that of `fit`; the maximum is not below it, and LR is what is gained."""
    found = fit_moderated_rho("y ~ x", panel, weights, moderators="z", trends=False)
    plain = fit("y ~ x", panel, weights)
    projection = found.columns.projection()
    likelihood = found.columns.likelihood(projection)
    assert likelihood.value(np.array([plain.rho, 0.0])) == pytest.approx(plain.statistics["log_likelihood"], abs=1e-9)
    lr = found.hypothesis_tests()[0]
    gained = found.statistics["log_likelihood"] - plain.statistics["log_likelihood"]
    assert lr.statistic == pytest.approx(2 * gained, abs=1e-8)
    assert lr.statistic >= 0


@pytest.mark.parametrize("compressed", [False, True])
def test_determinant_and_derivatives_of_a_varying_lag(compressed: bool) -> None:
    """ln|F'SF|, R and the derivatives against explicit F and central differences."""
    rng = np.random.default_rng(0)
    w = row_standardised(nearest(20, 4, seed=1)).toarray()
    matrices = (sp.csr_matrix(w), sp.csr_matrix(np.diag(rng.normal(size=20)) @ w))
    rhos = np.array([0.3, 0.1])
    multiplier = VaryingMultiplier(matrices, rhos, compressed)
    f = scipy.linalg.null_space(np.ones((1, 20))) if compressed else np.eye(20)
    s = np.eye(20) - multiplier.pull.toarray()
    assert multiplier.log_determinant() == pytest.approx(np.log(np.linalg.det(f.T @ s @ f)), abs=1e-12)
    r = f @ np.linalg.inv(f.T @ s @ f) @ f.T
    x = rng.normal(size=(20, 3))
    assert multiplier.solve(x) == pytest.approx(r @ x, abs=1e-12)
    assert multiplier.solve_transposed(x[:, 0]) == pytest.approx(r.T @ x[:, 0], abs=1e-12)
    first, second = multiplier.derivatives()
    h = 1e-5

    def at(shift: np.ndarray) -> VaryingMultiplier:
        return VaryingMultiplier(matrices, rhos + shift, compressed)

    numeric = [(at(d).log_determinant() - at(-d).log_determinant()) / (2 * h) for d in h * np.eye(2)]
    assert first == pytest.approx(numeric, abs=1e-8)
    bend = [(at(d).derivatives()[0] - at(-d).derivatives()[0]) / (2 * h) for d in h * np.eye(2)]
    assert second == pytest.approx(np.array(bend), abs=1e-7)


@pytest.mark.parametrize("trends", [False, True])
def test_large_maps_differ_only_by_rounding(
    panel: Panel, weights: SpatialWeights, monkeypatch: pytest.MonkeyPatch, trends: bool
) -> None:
    """With sparse factors and differences of ln|S| in place of an inverse: the same maximum."""
    from spillover.moderators import strength_likelihood
    from spillover.numerics import varying

    dense = fit_moderated_rho("y ~ x", panel, weights, moderators="z", covariance="hessian", trends=trends)
    monkeypatch.setattr(varying, "DENSE_LIMIT", 0)
    monkeypatch.setattr(strength_likelihood, "DENSE_LIMIT", 0)
    sparse = fit_moderated_rho("y ~ x", panel, weights, moderators="z", covariance="hessian", trends=trends)
    assert sparse.estimates.values == pytest.approx(dense.estimates.values, abs=1e-6)
    assert sparse.estimates.std_errors == pytest.approx(dense.estimates.std_errors, rel=1e-4)


# -- LM test -----------------------------------------------------------------------------------------


def lm_by_hand(panel: Panel, weights: SpatialWeights, effects: str, side: str) -> float:
    """The score test written out with dense J, G, A1 (corrected formula for E.7), for one fixed centred z."""
    plain = fit("y ~ x", panel, weights, effects=effects)  # type: ignore[arg-type]
    n, t = panel.shape
    w, z = weights.matrix.toarray(), panel["z"][:, 0] - panel["z"][:, 0].mean()
    j = np.eye(n) - (np.ones((n, n)) / n if effects == "two-way" else 0.0)
    jt = np.eye(t) - np.ones((t, t)) / t
    b, rho = plain.estimates, plain.rho
    inverse = np.linalg.inv(np.eye(n) - rho * w)
    y = j @ panel["y"] @ jt
    moderated = np.diag(z) @ w if side == "receiver" else w @ np.diag(z)
    x = panel["x"]
    zs = np.stack([(j @ values @ jt).ravel() for values in (x, weights.lag(x))], axis=1)
    e = (j @ (panel["y"] - rho * weights.lag(panel["y"])) @ jt).ravel() - zs @ np.array([b["x"], b["W*x"]])
    e = e.reshape(n, t)
    m, t_star = (n - (effects == "two-way")) * (t - 1), t - 1
    sigma2 = np.sum(e**2) / m
    a1, h = j @ moderated @ j @ inverse @ j, j @ w @ inverse @ j
    if effects == "individual":
        a1 = moderated @ inverse
    v = j @ moderated @ y
    score = np.sum(e * v) / sigma2 - t_star * np.trace(a1)
    linear, g = v - a1 @ e, j @ w @ y - h @ e
    i11 = np.sum(linear**2) / sigma2 + t_star * (np.trace(a1 @ a1) + np.sum(a1 * a1))
    i12 = np.concatenate(
        [
            zs.T @ linear.ravel() / sigma2,
            [np.sum(linear * g) / sigma2 + t_star * (np.trace(a1 @ h) + np.sum(a1 * h))],
            [t_star * np.trace(a1) / sigma2],
        ]
    )
    i22 = np.zeros((4, 4))
    i22[:2, :2] = zs.T @ zs / sigma2
    i22[:2, 2] = i22[2, :2] = zs.T @ g.ravel() / sigma2
    i22[2, 2] = np.sum(g**2) / sigma2 + t_star * (np.trace(h @ h) + np.sum(h * h))
    i22[2, 3] = i22[3, 2] = t_star * np.trace(h) / sigma2
    i22[3, 3] = m / (2 * sigma2**2)
    return float(score**2 / (i11 - i12 @ np.linalg.solve(i22, i12)))


@pytest.mark.parametrize("effects", ["individual", "two-way"])
@pytest.mark.parametrize("side", ["receiver", "sender"])
def test_the_score_test_written_out(panel: Panel, weights: SpatialWeights, effects: str, side: str) -> None:
    found = lm_moderated_rho(fit("y ~ x", panel, weights, effects=effects), "z", side=side, trends=False)  # type: ignore[arg-type]
    assert found.statistic == pytest.approx(lm_by_hand(panel, weights, effects, side), rel=1e-8)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 1), rel=1e-12)


def test_score_test_of_two_moderators_and_its_robust_form(panel: Panel, weights: SpatialWeights) -> None:
    rng = np.random.default_rng(1)
    wide = panel.with_variables({"u": rng.normal(size=24)})
    plain = fit("y ~ x", wide, weights)
    both = lm_moderated_rho(plain, ("z", "u"))
    assert both.df == 2
    assert both.statistic >= lm_moderated_rho(plain, "z").statistic - 1e-9
    robust = lm_moderated_rho(plain, "z", robust=True)
    assert 0.2 < robust.statistic / lm_moderated_rho(plain, "z").statistic < 5.0
    scaled = wide.with_variables({"z": 1000.0 * wide["z"] + 7.0})
    other = lm_moderated_rho(fit("y ~ x", scaled, weights), "z")
    assert other.statistic == pytest.approx(lm_moderated_rho(plain, "z").statistic, rel=1e-8)


def test_shocks_that_load_on_the_moderator_are_not_taken_for_spillover() -> None:
    """α_t(1 + .3z): the raw lag z∘(W y) is dominated by z α_t/(1 − ρ); with lags of deviations it is not.

    40 panels: the mean of 40 χ²(1) draws is 1 ± .22, three of them; by the raw lag every panel rejects.
    """
    w = named_weights(row_standardised(nearest(60, 5, seed=3)))
    found = [
        lm_moderated_rho(fit("y ~ x", draw_moderated(w, 6, seed, loading=0.3, mean=2.0), w), "z").statistic
        for seed in range(40)
    ]
    assert 0.35 < float(np.mean(found)) < 1.75


def test_variances_that_go_with_the_moderator_are_called_out(weights: SpatialWeights) -> None:
    panel = draw_moderated(weights, 8, seed=1)
    rng = np.random.default_rng(5)
    noise = 3.0 * np.exp(panel["z"]) * rng.normal(size=panel.shape)
    louder = panel.with_variables({"y": panel["y"] + noise})
    with pytest.warns(AssumptionWarning, match="variances rise with z"):
        lm_moderated_rho(fit("y ~ x", louder, weights), "z")
    found = fit_moderated_rho("y ~ x", louder, weights, moderators="z")
    assert any("variances rise with z" in note for note in found.notes)
    quiet = fit_moderated_rho("y ~ x", panel, weights, moderators="z")
    assert not any("variances" in note for note in quiet.notes)


# -- effects -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["receiver", "sender"])
def test_effects_are_derivatives_of_the_outcome(panel: Panel, weights: SpatialWeights, side: str) -> None:
    found = fit_moderated_rho("y ~ x", panel, weights, moderators="z", side=side)  # type: ignore[arg-type]
    b, w, n = found.estimates, weights.matrix.toarray(), 24
    z = panel["z"][:, 0] - panel["z"][:, 0].mean()
    strength = np.diag(b["rho"] + b["rho:z"] * z)

    def outcome(x: np.ndarray, pull: np.ndarray) -> np.ndarray:
        return np.linalg.solve(np.eye(n) - pull, b["x"] * x + b["W*x"] * (w @ x))

    def derivative(pull: np.ndarray) -> np.ndarray:
        h = 1e-3
        start = np.random.default_rng(0).normal(size=n)
        return np.column_stack([(outcome(start + d, pull) - outcome(start - d, pull)) / (2 * h) for d in h * np.eye(n)])

    m = derivative(strength @ w if side == "receiver" else w @ strength)
    direct, total = np.trace(m) / n, m.sum() / n
    assert found.average()["estimate"].to_numpy() == pytest.approx([direct, total - direct, total], abs=1e-6)
    table = found.by_region("x").set_index("effect")["estimate"]
    assert table["own"].to_numpy() == pytest.approx(np.diag(m), abs=1e-6)
    assert table["received"].to_numpy() == pytest.approx(m.sum(axis=1) - np.diag(m), abs=1e-6)
    assert table["emitted"].to_numpy() == pytest.approx(m.sum(axis=0) - np.diag(m), abs=1e-6)
    value = float(panel["z"].mean()) + 0.7
    m = derivative((b["rho"] + 0.7 * b["rho:z"]) * w)
    direct, total = np.trace(m) / n, m.sum() / n
    assert found.effects([value])["estimate"].to_numpy() == pytest.approx([direct, total - direct, total], abs=1e-6)


def test_errors_of_effects_are_the_delta_method(panel: Panel, weights: SpatialWeights) -> None:
    """Gradients by central differences of brute-force effects in (β, θ, ρ_0, ρ_1)."""
    found = fit_moderated_rho("y ~ x", panel, weights, moderators="z")
    b, w, n = found.estimates, weights.matrix.toarray(), 24
    z = panel["z"][:, 0] - panel["z"][:, 0].mean()

    def averages(p: np.ndarray) -> np.ndarray:
        s = np.eye(n) - np.diag(p[2] + p[3] * z) @ w
        m = np.linalg.solve(s, p[0] * np.eye(n) + p[1] * w)
        uniform = np.linalg.solve(np.eye(n) - (p[2] + 0.5 * p[3]) * w, p[0] * np.eye(n) + p[1] * w)
        return np.array([np.trace(m) / n, m.sum() / n - np.trace(m) / n, uniform.sum() / n])

    at, h = b.values, 1e-5
    gradient = np.column_stack([(averages(at + d) - averages(at - d)) / (2 * h) for d in h * np.eye(4)])
    expected = np.sqrt(np.diag(gradient @ b.cov @ gradient.T))
    assert found.average()["std_error"].to_numpy()[:2] == pytest.approx(expected[:2], rel=1e-6)
    uniform = found.effects([float(panel["z"].mean()) + 0.5]).set_index("effect")
    assert uniform.loc["total", "std_error"] == pytest.approx(expected[2], rel=1e-6)


def test_strengths_are_a_line_with_its_errors(panel: Panel, weights: SpatialWeights) -> None:
    found = fit_moderated_rho("y ~ x", panel, weights, moderators="z")
    z = panel["z"][:, 0] - panel["z"][:, 0].mean()
    table = found.strengths()
    b = found.estimates
    assert table["estimate"].to_numpy() == pytest.approx(b["rho"] + b["rho:z"] * z, abs=1e-12)
    cov = b.cov[-2:, -2:]
    errors = np.sqrt(cov[0, 0] + 2 * z * cov[0, 1] + z**2 * cov[1, 1])
    assert table["std_error"].to_numpy() == pytest.approx(errors, rel=1e-10)
    assert (table["band_low"] <= table["conf_low"]).all()
    assert found.stability.is_certain
    assert found.stability.spectral_radius < found.stability.largest + 1e-12
    at = found.strength_at([float(panel["z"].mean())])
    assert at["estimate"][0] == pytest.approx(b["rho"])


@pytest.mark.parametrize("side", ["receiver", "sender"])
@pytest.mark.parametrize("periods", [False, True])
def test_a_planted_moderation_is_found(side: str, periods: bool) -> None:
    w = named_weights(row_standardised(lattice(15, 10, queen=True)))
    panel = draw_moderated(w, 12, seed=2, slope=0.15, side=side, periods=periods)
    found = fit_moderated_rho(
        "y ~ x",
        panel,
        w,
        moderators="z",
        side=side,
        effects="two-way" if periods else "individual",  # type: ignore[arg-type]
    )
    for name, truth in {"rho": 0.4, "rho:z": 0.15, "x": 1.0, "W*x": 0.5}.items():
        at = found.estimates.index(name)
        assert abs(found.estimates.values[at] - truth) < 3.5 * found.estimates.std_errors[at], name
    assert (found.tests()["p_value"] < 0.01).all()


@pytest.mark.parametrize("side", ["receiver", "sender"])
def test_with_trends_the_score_equations_hold(panel: Panel, weights: SpatialWeights, side: str) -> None:
    """(PB_ky)'e/σ² = T* tr PB_kS^{-1} with P from an explicit basis of ι, z and B_1ι; δ by least squares of P-data."""
    found = fit_moderated_rho("y ~ x", panel, weights, moderators="z", side=side)  # type: ignore[arg-type]
    b, n, t = found.estimates, 24, 5
    w, z = weights.matrix.toarray(), panel["z"][:, 0] - panel["z"][:, 0].mean()
    pulls = [w, np.diag(z) @ w if side == "receiver" else w @ np.diag(z)]
    q = scipy.linalg.orth(np.column_stack([np.ones(n), z, pulls[1].sum(axis=1)]))
    p, jt = np.eye(n) - q @ q.T, np.eye(t) - np.ones((t, t)) / t
    s = np.eye(n) - b["rho"] * pulls[0] - b["rho:z"] * pulls[1]
    x, y = panel["x"], panel["y"]
    zs = np.stack([(p @ values @ jt).ravel() for values in (x, weights.lag(x))], axis=1)
    target = (p @ s @ y @ jt).ravel()
    delta = np.linalg.lstsq(zs, target, rcond=None)[0]
    assert delta == pytest.approx([b["x"], b["W*x"]], rel=1e-8)
    e = target - zs @ delta
    sigma2 = np.sum(e**2) / ((n - q.shape[1]) * (t - 1))
    assert found.statistics["sigma2"] == pytest.approx(sigma2, rel=1e-10)
    for pull in pulls:
        score = np.sum(e * (p @ pull @ y @ jt).ravel()) / sigma2 - (t - 1) * np.trace(p @ pull @ np.linalg.inv(s))
        assert score == pytest.approx(0.0, abs=1e-6)
    assert "log_likelihood" not in found.statistics
    assert [test.name for test in found.hypothesis_tests()] == ["Wald one strength", "LM one strength"]


def test_trends_take_out_shocks_that_look_like_spillovers() -> None:
    """z in two halves of the map and a common shock: without trends what z does to the shock raises ρ_0."""
    w = named_weights(row_standardised(lattice(15, 10, queen=True)))
    panel, groups = draw_regimes(w, 12, seed=1)
    east = np.array([float(groups[region] == "east") for region in panel.regions])
    wide = panel.with_variables({"z": east, "xz": east[:, None] * panel["x"]})
    found = fit_moderated_rho("y ~ x + xz", wide, w, moderators="z")
    for name, truth in {"rho": 0.3, "rho:z": 0.4}.items():  # at the centre z̄ = .5
        at = found.estimates.index(name)
        assert abs(found.estimates.values[at] - truth) < 3.5 * found.estimates.std_errors[at], name
    without = fit_moderated_rho("y ~ x + xz", wide, w, moderators="z", trends=False)
    assert without.estimates["rho"] > 0.3 + 5 * without.estimates.std_errors[without.estimates.index("rho")]


# -- regimes -----------------------------------------------------------------------------------------


def draw_regimes(weights: SpatialWeights, t: int, seed: int) -> tuple[Panel, dict[str, str]]:
    """East: ρ = .5, β = 1; west: ρ = .1, β = .4; θ = .5 in both; two-way effects."""
    rng = np.random.default_rng(seed)
    n = weights.n
    east = np.arange(n) < n // 2
    x = rng.normal(size=(n, t)) + rng.normal(size=(n, 1))
    right = np.where(east, 1.0, 0.4)[:, None] * x + 0.5 * weights.lag(x)
    right = right + rng.normal(size=(n, 1)) + rng.normal(size=(1, t)) + rng.normal(size=(n, t))
    pull = np.diag(np.where(east, 0.5, 0.1)) @ weights.matrix.toarray()
    y = np.linalg.solve(np.eye(n) - pull, right)
    groups = {region: "east" if e else "west" for region, e in zip(weights.regions, east, strict=True)}
    return Panel(weights.regions, tuple(range(t)), {"y": y, "x": x}), groups


def test_regimes_are_found_and_told_apart() -> None:
    w = named_weights(row_standardised(lattice(15, 10, queen=True)))
    panel, groups = draw_regimes(w, 12, seed=1)
    found = fit_regimes("y ~ x", panel, w, regimes=groups)
    truth = {
        "x [east]": 1.0,
        "x [west]": 0.4,
        "W*x [east]": 0.5,
        "W*x [west]": 0.5,
        "rho: east": 0.5,
        "rho: west": 0.1,
    }
    for name, value in truth.items():
        at = found.estimates.index(name)
        assert abs(found.estimates.values[at] - value) < 3.5 * found.estimates.std_errors[at], name
    p = found.tests().set_index("test")["p_value"]
    assert p["Chow: x"] < 1e-4
    assert p["Chow: rho"] < 1e-3
    assert p["Chow: W*x"] > 0.001
    assert p["Chow: all that switches"] < 1e-6
    b, dense = found.estimates, w.matrix.toarray()
    m = np.linalg.solve(np.eye(150) - b["rho: west"] * dense, b["x [west]"] * np.eye(150) + b["W*x [west]"] * dense)
    row = found.effects().set_index(["regime", "effect"]).loc[("west", "total")]
    assert row["estimate"] == pytest.approx(m.sum() / 150, rel=1e-10)
    assert "east 75" in found.notes[0]


def test_two_regimes_of_rho_are_a_moderation_by_a_dummy(weights: SpatialWeights) -> None:
    panel = draw_moderated(weights, 5, seed=6)
    dummy = (np.arange(24) % 2).astype(float)
    wide = panel.with_variables({"d": dummy})
    one = fit_moderated_rho("y ~ x", wide, weights, moderators="d", centre=0.0)
    groups = {region: "high" if d else "low" for region, d in zip(weights.regions, dummy, strict=True)}
    two = fit_regimes("y ~ x", panel, weights, regimes=groups, switching="rho")
    assert two.estimates["rho: low"] == pytest.approx(one.estimates["rho"], abs=1e-7)
    assert two.estimates["rho: high"] == pytest.approx(one.estimates["rho"] + one.estimates["rho:d"], abs=1e-7)
    exact = fit_regimes("y ~ x", panel, weights, regimes=groups, switching="rho", trends=False)
    line = fit_moderated_rho("y ~ x", wide, weights, moderators="d", centre=0.0, trends=False)
    assert exact.statistics["log_likelihood"] == pytest.approx(line.statistics["log_likelihood"], abs=1e-9)
    lm = next(test for test in exact.fit.hypothesis_tests() if test.name == "LM one strength")  # type: ignore[union-attr]
    direct = lm_moderated_rho(fit("y ~ x", wide, weights), "d", trends=False)
    assert lm.statistic == pytest.approx(direct.statistic, rel=1e-8)


def test_slopes_by_regime_are_an_ordinary_fit(weights: SpatialWeights) -> None:
    panel, groups = draw_regimes(weights, 5, seed=2)
    found = fit_regimes("y ~ x", panel, weights, regimes=groups, switching="x")
    east = np.array([groups[region] == "east" for region in panel.regions])[:, None]
    wide = panel.with_variables({"xe": panel["x"] * east, "xw": panel["x"] * ~east, "lag": weights.lag(panel["x"])})
    direct = fit("y ~ xe + xw + lag", wide, weights, model="sar")
    assert found.statistics["log_likelihood"] == pytest.approx(direct.statistics["log_likelihood"], abs=1e-9)
    assert found.estimates["x [east]"] == pytest.approx(direct.estimates["xe"], rel=1e-7)


# -- refusals ----------------------------------------------------------------------------------------


def test_bad_input_is_refused_in_words(panel: Panel, weights: SpatialWeights) -> None:
    rng = np.random.default_rng(0)
    moving = panel.with_variables({"v": rng.normal(size=panel.shape)})
    with pytest.raises(OptionError, match="changes over time"):
        fit_moderated_rho("y ~ x", moving, weights, moderators="v")
    assert fit_moderated_rho("y ~ x", moving, weights, moderators="v", base=2000).moderators[0].is_fixed
    with pytest.raises(OptionError, match="base of a moderator"):
        fit_moderated_rho("y ~ x", moving, weights, moderators="v", base=1990)
    with pytest.raises(DesignError, match="same everywhere"):
        fit_moderated_rho("y ~ x", panel.with_variables({"k": np.ones(24)}), weights, moderators="k")
    with pytest.raises(OptionError, match="no W y"):
        fit_moderated_rho("y ~ x", panel, weights, moderators="z", model="slx")
    scalar = named_weights(nearest(24, 4, seed=3) * rng.uniform(0.5, 1.5, (24, 24)), "none").standardise("scalar")
    with pytest.raises(OptionError, match="rows"):
        fit_moderated_rho("y ~ x", panel, scalar, moderators="z")
    found = fit_moderated_rho("y ~ x", panel, weights, moderators="z")
    with pytest.raises(EstimationError, match="stable region"):
        found.effects([1e4])
    with pytest.raises(OptionError, match="one W y and no spatial error"):
        lm_moderated_rho(fit("y ~ x", panel, weights, model="slx"), "z")
    few = {region: "small" if i < 3 else "large" for i, region in enumerate(weights.regions)}
    with pytest.raises(DesignError, match=r"too few observations[\s\S]*small \(3 regions\)"):
        fit_regimes("y ~ x", panel, weights, regimes=few)
    with pytest.raises(OptionError, match="one regime"):
        fit_regimes("y ~ x", panel, weights, regimes=dict.fromkeys(weights.regions, "all"))
    halves = {region: "a" if i % 2 else "b" for i, region in enumerate(weights.regions)}
    with pytest.raises(UnknownColumnError, match="is to switch"):
        fit_regimes("y ~ x", panel, weights, regimes=halves, switching="rd")


def draw_explosive(top: float) -> tuple[Panel, SpatialWeights]:
    """ρ_i = top in one half of the map, .2 in the other: solved where S is invertible though the feedback explodes."""
    w = named_weights(row_standardised(lattice(8, 6, queen=True)))
    rng = np.random.default_rng(3)
    z = np.repeat([0.0, 1.0], 24)
    pull = np.diag(np.where(z > 0, top, 0.2)) @ w.matrix.toarray()
    y = np.linalg.solve(np.eye(48) - pull, 0.3 * rng.normal(size=(48, 30)))
    x = rng.normal(size=(48, 30))
    return Panel(w.regions, tuple(range(30)), {"y": y, "x": x, "z": z[:, None] + np.zeros(30)}), w


def test_a_strength_that_leaves_the_stable_region_is_refused() -> None:
    panel, w = draw_explosive(1.4)
    with pytest.raises(EstimationError, match="feedback between regions dies out"):
        fit_moderated_rho("y ~ x", panel, w, moderators="z", model="sar", trends=False)


def test_a_region_beyond_one_in_a_stable_whole_is_named() -> None:
    panel, w = draw_explosive(1.8)
    found = fit_moderated_rho("y ~ x", panel, w, moderators="z", effects="individual", model="sar")
    assert not found.stability.is_certain
    assert found.stability.spectral_radius < 1
    assert any(f"strength of {found.stability.strongest} is 1.0" in note for note in found.notes)
