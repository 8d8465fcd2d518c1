"""Random effects against the dense Gaussian density, its numeric information, and simulated truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spillover as so
from simulated import lattice, named_weights, nearest, row_standardised, simulate_sdm
from spillover.errors import DesignError, OptionError
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.models.hausman import means_test, mundlak_test
from spillover.models.random_covariance import _region_scores
from spillover.models.random_effects import RandomEffectsFit, fit_random
from spillover.models.random_likelihood import SharedFilter, quasi_demeaned
from spillover.numerics.within import Centring
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

CASES = [
    ("ols", "idiosyncratic"),
    ("slx", "idiosyncratic"),
    ("sar", "idiosyncratic"),
    ("sdm", "idiosyncratic"),
    ("sem", "idiosyncratic"),
    ("sdem", "idiosyncratic"),
    ("sem", "both"),
    ("sdem", "both"),
]


@pytest.fixture(scope="module")
def world() -> tuple[Panel, SpatialWeights]:
    weights = named_weights(row_standardised(nearest(16, 4, 3)))
    panel = simulate_sdm(weights, 4, seed=2)
    # Region effects large enough that no model puts their variance at its bound 0.
    lasting = 2.0 * np.random.default_rng(9).normal(size=(16, 1))
    return panel.with_variables({"y": panel["y"] + lasting}), weights


def basis(size: int) -> np.ndarray:
    """(size, size − 1) orthonormal columns that sum to zero."""
    return np.linalg.svd(np.eye(size) - 1.0 / size)[0][:, : size - 1]


class Dense:
    """The model as one Gaussian vector, regions slow and periods fast."""

    def __init__(self, fit: RandomEffectsFit) -> None:
        self.fit = fit
        n, t = fit.design.y.shape
        carry = basis(n) if fit.spec.time_effects else np.eye(n)
        self.w = np.zeros((n, n)) if fit.weights is None else fit.weights.matrix.toarray()
        self.w = carry.T @ self.w @ carry
        self.t = t
        self.z = np.column_stack([(carry.T @ c.reshape(n, t)).ravel() for c in fit.design.z.T])
        self.y = (carry.T @ fit.design.y).ravel()
        self.k = fit.design.k

    def moments(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean, covariance) at (δ, s, σ², σ_μ²); s is there even if the model has none."""
        spec, t, n = self.fit.spec, self.t, len(self.w)
        s, sigma2, sigma2_mu = parameters[self.k :]
        inverse = np.linalg.inv(np.eye(n) - s * self.w)
        own, common = np.eye(t), np.ones((t, t))
        mean = self.z @ parameters[: self.k]
        if spec.model in ("sem", "sdem") and spec.error == "idiosyncratic":
            return mean, sigma2_mu * np.kron(np.eye(n), common) + sigma2 * np.kron(inverse @ inverse.T, own)
        cov = np.kron(inverse @ inverse.T, sigma2_mu * common + sigma2 * own)
        return (np.kron(inverse, own) @ mean if spec.has_spatial_lag else mean), cov

    def log_density(self, parameters: np.ndarray) -> float:
        mean, cov = self.moments(parameters)
        gap = self.y - mean
        return -0.5 * (len(gap) * np.log(2 * np.pi) + np.linalg.slogdet(cov)[1] + gap @ np.linalg.solve(cov, gap))

    def parameters(self) -> np.ndarray:
        estimates = self.fit.estimates
        s = estimates.values[self.k :] if estimates.values.size > self.k else [0.0]
        return np.concatenate([estimates.values[: self.k], s, self.fit.variance_components.values])

    def free(self) -> list[int]:
        spatial = self.fit.spec.has_spatial_lag or self.fit.spec.has_spatial_error
        return [i for i in range(self.k + 3) if spatial or i != self.k]

    def expected_information(self) -> np.ndarray:
        at, free = self.parameters(), self.free()
        inverse = np.linalg.inv(self.moments(at)[1])
        slopes = []
        for i in free:
            h = 1e-5 * max(1.0, abs(at[i]))
            up, down = (self.moments(at + sign * h * np.eye(len(at))[i]) for sign in (1, -1))
            slopes.append(((up[0] - down[0]) / (2 * h), inverse @ (up[1] - down[1]) / (2 * h)))
        return np.array([[a @ inverse @ c + 0.5 * np.sum(b * d.T) for c, d in slopes] for a, b in slopes])

    def hessian(self) -> np.ndarray:
        at, free = self.parameters(), self.free()
        steps = np.eye(len(at))[free] * 1e-3

        def mixed(a: np.ndarray, b: np.ndarray) -> float:
            return self.log_density(at + a + b) - self.log_density(at + a - b) \
                - self.log_density(at - a + b) + self.log_density(at - a - b)  # fmt: skip

        return np.array([[mixed(a, b) / (4 * a.max() * b.max()) for b in steps] for a in steps])


