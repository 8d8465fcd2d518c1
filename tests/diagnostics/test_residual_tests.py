"""Durbin score tests, nested and Hausman tests, residual tests: other software, dense algebra, simulated size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import spillover as so
from columbus import FORMULA, read_columbus
from simulated import lattice, named_weights, nearest, row_standardised, simulate_sdm
from spillover.diagnostics.dependence import cd_test, weighted_cd_test
from spillover.diagnostics.durbin import durbin_tests
from spillover.diagnostics.nested import hausman_error_test, likelihood_ratio, likelihood_ratios, why_not_nested
from spillover.diagnostics.panel_tests import (
    heteroskedasticity_test,
    remaining_error_test,
    residual_moran,
    residual_moran_by_period,
    serial_correlation_test,
)
from spillover.errors import DesignError, OptionError
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

POOLED = Transformation("none", "lee-yu", 49, 1)
EFFECTS = ["none", "individual", "time", "two-way"]


@pytest.fixture(scope="module")
def columbus() -> tuple[Panel, SpatialWeights]:
    return read_columbus()


def arrays(panel: Panel, weights: SpatialWeights, names: list[str], effects: str) -> dict:  # type: ignore[type-arg]
    """Demeaned y, Wy, Z and WX, lagged before demeaning."""
    n, t = panel.shape
    transformation = Transformation(effects, "lee-yu", n, t)  # type: ignore[arg-type]
    x = [panel[name] for name in names]
    z = [transformation.apply(values).ravel() for values in x]
    if effects == "none":
        z = [np.ones(n * t), *z]
    return {
        "y": transformation.apply(panel["y"] if "y" in panel else panel["CRIME"]),
        "wy": transformation.apply(weights.lag(panel["y"] if "y" in panel else panel["CRIME"])),
        "z": np.column_stack(z),
        "wx": np.column_stack([transformation.apply(weights.lag(values)).ravel() for values in x]),
        "matrix": weights.matrix,
        "transformation": transformation,
    }


# -- Durbin score tests -----------------------------------------------------------------------------


def test_columbus_durbin_tests_equal_spreg(columbus: tuple[Panel, SpatialWeights]) -> None:
    panel, weights = columbus
    found = durbin_tests(**arrays(panel, weights, ["INC", "HOVAL"], "none"))
    # spreg 1.9.0: lmwx, rlmdurlag, rlmwx, lmspdurbin, printed with five decimals
    assert [test.statistic for test in found] == pytest.approx([6.36081, 5.20621, 2.66903, 11.56702], abs=6e-6)
    assert [test.df for test in found] == [2, 1, 2, 3]


@pytest.mark.parametrize("effects", EFFECTS)
def test_durbin_tests_are_scores_of_the_full_likelihood(effects: str) -> None:
    """Score and information of the SDM likelihood at the OLS estimates, with F built explicitly and all dense."""
    weights = named_weights(row_standardised(nearest(14, 4, 3)))
    panel = simulate_sdm(weights, 3, seed=4, rho=0.2)
    given = arrays(panel, weights, ["x0", "x1"], effects)
    found = {test.name: test.statistic for test in durbin_tests(**given)}
    n, t = panel.shape
    f_n = basis(n) if effects in ("time", "two-way") else np.eye(n)
    f_t = basis(t) if effects in ("individual", "two-way") else np.eye(t)
    w = np.kron(f_n.T @ weights.matrix.toarray() @ f_n, np.eye(f_t.shape[1]))

    def carried(values: np.ndarray) -> np.ndarray:
        return (f_n.T @ values.reshape(n, t) @ f_t).ravel()

    y = carried(panel["y"])
    z = np.column_stack([carried(column) for column in given["z"].T])
    wx = np.column_stack([carried(column) for column in given["wx"].T])
    m, k, q = y.size, z.shape[1], wx.shape[1]
    b = np.linalg.lstsq(z, y, rcond=None)[0]
    e = y - z @ b
    s2 = e @ e / m
    right = np.column_stack([z, wx, w @ z @ b])
    information = np.zeros((k + q + 2, k + q + 2))
    information[:-1, :-1] = right.T @ right / s2
    information[-2, -2] += np.trace(w @ w + w.T @ w)
    information[-1, -1] = m / (2 * s2**2)
    information[-2, -1] = information[-1, -2] = np.trace(w) / s2
    score = np.concatenate([right[:, :-1].T @ e / s2, [e @ w @ y / s2 - np.trace(w), 0.0]])

    def quadratic(tested: list[int], free: list[int]) -> float:
        joint = [*free, *tested]
        inverse = np.linalg.inv(information[np.ix_(joint, joint)])[len(free) :, len(free) :]
        rest = score[tested] - information[np.ix_(tested, free)] @ np.linalg.solve(
            information[np.ix_(free, free)], score[free]
        )
        return float(rest @ inverse @ rest)

    base, theta, rho = [*range(k), k + q + 1], list(range(k, k + q)), [k + q]
    assert found["LM θ"] == pytest.approx(quadratic(theta, base), rel=1e-9)
    assert found["robust LM ρ (allowing θ)"] == pytest.approx(quadratic(rho, [*base, *theta]), rel=1e-9)
    assert found["robust LM θ (allowing ρ)"] == pytest.approx(quadratic(theta, [*base, *rho]), rel=1e-9)
    assert found["LM ρ and θ"] == pytest.approx(quadratic([*theta, *rho], base), rel=1e-9)


def basis(size: int) -> np.ndarray:
    """(size, size − 1) orthonormal columns that sum to zero."""
    return np.linalg.svd(np.eye(size) - 1.0 / size)[0][:, : size - 1]


def test_durbin_tests_refuse_a_lag_that_repeats_a_regressor(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    given = arrays(grid_panel, queen_grid, ["x0"], "none")
    given["wx"] = 2.0 * given["z"][:, 1:]
    with pytest.raises(DesignError, match="repeat"):
        durbin_tests(**given)


# -- nested models ----------------------------------------------------------------------------------


def test_columbus_likelihood_ratios(columbus: tuple[Panel, SpatialWeights]) -> None:
    panel, weights = columbus
    fits = {m: so.fit(FORMULA, panel, weights, model=m) for m in ("sdm", "sar", "slx", "ols")}  # type: ignore[arg-type]
    found = {test.name: test for test in likelihood_ratios(list(fits.values()))}
    # twice the differences of the log-likelihoods of spatialreg 1.2-6
    assert found["LR SDM → SLX"].statistic == pytest.approx(4.66268949514944, abs=1e-8)
    assert found["LR SAR → OLS"].statistic == pytest.approx(9.40653360403036, abs=1e-8)
    assert found["LR SDM → SAR"].statistic == pytest.approx(2 * (182.673972010134 - 181.639254440351), abs=1e-8)
    assert found["LR SDM → SAR"].df == 2
    assert "LR SAR → SLX" not in found


def test_likelihood_ratio_refuses_what_is_not_nested(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    sdm = so.fit("y ~ x0 + x1", grid_panel, queen_grid)
    sar = so.fit("y ~ x0 + x1", grid_panel, queen_grid, model="sar")
    with pytest.raises(OptionError, match="SAR does not hold SDM"):
        likelihood_ratio(sar, sdm)
    other = grid_panel.with_variables({"x1": grid_panel["x1"] + 0.001 * grid_panel["x0"]})
    assert "other data of x1" in why_not_nested(sdm, so.fit("y ~ x0 + x1", other, queen_grid, model="sar"))
    assert "effects" in why_not_nested(sdm, so.fit("y ~ x0 + x1", grid_panel, queen_grid, model="sar", effects="time"))
    assert "periods" in why_not_nested(sdm, so.fit("y ~ x0", grid_panel.select(periods=range(2000, 2005)), queen_grid))
    rook = named_weights(row_standardised(lattice(7, 6)))
    assert "W of the outcome is not the same" in why_not_nested(
        sdm, so.fit("y ~ x0 + x1", grid_panel, rook, model="sar")
    )
    assert "only in SAR" in why_not_nested(so.fit("y ~ x0", grid_panel, queen_grid), sar)
    smaller = so.fit("y ~ x0", grid_panel, queen_grid, model="sar")
    assert likelihood_ratio(sdm, smaller).df == 3  # x1, W x0 and W x1


def error_model(panel: Panel, weights: SpatialWeights, z: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(λ, σ²) of a cross-section spatial error model by dense maximum likelihood."""
    w, n = weights.matrix.toarray(), y.size

    def residuals(lam: float) -> np.ndarray:
        b = np.eye(n) - lam * w
        return b @ y - b @ z @ np.linalg.lstsq(b @ z, b @ y, rcond=None)[0]

    def loss(lam: float) -> float:
        e = residuals(lam)
        return n / 2 * np.log(e @ e) - np.linalg.slogdet(np.eye(n) - lam * w)[1]

    lam = minimize_scalar(loss, bounds=(-0.9, 0.99), method="bounded", options={"xatol": 1e-12}).x
    return lam, float(residuals(lam) @ residuals(lam)) / n