@pytest.mark.parametrize("time_effects", [False, True])
@pytest.mark.parametrize(("model", "error"), CASES)
def test_likelihood_is_the_dense_density_and_is_at_its_maximum(
    model: str, error: str, time_effects: bool, world: tuple[Panel, SpatialWeights]
) -> None:
    fit = fit_random("y ~ x0 + x1", *world, model=model, error=error, time_effects=time_effects)  # type: ignore[arg-type]
    dense = Dense(fit)
    at = dense.parameters()
    # same formula in another arrangement: only rounding of sums of 64 terms
    assert fit.statistics["log_likelihood"] == pytest.approx(dense.log_density(at), abs=1e-10)
    information = dense.expected_information()
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    for j, i in enumerate(dense.free()):
        unit = np.eye(len(at))[i] * 1e-4 * errors[j]
        slope = (dense.log_density(at + unit) - dense.log_density(at - unit)) / 2e-4
        assert abs(slope) < 1e-6  # gradient in standard errors


@pytest.mark.parametrize("time_effects", [False, True])
@pytest.mark.parametrize(("model", "error"), CASES)
def test_covariances_against_dense_derivatives(
    model: str, error: str, time_effects: bool, world: tuple[Panel, SpatialWeights]
) -> None:
    options = {"model": model, "error": error, "time_effects": time_effects}
    fit = fit_random("y ~ x0 + x1", *world, **options)  # type: ignore[arg-type]
    dense = Dense(fit)
    expected = np.linalg.inv(dense.expected_information())
    p = len(fit.estimates.names)
    # central differences of the moments, relative error about 1e-9 of each entry
    assert fit.estimates.cov == pytest.approx(expected[:p, :p], rel=1e-6, abs=1e-9)
    assert fit.variance_components.cov == pytest.approx(expected[p:, p:], rel=1e-6, abs=1e-9)
    observed = fit_random("y ~ x0 + x1", *world, covariance="hessian", **options)  # type: ignore[arg-type]
    expected = np.linalg.inv(-dense.hessian())
    # second differences with a step of 1e-3: about four digits
    scale = np.sqrt(np.diag(expected))
    assert observed.estimates.cov / np.outer(scale[:p], scale[:p]) == pytest.approx(
        expected[:p, :p] / np.outer(scale[:p], scale[:p]), abs=2e-3
    )
    assert observed.variance_components.std_errors == pytest.approx(scale[p:], rel=2e-3)


def test_sparse_and_dense_factors_of_the_idiosyncratic_model_agree(
    world: tuple[Panel, SpatialWeights], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"model": "sem", "covariance": "hessian"}
    for time_effects in (False, True):
        dense = fit_random("y ~ x0 + x1", *world, time_effects=time_effects, **options)  # type: ignore[arg-type]
        monkeypatch.setattr(type(world[1].engine), "dense", property(lambda self: False))
        sparse = fit_random("y ~ x0 + x1", *world, time_effects=time_effects, **options)  # type: ignore[arg-type]
        monkeypatch.undo()
        assert sparse.estimates.values == pytest.approx(dense.estimates.values, abs=1e-9)
        assert sparse.estimates.std_errors == pytest.approx(dense.estimates.std_errors, rel=1e-6)
        assert sparse.residuals == pytest.approx(dense.residuals, abs=1e-8)


def test_without_region_effects_it_is_the_pooled_fit() -> None:
    weights = named_weights(row_standardised(lattice(6, 5)))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 6))
    e = rng.normal(size=(30, 6))
    e -= e.mean(axis=1, keepdims=True)  # less variance between regions than independence gives
    y = np.linalg.solve(np.eye(30) - 0.3 * weights.matrix.toarray(), x + e)
    panel = Panel(weights.regions, tuple(range(6)), {"y": y, "x": x})
    fit = fit_random("y ~ x", panel, weights)
    pooled = so.fit("y ~ x", panel, weights, effects="none", covariance="information")
    assert fit.statistics["phi"] == 1.0
    assert "at its bound 0" in fit.notes[0]
    assert fit.estimates.names == pooled.estimates.names
    assert fit.estimates.values == pytest.approx(pooled.estimates.values, abs=1e-7)
    assert fit.estimates.std_errors == pytest.approx(pooled.estimates.std_errors, rel=1e-6)
    assert fit.statistics["log_likelihood"] == pytest.approx(pooled.statistics["log_likelihood"], abs=1e-9)
    assert fit.statistics["n_parameters"] == pooled.statistics["n_parameters"]
    assert fit.effects()["estimate"].to_numpy() == pytest.approx(pooled.effects()["estimate"].to_numpy(), abs=1e-7)


def test_units_and_order_change_nothing(world: tuple[Panel, SpatialWeights]) -> None:
    panel, weights = world
    base = fit_random("y ~ x0 + x1", panel, weights)
    big = fit_random("y ~ x0 + x1", panel.with_variables({"x0": 1e6 * panel["x0"]}), weights)
    assert 1e6 * big.estimates["x0"] == pytest.approx(base.estimates["x0"], rel=1e-8)
    assert big.estimates["rho"] == pytest.approx(base.estimates["rho"], rel=1e-8)
    order = np.random.default_rng(1).permutation(16)
    mixed = SpatialWeights(
        weights.matrix[order][:, order], tuple(weights.regions[i] for i in order), "test links", "row"
    )
    again = fit_random("y ~ x0 + x1", panel, mixed)
    assert again.estimates.values == pytest.approx(base.estimates.values, rel=1e-8)


def test_effects_are_those_of_the_dense_multiplier(world: tuple[Panel, SpatialWeights]) -> None:
    fit = fit_random("y ~ x0 + x1", *world, correlated=True)
    w = world[1].matrix.toarray()
    e = fit.estimates
    matrix = np.linalg.solve(np.eye(16) - fit.rho * w, e["x0"] * np.eye(16) + e["W*x0"] * w)
    direct, total = np.trace(matrix) / 16, matrix.sum() / 16
    assert fit.effects(variables=["x0"])["estimate"].tolist() == pytest.approx(
        [direct, total - direct, total], abs=1e-9
    )
    assert (fit.effects()["std_error"] > 0).all()


def test_mundlak_slopes_without_w_are_the_fixed_effects_slopes(world: tuple[Panel, SpatialWeights]) -> None:
    # Mundlak (1978): with region means in the model GLS slopes equal within slopes, exactly.
    random = fit_random("y ~ x0 + x1", world[0], model="ols", correlated=True)
    fixed = so.fit("y ~ x0 + x1", world[0], model="ols", effects="individual")
    assert [random.estimates[x] for x in ("x0", "x1")] == pytest.approx(fixed.estimates.values, abs=1e-9)


def test_mundlak_test_from_a_fixed_effects_fit(world: tuple[Panel, SpatialWeights]) -> None:
    for effects in ("individual", "two-way"):
        fixed = so.fit("y ~ x0 + x1", *world, effects=effects)  # type: ignore[arg-type]
        found = mundlak_test(fixed)
        direct = fit_random("y ~ x0 + x1", *world, correlated=True, time_effects=effects == "two-way")
        again = means_test(direct)
        assert isinstance(found.test, HypothesisTest)
        assert isinstance(again, HypothesisTest)
        assert found.test.statistic == pytest.approx(again.statistic, rel=1e-9)
        assert found.test.df == 4
        assert found.spatial_gap == pytest.approx(direct.rho - fixed.rho, abs=1e-9)
    assert isinstance(mundlak_test(so.fit("y ~ x0", *world, effects="time")).test, NotApplicable)


def test_constant_regressors_have_no_mean_and_bad_options_are_refused(world: tuple[Panel, SpatialWeights]) -> None:
    panel, weights = world
    coast = np.repeat(np.arange(16.0)[:, None] % 3, 4, axis=1)
    fit = fit_random("y ~ x0 + coast", panel.with_variables({"coast": coast}), weights, correlated=True)
    assert not any("mean(coast)" in term for term in fit.estimates.names)
    assert any("2 region means are not in the model" in note for note in fit.notes)
    with pytest.raises(DesignError, match="two periods"):
        fit_random("y ~ x0", panel.select(periods=[2000]), weights)
    with pytest.raises(DesignError, match="exact combinations"):
        fit_random("y ~ x0 + x1", panel.with_variables({"x1": 3 * panel["x0"]}), weights)
    with pytest.raises(OptionError, match="needs spatial weights"):
        fit_random("y ~ x0", panel)
    with pytest.raises(OptionError, match="rows sum to one"):
        fit_random("y ~ x0", panel, named_weights(nearest(16, 4, 3) * 0.1, "none"), time_effects=True)
    with pytest.raises(OptionError, match="region means are not in"):
        means_test(fit_random("y ~ x0", panel, weights))