def test_columbus_hausman(columbus: tuple[Panel, SpatialWeights]) -> None:
    panel, weights = columbus
    given = arrays(panel, weights, ["INC", "HOVAL"], "none")
    for z, expected in [(given["z"], 5.255657), (np.column_stack([given["z"], given["wx"]]), 9.181064)]:
        lam, sigma2 = error_model(panel, weights, z, given["y"].ravel())
        test = hausman_error_test(given["y"], z, weights.matrix, POOLED, lam, sigma2)
        # published with six decimals; spatialreg's 5.613242 uses B⁻¹B⁻¹ and holds for symmetric W only
        assert test.statistic == pytest.approx(expected, abs=2e-6)


def test_hausman_without_error_correlation_does_not_apply(columbus: tuple[Panel, SpatialWeights]) -> None:
    panel, weights = columbus
    given = arrays(panel, weights, ["INC", "HOVAL"], "none")
    test = hausman_error_test(given["y"], given["z"], weights.matrix, POOLED, 0.0, 1.0)
    assert isinstance(test, NotApplicable)
    assert "λ is so near zero" in test.reason


# -- residual Moran ---------------------------------------------------------------------------------


def test_columbus_residual_moran(columbus: tuple[Panel, SpatialWeights]) -> None:
    panel, weights = columbus
    fit = so.fit(FORMULA, panel, weights, model="ols")
    found = residual_moran(fit.residuals, fit.design.z, weights.matrix, POOLED)
    # spdep 1.2-7 lm.morantest, fifteen digits; 1e-10 for rounding
    assert found.statistic == pytest.approx(0.222109406578674, abs=1e-10)
    assert found.expected == pytest.approx(-0.0334183345764818, abs=1e-10)
    assert found.variance == pytest.approx(0.00809930501331145, abs=1e-10)
    assert found.test.statistic == pytest.approx(2.83931893451367, abs=1e-8)
    (single,) = residual_moran_by_period(fit.residuals, fit.design.z, weights.matrix, POOLED, [2000])
    assert single.test.statistic == pytest.approx(found.test.statistic, abs=1e-10)