@pytest.mark.slow
@pytest.mark.parametrize(("model", "error"), [("sdm", "idiosyncratic"), ("sem", "idiosyncratic"), ("sem", "both")])
def test_intervals_cover(model: str, error: str) -> None:
    weights = named_weights(row_standardised(nearest(100, 5, 0)))
    inverse = np.linalg.inv(np.eye(100) - 0.4 * weights.matrix.toarray())
    rng = np.random.default_rng(5)
    rounds, inside, rejected = 400, [], []
    for _ in range(rounds):
        x = rng.normal(size=(100, 5)) + rng.normal(size=(100, 1))
        mu, e = rng.normal(size=(100, 1)), rng.normal(size=(100, 5))
        if model == "sdm":
            y = inverse @ (x + 0.5 * weights.lag(x) + mu + e)
        else:
            y = x + (inverse @ (mu + e) if error == "both" else mu + inverse @ e)
        panel = Panel(weights.regions, tuple(range(5)), {"y": y, "x": x})
        fit = fit_random("y ~ x", panel, weights, model=model, error=error)  # type: ignore[arg-type]
        low, high = fit.estimates.confint().T
        names = fit.estimates.names
        truth = np.array([{"x": 1.0, "W*x": 0.5, "rho": 0.4, "lambda": 0.4}.get(name, 0.0) for name in names])
        inside.append((low <= truth) & (truth <= high))
        test = means_test(fit_random("y ~ x", panel, weights, model=model, error=error, correlated=True))  # type: ignore[arg-type]
        assert isinstance(test, HypothesisTest)
        rejected.append(test.p_value < 0.05)
    coverage, size = np.mean(inside, axis=0), float(np.mean(rejected))
    print(model, error, dict(zip(names, coverage, strict=True)), "Mundlak size", size)
    # 400 rounds: three binomial standard errors are 3.3 points
    assert (np.abs(coverage - 0.95) < 0.033).all()
    assert abs(size - 0.05) < 0.033


@pytest.mark.parametrize("time_effects", [False, True])
@pytest.mark.parametrize(("model", "error"), [("sdm", "idiosyncratic"), ("sdem", "both"), ("slx", "both")])
def test_clustered_scores_are_the_gradient_of_the_dense_density(
    model: str, error: str, time_effects: bool, world: tuple[Panel, SpatialWeights]
) -> None:
    """Away from the maximum, where they do not vanish: rows of all regions, and the products of pairs, sum to it."""
    options = {"model": model, "error": error, "time_effects": time_effects, "covariance": "cluster"}
    fit = fit_random("y ~ x0 + x1", *world, **options)  # type: ignore[arg-type]
    dense = Dense(fit)
    maximum = fit.point.maximum
    moved = replace(maximum, s=0.8 * maximum.s, sigma2=1.2 * maximum.sigma2, phi=0.9 * maximum.phi)
    likelihood = maximum.likelihood
    assert isinstance(likelihood, SharedFilter)
    at = dense.parameters()
    at[dense.k :] = [moved.s, moved.sigma2, moved.sigma2_mu]
    rows, _ = _region_scores(moved, likelihood)
    total = rows.sum(axis=0)
    total[: dense.k] = likelihood.stack.factor.T @ total[: dense.k]  # from the slopes of Q to those of Z = QR
    if likelihood.engine is not None:
        n = len(fit.design.regions)
        filtered = likelihood.stack.columns - moved.s * likelihood._lagged
        e = quasi_demeaned(filtered[-1] - np.tensordot(moved.slopes, filtered[:-1], axes=1), moved.phi)
        g = Centring(n, (np.arange(n),) * time_effects).both(likelihood.engine.multiplier(moved.s).dense_g)
        total[dense.k] += np.einsum("it,ij,jt->", e, g - np.diag(np.diag(g)), e) / moved.sigma2
    for value, i in zip(total, dense.free(), strict=True):
        h = 1e-5 * np.eye(len(at))[i] * max(1.0, abs(at[i]))
        slope = (dense.log_density(at + h) - dense.log_density(at - h)) / (2 * h.sum())
        # central differences: 1e-10 of the third derivative and 1e-13·200/1e-5 of rounding
        assert value == pytest.approx(slope, rel=1e-5, abs=1e-4)


def test_clustered_and_information_errors_agree_when_random_effects_are_right() -> None:
    weights = named_weights(row_standardised(lattice(20, 20)))
    panel = simulate_sdm(weights, 6, seed=11)
    lasting = np.random.default_rng(2).normal(size=(400, 1))
    panel = panel.with_variables({"y": weights.engine.multiplier(0.3).solve(lasting) + panel["y"]})
    plain = fit_random("y ~ x0 + x1", panel, weights, error="both", model="sdem")
    robust = fit_random("y ~ x0 + x1", panel, weights, error="both", model="sdem", covariance="cluster")
    assert np.array_equal(plain.estimates.values, robust.estimates.values)
    assert robust.estimates.df == 399
    ratio = robust.estimates.std_errors / plain.estimates.std_errors
    assert ratio == pytest.approx(np.ones(ratio.size), abs=0.15)  # 400 clusters: relative sd of an error ≈ 4 %


def test_errors_clustered_by_region_do_not_exist_where_only_epsilon_is_filtered(
    world: tuple[Panel, SpatialWeights],
) -> None:
    with pytest.raises(OptionError, match="idiosyncratic"):
        fit_random("y ~ x0 + x1", *world, model="sem", covariance="cluster")