@pytest.mark.parametrize("effects", EFFECTS)
def test_residual_moran_moments_by_dense_projection(effects: str) -> None:
    weights = named_weights(row_standardised(nearest(12, 3, 5)))
    panel = simulate_sdm(weights, 4, seed=6)
    given = arrays(panel, weights, ["x0", "x1"], effects)
    z, transformation = given["z"], given["transformation"]
    n, t = panel.shape
    q_n = np.eye(n) - (1.0 / n if effects in ("time", "two-way") else 0.0)
    q_t = np.eye(t) - (1.0 / t if effects in ("individual", "two-way") else 0.0)
    projector = np.kron(q_n, q_t) - z @ np.linalg.inv(z.T @ z) @ z.T
    w = (weights.matrix.toarray() + weights.matrix.toarray().T) / 2
    v = np.kron(w, np.eye(t))
    df = np.trace(projector)
    mv = projector @ v
    first, second = np.trace(mv), np.trace(mv @ mv)
    residuals = (projector @ panel["y"].ravel()).reshape(n, t)
    found = residual_moran(residuals, z, weights.matrix, transformation)
    assert found.expected == pytest.approx(first / df, rel=1e-9)
    assert found.variance == pytest.approx(2 * (df * second - first**2) / (df**2 * (df + 2)), rel=1e-9)
    for s, period in enumerate(residual_moran_by_period(residuals, z, weights.matrix, transformation, range(t))):
        at = np.arange(n) * t + s
        cov = projector[np.ix_(at, at)]
        mean = np.trace(w @ cov) / np.trace(cov)
        spread = (w - mean * np.eye(n)) @ cov
        d = np.trace(cov) ** 2 / np.trace(cov @ cov)
        assert period.expected == pytest.approx(mean, rel=1e-9)
        assert period.variance == pytest.approx(
            2 * np.trace(spread @ spread) / np.trace(cov) ** 2 * d / (d + 2), rel=1e-9
        )


def test_columbus_error_left_beside_the_lag(columbus: tuple[Panel, SpatialWeights]) -> None:
    panel, weights = columbus
    for model, expected in [("sar", 0.24703139172102), ("sdm", 0.362579838287888)]:
        fit = so.fit(FORMULA, panel, weights, model=model)  # type: ignore[arg-type]
        test = remaining_error_test(
            fit.residuals, fit.design.wy, fit.design.z, weights.engine, fit.rho, fit.statistics["sigma2"], POOLED
        )
        # spatialreg 1.2-6 "LM test for residual autocorrelation"; its ρ stops at about 1e-8
        assert test.statistic == pytest.approx(expected, abs=1e-6)


# -- cross-section dependence -----------------------------------------------------------------------


def test_cd_equals_the_sum_over_pairs() -> None:
    e = np.random.default_rng(1).normal(size=(9, 7))
    r = np.corrcoef(e)
    expected = np.sqrt(2 * 7 / (9 * 8)) * r[np.triu_indices(9, 1)].sum()
    found = cd_test(e + np.arange(9)[:, None], Transformation("none", "lee-yu", 9, 7))
    assert isinstance(found, HypothesisTest)
    assert found.statistic == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("effects", ["time", "two-way"])
def test_cd_is_refused_after_period_effects(effects: str) -> None:
    transformation = Transformation(effects, "lee-yu", 40, 12)  # type: ignore[arg-type]
    e = transformation.apply(np.random.default_rng(2).normal(size=(40, 12)))
    assert isinstance(cd_test(e, transformation), NotApplicable)
    assert isinstance(weighted_cd_test(e, transformation), HypothesisTest)


def test_weighted_cd_is_reproducible_and_finds_a_common_factor() -> None:
    rng = np.random.default_rng(3)
    transformation = Transformation("two-way", "lee-yu", 40, 30)
    e = rng.normal(size=(40, 1)) * 2 * rng.normal(size=(1, 30)) + rng.normal(size=(40, 30))
    e = transformation.apply(e)
    assert weighted_cd_test(e, transformation, seed=5) == weighted_cd_test(e, transformation, seed=5)
    assert weighted_cd_test(e, transformation, seed=5).p_value < 1e-6


# -- variances and serial correlation ---------------------------------------------------------------


def test_columbus_breusch_pagan(columbus: tuple[Panel, SpatialWeights]) -> None:
    panel, weights = columbus
    for model, expected, df in [("sdm", 11.96927130294, 4), ("sar", 11.5199931226208, 2)]:
        fit = so.fit(FORMULA, panel, weights, model=model)  # type: ignore[arg-type]
        test = heteroskedasticity_test(fit.residuals, fit.design.z[:, 1:])
        assert test.df == df
        # spatialreg 1.2-6 bptest.Sarlm; its ρ stops at about 1e-8
        assert test.statistic == pytest.approx(expected, abs=1e-6)


def test_breusch_pagan_ignores_constants_and_repeats() -> None:
    rng = np.random.default_rng(4)
    x, e = rng.normal(size=60), rng.normal(size=(12, 5))
    once = heteroskedasticity_test(e, x[:, None])
    assert heteroskedasticity_test(e, np.column_stack([x, np.ones(60), 1e6 * x])).statistic == pytest.approx(
        once.statistic, rel=1e-9
    )
    assert isinstance(heteroskedasticity_test(e, np.ones((60, 1))), NotApplicable)


def test_serial_correlation_uses_only_neighbouring_periods() -> None:
    rng = np.random.default_rng(5)
    transformation = Transformation("individual", "lee-yu", 30, 5)
    e = transformation.apply(rng.normal(size=(30, 5)))
    whole = serial_correlation_test(e, transformation, [2000, 2001, 2002, 2003, 2004])
    gap = serial_correlation_test(e, transformation, [2000, 2001, 2002, 2008, 2009])
    before, after = e[:, [0, 1, 3]], e[:, [1, 2, 4]]
    slope = np.sum(before * after) / np.sum(before**2)
    rows = np.sum(before * (after + 0.25 * before), axis=1)
    error = np.sqrt(np.var(rows, ddof=1) * 30) / np.sum(before**2)
    assert gap.statistic == pytest.approx((slope + 0.25) / error, rel=1e-12)
    assert whole.statistic != pytest.approx(gap.statistic)
    assert isinstance(serial_correlation_test(e[:, :2], transformation, [1, 2]), NotApplicable)


@pytest.mark.slow
@pytest.mark.parametrize("effects", EFFECTS)
@pytest.mark.parametrize("t", [5, 20])
def test_size_of_residual_tests(effects: str, t: int) -> None:
    weights = named_weights(row_standardised(lattice(7, 7)))
    rng = np.random.default_rng(t)
    rounds, counts = 1000, {}  # type: int, dict[str, list[bool]]
    for _ in range(rounds):
        panel = Panel(
            weights.regions,
            tuple(range(t)),
            {
                "y": rng.normal(size=(49, t)),
                "x0": rng.normal(size=(49, t)) + rng.normal(size=(49, 1)),
                "x1": rng.normal(size=(49, t)),
            },
        )
        given = arrays(panel, weights, ["x0", "x1"], effects)
        transformation, z = given["transformation"], given["z"]
        e = (given["y"].ravel() - z @ np.linalg.lstsq(z, given["y"].ravel(), rcond=None)[0]).reshape(49, t)
        raw = np.column_stack([panel["x0"].ravel(), panel["x1"].ravel()])
        tests = [
            *durbin_tests(**given),
            residual_moran(e, z, weights.matrix, transformation).test,
            residual_moran_by_period(e, z, weights.matrix, transformation, range(t))[1].test,
            cd_test(e, transformation),
            weighted_cd_test(e, transformation, seed=int(rng.integers(1 << 30))),
            heteroskedasticity_test(e, raw),
            serial_correlation_test(e, transformation, range(t)),
        ]
        for test in tests:
            if isinstance(test, HypothesisTest):
                counts.setdefault(test.name, []).append(test.p_value < 0.05)
    sizes = {name: float(np.mean(found)) for name, found in counts.items()}
    print(effects, t, sizes)
    # 1,000 rounds: three binomial standard errors of 5 % are 2.1 points; CD is only asymptotically normal in T.
    for name, size in sizes.items():
        assert abs(size - 0.05) < (0.03 if "CD" in name else 0.022), (name, size)
